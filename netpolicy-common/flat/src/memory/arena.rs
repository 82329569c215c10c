//! Pages, and what is free in them.
//!
//! What the generation in force uses is never written: what is given back stays as it
//! is until the datapath says that no program can read it any more.

use std::collections::BTreeMap;

use super::bits::halves;
use crate::layout::{CHUNK_PAGES, PAGE_WORDS, Page, UNIT_WORDS, UNITS_PER_PAGE};

/// Units that a node takes at the most: its planes (2) and 256 slots (32).
const MAX_UNITS: usize = 34;

/// Pages wherever they are, by their numbers; `None` where there is none.
pub type PageSource<'a> = &'a dyn Fn(u32) -> Option<&'a Page>;

/// Memory in pages, in which runs of units and of pages are taken and given back.
/// Remembers which pages were written.
#[derive(Debug, Default)]
pub struct Arena {
    /// Number of the first page.
    base: u32,
    chunks: Vec<Box<[Page]>>,
    /// Pages that were ever in use.
    end: u32,
    /// Bit for each page, from the base.
    written: Vec<u64>,
    /// Free runs by their length in units: all that begin on an even unit.
    free_units: Vec<Vec<u32>>,
    /// Free runs of pages, by the first; none touches the next.
    free_pages: BTreeMap<u32, u32>,
    /// The page from which new runs are cut, and its first free unit.
    open: Option<(u32, u32)>,
    retired: Retired,
}

/// What was given back, and may still be read.
#[derive(Debug, Default)]
pub struct Retired {
    /// First unit and length.
    units: Vec<(u32, u32)>,
    /// First page and length.
    pages: Vec<(u32, u32)>,
}

impl Retired {
    /// Both together.
    pub fn extend(&mut self, other: Self) {
        self.units.extend(other.units);
        self.pages.extend(other.pages);
    }
}

impl Arena {
    /// An empty arena whose pages are numbered from those of a chunk on. Page 0 is never used:
    /// as the number of an overlay page it says that there is none.
    #[must_use]
    pub fn starting_at(chunk: u32) -> Self {
        let mut arena = Self {
            base: chunk * CHUNK_PAGES,
            free_units: vec![Vec::new(); MAX_UNITS + 1],
            ..Self::default()
        };
        if chunk == 0 {
            arena.take_pages(1);
        }
        arena
    }

    /// Number of the first chunk.
    #[must_use]
    pub fn first_chunk(&self) -> u32 {
        self.base / CHUNK_PAGES
    }

    /// Number of chunks.
    #[must_use]
    pub fn chunk_count(&self) -> u32 {
        u32::try_from(self.chunks.len()).unwrap_or(u32::MAX)
    }

    /// The page of a number that was handed out.
    #[must_use]
    pub fn page(&self, number: u32) -> &Page {
        let at = (number - self.base) as usize;
        &self.chunks[at / CHUNK_PAGES as usize][at % CHUNK_PAGES as usize]
    }

    /// Numbers of all pages in use.
    #[must_use]
    pub fn pages(&self) -> std::ops::Range<u32> {
        self.base..self.base + self.end
    }

    /// Numbers of the pages written since the last call, and forgets them.
    pub fn take_written(&mut self) -> Vec<u32> {
        let mut numbers = Vec::new();
        for (base, bits) in (self.base..).step_by(64).zip(self.written.iter_mut()) {
            let mut left = std::mem::take(bits);
            while left != 0 {
                numbers.push(base + left.trailing_zeros());
                left &= left - 1;
            }
        }
        numbers
    }

    /// What was given back since the last call.
    pub fn take_retired(&mut self) -> Retired {
        std::mem::take(&mut self.retired)
    }

    /// Makes use of what no program can read any more.
    pub fn reclaim(&mut self, retired: Retired) {
        for (unit, class) in retired.units {
            self.free_units[class as usize].push(unit);
        }
        for (first, count) in retired.pages {
            self.keep_pages(first, count);
        }
    }

    /// Takes a run of units; its content is undefined. Runs of more than one unit begin
    /// on an even one, so that a node's planes are one cache line.
    pub(super) fn take(&mut self, units: u32) -> u32 {
        let class = Self::class(units);
        if let Some(unit) = self.free_units[class as usize].pop() {
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
                (self.take_pages(1), 0)
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
            self.free_units[1].push(*page * UNITS_PER_PAGE + *at);
            *at += 1;
        }
    }

    /// Gives a run back.
    pub(super) fn give(&mut self, unit: u32, units: u32) {
        self.retired.units.push((unit, Self::class(units)));
    }

