//! A rule list as an object: its chunks in order, and what they relate to.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::chunk::{self, Anchor};
use super::objects::{self, ObjectId, ObjectKind, Objects, ReadObject};
use crate::model::list::{ListBuilder, RuleChunk};
use crate::model::{RuleList, counted};

/// The object's content.
#[derive(Serialize, Deserialize)]
struct StoredList<'a> {
    /// Names of the files and options that rules come from.
    #[serde(borrow)]
    sources: Vec<Cow<'a, str>>,
    chunks: Vec<StoredChunk>,
}

#[derive(Clone, Serialize, Deserialize)]
struct StoredChunk {
    id: ObjectId,
    rules: u32,
    anchors: Vec<Anchor>,
}

/// A list that is in the store. To hold it is what makes its address, and those of
/// its chunks, a sure sign that they are unchanged.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) id: ObjectId,
    pub(super) list: RuleList,
    /// Of each of its chunks.
    chunks: Arc<[StoredChunk]>,
}

/// The chunks of known lists, by their addresses.
pub(super) struct KnownChunks<'a> {
    lists: &'a [Known],
    /// Found when it is first asked for: most changes are of names and bindings.
    by_address: OnceCell<HashMap<*const RuleChunk, &'a StoredChunk>>,
}

impl<'a> KnownChunks<'a> {
    pub(super) fn of(lists: &'a [Known]) -> Self {
        Self {
            lists,
            by_address: OnceCell::new(),
        }
    }

    fn find(&self, chunk: &Arc<RuleChunk>) -> Option<&'a StoredChunk> {
        let by_address = self.by_address.get_or_init(|| {
            let chunks = |known: &'a Known| {
                let addresses = known.list.chunks().iter().map(Arc::as_ptr);
                addresses.zip(known.chunks.iter())
            };
            self.lists.iter().flat_map(chunks).collect()
        });
        by_address.get(&Arc::as_ptr(chunk)).copied()
    }
}

/// Stores a list, of which `known` chunks are in the store already.
///
/// # Errors
/// Failures to write.
pub(super) fn put(
    objects: &dyn Objects,
    list: &RuleList,
    known: &KnownChunks<'_>,
) -> Result<Known, StoreError> {
    let unstorable = |error: postcard::Error| StoreError::Unstorable {
        detail: error.to_string(),
    };
    let mut stored = StoredList {
        sources: list
            .sources()
            .iter()
            .map(|name| Cow::Borrowed(&**name))
            .collect(),
        chunks: Vec::new(),
    };
    let mut body = Vec::new();
    let mut anchors = Vec::new();
    for chunk in list.chunks() {
        if let Some(known) = known.find(chunk) {
            stored.chunks.push(known.clone());
            continue;
        }
        let rules = chunk.rules();
        chunk::encode(rules, &mut body, &mut anchors).map_err(unstorable)?;
        stored.chunks.push(StoredChunk {
            id: objects::put(objects, ObjectKind::Chunk, &body)?,
            rules: u32::try_from(rules.len()).unwrap_or(u32::MAX),
            anchors: anchors.clone(),
        });
    }
    let id = objects::put(
        objects,
        ObjectKind::List,
        &postcard::to_stdvec(&stored).map_err(unstorable)?,
    )?;
    Ok(Known {
        id,
        list: list.clone(),
        chunks: stored.chunks.into(),
    })
}

/// Reads a list, of which `known` chunks are shared.
///
/// # Errors
/// [`StoreError::Corrupt`] and failures to read.
pub(super) fn get(
    objects: &dyn Objects,
    id: &ObjectId,
    known: &[Known],
) -> Result<Known, StoreError> {
    let there = chunks_there(known);
    let read = ReadList::read(objects, id, &there)?;
    read.decode(&there)
        .map_err(|detail| objects.corrupt(detail))
}

/// Reads lists, of which `known` chunks are shared, in their order. All of them are read before
/// they are decoded, which takes longer, by several threads.
///
/// # Errors
/// As [`get`].
pub(super) fn get_all(
    objects: &dyn Objects,
    ids: &[ObjectId],
    known: &[Known],
) -> Result<Vec<Known>, StoreError> {
    let there = chunks_there(known);
    let read = ids.iter().map(|id| ReadList::read(objects, id, &there));
    let read: Vec<ReadList> = read.collect::<Result<_, _>>()?;
    let decoded: Result<Vec<Known>, String> = read
        .into_par_iter()
        .map(|list| list.decode(&there))
        .collect();
    decoded.map_err(|detail| objects.corrupt(detail))
}

/// A list as it was read: its chunks are not decoded yet.
struct ReadList {
    id: ObjectId,
    sources: Vec<Box<str>>,
    chunks: Vec<StoredChunk>,
    /// `None`: of a chunk that is shared.
    bodies: Vec<Option<ReadObject>>,
}

