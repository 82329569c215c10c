//! Bans in the audit log: a summary for each requester, not an entry for each ban.
//!
//! The first request of a requester is recorded with its changes; what follows is summed up and
//! recorded a minute later.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::outcome::JudgedBan;
use crate::agent::access::{Person, Requester, audit};
use crate::api::BanResult;
use crate::store::{AuditEntry, Outcome};

/// Time between two entries of one requester.
const EVERY: Duration = Duration::from_secs(60);

/// Changes that an entry names.
const NAMED: usize = 10;

/// The most users and people that are told apart; of more people, a user has one summary.
const MOST: usize = 256;

/// What is counted, by name.
const RESULTS: [BanResult; 4] = [
    BanResult::Banned,
    BanResult::Extended,
    BanResult::Refused,
    BanResult::Unbanned,
];

/// What one requester did since the last entry.
#[derive(Clone, Debug)]
struct Since {
    requester: Requester,
    recorded: Option<Instant>,
    /// By result, in the order of their names.
    counts: [u64; RESULTS.len()],
    total: u64,
    changes: Vec<String>,
    refusals: Vec<String>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct BanSummary {
    /// By user, and by the person on whose behalf a user says that it acts.
    by_user: BTreeMap<(u32, Option<Person>), Since>,
}

impl BanSummary {
    /// Adds what became of a request.
    pub(super) fn add(&mut self, requester: Requester, scope: &str, outcome: &JudgedBan) {
        let mut key = (requester.caller.uid, requester.caller.person);
        if self.by_user.len() >= MOST && !self.by_user.contains_key(&key) {
            key.1 = None;
        }
        let since = self.by_user.entry(key).or_insert_with(|| Since {
            requester,
            recorded: None,
            counts: [0; RESULTS.len()],
            total: 0,
            changes: Vec::new(),
            refusals: Vec::new(),
        });
        since.requester = requester;
        let Some(at) = RESULTS.iter().position(|result| *result == outcome.result) else {
            return;
        };
        since.counts[at] += 1;
        since.total += 1;
        let is_refused = outcome.result == BanResult::Refused;
        let named = match is_refused {
            true => &since.refusals,
            false => &since.changes,
        };
        if named.len() >= NAMED {
            return;
        }
        let source = match &outcome.source {
            Ok(net) => net.to_string(),
            Err(text) => text.clone(),
        };
        if is_refused {
            let why = outcome.detail.as_deref().unwrap_or_default();
            let refusal = format!("{}: {why}", source.escape_debug());
            since.refusals.push(refusal);
        } else {
            let until = outcome
                .until
                .map_or_else(String::new, |until| format!(", until {until}"));
            let name = outcome.result.name();
            let change = format!("{source} on {scope}: {name}{until}");
            since.changes.push(change);
        }
    }

    /// The entries that are due, or all; they are taken for recorded then.
    pub(super) fn take(&mut self, now: Instant, all: bool, revision: u64) -> Vec<AuditEntry> {
        let mut entries = Vec::new();
        for since in self.by_user.values_mut() {
            let waits = |recorded: Instant| now.duration_since(recorded) < EVERY;
            if since.total == 0 || (!all && since.recorded.is_some_and(waits)) {
                continue;
            }
            entries.push(since.entry(revision));
            since.recorded = Some(now);
            since.counts = [0; RESULTS.len()];
            since.total = 0;
            since.changes.clear();
            since.refusals.clear();
        }
        // What is as if it had never been is let go of: there may be many people.
        self.by_user.retain(|_, since| {
            let waits = |recorded: Instant| now.duration_since(recorded) < EVERY;
            since.total > 0 || since.recorded.is_some_and(waits)
        });
        entries
    }
}

impl Since {
    fn entry(&self, revision: u64) -> AuditEntry {
        let counts = RESULTS.iter().zip(self.counts);
        let counts: Vec<_> = counts.filter(|(_, count)| *count > 0).collect();
        let refused = counts
            .iter()
            .find(|(result, _)| **result == BanResult::Refused);
        let changed = self.total - refused.map_or(0, |(_, count)| *count);
        let outcome = if changed == 0 {
            Outcome::Refused
        } else {
            Outcome::Done
        };
        let counts = counts.iter();
        let counts: Vec<String> = counts
            .map(|(result, count)| format!("{count} {}", result.name()))
            .collect();
        let action = format!("bans: {}", counts.join(", "));
        let mut entry = audit::entry(self.requester, &action, outcome, revision);
        entry.detail.changes.clone_from(&self.changes);
        let more = changed.saturating_sub(self.changes.len() as u64);
        if more > 0 {
            entry.detail.changes.push(format!("and {more} more"));
        }
        entry.detail.errors.clone_from(&self.refusals);
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::ROOT;

    fn outcome(source: &str, result: BanResult) -> JudgedBan {
        JudgedBan {
            source: Ok(source.parse().unwrap()),
            result,
            until: None,
            detail: None,
        }
    }

    #[test]
    fn the_first_request_is_recorded_at_once_and_the_rest_a_minute_later() {
        let mut summary = BanSummary::default();
        let start = Instant::now();
        summary.add(ROOT, "host", &outcome("10.0.0.1/32", BanResult::Banned));
        let first = summary.take(start, false, 7);
        assert_eq!(first.len(), 1);
        assert_eq!(first[0].action, "bans: 1 banned");
        assert_eq!(first[0].detail.changes, ["10.0.0.1/32 on host: banned"]);
        for address in 2..30 {
            let source = format!("10.0.0.{address}/32");
            summary.add(ROOT, "host", &outcome(&source, BanResult::Banned));
        }
        summary.add(ROOT, "host", &outcome("10.0.0.1/32", BanResult::Unchanged));
        assert!(summary.take(start, false, 7).is_empty());
        let later = summary.take(start + EVERY, false, 7);
        assert_eq!(later[0].action, "bans: 28 banned");
        assert_eq!(later[0].detail.changes.len(), NAMED + 1);
        assert_eq!(later[0].detail.changes[NAMED], "and 18 more");
        assert!(summary.take(start + EVERY, true, 7).is_empty());
    }

    #[test]
    fn people_behind_one_user_have_entries_of_their_own() {
        let mut summary = BanSummary::default();
        for (name, source) in [("alice", "10.0.0.1/32"), ("carol", "10.0.0.2/32")] {
            let mut requester = ROOT;
            requester.caller.person = Person::new(name);
            summary.add(requester, "host", &outcome(source, BanResult::Banned));
        }
        let entries = summary.take(Instant::now(), true, 7);
        let changes = entries.iter().map(|entry| &*entry.detail.changes[0]);
        let expected = ["10.0.0.1/32 on host: banned", "10.0.0.2/32 on host: banned"];
        assert_eq!(changes.collect::<Vec<_>>(), expected);
    }
}
