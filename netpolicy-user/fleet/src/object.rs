//! Objects of states on their way: as values in etcd, as bytes to the agent.

use netpolicy_store::store::{ObjectId, ObjectKind, references};

/// The largest value of an object in etcd, bytes.
pub const LARGEST_VALUE: usize = 256 << 10;

/// The largest body that a value is decompressed to, bytes.
pub const LARGEST_BODY: usize = 8 << 20;

/// The most bytes of objects in one transaction: etcd refuses requests of 1.5 MiB.
pub const PACK_BYTES: usize = 1 << 20;

/// The most operations in one transaction: etcd refuses more than 128.
pub const PACK_OPERATIONS: usize = 100;

/// How a value holds a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEncoding {
    /// As it is.
    Plain,
    /// Compressed by zstd.
    Zstd,
}

/// Why bytes are no object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// A value begins with nothing that is known, or is empty.
    #[error("object {id} is no value of an object")]
    NoValue {
        /// Its name.
        id: String,
    },
    /// It is too large.
    #[error("object {id} has {bytes} bytes, expected {most} at most")]
    TooLarge {
        /// Its name.
        id: String,
        /// How many.
        bytes: usize,
        /// How many it may have.
        most: usize,
    },
    /// Its content has another hash than its name.
    #[error("{kind} {id}: its content does not match its hash")]
    OtherDigest {
        /// "chunk".
        kind: &'static str,
        /// Its name.
        id: String,
    },
    /// What it names cannot be read.
    #[error("{kind} {id}: {why}")]
    Malformed {
        /// "list".
        kind: &'static str,
        /// Its name.
        id: String,
        /// Why.
        why: String,
    },
    /// A sequence has too many objects.
    #[error("more than {most} objects at a time")]
    TooMany {
        /// How many it may have.
        most: usize,
    },
    /// A sequence of objects is cut short, or something else.
    #[error("the objects are cut short or no objects, at byte {at}")]
    NoFrame {
        /// Where.
        at: usize,
    },
}

const KINDS: [(ObjectKind, u8); 3] = [
    (ObjectKind::Chunk, b'c'),
    (ObjectKind::List, b'l'),
    (ObjectKind::State, b's'),
];

fn letter(kind: ObjectKind) -> u8 {
    let found = KINDS.iter().find(|(other, _)| *other == kind);
    found.map_or(0, |(_, letter)| *letter)
}

fn kind_of(letter: u8) -> Option<ObjectKind> {
    let found = KINDS.iter().find(|(_, other)| *other == letter);
    found.map(|(kind, _)| *kind)
}

/// The value of an object: a letter for its kind, one for how its body is encoded, and that.
#[must_use]
pub fn value(kind: ObjectKind, encoding: BodyEncoding, encoded: &[u8]) -> Vec<u8> {
    let encoding = match encoding {
        BodyEncoding::Plain => b'p',
        BodyEncoding::Zstd => b'z',
    };
    [&[letter(kind), encoding], encoded].concat()
}

/// The parts of a value that [`value`] made.
///
/// # Errors
/// It is none, or too large.
pub fn value_parts<'a>(
    id: &ObjectId,
    value: &'a [u8],
) -> Result<(ObjectKind, BodyEncoding, &'a [u8]), ObjectError> {
    if value.len() > LARGEST_VALUE {
        return Err(ObjectError::TooLarge {
            id: id.to_string(),
            bytes: value.len(),
            most: LARGEST_VALUE,
        });
    }
    let parts = match value {
        [kind, encoding, encoded @ ..] => kind_of(*kind)
            .zip(match encoding {
                b'p' => Some(BodyEncoding::Plain),
                b'z' => Some(BodyEncoding::Zstd),
                _ => None,
            })
            .map(|(kind, encoding)| (kind, encoding, encoded)),
        _ => None,
    };
    parts.ok_or_else(|| ObjectError::NoValue { id: id.to_string() })
}

/// What an object names, after checking that it is what its name says.
///
/// # Errors
/// [`ObjectError::OtherDigest`], [`ObjectError::Malformed`].
pub fn checked(
    kind: ObjectKind,
    id: &ObjectId,
    body: &[u8],
) -> Result<Vec<(ObjectKind, ObjectId)>, ObjectError> {
    if kind.id(body) != *id {
        return Err(ObjectError::OtherDigest {
            kind: kind.name(),
            id: id.to_string(),
        });
    }
    references(kind, body).map_err(|why| ObjectError::Malformed {
        kind: kind.name(),
        id: id.to_string(),
        why,
    })
}

