//! A sorted map in chunks of some hundred entries, each in one piece of memory: of a million bans
//! it takes about half of what a map of small nodes takes, which are two thirds full.

use std::collections::BTreeMap;

/// Most entries of a chunk; one with more is split.
const MOST: usize = 256;

/// Entries for which a full chunk gets more room, and that a chunk may be short of its room.
const ROOM: usize = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct ChunkedMap<K, V> {
    /// By a key that is at most a chunk's first one, and greater than all of the chunk before.
    chunks: BTreeMap<K, Vec<(K, V)>>,
    len: usize,
}

impl<K, V> Default for ChunkedMap<K, V> {
    fn default() -> Self {
        Self {
            chunks: BTreeMap::new(),
            len: 0,
        }
    }
}

impl<K: Ord + Copy, V> ChunkedMap<K, V> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        let (_, chunk) = self.chunks.range(..=key).next_back()?;
        let at = chunk.binary_search_by(|(of, _)| of.cmp(key)).ok()?;
        chunk.get(at).map(|(_, value)| value)
    }

    /// Sets a value, and returns what was there.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if self.chunks.range(..=key).next_back().is_none() {
            // Smaller than all.
            let (_, first) = self.chunks.pop_first().unzip();
            self.chunks.insert(key, first.unwrap_or_default());
        }
        let (_, chunk) = self.chunks.range_mut(..=key).next_back()?;
        let at = match chunk.binary_search_by(|(of, _)| of.cmp(&key)) {
            Ok(at) => {
                let (_, held) = chunk.get_mut(at)?;
                return Some(std::mem::replace(held, value));
            }
            Err(at) => at,
        };
        if chunk.len() == chunk.capacity() {
            chunk.reserve_exact(ROOM);
        }
        chunk.insert(at, (key, value));
        self.len += 1;
        if chunk.len() > MOST {
            let upper = chunk.split_off(chunk.len() / 2);
            chunk.shrink_to_fit();
            if let Some((first, _)) = upper.first() {
                self.chunks.insert(*first, upper);
            }
        }
        None
    }

    /// Removes a value, and returns it.
    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let (bound, chunk) = self.chunks.range_mut(..=key).next_back()?;
        let at = chunk.binary_search_by(|(of, _)| of.cmp(key)).ok()?;
        let (_, value) = chunk.remove(at);
        self.len -= 1;
        if chunk.is_empty() {
            let bound = *bound;
            self.chunks.remove(&bound);
        } else if chunk.capacity() - chunk.len() > 2 * ROOM {
            chunk.shrink_to(chunk.len() + ROOM);
        }
        Some(value)
    }

    /// All entries from a key on, in order.
    pub(super) fn from(&self, first: K) -> impl Iterator<Item = (&K, &V)> {
        let before = self.chunks.range(..=first).next_back();
        let start = before.map_or(first, |(bound, _)| *bound);
        let mut chunks = self.chunks.range(start..).map(|(_, chunk)| chunk);
        let head = chunks.next().map_or(&[][..], |chunk| {
            &chunk[chunk.partition_point(|(key, _)| *key < first)..]
        });
        let rest = chunks.flat_map(|chunk| chunk.iter());
        head.iter().chain(rest).map(|(key, value)| (key, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn holds_what_a_map_holds(
            steps in prop::collection::vec((0..1_500_u32, any::<u8>(), 0..5_u8), 0..4_000),
            first in 0..1_600_u32,
        ) {
            let (mut map, mut expected) = (ChunkedMap::default(), BTreeMap::new());
            for (key, value, step) in steps {
                // More come than go.
                if step < 3 {
                    prop_assert_eq!(map.insert(key, value), expected.insert(key, value));
                } else {
                    prop_assert_eq!(map.remove(&key), expected.remove(&key));
                }
                prop_assert_eq!(map.get(&key), expected.get(&key));
            }
            prop_assert_eq!(map.len(), expected.len());
            prop_assert!(map.from(first).eq(expected.range(first..)));
            prop_assert!(map.from(0).eq(expected.iter()));
            for key in expected.keys() {
                prop_assert!(map.remove(key).is_some());
            }
            prop_assert_eq!((map.len(), map.chunks.len()), (0, 0));
        }
    }

    #[test]
    fn chunks_are_nearly_full_of_what_comes_in_any_order() {
        let mut map = ChunkedMap::default();
        for at in 0..100_000_u32 {
            map.insert(at.wrapping_mul(0x9e37_79b1), ());
        }
        let room: usize = map.chunks.values().map(Vec::capacity).sum();
        assert!(room < 120_000, "{room}");
        assert!(map.chunks.len() < 1_000, "{}", map.chunks.len());
    }
}
