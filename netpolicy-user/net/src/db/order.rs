//! What the agent wants of a database, and what it is told.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use netpolicy_policy::model::DatabaseKind;
use serde::{Deserialize, Serialize};

/// An order, as `GET /v1/databases/{name}/order` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Order {
    pub(super) sequence: u64,
    #[serde(default)]
    pub(super) kind: DatabaseKind,
    pub(super) port: u16,
    #[serde(default)]
    pub(super) socket: Option<String>,
    #[serde(default)]
    pub(super) hba_dir: Option<String>,
    #[serde(default)]
    pub(super) hba_conf: Option<String>,
    pub(super) lines: Vec<String>,
    pub(super) users: Vec<String>,
    pub(super) roles: Vec<String>,
    /// Those of both without which the order is refused.
    #[serde(default)]
    pub(super) must_exist: Vec<String>,
    #[serde(default)]
    pub(super) widened_by: Option<String>,
    /// Those of the lines that end the sessions which they reject.
    #[serde(default)]
    pub(super) cut: Vec<String>,
    #[serde(default)]
    pub(super) later: Vec<LaterLines>,
    /// What is asked in addition.
    #[serde(default)]
    pub(super) trial: Option<Trial>,
}

/// Lines that come at a time, as bypasses end.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct LaterLines {
    pub(super) at: Timestamp,
    pub(super) lines: Vec<String>,
    /// The same time on a clock that is never set.
    #[serde(skip)]
    due: Option<Instant>,
}

/// A question: whether these lines could be in force, and which open sessions they would reject.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Trial {
    pub(super) number: u64,
    pub(super) lines: Vec<String>,
    #[serde(default)]
    pub(super) must_exist: Vec<String>,
    #[serde(default)]
    pub(super) widened_by: Option<String>,
}

impl Order {
    /// The order, with the times of later lines as they are from now on.
    pub(super) fn received(mut self) -> Self {
        let (wall, now) = (Timestamp::now(), Instant::now());
        for later in &mut self.later {
            let left = Duration::try_from(later.at.duration_since(wall)).unwrap_or_default();
            later.due = now.checked_add(left);
        }
        self
    }

    /// How long until lines come.
    pub(super) fn next_lines(&self) -> Option<Duration> {
        let (wall, now) = (Timestamp::now(), Instant::now());
        self.later.iter().map(|later| later.left(wall, now)).min()
    }

    /// Adds the lines whose time has come, by whichever clock. Whether there were any.
    pub(super) fn add_lines_due(&mut self) -> bool {
        self.add_lines_at(Timestamp::now(), Instant::now())
    }

    fn add_lines_at(&mut self, wall: Timestamp, now: Instant) -> bool {
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.later)
            .into_iter()
            .partition(|later| later.left(wall, now).is_zero());
        self.later = later;
        let is_any = !due.is_empty();
        self.lines.extend(due.into_iter().flat_map(|due| due.lines));
        self.lines.sort();
        self.lines.dedup();
        is_any
    }

    /// The order that a question is about.
    pub(super) fn of_trial(&self, trial: &Trial) -> Self {
        Self {
            lines: trial.lines.clone(),
            users: trial.must_exist.clone(),
            roles: Vec::new(),
            must_exist: trial.must_exist.clone(),
            widened_by: trial.widened_by.clone(),
            cut: Vec::new(),
            later: Vec::new(),
            trial: None,
            ..self.clone()
        }
    }
}

impl LaterLines {
    fn left(&self, wall: Timestamp, now: Instant) -> Duration {
        let by_wall = Duration::try_from(self.at.duration_since(wall)).unwrap_or_default();
        let by_due = self.due.map(|due| due.saturating_duration_since(now));
        by_due.map_or(by_wall, |by_due| by_due.min(by_wall))
    }
}

/// A report, as `POST /v1/databases/{name}/report` takes it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    pub(super) sequence: u64,
    pub(super) condition: Condition,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) repaired: bool,
    pub(super) ended: u64,
}

/// An answer, as `POST /v1/databases/{name}/trial` takes it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct TrialReport {
    pub(super) number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
    pub(super) sessions: Vec<Sessions>,
}

/// Open sessions of a user from an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Sessions {
    pub(super) user: String,
    pub(super) source: IpAddr,
    pub(super) count: u64,
}

/// What the database does with the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Condition {
    InForce,
    Refused,
    Unreachable,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(in_seconds: i64) -> Order {
        let at = Timestamp::now() + jiff::SignedDuration::from_secs(in_seconds);
        let text = format!(
            r#"{{"sequence": 1, "port": 5432, "lines": ["b"], "users": [], "roles": [],
                "later": [{{"at": "{at}", "lines": ["a", "b"]}}]}}"#
        );
        serde_json::from_str::<Order>(&text).unwrap().received()
    }

    #[test]
    fn lines_come_at_their_time_by_whichever_clock_is_first() {
        let mut over = order(-1);
        assert!(over.add_lines_due());
        assert_eq!(over.lines, ["a", "b"]);
        assert!(!over.add_lines_due());

        let (wall, now) = (Timestamp::now(), Instant::now());
        let minute = jiff::SignedDuration::from_secs(61);
        let mut running = order(60);
        assert!(!running.add_lines_at(wall, now));
        assert_eq!(running.lines, ["b"]);
        // The wall clock was set back, and forward.
        assert!(
            running
                .clone()
                .add_lines_at(wall - minute, now + Duration::from_secs(61))
        );
        assert!(running.add_lines_at(wall + minute, now));
        assert_eq!(running.next_lines(), None);
    }
}
