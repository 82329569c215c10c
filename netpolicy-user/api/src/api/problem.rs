//! Refusals and failures.

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use super::Opens;
use crate::model::Place;

/// The media type of a [`ProblemDetails`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Every refusal and failure, as RFC 9457 has it. It has no `type`, which stands for
/// `about:blank`: programs go by `code`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Problem))]
pub struct ProblemDetails {
    /// The phrase of the HTTP status: "Conflict".
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What kind of problem it is; keeps its meaning across versions.
    #[serde(default)]
    pub code: ErrorCode,
    /// The errors in one text.
    #[serde(default)]
    pub detail: String,
    /// All that is wrong, each on its own: what, where, what was expected.
    pub errors: Vec<String>,
    /// Where each of the errors is, in their order; `null`: in no file and no option. Left out if
    /// none has a place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Option<ErrorPlace>>,
    /// What to do, if one sentence helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Consent to this is all that is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens: Option<Opens>,
    /// The revision of the desired state, where it is another than `If-Match` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// Where an error is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ErrorPlace {
    /// A file's name, or the option that the text was given with.
    pub source: String,
    /// From 1; `None`: the source has no lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// In characters, from 1; `None`: it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

impl From<&Place> for ErrorPlace {
    fn from(place: &Place) -> Self {
        let some = |number: u32| (number > 0).then_some(number);
        Self {
            source: place.source.to_string(),
            line: some(place.line),
            column: some(place.column),
        }
    }
}

/// The kind of a problem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// Something in the input is wrong in itself.
    InvalidInput,
    /// The request cannot be read.
    BadRequest,
    /// A statement of SQL is wrong.
    InvalidSql,
    /// A policy, service, revision, grant or path does not exist.
    NotFound,
    /// The resource does not support the method.
    MethodNotAllowed,
    /// The input contradicts the present state: the name exists, a port is taken.
    Conflict,
    /// The desired state has another revision than `If-Match` names.
    RevisionMismatch,
    /// The change would deny the operator.
    Lockout,
    /// The change would deny connected clients, and `strict` was set.
    DeniesClients,
    /// It opens a scope to every source; `opens` says what to consent to.
    ConsentRequired,
    /// A policy test would fail by the change.
    TestFailed,
    /// A database does not take the lines that the change needs, or does not answer.
    DatabaseRefused,
    /// Another change waits for its confirmation.
    AwaitsConfirmation,
    /// The change is of what the host's fleet decides; `local_override` makes it anyway.
    Fleet,
    /// A revision of the fleet is forged, replayed, or not for this host.
    FleetRefused,
    /// Objects of the fleet's state are missing: they are to be handed over first.
    Incomplete,
    /// The store is older than the one in use last, or has another history, and is held.
    StoreHeld,
    /// The store needs no rescue, and nothing is to be acknowledged.
    NothingToDo,
    /// The caller lacks a privilege.
    Forbidden,
    /// The caller has too many requests under way.
    TooManyRequests,
    /// The request is too large.
    TooLarge,
    /// The request did not arrive in time.
    RequestTimeout,
    /// The agent serves as many callers as it can.
    Busy,
    /// The agent is starting: only its status is refused meanwhile, everything else waits.
    Starting,
    /// The agent is stopping.
    Stopping,
    /// The kernel has no memory, or the disk is full.
    NoRoom,
    /// The kernel refused, or cannot be read.
    KernelFailed,
    /// The store cannot be read or written.
    StoreFailed,
    /// A fault in netpolicy.
    Internal,
    /// A code of another version.
    #[default]
    #[serde(other)]
    Unknown,
}
