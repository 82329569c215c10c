//! Policies and their rules.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::model::Mode;

/// A policy, whole or in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct PolicyView {
    /// Its name.
    pub name: String,
    /// Whether it is active.
    pub active: bool,
    /// Whether it is enforced, or only observed: then it governs nothing.
    #[serde(default)]
    pub mode: Mode,
    /// "host" and names of services.
    pub bindings: Vec<String>,
    /// Rules on the allow list, without those of named lists; `None`: allows any.
    pub allow_count: Option<usize>,
    /// Rules on the block list, without those of named lists.
    pub block_count: usize,
    /// Named lists whose entries it allows as well.
    #[serde(default)]
    pub allow_lists: Vec<String>,
    /// Named lists whose entries it blocks as well.
    #[serde(default)]
    pub block_lists: Vec<String>,
    /// Exceptions: what it does not block, whatever its block list says; without those of named
    /// lists.
    #[serde(default)]
    pub except_count: usize,
    /// Named lists whose entries it does not block either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except_lists: Vec<String>,
    /// The allow list as written; only in `GET /v1/policies/{name}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<RuleView>>,
    /// The block list as written; only in `GET /v1/policies/{name}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<Vec<RuleView>>,
    /// The exceptions as written; only in `GET /v1/policies/{name}`, of a policy that has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub except: Option<Vec<RuleView>>,
    /// Its comment.
    pub comment: Option<String>,
    /// Who owns it.
    pub owner: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub altered: Timestamp,
}

/// A rule as written, and what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct RuleView {
    /// As the user wrote it.
    pub text: String,
    /// What is enforced.
    pub cidr: String,
    /// Its name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its comment, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// When it ends, if it has an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Where it was read: "office.toml:4", or "--allow".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}
