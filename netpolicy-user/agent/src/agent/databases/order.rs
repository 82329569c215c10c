//! What one database is to enforce.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::model::Database;

/// What a database is to enforce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinesOrder {
    /// The database.
    pub database: Database,
    /// The port that it listens on.
    pub port: u16,
    /// Its lines.
    pub lines: BTreeSet<String>,
    /// Users that have to exist.
    pub users: Vec<String>,
    /// Roles that have to exist.
    pub roles: Vec<String>,
    /// The policy for which all others are kept out.
    pub widened_by: Option<String>,
    /// When a bypass ends.
    pub until: Option<Timestamp>,
    /// Whether sessions that the lines reject are ended.
    pub cut: bool,
}
