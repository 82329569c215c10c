//! Which cache lines the flat engine's look-up touches: the program's own look-up, on
//! the host, over the memory that the program reads.

use std::{cell::RefCell, net::IpAddr};

use netpolicy_common::{HOST_SCOPE, Listing};
use netpolicy_flat::{
    layout::{
        Hosts, LINE_WORDS, PAGE_WORDS, PLANES_WORDS, Page, Root, UNIT_WORDS, UNITS_PER_PAGE,
        leaf_unit, mix, mix_v6,
    },
    lookup::{
        Pages, Steps, descend, enter, is_host_v4, is_host_v6, leaf_step, node_step, record_step,
        table_page, table_step, unit_page,
    },
    memory::{Arena, Memory, ScopeLists},
};
use netpolicy_user::compiler::Ruleset;

use crate::cache::Cache;

/// What look-ups of some sources touch, on average unless it says more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    /// Distinct lines.
    pub(crate) lines: f64,
    /// Lines each of whose address is told by the one before, or by what it holds; the
    /// first by the packet. Of a pair that is read together, one.
    pub(crate) chain: f64,
    /// The longest chain.
    pub(crate) longest: usize,
    /// Lines of the chain that the second-level cache does not hold.
    pub(crate) cold: f64,
    /// Lines that all look-ups together touch.
    pub(crate) working_set: usize,
}

impl Walk {
    /// Looks every source up, in this order, which the generator sends in too. `cache` is
    /// the second-level cache's size in bytes.
    pub(crate) fn over(rules: &Ruleset, sources: &[IpAddr], cache: usize) -> Self {
        let lists = rules.scopes.iter().map(|scope| ScopeLists {
            id: scope.id,
            block: &scope.block,
            allow: &scope.allow,
        });
        let flat = Memory::new(&lists.collect::<Vec<_>>(), 0);
        let roots = flat.roots(HOST_SCOPE);
        let memory = TracedArena {
            arena: flat.arena(),
            touched: RefCell::default(),
        };
        let mut cache = Cache::new(cache);
        let all_lines = flat.arena().pages().len() * LINES_PER_PAGE as usize;
        let mut seen = vec![false; all_lines];
        // The first half fills the cache.
        let counted_from = sources.len() / 2;
        let (mut lines, mut chain, mut cold, mut longest) = (0, 0, 0, 0);
        for (index, source) in sources.iter().enumerate() {
            let code = match source {
                IpAddr::V4(address) => memory.look_up_v4(&roots.v4, u32::from(*address)),
                IpAddr::V6(address) => memory.look_up_v6(&roots.v6, u128::from(*address)),
            };
            assert_eq!(code, Listing::Blocked, "{source} is on the list");
            let mut touched = memory.touched.borrow_mut();
            let is_counted = index >= counted_from;
            longest = longest.max(touched.iter().filter(|t| t.is_awaited).count());
            for (at, touch) in touched.iter().enumerate() {
                seen[touch.line as usize] = true;
                let was_held = cache.touch(touch.line);
                if is_counted {
                    let is_new = touched[..at].iter().all(|t| t.line != touch.line);
                    lines += u64::from(is_new);
                    chain += u64::from(touch.is_awaited);
                    cold += u64::from(touch.is_awaited && !was_held);
                }
            }
            touched.clear();
        }
        let each = |sum: u64| sum as f64 / (sources.len() - counted_from) as f64;
        Self {
            lines: each(lines),
            chain: each(chain),
            longest,
            cold: each(cold),
            working_set: seen.iter().filter(|seen| **seen).count(),
        }
    }
}

/// Lines in a page.
const LINES_PER_PAGE: u32 = (PAGE_WORDS / LINE_WORDS) as u32;

/// A line that was read.
#[derive(Clone, Copy)]
struct Touch {
    line: u32,
    /// Whether what comes next waits for it.
    is_awaited: bool,
}

