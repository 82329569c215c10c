//! Objects of states: out of etcd's values and into them, and from etcd to the agent.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use netpolicy_fleet::{
    BodyEncoding, FleetKey, LARGEST_BODY, Layout, ObjectError, ObjectId, ObjectKind, checked,
    frame, value, value_parts,
};

use super::agent::{FleetAgent, FleetAgentError};
use super::etcd::{Etcd, EtcdError};

/// Objects that are asked for at once: most have some kilobytes, none more than 256.
const AT_ONCE: usize = 32;

/// Bytes that are handed over at once, about.
const HAND_OVER: usize = 1 << 20;

/// zstd's level: higher ones save a few percent of addresses.
pub(super) const LEVEL: i32 = 3;

/// Names that the agent is asked about at once.
const NAMES: usize = 4_096;

/// Why objects are not handed over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferError {
    /// One is not what its name says.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// etcd has not all of them.
    #[error("object {id} is missing in etcd")]
    Missing {
        /// Its name.
        id: String,
    },
    /// One does not decompress.
    #[error("object {id} does not decompress: {why}")]
    Compressed {
        /// Its name.
        id: String,
        /// Why not.
        why: String,
    },
    /// etcd does not give them.
    #[error(transparent)]
    Etcd(#[from] EtcdError),
    /// The agent does not take them.
    #[error(transparent)]
    Agent(#[from] FleetAgentError),
}

/// An object's value in etcd.
///
/// # Errors
/// It is too large, also when compressed.
pub(crate) fn encoded(
    kind: ObjectKind,
    id: &ObjectId,
    body: &[u8],
) -> Result<Vec<u8>, TransferError> {
    let failed = |error: std::io::Error| TransferError::Compressed {
        id: id.to_string(),
        why: error.to_string(),
    };
    let smaller = zstd::bulk::compress(body, LEVEL).map_err(failed)?;
    let value = match smaller.len() < body.len() {
        true => value(kind, BodyEncoding::Zstd, &smaller),
        false => value(kind, BodyEncoding::Plain, body),
    };
    // What no host would read is not written.
    if body.len() > LARGEST_BODY {
        return Err(too_large(id, body.len(), LARGEST_BODY));
    }
    value_parts(id, &value)?;
    Ok(value)
}

fn too_large(id: &ObjectId, bytes: usize, most: usize) -> TransferError {
    let id = id.to_string();
    ObjectError::TooLarge { id, bytes, most }.into()
}

/// The object of a value, checked, and what it names.
///
/// # Errors
/// It is not what its name says.
pub(crate) fn decoded(id: &ObjectId, value: &[u8]) -> Result<Body, TransferError> {
    let (kind, encoding, bytes) = value_parts(id, value)?;
    let bytes = match encoding {
        BodyEncoding::Plain => bytes.to_vec(),
        BodyEncoding::Zstd => decompressed(id, bytes)?,
    };
    let references = checked(kind, id, &bytes)?;
    Ok(Body {
        kind,
        bytes,
        references,
    })
}

/// An object that is what its name says.
pub(crate) struct Body {
    pub(crate) kind: ObjectKind,
    pub(crate) bytes: Vec<u8>,
    pub(crate) references: Vec<(ObjectKind, ObjectId)>,
}

fn decompressed(id: &ObjectId, bytes: &[u8]) -> Result<Vec<u8>, TransferError> {
    let failed = |error: std::io::Error| TransferError::Compressed {
        id: id.to_string(),
        why: error.to_string(),
    };
    let limit = LARGEST_BODY as u64 + 1;
    let mut body = Vec::new();
    let decoder = zstd::stream::Decoder::with_buffer(bytes).map_err(failed)?;
    decoder.take(limit).read_to_end(&mut body).map_err(failed)?;
    match body.len() > LARGEST_BODY {
        true => Err(too_large(id, body.len(), LARGEST_BODY)),
        false => Ok(body),
    }
}

/// Reads objects out of etcd.
///
/// # Errors
/// One is missing, or not what its name says.
pub(crate) async fn fetch(
    etcd: &Etcd,
    layout: &Layout,
    ids: &[ObjectId],
    mut each: impl FnMut(ObjectId, Body),
) -> Result<(), TransferError> {
    for some in ids.chunks(AT_ONCE) {
        let keys = some.iter().map(|id| layout.key(&FleetKey::Object(*id)));
        let (values, _) = etcd.several(&keys.collect::<Vec<_>>()).await?;
        for (id, found) in some.iter().zip(values) {
            let found = found.ok_or_else(|| TransferError::Missing { id: id.to_string() })?;
            each(*id, decoded(id, &found.value)?);
        }
    }
    Ok(())
}

/// Reads a state and all that it consists of out of etcd.
///
/// # Errors
/// As [`fetch`].
pub(crate) async fn fetch_all(
    etcd: &Etcd,
    layout: &Layout,
    root: ObjectId,
) -> Result<BTreeMap<ObjectId, Body>, TransferError> {
    let mut found: BTreeMap<ObjectId, Body> = BTreeMap::new();
    let mut open = vec![root];
    while !open.is_empty() {
        let mut next = BTreeSet::new();
        let mut bodies = Vec::new();
        fetch(etcd, layout, &open, |id, body| {
            next.extend(body.references.iter().map(|(_, id)| *id));
            bodies.push((id, body));
        })
        .await?;
        found.extend(bodies);
        open = next
            .into_iter()
            .filter(|id| !found.contains_key(id))
            .collect();
    }
    Ok(found)
}

/// Hands what the agent lacks of a state over to it, a level at a time; how many objects. With
/// `whole` all that the state consists of is asked about; without, what the agent has is taken to
/// be complete.
///
/// # Errors
/// See [`TransferError`].
pub(crate) async fn hand_over(
    etcd: &Etcd,
    layout: &Layout,
    agent: &FleetAgent,
    root: ObjectId,
    whole: bool,
) -> Result<u64, TransferError> {
    let mut count = 0;
    let mut level = vec![(ObjectKind::State, root)];
    while !level.is_empty() {
        let missing = missing(agent, &level).await?;
        let mut next = BTreeSet::new();
        // Chunks, which are most, name nothing.
        let read: Vec<_> = level
            .iter()
            .filter(|(kind, id)| missing.contains(id) || (whole && *kind != ObjectKind::Chunk))
            .map(|(_, id)| *id)
            .collect();
        for some in read.chunks(AT_ONCE) {
            let mut sequence = Vec::new();
            let mut bodies = Vec::new();
            fetch(etcd, layout, some, |id, body| bodies.push((id, body))).await?;
            for (id, body) in bodies {
                next.extend(body.references.iter().copied());
                if !missing.contains(&id) {
                    continue;
                }
                if !sequence.is_empty() && sequence.len() + body.bytes.len() > HAND_OVER {
                    count += agent.objects(std::mem::take(&mut sequence)).await?;
                }
                frame(body.kind, &body.bytes, &mut sequence);
            }
            if !sequence.is_empty() {
                count += agent.objects(sequence).await?;
            }
        }
        level = next.into_iter().collect();
    }
    Ok(count)
}

async fn missing(
    agent: &FleetAgent,
    of: &[(ObjectKind, ObjectId)],
) -> Result<BTreeSet<ObjectId>, TransferError> {
    let mut missing = BTreeSet::new();
    for some in of.chunks(NAMES) {
        let digests = some.iter().map(|(_, id)| id.to_string()).collect();
        let answer = agent.missing(digests).await?;
        missing.extend(answer.iter().filter_map(|id| ObjectId::from_hex(id)));
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use netpolicy_fleet::LARGEST_VALUE;

    use super::*;

    #[test]
    fn values_are_compressed_and_checked_on_their_way_back() {
        let body = vec![7; 100_000];
        let id = ObjectKind::Chunk.id(&body);
        let value = encoded(ObjectKind::Chunk, &id, &body).unwrap();
        assert!(value.len() < 1_000, "{}", value.len());
        assert_eq!(decoded(&id, &value).unwrap().bytes, body);
        let other = ObjectKind::Chunk.id(b"other");
        let refused = |id, value: &[u8]| decoded(id, value).err().unwrap().to_string();
        assert!(refused(&other, &value).contains("does not match its hash"));
        for len in 0..value.len() {
            decoded(&id, &value[..len]).err().unwrap();
        }
        // A small value that decompresses to much more than any object has.
        let bomb = zstd::bulk::compress(&vec![0; LARGEST_BODY + 1], 3).unwrap();
        let bomb = super::value(ObjectKind::Chunk, BodyEncoding::Zstd, &bomb);
        assert!(bomb.len() < LARGEST_VALUE);
        assert!(refused(&id, &bomb).contains("at most"));
        let noise: Vec<u8> = (0..300_000_u32).map(incompressible).collect();
        let id = ObjectKind::Chunk.id(&noise);
        let large = encoded(ObjectKind::Chunk, &id, &noise).err().unwrap();
        assert!(large.to_string().contains("262144 at most"), "{large}");
    }

    /// Bytes that do not compress.
    fn incompressible(i: u32) -> u8 {
        let id = ObjectKind::Chunk.id(&i.to_be_bytes());
        id.as_bytes()[0]
    }
}
