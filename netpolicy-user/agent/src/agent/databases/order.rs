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

impl LinesOrder {
    /// Whether the same database has all its lines by `others` already.
    #[must_use]
    pub fn is_within(&self, others: &[Self]) -> bool {
        let same = |other: &&Self| other.database.name == self.database.name;
        let other = others.iter().find(same);
        self.lines.is_empty() || other.is_some_and(|other| self.lines.is_subset(&other.lines))
    }
}
