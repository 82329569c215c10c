//! Sorted, disjoint prefixes of one family, in shared chunks.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

use super::Prefix;
use super::chunk::{Chunk, ends_chunk};

/// Prefixes sorted by address, then length. Those of a [`PrefixSet`](super::PrefixSet)
/// are disjoint.
///
/// The prefixes are stored in chunks of about a thousand, whose ends depend on the prefixes
/// alone: equal sequences have equal chunks, and versions of a sequence share the chunks in
/// which they do not differ. Cloning shares everything.
pub struct Prefixes<P: Prefix> {
    shared: Arc<SharedChunks<P>>,
}

/// The chunks of a sequence, shared by its clones.
struct SharedChunks<P: Prefix> {
    parts: Box<[IndexedChunk<P>]>,
    len: usize,
    hash: OnceLock<[u8; 32]>,
}

/// Domain separation: the format of the bytes that [`Prefixes::hash`] covers.
const HASH_CONTEXT: &[u8] = b"netpolicy prefixes 1\n";

/// A chunk with a copy of its first prefix, so that searching touches no chunk.
pub(crate) struct IndexedChunk<P: Prefix> {
    pub(crate) first: P,
    pub(crate) chunk: Arc<Chunk<P>>,
}

impl<P: Prefix> Clone for IndexedChunk<P> {
    fn clone(&self) -> Self {
        Self {
            first: self.first,
            chunk: Arc::clone(&self.chunk),
        }
    }
}

impl<P: Prefix> Prefixes<P> {
    /// The number of prefixes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.len
    }

    /// Whether the sequence has no prefix.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.len == 0
    }

    /// The chunks, ascending.
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = &Arc<Chunk<P>>> + DoubleEndedIterator {
        self.parts().iter().map(|part| &part.chunk)
    }

    /// The chunks with their first addresses, ascending.
    pub(crate) fn parts(&self) -> &[IndexedChunk<P>] {
        &self.shared.parts
    }

    /// BLAKE3 over the hashes of the chunks; computed on first use, in time
    /// proportional to the chunks, and to the prefixes of those that are new.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        *self.shared.hash.get_or_init(|| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(HASH_CONTEXT);
            let mut hashes = Vec::with_capacity(self.parts().len() * 32);
            for chunk in self.chunks() {
                hashes.extend(chunk.hash());
            }
            hasher.update(&hashes);
            hasher.finalize().into()
        })
    }

    /// All prefixes, ascending.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, P> {
        Iter {
            current: [].iter(),
            parts: self.parts().iter(),
            left: self.len(),
        }
    }

    /// The prefixes that have an address in `addresses`, ascending. The prefixes must be disjoint.
    /// Finding the first takes time proportional to the logarithm of their number.
    pub fn range(
        &self,
        addresses: RangeInclusive<P::Address>,
    ) -> impl Iterator<Item = P> + Clone + '_ {
        let (start, end) = addresses.into_inner();
        let at = self.last_part(|first| first.first() <= start);
        self.after(at, move |prefix| prefix.last() < start)
            .take_while(move |prefix| prefix.first() <= end)
    }

    /// The prefixes that begin in `addresses`, ascending.
    pub fn beginning_in(
        &self,
        addresses: RangeInclusive<P::Address>,
    ) -> impl Iterator<Item = P> + Clone + '_ {
        let (start, end) = addresses.into_inner();
        let at = self.last_part(|first| first.first() < start);
        self.after(at, move |prefix| prefix.first() < start)
            .take_while(move |prefix| prefix.first() <= end)
    }

    /// The prefixes from chunk `at` on, without the first ones of that chunk for which `skip`
    /// holds.
    fn after(&self, at: usize, skip: impl Fn(&P) -> bool) -> impl Iterator<Item = P> + Clone {
        let (current, parts) = match self.parts().get(at) {
            Some(part) => {
                let prefixes = part.chunk.prefixes();
                let from = prefixes.partition_point(skip);
                (&prefixes[from..], &self.parts()[at + 1..])
            }
            None => (&[][..], &[][..]),
        };
        let more = parts.iter().flat_map(|part| part.chunk.prefixes());
        current.iter().chain(more).copied()
    }

    /// Whether the sequence has exactly this prefix.
    pub fn has(&self, prefix: P) -> bool {
        let part = self.parts().get(self.last_part(|first| *first <= prefix));
        part.is_some_and(|part| part.chunk.prefixes().binary_search(&prefix).is_ok())
    }

    /// The prefix that covers an address. The prefixes must be disjoint.
    #[must_use]
    pub fn covering(&self, address: P::Address) -> Option<P> {
        let part = self.last_part(|first| first.first() <= address);
        let prefixes = self.parts().get(part)?.chunk.prefixes();
        // Prefixes are disjoint: only the last that begins at or below the address
        // can hold it.
        let after = prefixes.partition_point(|prefix| prefix.first() <= address);
        let prefix = *prefixes.get(after.checked_sub(1)?)?;
        (prefix.last() >= address).then_some(prefix)
    }

    /// The index of the last chunk for whose first prefix `holds` is true, or 0. It must be true
    /// for a first part of the sequence and false for the rest.
    pub(crate) fn last_part(&self, holds: impl Fn(&P) -> bool) -> usize {
        self.parts()
            .partition_point(|part| holds(&part.first))
            .saturating_sub(1)
    }

    /// Whether both share their chunks as clones do. If not, they may still be equal.
    #[must_use]
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<P: Prefix> Clone for Prefixes<P> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<P: Prefix> Default for Prefixes<P> {
    fn default() -> Self {
        PrefixesBuilder::default().finish()
    }
}

