//! Databases: how they are, what a helper is to carry into one, and what came of it.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::{IntoParams, ToSchema};

use super::safety::Existing;
use crate::model::DatabaseKind;

/// A database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct DatabaseView {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: DatabaseKind,
    /// The service on whose port it listens.
    pub service: String,
    /// The directory of its unix socket; none: where servers of its kind have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// The directory of the file with the lines; none: the server is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hba_dir: Option<String>,
    /// The file in which the lines stand at the head; none: the server is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hba_conf: Option<String>,
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Users and roles that policies are bound to.
    pub users: Vec<DatabaseUserView>,
    /// How many lines it is to have.
    pub lines: usize,
    /// What it was last known to do with them.
    pub condition: DatabaseCondition,
    /// Why, or what was repaired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The server's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The file that the lines are in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// When its helper reported last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<Timestamp>,
}

/// A user or role that policies are bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct DatabaseUserView {
    /// As in `user:alice@orders`.
    pub user: String,
    /// The policies, in force or not.
    pub policies: Vec<String>,
    /// Until when they do not hold, by a bypass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bypassed_until: Option<Timestamp>,
}

/// What a database does with its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseCondition {
    /// No helper has reported since the agent started.
    Unknown,
    /// A helper has the lines and has not reported yet.
    Waiting,
    /// They are in force.
    InForce,
    /// The database does not take them; what it had stays.
    Refused,
    /// The database does not answer.
    Unreachable,
}

/// What a helper is to carry into a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct DatabaseOrder {
    /// The database.
    pub name: String,
    /// Names this order, to report on and to wait behind.
    pub sequence: u64,
    /// What it is.
    #[serde(default)]
    pub kind: DatabaseKind,
    /// The port that the server listens on, which its unix socket is named after.
    pub port: u16,
    /// The directory of its unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// The directory of the file with the lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hba_dir: Option<String>,
    /// The file in which the lines stand at the head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hba_conf: Option<String>,
    /// The lines, each of which rejects.
    pub lines: Vec<String>,
    /// Users that policies are bound to.
    pub users: Vec<String>,
    /// Roles that policies are bound to.
    pub roles: Vec<String>,
    /// Those of both that a change adds: the order is refused if one does not exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must_exist: Vec<String>,
    /// The policy for which all others are to be kept out, which needs PostgreSQL 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub widened_by: Option<String>,
    /// Those of the lines that end the sessions which they reject.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
    /// Lines that come by themselves, as bypasses of users end: whoever carries this in adds them
    /// at their time, whether the agent answers then or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later: Vec<LaterLines>,
    /// What is asked in addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<DatabaseTrial>,
}

/// Lines that come at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct LaterLines {
    /// When.
    pub at: Timestamp,
    /// Those that are to be there in addition.
    pub lines: Vec<String>,
}

/// A question about lines that are not in force: whether they could be, and which open sessions
/// they would reject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct DatabaseTrial {
    /// Names the question, to answer it.
    pub number: u64,
    /// The lines.
    pub lines: Vec<String>,
    /// Users and roles that have to exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must_exist: Vec<String>,
    /// As in [`DatabaseOrder::widened_by`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub widened_by: Option<String>,
}

/// The answer to a [`DatabaseTrial`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DatabaseTrialReport {
    /// The question's.
    pub number: u64,
    /// Why the lines could not be in force, or why the sessions are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Open sessions that the lines would reject.
    #[serde(default)]
    pub sessions: Vec<DatabaseSession>,
}

/// Open sessions of a user from an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DatabaseSession {
    /// The user.
    pub user: String,
    /// From where.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub source: IpAddr,
    /// How many.
    pub count: u64,
}

/// What a change does to a database whose users have policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct DatabaseChange {
    /// The database.
    pub database: String,
    /// Lines that it adds.
    pub added: usize,
    /// Lines that it removes.
    pub removed: usize,
    /// Of a dry run: open sessions that the added lines would reject; left out: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Vec<DatabaseSession>>,
    /// Sessions that were ended; left out: they were to be kept, or it is not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
    /// Why it would be refused, or why something of this is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What becomes of open sessions that the added lines reject.
    pub existing: Existing,
    /// By what the helper says more of it: the number of a question, or the sequence of an order.
    #[serde(skip)]
    pub asked: Option<u64>,
    /// Whether that is a question.
    #[serde(skip)]
    pub is_tried: bool,
}

/// The query of `GET /v1/databases/{name}/order`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct DatabaseOrderQuery {
    /// Answer only when there is another order than this `sequence`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
    /// And when another question is asked than this `number`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tried: Option<u64>,
    /// Answer after so many seconds even so: 1 to 60; 30 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 60))]
    pub wait: Option<u64>,
}

/// The query of `GET /v1/databases/{name}/explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct DatabaseExplainQuery {
    /// The user.
    pub user: String,
    /// An address.
    #[cfg_attr(feature = "openapi", param(value_type = String))]
    pub source: IpAddr,
}

/// What a database makes of a user who comes from an address that the packet filter lets through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct DatabaseVerdict {
    /// The database.
    pub database: String,
    /// The user.
    pub user: String,
    /// The address.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub source: IpAddr,
    /// The policies that govern the user there: its own, or the service's.
    pub policies: Vec<String>,
    /// Whether the policies are the user's own.
    pub own: bool,
    /// Until when they do not hold, by a bypass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bypassed_until: Option<Timestamp>,
    /// Whether these policies allow it.
    pub allowed: bool,
    /// Whether the packet filter lets the address through to the database by policies.
    pub arrives: bool,
    /// Until when a bypass of the address lets it through in addition; then no policy of the user is
    /// asked, and the lines decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_bypassed_until: Option<Timestamp>,
    /// The line that rejects it; none: authentication decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// Roles whose members are rejected from there, the user among them or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Whether the database was seen to have the line; or, without a line, all its lines.
    pub in_force: bool,
    /// Whether policies and lines say the same, and the database has the lines.
    pub agrees: bool,
    /// The verdict in a sentence.
    pub sentence: String,
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DatabaseReport {
    /// The order's.
    pub sequence: u64,
    /// What the database does with the lines.
    pub condition: DatabaseCondition,
    /// Why, or what was repaired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The server's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The file that the lines are in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Whether another process had changed the file, and it was put right.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repaired: bool,
    /// Sessions that were ended.
    #[serde(default)]
    pub ended: u64,
}
