//! The snapshot that the supervisor publishes after each request, for all readers.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use netpolicy_common::{HOST_SCOPE, ScopeId};

use super::banned::SharedBans;
use super::feeds::Feeds;
use super::fleet::Fleets;
use super::held::StoreHold;
use super::tally::WorkTally;
use crate::api::{Detached, FaultKind};
use crate::clock::Clock;
use crate::compiler::Ruleset;
use crate::model::{Bypass, Grant, State};
use crate::store::Pending;

/// The agent's view at one moment. Cheap to clone; old ones live as long as a reader
/// holds them.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The desired state.
    pub state: Arc<State>,
    /// Its revision.
    pub revision: u64,
    /// Rules in all its lists.
    pub rules: u64,
    /// The generation in force.
    pub generation: u64,
    /// What it was compiled to; `None`: nothing is in force yet.
    pub ruleset: Option<Arc<Ruleset>>,
    /// Prefixes in the kernel's lists.
    pub entries: u64,
    /// What deadlines are measured by.
    pub clock: Clock,
    /// Bypasses, expired ones perhaps among them.
    pub bypasses: Vec<Bypass>,
    /// What is banned, by now: the writer goes on changing it.
    pub bans: SharedBans,
    /// Privileges that were granted.
    pub grants: Vec<Grant>,
    /// What is known of feeds.
    pub feeds: Feeds,
    /// What is known of the fleet.
    pub fleets: Fleets,
    /// The change that waits for its confirmation.
    pub pending: Option<Pending>,
    /// When the next rule ends, on the scale of the clock.
    pub next_rule_end: Option<Timestamp>,
    /// When the next rule that was there at the start ends, by the wall clock.
    pub next_loaded_end: Option<Timestamp>,
    /// Why the store waits for an acknowledgement.
    pub held: Option<StoreHold>,
    /// Interfaces that are to be filtered.
    pub interfaces: Vec<String>,
    /// Who stopped all filtering, and when, by the detach marker; `None`: it is not there.
    pub detached: Option<Detached>,
    /// By interface: why it is not filtered.
    pub unfiltered: BTreeMap<String, String>,
    /// What else is wrong.
    pub faults: Vec<String>,
    /// What each of them is about, in their order.
    pub fault_kinds: Vec<FaultKind>,
    /// When the revision was made; `None`: that is not known, or there is none.
    pub made: Option<Timestamp>,
    /// What the agent counts of its own work.
    pub tally: Arc<WorkTally>,
    /// Names of services that were removed, by the scope that counts for them still.
    pub removed: BTreeMap<ScopeId, String>,
    /// Since when scopes count whose services came after the counters.
    pub counted_since: BTreeMap<ScopeId, Timestamp>,
}

impl Snapshot {
    /// Whether the end of a rule is over.
    #[must_use]
    pub fn has_ended_rule(&self) -> bool {
        let by = |end: Option<Timestamp>, now| end.is_some_and(|end| end <= now);
        by(self.next_rule_end, self.clock.now()) || by(self.next_loaded_end, self.clock.wall())
    }

    /// Nothing but a state.
    #[must_use]
    pub fn of(state: &Arc<State>, revision: u64) -> Self {
        Self {
            rules: state.rule_count(),
            state: state.clone(),
            revision,
            generation: 0,
            ruleset: None,
            entries: 0,
            clock: Clock::system(),
            bypasses: Vec::new(),
            bans: SharedBans::default(),
            grants: Vec::new(),
            feeds: Feeds::default(),
            fleets: Fleets::default(),
            pending: None,
            next_rule_end: None,
            next_loaded_end: None,
            held: None,
            interfaces: Vec::new(),
            detached: None,
            unfiltered: BTreeMap::new(),
            faults: Vec::new(),
            fault_kinds: Vec::new(),
            made: None,
            tally: Arc::default(),
            removed: BTreeMap::new(),
            counted_since: BTreeMap::new(),
        }
    }

    /// "host", a service's name, or "postgres (removed)" for a service that is no more.
    #[must_use]
    pub fn scope_name(&self, scope: ScopeId) -> String {
        if scope == HOST_SCOPE {
            return "host".to_owned();
        }
        if let Some(service) = self.state.services.iter().find(|s| s.id == scope) {
            return service.name.to_string();
        }
        match self.removed.get(&scope) {
            Some(name) => format!("{name} (removed)"),
            // It was removed before this agent started.
            None => format!("service {scope} (removed)"),
        }
    }

    /// Where connection attempts are judged, in words, by what the writer saw last.
    #[must_use]
    pub fn filtering(&self) -> String {
        self.filtering_with(&[])
    }

    /// The same, with `others`: interfaces that are neither configured nor filtered.
    #[must_use]
    pub fn filtering_with(&self, others: &[String]) -> String {
        if let Some(detached) = &self.detached {
            return detached.in_words();
        }
        let filtered = |name: &&String| !self.unfiltered.contains_key(*name);
        let on: Vec<_> = self.interfaces.iter().filter(filtered).cloned().collect();
        let mut off: Vec<_> = self.unfiltered.keys().cloned().collect();
        if !on.is_empty() {
            off.extend(others.iter().cloned());
        }
        match (on.is_empty(), off.is_empty()) {
            (true, true) => "no interface is configured: nothing is filtered".to_owned(),
            (true, false) => format!("nothing is filtered: not attached to {}", off.join(", ")),
            (false, true) => format!("filtered: {}", on.join(", ")),
            (false, false) => {
                format!(
                    "filtered: {}; not filtered: {}",
                    on.join(", "),
                    off.join(", ")
                )
            }
        }
    }

    /// The bypasses that have not expired by the kernel's clock.
    pub fn live_bypasses(&self) -> impl Iterator<Item = &Bypass> {
        let now = self.clock.now();
        self.bypasses.iter().filter(move |b| b.expires > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::empty_snapshot;

    #[test]
    fn filtering_is_said_by_interface_and_never_while_detached() {
        let mut snapshot = empty_snapshot();
        assert_eq!(
            snapshot.filtering(),
            "no interface is configured: nothing is filtered"
        );
        snapshot.interfaces = vec!["eth0".into(), "eth1".into()];
        assert_eq!(snapshot.filtering(), "filtered: eth0, eth1");
        snapshot.unfiltered.insert("eth1".into(), "busy".into());
        assert_eq!(snapshot.filtering(), "filtered: eth0; not filtered: eth1");
        let others = ["eth2 (192.0.2.1)".to_owned()];
        assert_eq!(
            snapshot.filtering_with(&others),
            "filtered: eth0; not filtered: eth1, eth2 (192.0.2.1)"
        );
        snapshot.unfiltered.insert("eth0".into(), "busy".into());
        assert_eq!(
            snapshot.filtering_with(&others),
            "nothing is filtered: not attached to eth0, eth1"
        );
        snapshot.unfiltered.clear();
        snapshot.detached = Some(Detached::default());
        assert_eq!(
            snapshot.filtering(),
            "detached: nothing is filtered until `netpolicy attach`"
        );
    }

    #[test]
    fn scope_of_a_removed_service_keeps_its_name() {
        let mut snapshot = empty_snapshot();
        assert_eq!(snapshot.scope_name(HOST_SCOPE), "host");
        assert_eq!(snapshot.scope_name(3), "service 3 (removed)");
        snapshot.removed.insert(3, "postgres".into());
        assert_eq!(snapshot.scope_name(3), "postgres (removed)");
    }
}
