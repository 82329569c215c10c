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
    /// Users that policies are bound to.
    pub users: Vec<String>,
    /// Roles that policies are bound to.
    pub roles: Vec<String>,
    /// Those of both that a change adds, which waits for this order: they have to exist.
    pub must_exist: Vec<String>,
    /// Why the lines reject more than the policies say, if they do.
    pub problem: Option<String>,
    /// The policy for which all others are kept out.
    pub widened_by: Option<String>,
    /// When a bypass ends.
    pub until: Option<Timestamp>,
    /// Lines that are added as bypasses end, by whoever has this order.
    pub later: Vec<(Timestamp, BTreeSet<String>)>,
    /// Those of the lines that end the sessions which they reject.
    pub cut: BTreeSet<String>,
}

impl LinesOrder {
    /// Whether the same database has all its lines by `others` already.
    #[must_use]
    pub fn is_within(&self, others: &[Self]) -> bool {
        let same = |other: &&Self| other.database.name == self.database.name;
        let other = others.iter().find(same);
        self.lines.is_empty() || other.is_some_and(|other| self.lines.is_subset(&other.lines))
    }

    /// Whether a helper that has carried in `before` has nothing to do for this one.
    pub(super) fn asks_no_more_than(&self, before: &Self) -> bool {
        let plain = |order: &Self| Self {
            must_exist: Vec::new(),
            problem: None,
            until: None,
            ..order.clone()
        };
        let mut required = self.must_exist.iter();
        required.all(|name| before.must_exist.contains(name)) && plain(self) == plain(before)
    }

    /// What is left to do for a database that was removed.
    pub(super) fn without_lines(&self) -> Self {
        Self {
            lines: BTreeSet::new(),
            users: Vec::new(),
            roles: Vec::new(),
            must_exist: Vec::new(),
            problem: None,
            widened_by: None,
            until: None,
            later: Vec::new(),
            cut: BTreeSet::new(),
            ..self.clone()
        }
    }

    /// Adds the lines of another order for the same database, now and later.
    pub(super) fn join(&mut self, other: &Self) {
        self.lines.extend(other.lines.iter().cloned());
        self.later.extend(other.later.iter().cloned());
        self.later.sort();
    }

    /// Ends the sessions that the lines reject and those of `before` did not; with `None` all that
    /// they reject.
    pub fn cut_beyond(&mut self, before: Option<&[Self]>) {
        let same = |old: &&Self| old.database.name == self.database.name;
        let before = before.and_then(|before| before.iter().find(same));
        let is_new = |line: &&String| before.is_none_or(|before| !before.lines.contains(*line));
        self.cut = self.lines.iter().filter(is_new).cloned().collect();
    }

    /// Requires the users and roles that `kept`, which databases have, does not know.
    pub fn require_new(&mut self, kept: &[Self]) {
        let old = kept
            .iter()
            .find(|old| old.database.name == self.database.name);
        let is_known = |name: &&String| {
            old.is_some_and(|old| old.users.contains(name) || old.roles.contains(name))
        };
        let names = self.users.iter().chain(&self.roles);
        self.must_exist = names.filter(|name| !is_known(name)).cloned().collect();
    }
}
