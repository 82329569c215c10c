//! One database on the board: what it is to enforce, what its helper said, and how both are shown.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::asked::AskedTrial;
use crate::agent::databases::order::LinesOrder;
use crate::api::{
    DatabaseCondition, DatabaseReport, DatabaseTrial, DatabaseUserView, DatabaseView,
};
use crate::model::{Database, Name, State, counted};

/// How long a helper may be busy with a database before it counts as gone.
const BUSY: Duration = Duration::from_secs(30);

/// Orders of which it is kept how many sessions they have ended.
const ENDED: usize = 16;

/// How long a repair stays among the faults.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// One database.
pub(super) struct Post {
    pub(super) order: LinesOrder,
    pub(super) sequence: u64,
    /// The lines that it is known to have.
    pub(super) confirmed: Option<BTreeSet<String>>,
    /// Users and roles that were required to exist, and did.
    pub(super) checked: BTreeSet<String>,
    pub(super) report: Option<(Timestamp, DatabaseReport)>,
    /// When the file was last put right.
    pub(super) repaired: Option<(Instant, String)>,
    /// How many sessions were ended by the orders of which sequences, the last ones.
    pub(super) ended: Vec<(u64, u64)>,
    /// What was asked last.
    pub(super) trial: Option<AskedTrial>,
    /// Helpers that wait for an order.
    pub(super) waiting: usize,
    /// When one last asked or reported.
    pub(super) heard: Option<Instant>,
    /// Whether the database was removed, and its lines may still be there.
    pub(super) is_gone: bool,
}

impl Post {
    pub(super) fn new(order: LinesOrder) -> Self {
        Self {
            order,
            sequence: 0,
            confirmed: None,
            checked: BTreeSet::new(),
            report: None,
            repaired: None,
            ended: Vec::new(),
            trial: None,
            waiting: 0,
            heard: None,
            is_gone: false,
        }
    }

    /// What is to be answered, unless it was tried.
    pub(super) fn question(&self, tried: Option<u64>) -> Option<DatabaseTrial> {
        self.trial.as_ref()?.open(tried)
    }

    /// An order that is to replace this one, with the sessions that this one was to end and that
    /// no helper has reported yet.
    pub(super) fn with_what_is_to_be_cut(&self, mut order: LinesOrder) -> LinesOrder {
        let left = self.order.cut.intersection(&order.lines).cloned();
        order.cut.extend(left.collect::<Vec<_>>());
        order
    }

    /// Keeps how many sessions an order has ended.
    pub(super) fn note_ended(&mut self, report: &DatabaseReport) {
        match self.ended.last_mut() {
            Some((of, count)) if *of == report.sequence => *count += report.ended,
            _ => self.ended.push((report.sequence, report.ended)),
        }
        let more = self.ended.len().saturating_sub(ENDED);
        self.ended.drain(..more);
    }

    /// Another order: what the database had of it it still has, until it is told.
    pub(super) fn replace(&mut self, order: LinesOrder) {
        let is_same = (&self.order.database, self.order.port) == (&order.database, order.port);
        self.confirmed = self.confirmed.take().filter(|_| is_same);
        if !is_same {
            self.checked.clear();
        }
        if let Some(confirmed) = &mut self.confirmed {
            confirmed.retain(|line| order.lines.contains(line));
        }
        self.order = order;
    }

    /// Whether a helper ever carried lines in that have not been reported to be gone.
    pub(super) fn may_leave_lines(&self) -> bool {
        let has_lines = !self.order.lines.is_empty();
        self.heard.is_some() && (has_lines || self.is_gone)
    }

    /// Whether all lines of this order are in force, and the server has the users that it requires:
    /// another order with the same lines may not have required them.
    pub(super) fn has(&self, order: &LinesOrder) -> bool {
        let is_in_force = |confirmed: &BTreeSet<String>| {
            let mut required = order.must_exist.iter();
            order.lines.is_subset(confirmed) && required.all(|name| self.checked.contains(name))
        };
        order.lines.is_empty() || self.confirmed.as_ref().is_some_and(is_in_force)
    }

