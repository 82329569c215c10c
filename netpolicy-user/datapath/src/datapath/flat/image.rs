//! The memory of a ruleset apart from any kernel: as bytes to be kept, and back into chunks.

use netpolicy_common::{EngineWords, ScopeId};
use netpolicy_flat::{
    layout::{CHUNK_PAGES, PAGE_WORDS},
    memory::Memory,
};
use zerocopy::IntoBytes as _;

use super::{
    chunks::{Chunk, Region, place},
    lists,
};
use crate::{
    compiler::Ruleset,
    datapath::{DatapathError, maps::Maps},
};

/// Bytes of a page.
pub(in crate::datapath) const PAGE_BYTES: usize = PAGE_WORDS * 8;

/// The most pages of a memory.
pub(in crate::datapath) const MAX_PAGES: u32 = Region::LISTS.half() * CHUNK_PAGES;

/// The first chunk of a memory that is kept: where an installation begins.
const FIRST_CHUNK: u32 = 0;

/// What a slot's information is to hold for the engine, of a memory that was kept.
pub(in crate::datapath) const SLOT_WORD: u64 = FIRST_CHUNK as u64;

/// The lists of a ruleset in pages.
pub(in crate::datapath) struct BuiltLists(Memory);

impl BuiltLists {
    pub(in crate::datapath) fn new(ruleset: &Ruleset) -> Self {
        Self(Memory::new(&lists(ruleset), FIRST_CHUNK))
    }

    /// What the program is told of a scope's lists.
    pub(in crate::datapath) fn words(&self, scope: ScopeId) -> EngineWords {
        self.0.roots(scope).into()
    }

    /// The pages in their order, each of [`PAGE_BYTES`].
    pub(in crate::datapath) fn pages(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let arena = self.0.arena();
        arena.pages().map(|number| arena.page(number).as_bytes())
    }
}

/// Chunks of pages that no program can read yet.
#[derive(Default)]
pub(in crate::datapath) struct LoosePages {
    chunks: Vec<Chunk>,
    pages: u32,
}

impl LoosePages {
    /// Adds the next page.
    ///
    /// # Errors
    /// The kernel has no memory, or it is one page too many.
    pub(in crate::datapath) fn push(&mut self, page: &[u8]) -> Result<(), DatapathError> {
        if self.pages == MAX_PAGES {
            return Err(DatapathError::TooLarge);
        }
        let at = self.pages % CHUNK_PAGES;
        if at == 0 {
            self.chunks.push(Chunk::create()?);
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.copy(at, page);
        }
        self.pages += 1;
        Ok(())
    }

    /// Puts them where programs read them.
    ///
    /// # Errors
    /// The kernel's.
    pub(in crate::datapath) fn place(self, maps: &Maps) -> Result<(), DatapathError> {
        let numbers: Vec<u32> = (FIRST_CHUNK..).take(self.chunks.len()).collect();
        place(maps, &numbers, &self.chunks)
    }
}