/// Appends an object to a sequence for the agent: its kind's letter, its length in four bytes in
/// network order, its body. Its name is not said: the agent computes it.
pub fn frame(kind: ObjectKind, body: &[u8], to: &mut Vec<u8>) {
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    to.push(letter(kind));
    to.extend_from_slice(&len.to_be_bytes());
    to.extend_from_slice(body);
}

/// The objects of a sequence that [`frame`] made; `most`: how many it may have.
///
/// # Errors
/// It is none, or has more.
pub fn unframe(sequence: &[u8], most: usize) -> Result<Vec<(ObjectKind, &[u8])>, ObjectError> {
    let mut found = Vec::new();
    let mut rest = sequence;
    while !rest.is_empty() {
        let at = sequence.len() - rest.len();
        let next = rest.split_first_chunk::<5>().and_then(|(head, rest)| {
            let [letter, len @ ..] = *head;
            let len = usize::try_from(u32::from_be_bytes(len)).ok()?;
            let (body, rest) = rest.split_at_checked(len)?;
            (len <= LARGEST_BODY).then_some(())?;
            Some(((kind_of(letter)?, body), rest))
        });
        let (object, after) = next.ok_or(ObjectError::NoFrame { at })?;
        if found.len() == most {
            return Err(ObjectError::TooMany { most });
        }
        found.push(object);
        rest = after;
    }
    Ok(found)
}

/// Divides objects of these sizes into runs that fit in a transaction each.
pub fn packs(sizes: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut packs = Vec::new();
    let (mut count, mut bytes) = (0, 0);
    for size in sizes {
        if count > 0 && (count == PACK_OPERATIONS || bytes + size > PACK_BYTES) {
            packs.push(count);
            (count, bytes) = (0, 0);
        }
        count += 1;
        bytes += size;
    }
    packs.extend((count > 0).then_some(count));
    packs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sequences_are_read_back_and_none_that_is_cut(
            bodies in proptest::collection::vec((0..3_usize, proptest::collection::vec(any::<u8>(), 0..40)), 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut sequence = Vec::new();
            let mut ends = vec![0];
            for (kind, body) in &bodies {
                frame(KINDS[*kind].0, body, &mut sequence);
                ends.push(sequence.len());
            }
            let found = unframe(&sequence, bodies.len()).unwrap();
            let expected: Vec<_> = bodies.iter().map(|(kind, body)| (KINDS[*kind].0, &body[..])).collect();
            prop_assert_eq!(found, expected);
            let cut = cut.index(sequence.len() + 1);
            prop_assert_eq!(unframe(&sequence[..cut], 6).is_ok(), ends.contains(&cut));
            if let Some(fewer) = bodies.len().checked_sub(1) {
                prop_assert_eq!(
                    unframe(&sequence, fewer),
                    Err(ObjectError::TooMany { most: fewer })
                );
            }
        }

        #[test]
        fn packs_hold_all_and_none_too_much(sizes in proptest::collection::vec(0..LARGEST_VALUE, 0..400)) {
            let packs = packs(sizes.iter().copied());
            prop_assert_eq!(packs.iter().sum::<usize>(), sizes.len());
            let mut rest = &sizes[..];
            for pack in packs {
                let (these, after) = rest.split_at(pack);
                prop_assert!(pack > 0 && pack <= PACK_OPERATIONS);
                prop_assert!(these.iter().sum::<usize>() <= PACK_BYTES);
                rest = after;
            }
        }
    }

    #[test]
    fn values_say_their_kind_and_bodies_match_their_names() {
        let id = ObjectKind::Chunk.id(b"body");
        for encoding in [BodyEncoding::Plain, BodyEncoding::Zstd] {
            let value = value(ObjectKind::List, encoding, b"body");
            let parts = value_parts(&id, &value).unwrap();
            assert_eq!(parts, (ObjectKind::List, encoding, &b"body"[..]));
        }
        for bad in [&b""[..], b"c", b"xp", b"cx"] {
            assert!(value_parts(&id, bad).is_err());
        }
        let large = vec![b'c'; LARGEST_VALUE + 1];
        assert!(matches!(
            value_parts(&id, &large),
            Err(ObjectError::TooLarge { .. })
        ));
        assert_eq!(checked(ObjectKind::Chunk, &id, b"body").unwrap(), []);
        let other = checked(ObjectKind::Chunk, &id, b"bodY").unwrap_err();
        assert!(other.to_string().ends_with("does not match its hash"));
        // A body under the name of another kind is none.
        checked(ObjectKind::List, &id, b"body").unwrap_err();
        let state = ObjectKind::State.id(b"{\"format\":99}");
        let newer = checked(ObjectKind::State, &state, b"{\"format\":99}").unwrap_err();
        assert!(newer.to_string().contains("its format is 99"), "{newer}");
    }
}