/// The flat engine's memory, which notes what is read.
struct TracedArena<'a> {
    arena: &'a Arena,
    touched: RefCell<Vec<Touch>>,
}

impl TracedArena<'_> {
    /// As `FlatV4` in `netpolicy-ebpf/src/flat.rs`, of block lists.
    fn look_up_v4(&self, root: &Root, address: u32) -> Listing {
        let hosts = root.block;
        if hosts.buckets != 0 {
            self.read_hosts(hosts, hosts.place(mix(address)).0, true);
            if is_host_v4(self, &hosts, address) {
                return Listing::Blocked;
            }
        }
        self.in_trie(root, u64::from(address) << 32, 0)
    }

    /// As `FlatV6` there.
    fn look_up_v6(&self, root: &Root, address: u128) -> Listing {
        let (high, low) = ((address >> 64) as u64, address as u64);
        let hosts = root.block;
        if hosts.buckets != 0 {
            let (first, second) = hosts.pair(mix_v6(high, low));
            self.read_hosts(hosts, first, true);
            // Its address is known as early.
            self.read_hosts(hosts, second, false);
            if is_host_v6(self, &hosts, high, low) {
                return Listing::Blocked;
            }
        }
        self.in_trie(root, high, low)
    }

    fn in_trie(&self, root: &Root, high: u64, low: u64) -> Listing {
        let (slot, high, low) = enter(self, root, high, low);
        descend(self, slot, high, low)
    }

    /// Notes that a bucket of hosts is read.
    fn read_hosts(&self, hosts: Hosts, bucket: u32, is_awaited: bool) {
        // A table that was just built has no overlay pages.
        assert_eq!(hosts.overlays(), 0);
        let unit = hosts.start() * UNITS_PER_PAGE + bucket;
        self.touch(unit_page(unit), words_of_unit(unit), is_awaited);
    }

    /// Notes that a word of a page is read.
    fn read(&self, page: u32, word: usize) {
        self.touch(page, word, true);
    }

    fn touch(&self, page: u32, word: usize, is_awaited: bool) {
        let line = page * LINES_PER_PAGE + (word / LINE_WORDS) as u32;
        self.touched.borrow_mut().push(Touch { line, is_awaited });
    }
}

impl Pages for TracedArena<'_> {
    fn page(&self, number: u32) -> Option<&Page> {
        Some(self.arena.page(number))
    }
}

impl Steps for TracedArena<'_> {
    fn table(&self, start: u32, index: u32) -> u32 {
        let page = table_page(start, index);
        self.read(page, (index & 1023) as usize / 2);
        table_step(self.arena.page(page), index)
    }

    fn node(&self, unit: u32, byte: u32) -> u32 {
        let number = unit_page(unit);
        let page = self.arena.page(number);
        let at = words_of_unit(unit);
        self.read(number, at);
        // Where both planes have a one, the slot is behind them.
        let threes = |plane: usize| page[at + plane] & page[at + 4 + plane];
        let (plane, bit) = (byte as usize / 64, byte % 64);
        if threes(plane) >> bit & 1 == 1 {
            let before: u32 = (0..plane).map(|plane| threes(plane).count_ones()).sum();
            let rank = before + (threes(plane) & ((1 << bit) - 1)).count_ones();
            self.read(number, at + PLANES_WORDS + rank as usize / 2);
        }
        node_step(page, unit, byte)
    }

    fn record(&self, unit: u32, high: u64, low: u64) -> u64 {
        let page = unit_page(unit);
        self.read(page, words_of_unit(unit));
        record_step(self.arena.page(page), unit, high, low)
    }

    fn leaf(&self, slot: u32, next: u32) -> Listing {
        let unit = leaf_unit(slot);
        let page = unit_page(unit);
        self.read(page, words_of_unit(unit));
        leaf_step(self.arena.page(page), slot, next)
    }
}

fn words_of_unit(unit: u32) -> usize {
    (unit % UNITS_PER_PAGE) as usize * UNIT_WORDS
}