    /// Takes pages in a row and returns the number of the first; their content is
    /// undefined.
    pub(super) fn take_pages(&mut self, count: u32) -> u32 {
        let fitting = self.free_pages.iter().find(|(_, len)| **len >= count);
        if let Some((&first, &len)) = fitting {
            self.free_pages.remove(&first);
            if len > count {
                self.free_pages.insert(first + count, len - count);
            }
            return first;
        }
        let first = self.end;
        self.end += count;
        while self.chunk_count() * CHUNK_PAGES < self.end {
            let chunk = vec![[0; PAGE_WORDS]; CHUNK_PAGES as usize];
            self.chunks.push(chunk.into_boxed_slice());
        }
        self.written
            .resize(self.chunks.len() * CHUNK_PAGES as usize / 64, 0);
        self.base + first
    }

    /// Gives pages back.
    pub(super) fn give_pages(&mut self, first: u32, count: u32) {
        self.retired.pages.push((first, count));
    }

    /// Copies pages to where nothing is, gives the old ones back, and returns the first
    /// of the new.
    pub(super) fn move_pages(&mut self, first: u32, count: u32) -> u32 {
        let to = self.take_pages(count);
        for at in 0..count {
            let page = *self.page(first + at);
            *self.page_mut(to + at) = page;
        }
        self.give_pages(first, count);
        to
    }

    /// A page, to be written.
    pub(super) fn page_mut(&mut self, number: u32) -> &mut Page {
        let at = (number - self.base) as usize;
        self.written[at / 64] |= 1 << (at % 64);
        &mut self.chunks[at / CHUNK_PAGES as usize][at % CHUNK_PAGES as usize]
    }

    /// The words of a run, to be written.
    pub(super) fn words_mut(&mut self, unit: u32, words: usize) -> &mut [u64] {
        let at = (unit % UNITS_PER_PAGE) as usize * UNIT_WORDS;
        &mut self.page_mut(unit / UNITS_PER_PAGE)[at..at + words]
    }

    /// The words of a run.
    pub(super) fn words(&self, unit: u32, words: usize) -> &[u64] {
        let at = (unit % UNITS_PER_PAGE) as usize * UNIT_WORDS;
        &self.page(unit / UNITS_PER_PAGE)[at..at + words]
    }

    /// The `index`-th 32 bits of the pages that begin with `page`.
    pub(super) fn half(&self, page: u32, index: u32) -> u32 {
        let (page, word) = place_of_half(page, index);
        let [lower, upper] = halves(self.page(page)[word]);
        if index.is_multiple_of(2) {
            lower
        } else {
            upper
        }
    }

    /// Sets the `index`-th 32 bits of the pages that begin with `page`.
    pub(super) fn set_half(&mut self, page: u32, index: u32, value: u32) {
        let (page, word) = place_of_half(page, index);
        let both = &mut self.page_mut(page)[word];
        *both = if index.is_multiple_of(2) {
            *both & 0xffff_ffff_0000_0000 | u64::from(value)
        } else {
            *both & 0xffff_ffff | u64::from(value) << 32
        };
    }

    /// Units that are in use, retired or not.
    #[cfg(test)]
    pub(super) fn units_in_use(&self) -> usize {
        let in_pages = |pages: u32| (pages * UNITS_PER_PAGE) as usize;
        let runs = self.free_units.iter().enumerate();
        let free_units: usize = runs.map(|(class, runs)| class * runs.len()).sum();
        let free_pages: usize = self.free_pages.values().copied().map(in_pages).sum();
        let open = self.open.map_or(0, |(_, at)| UNITS_PER_PAGE - at);
        in_pages(self.end) - free_units - free_pages - open as usize
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
            self.free_units[1].push(unit);
            unit += 1;
            units -= 1;
        }
        while units >= 2 {
            let class = units.min(u32::try_from(MAX_UNITS).unwrap_or(2)) & !1;
            self.free_units[class as usize].push(unit);
            unit += class;
            units -= class;
        }
    }

    /// Keeps free pages, joined with adjacent ones.
    fn keep_pages(&mut self, first: u32, count: u32) {
        let (mut first, mut count) = (first, count);
        if let Some(len) = self.free_pages.remove(&(first + count)) {
            count += len;
        }
        if let Some((&before, &len)) = self.free_pages.range(..first).next_back()
            && before + len == first
        {
            self.free_pages.remove(&before);
            first = before;
            count += len;
        }
        self.free_pages.insert(first, count);
    }
}

/// Numbers of 32 bits in a page.
#[expect(clippy::cast_possible_truncation, reason = "1,024")]
pub(super) const HALVES: u32 = 2 * PAGE_WORDS as u32;

/// The page and word of the `index`-th 32 bits of the pages that begin with `page`.
pub(super) fn place_of_half(page: u32, index: u32) -> (u32, usize) {
    (page + index / HALVES, (index % HALVES / 2) as usize)
}
