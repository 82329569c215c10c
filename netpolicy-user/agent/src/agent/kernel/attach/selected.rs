//! What the configuration selects: looked at again at each look, for interfaces come, go, are
//! renamed and become ports of others.

use std::time::{Duration, Instant};

use super::{ABSENT, Attacher};
use crate::agent::error::chain;
use crate::selection::{ExcludedPort, Selection};

/// Both an interface and what receives its packets are filtered for so long, before the interface
/// is let go: packets that had passed the one hook before it ran the program are at the other by
/// then.
const OVERLAP: Duration = Duration::from_millis(200);

impl Attacher {
    /// Looks which interfaces the configuration selects. If that cannot be told, it is what it
    /// was: then why.
    pub(super) fn select(&mut self) -> Option<String> {
        let selection = match self.patterns.names() {
            Some(names) => Selection {
                names,
                ..Selection::default()
            },
            None => match self.links.devices() {
                Ok(devices) => self.patterns.select(&devices),
                Err(error) => {
                    return Some(format!(
                        "the interfaces cannot be listed, trying again: {}",
                        chain(&error)
                    ));
                }
            },
        };
        if selection == self.selection {
            return None;
        }
        for (name, by) in &selection.covered {
            if !self
                .selection
                .covered
                .iter()
                .any(|(known, _)| known == name)
            {
                tracing::info!(
                    interface = name,
                    "not filtered itself: {} is",
                    by.join(", ")
                );
            }
        }
        self.selection = selection;
        self.is_changed = true;
        let known = self.selection.configured();
        self.unfiltered.retain(|name, _| known.contains(name));
        self.attached.retain(|name, _| known.contains(name));
        None
    }

    /// Filters interfaces whose packets were to be judged at others that are not filtered.
    pub(super) fn filter_uncovered(&mut self, attached: &[(String, u32)]) {
        let uncovered = self
            .selection
            .uncovered(|name| self.attached.contains_key(name));
        for name in uncovered {
            if !self.attached.contains_key(&name) {
                tracing::warn!(
                    interface = name,
                    "filtered itself, for what its packets were to be judged at is not"
                );
            }
            self.check_interface(name, attached);
        }
    }

    /// Detaches from interfaces that were filtered until others that receive their packets were,
    /// once those have been for [`OVERLAP`]; and from ports of excluded interfaces.
    pub(super) fn let_go_of_covered(&mut self, attached: &[(String, u32)]) {
        let now = Instant::now();
        let filtered = &self.attached;
        self.since.retain(|name, _| filtered.contains_key(name));
        for name in filtered.keys() {
            self.since.entry(name.clone()).or_insert(now);
        }
        let is_over = |name: &String| {
            let since = self.since.get(name);
            since.is_some_and(|since| now.duration_since(*since) >= OVERLAP)
        };
        let mut gone = Vec::new();
        for (name, by) in &self.selection.covered {
            if by.iter().all(is_over) {
                let why = format!("its packets are judged at {}", by.join(", "));
                gone.push((name.clone(), why));
            }
        }
        for port in &self.selection.excluded {
            let why = format!("it is a port of {}, which is excluded", port.master);
            gone.push((port.name.clone(), why));
        }
        for (name, why) in gone {
            self.is_changed |= self.attached.remove(&name).is_some();
            if !self.is_missed(&name) {
                self.is_changed |= self.unfiltered.remove(&name).is_some();
            }
            if !attached.iter().any(|(n, _)| *n == name) {
                continue;
            }
            match self.links.detach(&name) {
                Ok(_) => tracing::info!(interface = name, "detached: {why}"),
                Err(error) => tracing::warn!(
                    interface = name,
                    error = chain(&error),
                    "it could not be detached, though {why}"
                ),
            }
            self.is_changed = true;
        }
    }

    /// Says which ports that a pattern matches are not filtered, though the host's packets arrive
    /// there.
    pub(super) fn report_missed(&mut self) {
        let missed: Vec<_> = self.selection.missed().cloned().collect();
        for ExcludedPort { name, master, .. } in missed {
            let why = format!(
                "it is a port of {master}, which `interfaces` excludes; exclude it too if that is \
                 intended, name it, or do not exclude {master}"
            );
            self.fault(name, why);
        }
    }

    /// Whether its packets are to be judged at others.
    pub(super) fn is_covered(&self, name: &str) -> bool {
        self.selection
            .covered
            .iter()
            .any(|(covered, _)| covered == name)
    }

    /// Whether it is not filtered because of an exclusion.
    pub(super) fn is_missed(&self, name: &str) -> bool {
        self.selection.missed().any(|port| port.name == name)
    }

    /// Why an interface is not there, or where it is now.
    pub(super) fn absent(
        &mut self,
        name: &str,
        before: Option<u32>,
        attached: &[(String, u32)],
    ) -> String {
        if let Some(index) = before {
            self.renamed.insert(name.to_owned(), index);
        }
        let index = self.renamed.get(name);
        let now = attached.iter().find(|(_, i)| Some(i) == index);
        match now {
            Some((now, _)) => format!(
                "it is called {now} now, and stays filtered by that name until the agent is \
                 restarted or reloaded; correct `interfaces`"
            ),
            None => ABSENT.to_owned(),
        }
    }
}
