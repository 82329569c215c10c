//! Databases: how they are, what a helper is to carry into one, and what came of it.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::{IntoParams, ToSchema};

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
    /// Whether sessions that the lines reject are to be ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
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
