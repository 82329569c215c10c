//! A rule list as an object: its chunks in order, and what they relate to.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::chunk::{self, Anchor};
use super::objects::{Db, Kind, ObjectId};
use crate::model::RuleList;

/// The object's content.
#[derive(Serialize, Deserialize)]
struct StoredList<'a> {
    /// Names of the files and options that rules come from.
    #[serde(borrow)]
    sources: Vec<Cow<'a, str>>,
    chunks: Vec<StoredChunk>,
}

#[derive(Serialize, Deserialize)]
struct StoredChunk {
    id: ObjectId,
    rules: u32,
    anchors: Vec<Anchor>,
}

/// Stores a list.
///
/// # Errors
/// Failures to write.
pub(super) fn put(db: Db<'_>, list: &RuleList) -> Result<ObjectId, StoreError> {
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
        let rules = chunk.rules();
        chunk::encode(rules, &mut body, &mut anchors).map_err(unstorable)?;
        stored.chunks.push(StoredChunk {
            id: db.put(Kind::Chunk, &body)?,
            rules: u32::try_from(rules.len()).unwrap_or(u32::MAX),
            anchors: anchors.clone(),
        });
    }
    db.put(
        Kind::List,
        &postcard::to_stdvec(&stored).map_err(unstorable)?,
    )
}

/// Reads a list.
///
/// # Errors
/// [`StoreError::Corrupt`] and failures to read.
pub(super) fn get(db: Db<'_>, id: &ObjectId) -> Result<RuleList, StoreError> {
    let (sources, chunks) = db.get(Kind::List, id, |body| {
        let stored = decode(body)?;
        let sources = stored
            .sources
            .iter()
            .map(|name| Box::from(&**name))
            .collect();
        Ok((sources, stored.chunks))
    })?;
    let count = chunks.iter().map(|chunk| chunk.rules as usize).sum();
    let mut rules = Vec::with_capacity(count);
    for stored in chunks {
        db.get(Kind::Chunk, &stored.id, |body| {
            chunk::decode(body, &stored.anchors, &mut rules)
        })?;
    }
    if rules.len() != count {
        let detail = format!("list {id} has {} rules, expected {count}", rules.len());
        return Err(db.corrupt(detail));
    }
    Ok(RuleList::from_parts(rules, sources))
}

/// The chunks of a list.
///
/// # Errors
/// As [`get`].
pub(super) fn chunks(db: Db<'_>, id: &ObjectId) -> Result<Vec<ObjectId>, StoreError> {
    db.get(Kind::List, id, |body| {
        Ok(decode(body)?.chunks.iter().map(|chunk| chunk.id).collect())
    })
}

fn decode(body: &[u8]) -> Result<StoredList<'_>, String> {
    postcard::from_bytes(body).map_err(|error| error.to_string())
}
