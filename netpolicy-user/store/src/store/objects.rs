//! Immutable content, named by its hash: what is there already is not written again.
//!
//! A name is the BLAKE3 hash of the body under a key of its kind, so that an
//! object of one kind is never taken for one of another. A changed format of
//! chunks or lists is a new kind; states say their format themselves.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::StoreError;

/// What is wrong with an object that is not there.
pub(super) const MISSING: &str = "it is missing";

/// What an object holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// Some rules of a list; see `chunk.rs`.
    Chunk,
    /// A list: its chunks in order; see `list.rs`.
    List,
    /// A state, which refers to lists; see `document.rs`.
    State,
}

impl ObjectKind {
    /// BLAKE3's key derivation context.
    const fn context(self) -> &'static str {
        match self {
            Self::Chunk => "netpolicy store: chunk of rules, format 1",
            Self::List => "netpolicy store: list of rules, format 1",
            Self::State => "netpolicy store: state",
        }
    }

    /// "chunk", "list" or "state".
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chunk => "chunk",
            Self::List => "list",
            Self::State => "state",
        }
    }

    /// The name of an object of this kind with this body.
    #[must_use]
    pub fn id(self, body: &[u8]) -> ObjectId {
        let mut hasher = blake3::Hasher::new_derive_key(self.context());
        hasher.update(body);
        ObjectId(*hasher.finalize().as_bytes())
    }
}

/// An object's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId([u8; 32]);

impl ObjectId {
    /// The id in 64 hexadecimal digits, if it is that.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(text)
            .ok()
            .map(|hash| Self(hash.into()))
    }

    /// The id in these bytes, if they are as many.
    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where objects are kept: names and bodies, nothing else. An implementation writes within
/// whatever makes its changes all or nothing.
pub trait Objects {
    /// Calls `read` once with the body under this name; `false`: there is none.
    ///
    /// # Errors
    /// Failures to read.
    fn read(&self, id: &ObjectId, read: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError>;

    /// Keeps a body under its name, unless it is there.
    ///
    /// # Errors
    /// Failures to write.
    fn write(&self, id: &ObjectId, body: &[u8]) -> Result<(), StoreError>;

    /// The error for content that cannot be what was written.
    fn corrupt(&self, detail: String) -> StoreError;
}

/// Stores an object unless it is there.
///
/// # Errors
/// Failures to write.
pub(super) fn put(
    objects: &dyn Objects,
    kind: ObjectKind,
    body: &[u8],
) -> Result<ObjectId, StoreError> {
    let id = kind.id(body);
    objects.write(&id, body)?;
    Ok(id)
}

/// An object's body as it was read: what it is worth is not known yet.
pub(super) struct ReadObject {
    kind: ObjectKind,
    id: ObjectId,
    /// `None`: there is none.
    bytes: Option<Vec<u8>>,
}

impl ReadObject {
    /// Copies an object's body, to be decoded elsewhere.
    ///
    /// # Errors
    /// Failures to read.
    pub(super) fn read(
        objects: &dyn Objects,
        kind: ObjectKind,
        id: &ObjectId,
    ) -> Result<Self, StoreError> {
        let mut bytes = None;
        objects.read(id, &mut |body| bytes = Some(body.to_vec()))?;
        Ok(Self {
            kind,
            id: *id,
            bytes,
        })
    }

    /// What it holds, after checking that it is what its name says.
    ///
    /// # Errors
    /// In words, as [`get`].
    pub(super) fn decode<T>(
        &self,
        decode: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<T, String> {
        let Self { kind, id, bytes } = self;
        checked(*kind, id, bytes.as_deref(), decode)
            .map_err(|detail| format!("{} {id}: {detail}", kind.name()))
    }
}

/// Decodes a body that is there and is what its name says.
fn checked<T>(
    kind: ObjectKind,
    id: &ObjectId,
    body: Option<&[u8]>,
    decode: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<T, String> {
    match body {
        None => Err(MISSING.to_owned()),
        Some(body) if kind.id(body) == *id => decode(body),
        Some(_) => Err("its content does not match its hash".to_owned()),
    }
}

/// Reads an object, after checking that it is what its name says.
///
/// # Errors
/// [`StoreError::Corrupt`] when it is missing, altered, or `decode` finds a fault in it (which
/// it puts in words); failures to read.
pub(super) fn get<T>(
    objects: &dyn Objects,
    kind: ObjectKind,
    id: &ObjectId,
    decode: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<T, StoreError> {
    let mut decode = Some(decode);
    let mut found = None;
    // The body is lent, not given.
    objects.read(id, &mut |body| {
        let decode = decode.take();
        found = decode.map(|decode| checked(kind, id, Some(body), decode));
    })?;
    let found = found.unwrap_or_else(|| Err(MISSING.to_owned()));
    found.map_err(|detail| objects.corrupt(format!("{} {id}: {detail}", kind.name())))
}

#[cfg(test)]
pub(super) mod memory {
    //! Objects in memory.

    use std::cell::RefCell;
    use std::collections::HashMap;

    use super::{ObjectId, Objects};
    use crate::store::StoreError;

    /// Bodies by their names.
    #[derive(Default)]
    pub(in crate::store) struct Memory(pub(in crate::store) RefCell<HashMap<ObjectId, Vec<u8>>>);

    impl Objects for Memory {
        fn read(&self, id: &ObjectId, read: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
            let bodies = self.0.borrow();
            let body = bodies.get(id);
            body.inspect(|body| read(body));
            Ok(body.is_some())
        }

        fn write(&self, id: &ObjectId, body: &[u8]) -> Result<(), StoreError> {
            let mut bodies = self.0.borrow_mut();
            bodies.entry(*id).or_insert_with(|| body.to_vec());
            Ok(())
        }

        fn corrupt(&self, detail: String) -> StoreError {
            StoreError::Corrupt {
                path: "memory".into(),
                detail,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::memory::Memory;
    use super::*;

    #[test]
    fn object_is_read_by_its_own_name_and_kind_alone() {
        let objects = Memory::default();
        let id = put(&objects, ObjectKind::Chunk, b"body").unwrap();
        assert_eq!(put(&objects, ObjectKind::Chunk, b"body").unwrap(), id);
        assert_eq!(objects.0.borrow().len(), 1);
        let read = |kind, id: &ObjectId| get(&objects, kind, id, |body| Ok(body.to_vec()));
        assert_eq!(read(ObjectKind::Chunk, &id).unwrap(), b"body");

        let refusal = |kind, id: &ObjectId| read(kind, id).unwrap_err().to_string();
        let other = ObjectKind::Chunk.id(b"other");
        for (kind, id, expected) in [
            (
                ObjectKind::List,
                id,
                format!("list {id}: its content does not match its hash"),
            ),
            (
                ObjectKind::Chunk,
                other,
                format!("chunk {other}: it is missing"),
            ),
        ] {
            let found = refusal(kind, &id);
            assert!(found.ends_with(&expected), "{found}");
        }
        let undecoded = get(&objects, ObjectKind::Chunk, &id, |_| {
            Err::<(), _>("no rule".into())
        });
        let undecoded = undecoded.unwrap_err().to_string();
        assert!(
            undecoded.ends_with(&format!("chunk {id}: no rule")),
            "{undecoded}"
        );

        objects.0.borrow_mut().insert(id, b"bodY".to_vec());
        assert!(refusal(ObjectKind::Chunk, &id).ends_with("does not match its hash"));
    }
}
