//! Chunks of a sequence: immutable, shared, with a hash.

use std::sync::{Arc, OnceLock};

use super::Prefix;

/// A chunk ends after a prefix whose hash has so many leading zeros: one in 1,024.
const CUT_BITS: u32 = 10;

/// Domain separation: the format of the bytes that [`Chunk::hash`] covers.
const HASH_CONTEXT: &[u8] = b"netpolicy chunk 1\n";

/// Whether a chunk ends after this prefix. This depends on the prefix alone, so that
/// equal sequences have equal chunks, whatever edits led to them (content-defined chunking).
#[inline]
pub(crate) fn ends_chunk<P: Prefix>(prefix: P) -> bool {
    prefix.mix().leading_zeros() >= CUT_BITS
}

/// Consecutive prefixes of a sequence; never empty.
pub struct Chunk<P> {
    prefixes: Box<[P]>,
    hash: OnceLock<[u8; 32]>,
}

impl<P: Prefix> Chunk<P> {
    /// A chunk of `prefixes`, which must not be empty.
    pub(crate) fn new(prefixes: &[P]) -> Arc<Self> {
        debug_assert!(!prefixes.is_empty(), "a chunk has prefixes");
        Arc::new(Self {
            prefixes: prefixes.into(),
            hash: OnceLock::new(),
        })
    }

    /// The prefixes, ascending.
    #[must_use]
    pub fn prefixes(&self) -> &[P] {
        &self.prefixes
    }

    /// BLAKE3 over the prefixes; computed on first use.
    pub fn hash(&self) -> &[u8; 32] {
        self.hash.get_or_init(|| {
            let mut bytes = Vec::with_capacity(HASH_CONTEXT.len() + self.prefixes.len() * 17);
            bytes.extend(HASH_CONTEXT);
            for prefix in &self.prefixes {
                prefix.put(&mut bytes);
            }
            blake3::hash(&bytes).into()
        })
    }

    /// Whether both hold the same prefixes. Compares the hashes if both are known.
    pub(crate) fn same(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        if Arc::ptr_eq(self, other) {
            return true;
        }
        match (self.hash.get(), other.hash.get()) {
            (Some(a), Some(b)) => a == b,
            _ => self.prefixes == other.prefixes,
        }
    }
}
