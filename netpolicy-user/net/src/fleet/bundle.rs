//! The new objects of a revision in one value: what a host that has its parent lacks, with one
//! read instead of one for each level of the state.
//!
//! Nothing signs a bundle. Of what it holds only that is handed over which the signed root leads
//! to, under the names that are computed here; a host that has no use for it reads objects.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use netpolicy_fleet::{LARGEST_VALUE, ObjectId, ObjectKind, frame, references, unframe};

use super::objects::LEVEL;

/// The most bytes of a bundle's objects: they are handed over at once.
const LARGEST: usize = 1 << 20;

/// The most objects of a bundle.
const MOST: usize = 4_096;

/// The bundle of these objects; `None`: they are too many, or too large for one value.
pub(super) fn bundle<'a>(
    objects: impl IntoIterator<Item = (ObjectKind, &'a [u8])>,
) -> Option<Vec<u8>> {
    let (mut sequence, mut count) = (Vec::new(), 0);
    for (kind, body) in objects {
        frame(kind, body, &mut sequence);
        count += 1;
        if count > MOST || sequence.len() > LARGEST {
            return None;
        }
    }
    let value = zstd::bulk::compress(&sequence, LEVEL).ok()?;
    (count > 0 && value.len() <= LARGEST_VALUE).then_some(value)
}

/// What the agent is handed of a bundle: all that this state leads to; `None`: nothing of it.
pub(super) fn sequence(root: ObjectId, value: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let decoder = zstd::stream::Decoder::with_buffer(value).ok()?;
    let most = LARGEST as u64 + 1;
    decoder.take(most).read_to_end(&mut bytes).ok()?;
    if bytes.len() > LARGEST {
        return None;
    }
    let found = unframe(&bytes, MOST).ok()?;
    let found: BTreeMap<_, _> = found
        .into_iter()
        .map(|(kind, body)| (kind.id(body), (kind, body)))
        .collect();
    let (mut sequence, mut taken) = (Vec::new(), BTreeSet::new());
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        if let Some((kind, body)) = found.get(&id)
            && taken.insert(id)
        {
            let named = references(*kind, body).ok()?;
            open.extend(named.into_iter().map(|(_, id)| id));
            frame(*kind, body, &mut sequence);
        }
    }
    (!sequence.is_empty()).then_some(sequence)
}

#[cfg(test)]
mod tests {
    use netpolicy_policy::model::State;
    use netpolicy_store::store::write_state;

    use super::*;
    use crate::fleet::memory::Memory;

    #[test]
    fn bundle_hands_over_what_the_root_leads_to_and_nothing_else() {
        let memory = Memory::default();
        let root = write_state(&memory, &State::empty()).unwrap();
        let new = memory.beyond(&Memory::default(), root).unwrap();
        let own = || new.iter().map(|(kind, _, body)| (*kind, body.as_slice()));
        let foreign = (ObjectKind::Chunk, b"of no state".as_slice());
        let value = bundle(own().chain([foreign])).unwrap();
        let taken = sequence(root, &value).unwrap();
        let taken = unframe(&taken, MOST).unwrap();
        assert_eq!(taken, own().collect::<Vec<_>>());
        // Of another state there is nothing, nor of a part of the value.
        let other = ObjectKind::State.id(b"other");
        assert_eq!(sequence(other, &value), None);
        for len in 0..value.len() {
            assert_eq!(sequence(root, &value[..len]), None, "{len}");
        }
    }

    #[test]
    fn bundle_is_bounded_on_both_sides() {
        assert_eq!(bundle([]), None);
        let large = vec![0; LARGEST];
        assert_eq!(bundle([(ObjectKind::Chunk, large.as_slice())]), None);
        let many = (0..=MOST).map(|_| (ObjectKind::Chunk, b"x".as_slice()));
        assert_eq!(bundle(many), None);
        // A small value that decompresses to more than is read.
        let bomb = zstd::bulk::compress(&vec![0; LARGEST + 1], LEVEL).unwrap();
        assert_eq!(sequence(ObjectKind::State.id(b"x"), &bomb), None);
    }
}
