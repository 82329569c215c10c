//! The decisions that there are, and what is to be banned by them.
//!
//! Several decisions may be about one source, also by another spelling of it: the one that ends
//! last counts, and when it is deleted, those that are left.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use netpolicy_policy::model::parse_source;
use serde::Deserialize;

/// Ends that differ by less are the same: they are computed from what remains.
const SAME: SignedDuration = SignedDuration::from_secs(2);

/// The longest that a ban is asked for.
const LONGEST: SignedDuration = SignedDuration::from_hours(50 * 365 * 24);

/// Bytes of a ban's reason.
const REASON: usize = 200;

/// A decision, as the local API sends it.
#[derive(Debug, Deserialize)]
pub(super) struct Decision<'a> {
    pub(super) id: i64,
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) scope: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) value: Cow<'a, str>,
    /// What remains of it, as Go writes durations.
    #[serde(borrow)]
    pub(super) duration: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) scenario: Cow<'a, str>,
}

/// An answer of the stream.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Changes<'a> {
    #[serde(borrow, default)]
    pub(super) new: Option<Vec<Decision<'a>>>,
    #[serde(borrow, default)]
    pub(super) deleted: Option<Vec<Decision<'a>>>,
}

/// What became of decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Decisions that ban.
    pub(super) bans: usize,
    /// Of another type, such as captcha.
    pub(super) other_types: usize,
    /// About something else than an address or a network, such as a country.
    pub(super) other_scopes: usize,
    /// Whose value or duration cannot be read.
    pub(super) unreadable: usize,
}

impl Tally {
    /// What was left out, in words.
    pub(super) fn left_out(&self) -> String {
        format!(
            "{} of other types, {} of other scopes, {} unreadable",
            self.other_types, self.other_scopes, self.unreadable
        )
    }

    /// Whether all decisions ban.
    pub(super) fn is_complete(&self) -> bool {
        self.other_types + self.other_scopes + self.unreadable == 0
    }
}

/// What is to be done that the agent has the bans that it should.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Nothing,
    /// Ban these, or extend their bans.
    Ban(Vec<IpNet>),
    /// Hand over the whole set: some are banned shorter, or no longer.
    Replace,
}

/// A ban as it is to be.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) source: IpNet,
    pub(super) until: Timestamp,
    pub(super) reason: &'a str,
}

#[derive(Debug)]
struct Held {
    source: IpNet,
    until: Timestamp,
    reason: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Known {
    decisions: HashMap<i64, Held>,
    of_source: HashMap<IpNet, Vec<i64>>,
    /// Until when the agent bans what; nothing is known before the first time.
    told: HashMap<IpNet, Timestamp>,
}

impl Known {
    /// These are all decisions that there are.
    pub(super) fn restart(&mut self, decisions: &[Decision<'_>], now: Timestamp) -> Tally {
        self.decisions.clear();
        self.of_source.clear();
        self.told.retain(|_, until| *until > now);
        let mut tally = Tally::default();
        for decision in decisions {
            self.add(decision, now, &mut tally);
        }
        tally
    }

    /// These are new and deleted; which sources they are about, and what became of them.
    pub(super) fn follow(
        &mut self,
        changes: &Changes<'_>,
        now: Timestamp,
    ) -> (HashSet<IpNet>, Tally) {
        let mut touched = HashSet::new();
        let mut tally = Tally::default();
        // One that is in both was made before it was deleted.
        for decision in changes.new.iter().flatten() {
            touched.extend(self.add(decision, now, &mut tally));
        }
        for decision in changes.deleted.iter().flatten() {
            touched.extend(self.remove(decision.id));
        }
        (touched, tally)
    }

    /// What is to be done about these sources.
    pub(super) fn step(&self, touched: &HashSet<IpNet>, now: Timestamp) -> Step {
        self.compare(touched.iter().copied(), now)
    }

    /// What is to be done about all sources.
    pub(super) fn step_of_all(&self, now: Timestamp) -> Step {
        let sources = self.of_source.keys().chain(self.told.keys());
        self.compare(sources.copied(), now)
    }

    fn compare(&self, sources: impl Iterator<Item = IpNet>, now: Timestamp) -> Step {
        let mut longer = HashSet::new();
        for source in sources {
            let told = self.told.get(&source).copied().filter(|told| *told > now);
            match (self.until(source).filter(|until| *until > now), told) {
                (None, None) => {}
                (Some(wanted), Some(told)) if wanted.duration_since(told).abs() <= SAME => {}
                (Some(wanted), told) if told.is_none_or(|told| told < wanted) => {
                    longer.insert(source);
                }
                // What is about to end needs no request.
                (None, Some(told)) if told.duration_since(now) <= SAME => {}
                _ => return Step::Replace,
            }
        }
        match longer.is_empty() {
            true => Step::Nothing,
            false => Step::Ban(longer.into_iter().collect()),
        }
    }

    /// The agent has these as they should be.
    pub(super) fn told(&mut self, sources: &[IpNet]) {
        for source in sources {
            if let Some(until) = self.until(*source) {
                self.told.insert(*source, until);
            }
        }
    }

    /// The agent has exactly what it should.
    pub(super) fn told_all(&mut self) {
        self.told.clear();
        let sources: Vec<_> = self.of_source.keys().copied().collect();
        self.told(&sources);
    }

    /// A source's ban as it is to be, if it is to be banned.
    pub(super) fn wanted(&self, source: IpNet, now: Timestamp) -> Option<Wanted<'_>> {
        let held = self.longest(source)?;
        (held.until > now).then_some(Wanted {
            source,
            until: held.until,
            reason: &held.reason,
        })
    }

