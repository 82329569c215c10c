//! How a change is to be made, which connected clients it denies, who may make it.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::{IntoParams, ToSchema};

use crate::model::effect::{Opening, openings_in_words};
use crate::model::{Grant, Outcome, Principal, Privilege, counted};

/// The query of `POST /v1/changes`, `/v1/rollback` and `/v1/sql`: how a change is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct ChangeQuery {
    /// Only say what would change.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Make it also if it denies the operator's own address, or blocks a `/0`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// Refuse it if it denies a client that is connected.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
    /// What becomes of open connections from sources that it newly denies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing: Option<Existing>,
    /// Roll it back after so many seconds (1 to 86,400) unless it is confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_within: Option<u64>,
    /// One more address of the operator, which must not be denied; "none" adds none. The
    /// address in `SSH_CONNECTION` of the caller's process, or of one of its parents, is
    /// judged in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Consent to what the change opens to every source: "any", or the `key` of the
    /// [`Opens`] in a refusal or a dry run, which consents to exactly that. A change that
    /// opens something is refused without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens: Option<String>,
    /// Make it also if it alters what the host's fleet decides, until the fleet's next revision;
    /// requires the privilege admin.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub local_override: bool,
    /// Make it also if a database does not answer that is to enforce policies of its users, where
    /// nothing is open without it; the database follows when it answers.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub defer: bool,
    /// Refuse it unless the desired state has this revision, which another change may have
    /// replaced.
    /// Travels as the header `If-Match` (RFC 9110 section 13.1.1), not in the query.
    #[serde(skip)]
    pub if_revision: Option<u64>,
}

/// The query of `POST /v1/bypasses` and `/v1/detach`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct ConsentQuery {
    /// Consent to what is opened to every source: "any", or the `key` of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens: Option<String>,
}

/// What a request opens to every source, or takes off lists by files, which requires consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Opens {
    /// The scopes, and to which sources.
    pub openings: Vec<Opening>,
    /// Lists that files replace and that lose more than half of their entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shrinks: Vec<Shrink>,
    /// What to send as `opens` to consent to exactly this: 16 hexadecimal digits.
    #[cfg_attr(feature = "openapi", schema(example = "9f86d081884c7d65"))]
    pub key: String,
}

impl Opens {
    /// "opens the host to every source", "shrinks list bad-hosts from 1000 to 10 entries".
    #[must_use]
    pub fn sentence(&self) -> String {
        let opens = match self.openings.is_empty() {
            true => None,
            false => Some(format!("opens {}", openings_in_words(&self.openings))),
        };
        let shrinks = self.shrinks.iter().map(|shrink| {
            let Shrink {
                list,
                before,
                after,
            } = shrink;
            format!(
                "shrinks {list} from {before} to {}",
                counted(*after, "entry", "entries")
            )
        });
        let all: Vec<_> = opens.into_iter().chain(shrinks).collect();
        all.join(" and ")
    }
}

/// A list that loses more than half of its entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Shrink {
    /// "list bad-hosts", "the block list of policy abuse".
    pub list: String,
    /// Entries that it has.
    pub before: usize,
    /// Entries that it would have.
    pub after: usize,
}

/// What becomes of open connections from sources that a change newly denies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Existing {
    /// They stay open: only attempts are judged.
    #[default]
    Keep,
    /// They are closed (`SOCK_DESTROY`).
    Cut,
}

/// Connected clients, and what a change does to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ClientsView {
    /// Sources with open connections to covered ports.
    pub connected: usize,
    /// Of these, the ones that the change newly denies.
    pub denied: Vec<DeniedClient>,
    /// Connections that were closed and are gone; in a dry run those that would be cut. An
    /// MPTCP connection counts once, whatever its number of subflows.
    pub closed: usize,
    /// Connections of denied sources that were to be closed and are not.
    #[serde(default)]
    pub not_closed: Vec<NotClosed>,
    /// SYN cookies that the host has sent since it started; set with `cut`. Denied sources
    /// that hold one from before the change can still connect, for up to two minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syn_cookies_sent: Option<u64>,
    /// What became of their connections.
    pub existing: Existing,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Connections of a denied source that could not be closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct NotClosed {
    /// The client's address.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub source: IpAddr,
    /// The port that the client connected to.
    pub port: u16,
    /// How many connections.
    pub connections: usize,
    /// Why they are open, and what closes them.
    pub reason: String,
}

