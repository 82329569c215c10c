//! The process: follows the agent's orders, and looks whether the database still has them.

use std::path::Path;
use std::thread;
use std::time::Duration;

use super::carry::{Carried, CarryError, carry, find_sessions};
use super::order::{Condition, Order, Report, TrialReport};
use crate::agent::{AgentClient, AgentError};

/// Pauses after the agent did not answer.
const AGAIN: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// What lets the helper ask.
const GRANT: &str = "`netpolicy grant database --to user:postgres` allows it";

/// See the module.
pub(super) struct Helper {
    client: AgentClient,
    /// As a part of a path.
    path: String,
    every: Duration,
    order: Option<Order>,
    /// The number of the question that was answered last.
    tried: Option<u64>,
    /// What was reported of the order last.
    reported: Option<Condition>,
}

impl Helper {
    /// One that knows nothing yet.
    pub(super) fn new(socket: &Path, database: &str, every: Duration) -> Self {
        Self {
            client: AgentClient::new(socket),
            path: format!("databases/{}", crate::agent::segment(database)),
            every,
            order: None,
            tried: None,
            reported: None,
        }
    }

    /// Goes on until the process ends.
    pub(super) fn run(mut self) -> ! {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        let mut failures = 0;
        loop {
            match self.follow() {
                Ok(()) => {
                    if failures > 0 {
                        tracing::info!("the agent answers again");
                    }
                    failures = 0;
                }
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(%error, "the agent does not say what the database is to have");
                        if error.is_denied() {
                            tracing::warn!("hint: {GRANT}");
                        }
                    }
                    // What the database has stays, and is looked after.
                    self.end_bypasses();
                    self.keep();
                    let pause = AGAIN.get(failures).or(AGAIN.last());
                    thread::sleep(self.until_next(pause.copied().unwrap_or(self.every)));
                    failures += 1;
                }
            }
        }
    }

    /// Waits for another order, and carries it in; or looks after the one that there is.
    fn follow(&mut self) -> Result<(), AgentError> {
        let wait = self.until_next(self.every).as_secs().max(1);
        let mut url = format!("{}/order?wait={wait}", self.path);
        if let Some(order) = &self.order {
            url.push_str(&format!("&seen={}", order.sequence));
        }
        if let Some(number) = self.tried {
            url.push_str(&format!("&tried={number}"));
        }
        let text = match self.client.get(&url) {
            Err(AgentError::Unknown(_)) if self.order.is_some() => {
                self.remove_lines();
                thread::sleep(self.every);
                return Ok(());
            }
            text => text?,
        };
        if text.is_empty() {
            self.end_bypasses();
            if let Some(report) = self.keep() {
                self.report(&report)?;
            }
            return Ok(());
        }
        let mut order: Order =
            serde_json::from_str(&text).map_err(|error| AgentError::Garbled(error.to_string()))?;
        let mut answered = Ok(());
        if let Some(trial) = order.trial.take() {
            self.tried = Some(trial.number);
            answered = self.answer(&order.of_trial(&trial), trial.number);
        }
        let is_known = |known: &Order| known.sequence == order.sequence;
        if self.order.as_ref().is_some_and(is_known) {
            return answered;
        }
        let mut order = order.received();
        let carried = carry(&order, true);
        if carried.is_ok() {
            order.cut.clear();
        }
        match &carried {
            Ok(carried) => tracing::info!(
                lines = order.lines.len(),
                file = %carried.place.file().display(),
                ended = carried.ended,
                "the database has its lines"
            ),
            Err(error) => tracing::warn!(%error, "the database does not take its lines"),
        }
        let report = report(&order, &carried, false);
        self.reported = Some(report.condition);
        self.order = Some(order);
        self.report(&report).and(answered)
    }

    /// How long until something is to be done without being told, and no longer than this.
    fn until_next(&self, most: Duration) -> Duration {
        let next = self.order.as_ref().and_then(Order::next_lines);
        next.map_or(most, |next| next.min(most))
    }

    /// Puts the lines of users back whose bypass is over, whether an agent runs or not: the next
    /// look at the database carries them in.
    fn end_bypasses(&mut self) {
        let order = self.order.as_mut();
        if order.is_some_and(Order::add_lines_due) {
            tracing::info!("a bypass of a user is over; its lines come back");
            self.reported = None;
        }
    }

    /// Says what the database makes of lines that are not in force.
    fn answer(&self, order: &Order, number: u64) -> Result<(), AgentError> {
        let (problem, sessions) = match find_sessions(order) {
            Ok(sessions) => (None, sessions),
            Err(error) => (Some(error.to_string()), Vec::new()),
        };
        let report = TrialReport {
            number,
            problem,
            sessions,
        };
        self.post("trial", &report)
    }

    /// Looks whether the database has what was ordered last, and puts it right; what is new about
    /// that.
    fn keep(&mut self) -> Option<Report> {
        let order = self.order.as_mut()?;
        // What was refused is asked for again, as roles may have come meanwhile.
        let is_new = self.reported != Some(Condition::InForce);
        let carried = carry(order, is_new);
        if carried.is_ok() {
            order.cut.clear();
        }
        let is_repaired = !is_new && carried.as_ref().is_ok_and(|carried| carried.wrote);
        if is_repaired {
            tracing::warn!("the file was changed by another process; repaired");
        }
        let report = report(order, &carried, is_repaired);
        let is_news = is_repaired || self.reported != Some(report.condition);
        if is_news && let Some(message) = &report.message {
            tracing::warn!("{message}");
        }
        self.reported = Some(report.condition);
        is_news.then_some(report)
    }

    /// The agent has no such database any more: its lines go, once.
    fn remove_lines(&mut self) {
        let Some(order) = self.order.as_mut() else {
            return;
        };
        if order.lines.is_empty() {
            return;
        }
        let without = Order {
            lines: Vec::new(),
            widened_by: None,
            cut: Vec::new(),
            later: Vec::new(),
            ..order.clone()
        };
        match carry(&without, true) {
            Ok(_) => {
                tracing::warn!("the database was removed from netpolicy; its lines were removed");
                self.order = Some(without);
            }
            Err(error) => tracing::warn!(%error, "lines of a removed database stay"),
        }
    }

    fn report(&self, report: &Report) -> Result<(), AgentError> {
        self.post("report", report)
    }

    fn post(&self, what: &str, body: &impl serde::Serialize) -> Result<(), AgentError> {
        let body =
            serde_json::to_string(body).map_err(|error| AgentError::Garbled(error.to_string()))?;
        let path = format!("{}/{what}", self.path);
        self.client.post(&path, "application/json", &body).map(drop)
    }
}

fn report(order: &Order, carried: &Result<Carried, CarryError>, repaired: bool) -> Report {
    let none = Report {
        sequence: order.sequence,
        condition: Condition::InForce,
        message: None,
        version: None,
        file: None,
        repaired,
        ended: 0,
    };
    match carried {
        Ok(carried) => {
            let file = carried.place.file().display().to_string();
            Report {
                message: match repaired {
                    true => Some(format!("{file} had been changed by another process")),
                    false => carried.warning.clone(),
                },
                version: Some(carried.version.clone()),
                file: Some(file),
                ended: carried.ended,
                ..none
            }
        }
        Err(error) => Report {
            condition: match error.is_unreachable() {
                true => Condition::Unreachable,
                false => Condition::Refused,
            },
            message: Some(error.to_string()),
            ..none
        },
    }
}
