//! An object's id in a document.

use serde::{Deserialize, Serialize};

use crate::store::objects::ObjectId;

/// An object's id as text.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[derive(Clone)]
pub(super) struct HexId(pub(super) ObjectId);

impl TryFrom<String> for HexId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        ObjectId::from_hex(&text)
            .map(Self)
            .ok_or("expected 64 hexadecimal digits")
    }
}

impl From<HexId> for String {
    fn from(id: HexId) -> Self {
        id.0.to_string()
    }
}
