//! The flat engine's memory in the kernel: chunks of pages, shared with this process.

use std::{collections::BTreeMap, ops::Range, os::fd::AsFd};

use aya::maps::MapData;
use netpolicy_flat::layout::{BAN_CHUNKS, CHUNK_PAGES, LIST_CHUNKS, PAGE_WORDS, Page};
use zerocopy::IntoBytes as _;

use crate::datapath::{
    DatapathError,
    maps::{ARRAY, MMAPABLE, Maps},
    retry::while_out_of_memory,
    sys::{self, Element, Mapped},
};

/// Bytes of a chunk.
#[expect(clippy::cast_possible_truncation, reason = "2^20")]
const CHUNK_BYTES: u32 = CHUNK_PAGES * (PAGE_WORDS * 8) as u32;

/// A part of the arena, in two halves: while a memory in one is in force, another can be built
/// in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::datapath) struct Region {
    first: u32,
    half: u32,
}

impl Region {
    /// That of lists.
    pub(in crate::datapath) const LISTS: Self = Self {
        first: 0,
        half: LIST_CHUNKS,
    };
    /// That of bans.
    pub(in crate::datapath) const BANS: Self = Self {
        first: 2 * LIST_CHUNKS,
        half: BAN_CHUNKS,
    };

    /// Where its second half begins.
    pub(in crate::datapath) const fn second(self) -> u32 {
        self.first + self.half
    }

    /// Where the half begins that is not the one with this beginning.
    pub(super) const fn other_half(self, first: u32) -> u32 {
        if first == self.first {
            self.second()
        } else {
            self.first
        }
    }

    /// Where the half begins that a word of the kernel's names: one of two numbers, whatever
    /// else was written there.
    pub(in crate::datapath) const fn half_of(self, word: u64) -> u32 {
        if word == self.first as u64 {
            self.first
        } else {
            self.second()
        }
    }

    /// The chunks of the half that begins there.
    pub(in crate::datapath) const fn chunks(self, first: u32) -> Range<u32> {
        first..first + self.half
    }

    /// Chunks of a half.
    pub(super) const fn half(self) -> u32 {
        self.half
    }
}

// SAFETY: integers.
unsafe impl Element for Page {}

/// The chunks that this process has mapped, by their numbers.
#[derive(Default)]
pub(in crate::datapath) struct Chunks(BTreeMap<u32, Chunk>);

/// One of them.
pub(super) struct Chunk {
    map: MapData,
    pages: Mapped<Page>,
}

impl Chunks {
    /// Maps what the kernel holds.
    pub(in crate::datapath) fn open(maps: &Maps, numbers: Range<u32>) -> Self {
        let open = |number| Some((number, Chunk::open(maps, number)?));
        Self(numbers.map_while(open).collect())
    }

    /// Creates those of these chunks, one at least, that are not there; and if any is not,
    /// also those to spare for which there is memory. They end within `half`.
    ///
    /// # Errors
    /// They do not: in the other half another memory may be in force. Or the kernel's.
    pub(super) fn provide(
        &mut self,
        maps: &Maps,
        numbers: Range<u32>,
        spare: Range<u32>,
        half: &Range<u32>,
    ) -> Result<(), DatapathError> {
        if numbers.end > half.end {
            return Err(DatapathError::TooLarge);
        }
        let is_missing = |number: &u32| !self.0.contains_key(number);
        let mut missing: Vec<u32> = numbers.filter(is_missing).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut created = Vec::new();
        for _ in &missing {
            created.push(Chunk::create()?);
        }
        for number in spare.filter(is_missing) {
            let Ok(chunk) = Chunk::create() else { break };
            missing.push(number);
            created.push(chunk);
        }
        place(maps, &missing, &created)?;
        self.0.extend(missing.into_iter().zip(created));
        Ok(())
    }

    /// Lets go of these chunks, here and in the kernel. No program may be reading them.
    pub(super) fn release(&mut self, maps: &Maps, numbers: Range<u32>) {
        for number in numbers {
            // Kept by the kernel is only memory lost until the next time.
            if sys::delete_element(maps.arena_outer.fd().as_fd(), number).is_err() {
                break;
            }
            self.0.remove(&number);
        }
    }

    /// Forgets these chunks, which stay in the kernel.
    pub(super) fn forget(&mut self, numbers: Range<u32>) {
        self.0.retain(|number, _| !numbers.contains(number));
    }

    /// Writes a page of a chunk that was provided.
    pub(super) fn write(&mut self, number: u32, page: &Page) {
        let chunk = self.0.get_mut(&(number / CHUNK_PAGES));
        if let Some(to) = chunk.and_then(|c| c.pages.get_mut((number % CHUNK_PAGES) as usize)) {
            *to = *page;
        }
    }

    /// A page.
    pub(in crate::datapath) fn page(&self, number: u32) -> Option<&Page> {
        let chunk = self.0.get(&(number / CHUNK_PAGES))?;
        chunk.pages.get((number % CHUNK_PAGES) as usize)
    }
}

/// Puts chunks where programs read them.
pub(super) fn place(maps: &Maps, numbers: &[u32], chunks: &[Chunk]) -> Result<(), DatapathError> {
    let fds: Vec<_> = chunks.iter().map(|chunk| chunk.map.fd().as_fd()).collect();
    let placed = sys::set_inner_maps(maps.arena_outer.fd().as_fd(), numbers, &fds);
    placed.map_err(|source| DatapathError::System {
        call: "setting the arena's chunks",
        source,
    })
}

impl Chunk {
    fn open(maps: &Maps, number: u32) -> Option<Self> {
        let map = maps.arena.get(&number, 0).ok()?;
        let pages = Mapped::map(map.fd(), CHUNK_PAGES as usize, true).ok()?;
        Some(Self { map, pages })
    }

    /// One of zeros, which no program reads yet.
    pub(super) fn create() -> Result<Self, DatapathError> {
        let map = while_out_of_memory(|| {
            let shape = aya_obj::Map::new_from_params(ARRAY, 4, CHUNK_BYTES, 1, MMAPABLE);
            MapData::create(shape, "netpolicy_chunk", None)
        })
        .map_err(DatapathError::map("create", "ARENA"))?;
        let pages = Mapped::map(map.fd(), CHUNK_PAGES as usize, true).map_err(|source| {
            DatapathError::System {
                call: "mmap of a chunk",
                source,
            }
        })?;
        Ok(Self { map, pages })
    }

    /// Copies a page's bytes to the page with this number in the chunk.
    pub(super) fn copy(&mut self, at: u32, bytes: &[u8]) {
        let page = self.pages.get_mut(at as usize);
        if let Some(page) = page.filter(|page| page.as_bytes().len() == bytes.len()) {
            page.as_mut_bytes().copy_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_regions_share_no_chunk_and_fill_the_arena() {
        let mut next = 0;
        for region in [Region::LISTS, Region::BANS] {
            for first in [region.first, region.second()] {
                let half = region.chunks(first);
                assert_eq!(half.start, next);
                next = half.end;
                assert_eq!(region.other_half(region.other_half(first)), first);
                assert_eq!(region.half_of(first.into()), first);
            }
            assert_eq!(region.half_of(u64::MAX), region.second());
        }
        assert_eq!(next, netpolicy_flat::layout::MAX_CHUNKS);
    }
}