    pub(super) fn is_attended(&self) -> bool {
        self.waiting > 0 || self.heard.is_some_and(|heard| heard.elapsed() < BUSY)
    }

    pub(super) fn condition(&self) -> DatabaseCondition {
        match &self.report {
            Some((_, report)) if report.sequence == self.sequence => report.condition,
            _ if self.is_attended() => DatabaseCondition::Waiting,
            _ => DatabaseCondition::Unknown,
        }
    }

    /// Whether the lines are in force, and something is to be said nevertheless.
    fn has_warning(&self) -> bool {
        let report = self.report.as_ref().map(|(_, report)| report);
        self.is_attended()
            && report.is_some_and(|report| report.message.is_some() && !report.repaired)
    }

    pub(super) fn faults(&self, name: &Name) -> Vec<String> {
        let lines = counted(self.order.lines.len(), "line", "lines");
        let mut faults = Vec::new();
        let words = || {
            let report = self.report.as_ref();
            report.map(|(_, report)| words(report)).unwrap_or_default()
        };
        let has_lines = !self.order.lines.is_empty();
        if let Some(problem) = &self.order.problem {
            faults.push(format!(
                "database '{name}' rejects more than policies say: {problem}"
            ));
        }
        match self.condition() {
            DatabaseCondition::Refused => {
                faults.push(format!(
                    "database '{name}' does not take its lines: {}",
                    words()
                ));
            }
            DatabaseCondition::Unreachable if has_lines => {
                faults.push(format!("database '{name}' does not answer: {}", words()));
            }
            DatabaseCondition::InForce if self.has_warning() => {
                faults.push(format!("database '{name}': {}", words()));
            }
            _ if self.is_gone && !self.is_attended() => faults.push(format!(
                "database '{name}' was removed, and no helper runs that removes its lines; start \
                 netpolicy-db@{name}.service once more"
            )),
            _ if has_lines && !self.is_attended() => faults.push(format!(
                "no helper runs for database '{name}': its {lines} are not looked after; start \
                 netpolicy-db@{name}.service"
            )),
            _ => {}
        }
        if let Some((at, message)) = &self.repaired
            && at.elapsed() < REMEMBERED
        {
            faults.push(format!("drift of database '{name}' repaired: {message}"));
        }
        faults
    }
}

/// What a database's process says of it.
pub(super) fn words(report: &DatabaseReport) -> String {
    let message = report.message.clone();
    message.unwrap_or_else(|| "it does not say why".to_owned())
}

pub(super) fn view(state: &State, database: &Database, post: Option<&Post>) -> DatabaseView {
    let mut users: Vec<DatabaseUserView> = Vec::new();
    for (user, policy) in state.bound_users() {
        if user.database != database.name {
            continue;
        }
        let (text, policy) = (user.to_string(), policy.name.to_string());
        match users.last_mut() {
            Some(last) if last.user == text => last.policies.push(policy),
            _ => users.push(DatabaseUserView {
                user: text,
                policies: vec![policy],
                bypassed_until: state.user_bypass(user),
            }),
        }
    }
    let report = post.and_then(|post| post.report.as_ref());
    DatabaseView {
        name: database.name.to_string(),
        kind: database.kind,
        service: database.service.to_string(),
        socket: database.socket.clone(),
        hba_dir: database.hba_dir.clone(),
        hba_conf: database.hba_conf.clone(),
        comment: database.comment.clone(),
        users,
        lines: post.map_or(0, |post| post.order.lines.len()),
        condition: post.map_or(DatabaseCondition::Unknown, Post::condition),
        message: report.and_then(|(_, report)| report.message.clone()),
        version: report.and_then(|(_, report)| report.version.clone()),
        file: report.and_then(|(_, report)| report.file.clone()),
        reported: report.map(|(at, _)| *at),
    }
}
