//! The flat engine's memory in the kernel: chunks of pages, shared with this process.

use std::{collections::BTreeMap, ops::Range, os::fd::AsFd};

use aya::maps::MapData;
use netpolicy_flat::layout::{CHUNK_PAGES, MAX_CHUNKS, PAGE_WORDS, Page};
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

/// Chunks of one memory. There are two such halves: while one is in force, a memory can be
/// rebuilt in the other.
pub(super) const HALF: u32 = MAX_CHUNKS / 2;

/// Whether these chunks, one at least, end in the half in which they begin.
const fn is_in_one_half(numbers: &Range<u32>) -> bool {
    numbers.end <= (numbers.start / HALF + 1) * HALF
}

// SAFETY: integers.
unsafe impl Element for Page {}

/// The chunks that this process has mapped, by their numbers.
#[derive(Default)]
pub(super) struct Chunks(BTreeMap<u32, Chunk>);

/// One of them.
pub(super) struct Chunk {
    map: MapData,
    pages: Mapped<Page>,
}

impl Chunks {
    /// Maps what the kernel holds.
    pub(super) fn open(maps: &Maps, numbers: Range<u32>) -> Self {
        let open = |number| Some((number, Chunk::open(maps, number)?));
        Self(numbers.map_while(open).collect())
    }

    /// Creates those of these chunks, one at least, that are not there; and if any is not,
    /// also those to spare for which there is memory.
    ///
    /// # Errors
    /// They do not end in the half in which they begin: in the other half another memory may
    /// be in force. Or the kernel's.
    pub(super) fn provide(
        &mut self,
        maps: &Maps,
        numbers: Range<u32>,
        spare: Range<u32>,
    ) -> Result<(), DatapathError> {
        if !is_in_one_half(&numbers) {
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
    pub(super) fn page(&self, number: u32) -> Option<&Page> {
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
    fn a_memory_ends_with_its_half() {
        let half = |first: u32, count: u32| is_in_one_half(&(first..first + count));
        for first in [0, HALF] {
            assert!(half(first, 1) && half(first, HALF) && half(first + HALF - 1, 1));
            assert!(!half(first, HALF + 1) && !half(first + HALF - 1, 2));
        }
    }
}