impl<P: Prefix> fmt::Debug for Prefixes<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

/// Compares chunk by chunk; shared chunks cost nothing.
impl<P: Prefix> PartialEq for Prefixes<P> {
    fn eq(&self, other: &Self) -> bool {
        self.ptr_eq(other)
            || self.len() == other.len()
                && self.parts().len() == other.parts().len()
                && self.chunks().zip(other.chunks()).all(|(a, b)| a.same(b))
    }
}

impl<P: Prefix> Eq for Prefixes<P> {}

/// The prefixes must be sorted and distinct.
impl<P: Prefix> FromIterator<P> for Prefixes<P> {
    fn from_iter<T: IntoIterator<Item = P>>(prefixes: T) -> Self {
        let mut builder = PrefixesBuilder::default();
        for prefix in prefixes {
            builder.push(prefix);
        }
        builder.finish()
    }
}

impl<'a, P: Prefix> IntoIterator for &'a Prefixes<P> {
    type Item = &'a P;
    type IntoIter = Iter<'a, P>;

    fn into_iter(self) -> Iter<'a, P> {
        self.iter()
    }
}

/// All prefixes of a sequence, ascending.
#[derive(Clone)]
pub struct Iter<'a, P: Prefix> {
    current: std::slice::Iter<'a, P>,
    parts: std::slice::Iter<'a, IndexedChunk<P>>,
    left: usize,
}

impl<'a, P: Prefix> Iterator for Iter<'a, P> {
    type Item = &'a P;

    #[inline]
    fn next(&mut self) -> Option<&'a P> {
        loop {
            if let Some(prefix) = self.current.next() {
                self.left -= 1;
                return Some(prefix);
            }
            self.current = self.parts.next()?.chunk.prefixes().iter();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<P: Prefix> ExactSizeIterator for Iter<'_, P> {}

/// Builds a sequence of sorted, distinct prefixes.
pub struct PrefixesBuilder<P: Prefix> {
    parts: Vec<IndexedChunk<P>>,
    open: Vec<P>,
    len: usize,
}

impl<P: Prefix> Default for PrefixesBuilder<P> {
    fn default() -> Self {
        Self {
            parts: Vec::new(),
            open: Vec::new(),
            len: 0,
        }
    }
}

impl<P: Prefix> PrefixesBuilder<P> {
    /// Appends a prefix, which must be greater than the last one.
    #[inline]
    pub fn push(&mut self, prefix: P) {
        self.push_like(prefix, None);
    }

    /// Like [`Self::push`]; shares `like` if the prefix completes a chunk that equals it.
    #[inline]
    pub fn push_like(&mut self, prefix: P, like: Option<&Arc<Chunk<P>>>) {
        debug_assert!(
            self.open.last().is_none_or(|last| *last < prefix),
            "prefixes ascend"
        );
        self.open.push(prefix);
        if ends_chunk(prefix) {
            self.close(like);
        }
    }

    /// Whether the next prefix begins a chunk.
    pub(crate) fn is_at_end_of_chunk(&self) -> bool {
        self.open.is_empty()
    }

    /// Appends whole chunks of another sequence; to be called at the end of a chunk.
    pub(crate) fn share(&mut self, parts: &[IndexedChunk<P>]) {
        debug_assert!(self.open.is_empty(), "chunks follow whole chunks");
        self.len += parts
            .iter()
            .map(|part| part.chunk.prefixes().len())
            .sum::<usize>();
        self.parts.extend_from_slice(parts);
    }

    /// Ends the open chunk, if any; shares `like` if it equals the chunk.
    fn close(&mut self, like: Option<&Arc<Chunk<P>>>) {
        let Some(first) = self.open.first().copied() else {
            return;
        };
        let chunk = match like.filter(|like| *like.prefixes() == *self.open) {
            Some(like) => Arc::clone(like),
            None => Chunk::new(&self.open),
        };
        self.len += self.open.len();
        self.parts.push(IndexedChunk { first, chunk });
        self.open.clear();
    }

    /// The sequence.
    #[must_use]
    pub fn finish(self) -> Prefixes<P> {
        self.finish_like(None)
    }

    /// Like [`Self::finish`]; shares `like` if the last chunk equals it.
    pub fn finish_like(mut self, like: Option<&Arc<Chunk<P>>>) -> Prefixes<P> {
        self.close(like);
        debug_assert!(
            self.parts.is_sorted_by(|a, b| a.first < b.first),
            "chunks ascend"
        );
        Prefixes {
            shared: Arc::new(SharedChunks {
                parts: self.parts.into(),
                len: self.len,
                hash: OnceLock::new(),
            }),
        }
    }
}