/// Chunks of known lists, by their ids.
type ChunksThere<'a> = HashMap<ObjectId, (&'a StoredChunk, &'a Arc<RuleChunk>)>;

impl ReadList {
    fn read(
        objects: &dyn Objects,
        id: &ObjectId,
        there: &ChunksThere<'_>,
    ) -> Result<Self, StoreError> {
        let (sources, chunks) = objects::get(objects, ObjectKind::List, id, |body| {
            let stored = decode(body)?;
            let sources: Vec<Box<str>> = stored
                .sources
                .iter()
                .map(|name| Box::from(&**name))
                .collect();
            Ok((sources, stored.chunks))
        })?;
        let bodies = chunks.iter().map(|stored| match shared(there, stored) {
            Some(_) => Ok(None),
            None => ReadObject::read(objects, ObjectKind::Chunk, &stored.id).map(Some),
        });
        let bodies = bodies.collect::<Result<_, _>>()?;
        Ok(Self {
            id: *id,
            sources,
            chunks,
            bodies,
        })
    }

    /// The list; in words what is wrong with it.
    fn decode(self, there: &ChunksThere<'_>) -> Result<Known, String> {
        let Self {
            id,
            sources,
            chunks,
            bodies,
        } = self;
        let count: usize = chunks.iter().map(|chunk| chunk.rules as usize).sum();
        let mut builder = ListBuilder::default();
        let mut rules = Vec::new();
        for (stored, body) in chunks.iter().zip(bodies) {
            match (body, shared(there, stored)) {
                (Some(body), _) => {
                    body.decode(|body| chunk::decode(body, &stored.anchors, &mut rules))?;
                    rules.drain(..).for_each(|rule| builder.push(rule));
                }
                (None, Some(chunk)) => builder.share(chunk),
                (None, None) => return Err(format!("list {id}: a chunk was not read")),
            }
        }
        let list = builder.finish(sources);
        if list.len() != count {
            return Err(format!(
                "list {id} has {}, expected {count}",
                counted(list.len(), "rule", "rules")
            ));
        }
        let sizes = list.chunks().iter().map(|chunk| chunk.rules().len());
        // Divided in another way than today's, they cannot be shared with the list.
        let alike = sizes.eq(chunks.iter().map(|chunk| chunk.rules as usize));
        Ok(Known {
            id,
            list,
            chunks: if alike { chunks.into() } else { Arc::default() },
        })
    }
}

/// The chunk of a known list that is a stored one. A rule's source is a number, which stands for
/// any name.
fn shared<'a>(there: &ChunksThere<'a>, stored: &StoredChunk) -> Option<&'a Arc<RuleChunk>> {
    let (theirs, chunk) = there.get(&stored.id)?;
    (theirs.anchors == stored.anchors).then_some(*chunk)
}

/// The chunks of known lists, by their ids.
fn chunks_there(known: &[Known]) -> ChunksThere<'_> {
    let chunks = known
        .iter()
        .flat_map(|known| known.chunks.iter().zip(known.list.chunks()));
    chunks
        .map(|(stored, chunk)| (stored.id, (stored, chunk)))
        .collect()
}

/// The chunks of a list.
///
/// # Errors
/// As [`get`].
pub(super) fn chunks(objects: &dyn Objects, id: &ObjectId) -> Result<Vec<ObjectId>, StoreError> {
    objects::get(objects, ObjectKind::List, id, |body| {
        Ok(decode(body)?.chunks.iter().map(|chunk| chunk.id).collect())
    })
}

/// The chunks of a list with this body.
///
/// # Errors
/// In words, when it is no list.
pub(super) fn chunks_in(body: &[u8]) -> Result<Vec<ObjectId>, String> {
    Ok(decode(body)?.chunks.iter().map(|chunk| chunk.id).collect())
}

fn decode(body: &[u8]) -> Result<StoredList<'_>, String> {
    postcard::from_bytes(body).map_err(|error| error.to_string())
}

/// Stores a list that is cut elsewhere than today's, as earlier versions did.
#[cfg(test)]
pub(super) fn put_cut(
    objects: &dyn Objects,
    sources: &[&str],
    chunks: &[&[crate::model::Rule]],
) -> Result<ObjectId, StoreError> {
    let (mut body, mut anchors) = (Vec::new(), Vec::new());
    let mut stored = StoredList {
        sources: sources.iter().map(|name| Cow::Borrowed(*name)).collect(),
        chunks: Vec::new(),
    };
    for rules in chunks {
        chunk::encode(rules, &mut body, &mut anchors).unwrap();
        stored.chunks.push(StoredChunk {
            id: objects::put(objects, ObjectKind::Chunk, &body)?,
            rules: u32::try_from(rules.len()).unwrap(),
            anchors: anchors.clone(),
        });
    }
    objects::put(
        objects,
        ObjectKind::List,
        &postcard::to_stdvec(&stored).unwrap(),
    )
}