/// A connected client that a change newly denies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct DeniedClient {
    /// From where.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub source: IpAddr,
    /// "host" or the service's name.
    pub scope: String,
    /// The client's open connections there.
    pub connections: usize,
    /// Of these, the ones that are forwarded to another network namespace or host; left
    /// out: none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub forwarded: usize,
}

/// The address that a change was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct OperatorView {
    /// The operator's own address; `None`: a local console, which has none.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub address: Option<IpAddr>,
    /// A second address that was judged, too: `SSH_CONNECTION` names another than `--from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub also: Option<IpAddr>,
    /// How it is known, in words.
    pub known_by: String,
}

/// `GET /v1/caller`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct CallerView {
    /// An OS user's name.
    pub user: String,
    /// The names of the user's groups.
    pub groups: Vec<String>,
    /// Privileges for everything; a policy's owner may alter it without any.
    pub privileges: Vec<Privilege>,
    /// The address that no change may lock out.
    pub operator: OperatorView,
}

/// A change that waits for its confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct PendingView {
    /// The revision that it made.
    pub revision: u64,
    /// The revision that is restored unless the change is confirmed.
    pub base: u64,
    /// When that happens.
    pub deadline: Timestamp,
    /// Who made it: an OS user's name.
    pub actor: String,
}

/// `POST` and `DELETE /v1/grants`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema, IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct GrantRequest {
    /// What may be done.
    pub privilege: Privilege,
    /// The holder: `user:NAME` or `group:NAME`.
    #[cfg_attr(feature = "openapi", param(value_type = String))]
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "user:alice"))]
    pub to: Principal,
    /// Only with this policy; for the privilege attach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// A privilege that was granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct GrantView {
    /// What may be done.
    pub privilege: Privilege,
    /// The holder.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "user:alice"))]
    pub to: Principal,
    /// Only with this policy; `None`: with all.
    pub policy: Option<String>,
    /// Who granted it: an OS user's name.
    pub granted_by: String,
    /// When.
    pub granted: Timestamp,
}

impl From<&Grant> for GrantView {
    fn from(grant: &Grant) -> Self {
        Self {
            privilege: grant.privilege,
            to: grant.to.clone(),
            policy: grant.policy.as_ref().map(ToString::to_string),
            granted_by: grant.granted_by.clone(),
            granted: grant.granted,
        }
    }
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct AuditView {
    /// Its number, ascending.
    pub id: u64,
    /// When.
    pub time: Timestamp,
    /// Who: an OS user's name, or "agent".
    pub actor: String,
    /// Their user id.
    pub uid: u32,
    /// The address that the operator works from, if it is known; two, separated by a
    /// comma, where `--from` names another than `SSH_CONNECTION`. After a reverse proxy also
    /// "on behalf of" and a name.
    pub from: Option<String>,
    /// What was requested: "policy create office".
    pub action: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The revision before it.
    pub revision_before: u64,
    /// The revision after it; the same if it made none.
    pub revision_after: u64,
    /// What changed, from what to what.
    pub changes: Vec<String>,
    /// Why it was refused or failed.
    pub errors: Vec<String>,
}

/// `POST /v1/store/rescue`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct RescuedView {
    /// The revision that is stored again.
    pub revision: u64,
    /// Whether older revisions and the audit log were kept too.
    pub history: bool,
    /// Where what stood in the database's place is kept.
    pub kept: Option<String>,
    /// Where its log is kept, which belongs to it; left out: there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_log: Option<String>,
}

/// The query of `POST /v1/store/acknowledge`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct AcknowledgeQuery {
    /// Only say what it opens.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Consent to what is opened to every source: "any", or the `key` of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens: Option<String>,
}

/// `POST /v1/store/acknowledge`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct AcknowledgedView {
    /// The store's revision, which is in force now.
    pub revision: u64,
    /// The generation in force.
    pub generation: u64,
    /// The newest revision of the store that was in use before.
    pub before: u64,
    /// What the store's revision opens to every source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens: Option<Opens>,
}
