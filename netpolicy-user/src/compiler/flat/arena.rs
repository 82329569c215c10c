//! Pages, and what is free in them.

use super::build::halves;
use netpolicy_common::flat::{PAGE_WORDS, UNIT_WORDS, UNITS_PER_PAGE};

/// Units that a node takes at the most: its planes (2) and 256 slots (32).
const MAX_UNITS: usize = 34;

/// One page.
pub type Page = [u64; PAGE_WORDS];

/// Memory in pages, in which runs of units are taken and given back. Remembers which
/// pages were written.
#[derive(Clone, Debug, Default)]
pub struct Arena {
    pages: Vec<Page>,
    /// Bit for each page.
    written: Vec<u64>,
    /// Free runs by their length in units: all that begin on an even unit.
    free: Vec<Vec<u32>>,
    /// The page from which new runs are cut, and its first free unit.
    open: Option<(u32, u32)>,
}

impl Arena {
    /// All pages.
    #[must_use]
    pub fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// Numbers of the pages written since the last call, and forgets them.
    pub fn take_written(&mut self) -> Vec<u32> {
        let mut numbers = Vec::new();
        for (base, bits) in (0..).step_by(64).zip(self.written.iter_mut()) {
            let mut left = std::mem::take(bits);
            while left != 0 {
                numbers.push(base + left.trailing_zeros());
                left &= left - 1;
            }
        }
        numbers
    }

    /// Takes a run of units; its content is undefined. Runs of more than one unit begin
    /// on an even one, so that a node's planes are one cache line.
    pub(super) fn take(&mut self, units: u32) -> u32 {
        let class = Self::class(units);
        if self.free.is_empty() {
            self.free = vec![Vec::new(); MAX_UNITS + 1];
        }
        if let Some(unit) = self.free[class as usize].pop() {
            return unit;
        }
        if class > 1 {
            self.skip_odd_unit();
        }
        let (page, at) = match self.open {
            Some((page, at)) if at + class <= UNITS_PER_PAGE => (page, at),
            open => {
                if let Some((page, at)) = open {
                    self.keep_rest(page * UNITS_PER_PAGE + at, UNITS_PER_PAGE - at);
                }
                (self.add_pages(1), 0)
            }
        };
        self.open = Some((page, at + class));
        page * UNITS_PER_PAGE + at
    }

    /// What is cut next begins on an even unit.
    fn skip_odd_unit(&mut self) {
        if let Some((page, at)) = &mut self.open
            && !at.is_multiple_of(2)
        {
            self.free[1].push(*page * UNITS_PER_PAGE + *at);
            *at += 1;
        }
    }

    /// Gives a run back.
    pub(super) fn give(&mut self, unit: u32, units: u32) {
        self.free[Self::class(units) as usize].push(unit);
    }

    /// Adds pages in a row, zeroed, and returns the number of the first.
    pub(super) fn add_pages(&mut self, count: u32) -> u32 {
        let first = self.pages.len();
        self.pages.resize(first + count as usize, [0; PAGE_WORDS]);
        self.written.resize(self.pages.len().div_ceil(64), 0);
        let first = u32::try_from(first).unwrap_or(u32::MAX);
        for page in first..first + count {
            self.touch(page);
        }
        first
    }

    /// The words of a run, to be written.
    pub(super) fn words_mut(&mut self, unit: u32, words: usize) -> &mut [u64] {
        let page = unit / UNITS_PER_PAGE;
        self.touch(page);
        let at = (unit % UNITS_PER_PAGE) as usize * UNIT_WORDS;
        &mut self.pages[page as usize][at..at + words]
    }

    /// The words of a run.
    pub(super) fn words(&self, unit: u32, words: usize) -> &[u64] {
        let at = (unit % UNITS_PER_PAGE) as usize * UNIT_WORDS;
        &self.pages[(unit / UNITS_PER_PAGE) as usize][at..at + words]
    }

    /// The `index`-th 32 bits of the pages that begin with `page`.
    pub(super) fn half(&self, page: u32, index: u32) -> u32 {
        let word = index as usize / 2;
        let both = self.pages[page as usize + word / PAGE_WORDS][word % PAGE_WORDS];
        let [lower, upper] = halves(both);
        if index.is_multiple_of(2) {
            lower
        } else {
            upper
        }
    }

    /// Sets the `index`-th 32 bits of the pages that begin with `page`.
    pub(super) fn set_half(&mut self, page: u32, index: u32, value: u32) {
        let word = index as usize / 2;
        let page = page + u32::try_from(word / PAGE_WORDS).unwrap_or(0);
        self.touch(page);
        let both = &mut self.pages[page as usize][word % PAGE_WORDS];
        *both = if index.is_multiple_of(2) {
            *both & 0xffff_ffff_0000_0000 | u64::from(value)
        } else {
            *both & 0xffff_ffff | u64::from(value) << 32
        };
    }

    fn touch(&mut self, page: u32) {
        self.written[page as usize / 64] |= 1 << (page % 64);
    }

    /// What a run of `units` really takes: one, or an even number.
    fn class(units: u32) -> u32 {
        if units == 1 {
            1
        } else {
            units.next_multiple_of(2)
        }
    }

    /// Keeps the end of a page for smaller runs.
    fn keep_rest(&mut self, unit: u32, units: u32) {
        let (mut unit, mut units) = (unit, units);
        if units > 0 && !unit.is_multiple_of(2) {
            self.free[1].push(unit);
            unit += 1;
            units -= 1;
        }
        while units >= 2 {
            let class = units.min(u32::try_from(MAX_UNITS).unwrap_or(2)) & !1;
            self.free[class as usize].push(unit);
            unit += class;
            units -= class;
        }
    }
}