    /// All bans as they are to be.
    pub(super) fn all(&self, now: Timestamp) -> impl Iterator<Item = Wanted<'_>> {
        let sources = self.of_source.keys();
        sources.filter_map(move |source| self.wanted(*source, now))
    }

    /// How many sources are to be banned.
    pub(super) fn len(&self) -> usize {
        self.of_source.len()
    }

    fn until(&self, source: IpNet) -> Option<Timestamp> {
        self.longest(source).map(|held| held.until)
    }

    fn longest(&self, source: IpNet) -> Option<&Held> {
        let ids = self.of_source.get(&source)?;
        ids.iter()
            .filter_map(|id| self.decisions.get(id))
            .max_by_key(|held| held.until)
    }

    fn add(&mut self, decision: &Decision<'_>, now: Timestamp, tally: &mut Tally) -> Option<IpNet> {
        if !decision.kind.eq_ignore_ascii_case("ban") {
            tally.other_types += 1;
            return None;
        }
        let scope = &decision.scope;
        if !scope.eq_ignore_ascii_case("ip") && !scope.eq_ignore_ascii_case("range") {
            tally.other_scopes += 1;
            return None;
        }
        let source = parse_source(&decision.value);
        let remains = decision.duration.parse::<SignedDuration>();
        let (Ok(source), Ok(remains)) = (source, remains) else {
            tally.unreadable += 1;
            let (id, value) = (decision.id, decision.value.escape_debug());
            let duration = decision.duration.escape_debug();
            tracing::warn!(id, %value, %duration, "a decision cannot be read");
            return None;
        };
        tally.bans += 1;
        let until = now.saturating_add(remains.min(LONGEST)).ok()?;
        self.remove(decision.id);
        self.of_source.entry(source).or_default().push(decision.id);
        let held = Held {
            source,
            until,
            reason: reason(&decision.scenario),
        };
        self.decisions.insert(decision.id, held);
        Some(source)
    }

    fn remove(&mut self, id: i64) -> Option<IpNet> {
        let source = self.decisions.remove(&id)?.source;
        if let Some(ids) = self.of_source.get_mut(&source) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.of_source.remove(&source);
            }
        }
        Some(source)
    }
}

/// A scenario as a ban's reason: on one line, and not too long.
fn reason(scenario: &str) -> String {
    let mut reason = String::new();
    for c in scenario.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if reason.len() + c.len_utf8() > REASON {
            break;
        }
        reason.push(c);
    }
    reason
}

#[cfg(test)]
mod tests;
