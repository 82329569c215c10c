//! Which interfaces are filtered: the configured ones, unless the operator said
//! `netpolicy detach`, which a marker file remembers until `netpolicy attach`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

use super::enforcer::{KillSwitch, LinkSet};
use crate::agent::access::Caller;
use crate::agent::error::{AgentError, chain};
use crate::agent::faults::Faults;
use crate::agent::snapshot::Snapshot;
use crate::detach_marker;
use crate::exposure;
use crate::selection::{Patterns, Selection};

mod selected;

/// The kill switch: detaches from all interfaces, until `netpolicy attach`. Does not wait
/// for the writer either, which finds the marker when it looks next.
///
/// # Errors
/// The kernel refuses, or the marker cannot be written; then it is detached, but only
/// until the agent looks again.
pub fn detach(
    marker: &Path,
    kill_switch: &dyn KillSwitch,
    caller: Caller,
) -> Result<Vec<String>, AgentError> {
    let filtered = kill_switch.filtered().unwrap_or_default();
    // First, so that the writer does not attach again what is being detached. It may detach some
    // itself when it sees the marker.
    let marked = detach_marker::write(marker, &caller.name(), Timestamp::now());
    let mut names = kill_switch
        .detach_all()
        .map_err(|source| AgentError::Kernel {
            what: "could not detach",
            source,
        })?;
    names.extend(filtered);
    names.sort_unstable();
    names.dedup();
    tracing::warn!(
        actor = caller.name(),
        ?names,
        "detached: nothing is filtered"
    );
    marked.map_err(|source| AgentError::Marker {
        what: "detached, but the agent will attach again, for it cannot write",
        path: marker.display().to_string(),
        source,
    })?;
    Ok(names)
}

/// Why an interface is not filtered that is not there.
pub const ABSENT: &str = "it does not exist; filtered as soon as it appears";

/// Why a pattern of interfaces is a fault.
const UNMATCHED: &str = "it matches no interface; one that appears and matches is filtered at once";

/// Attaches where it should be and is not. Shared by the thread that is told of changes of
/// interfaces and pins, which waits for no change of policies, and the writer.
pub struct Attacher {
    links: Arc<dyn LinkSet>,
    /// Which interfaces to filter.
    patterns: Patterns,
    /// What they select, as seen last.
    selection: Selection,
    /// The file that says that nothing is to be attached.
    marker: PathBuf,
    /// Interfaces that were seen attached, by name, with their index: if one is not,
    /// and is still the same one, then that is drift.
    attached: BTreeMap<String, u32>,
    /// When those were seen first.
    since: BTreeMap<String, Instant>,
    /// Indices of interfaces that were filtered under a name that is no interface's now.
    renamed: BTreeMap<String, u32>,
    /// Indices of filtered interfaces in other network namespaces.
    elsewhere: BTreeSet<u32>,
    /// By interface: why it is not filtered.
    unfiltered: BTreeMap<String, String>,
    /// What was logged of programs before netpolicy's.
    overtaken: Vec<String>,
    /// What is wrong with the links themselves.
    fault: Option<String>,
    /// What was put right since it was asked for.
    repaired: Vec<String>,
    /// Whether anything of this is not published yet.
    is_changed: bool,
}

/// See [`Attacher`].
pub type SharedAttacher = Arc<Mutex<Attacher>>;

/// The attacher; waits for as long as an attachment takes.
pub fn lock(attacher: &Mutex<Attacher>) -> MutexGuard<'_, Attacher> {
    // Each look begins with what the kernel says.
    attacher.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Attacher {
    /// Attaches nothing yet. `interfaces`: as in the configuration.
    pub fn new(links: Arc<dyn LinkSet>, interfaces: &[String], marker: PathBuf) -> Self {
        Self {
            links,
            patterns: Patterns::new(interfaces),
            selection: Selection::default(),
            marker,
            attached: BTreeMap::new(),
            since: BTreeMap::new(),
            renamed: BTreeMap::new(),
            elsewhere: BTreeSet::new(),
            unfiltered: BTreeMap::new(),
            overtaken: Vec::new(),
            fault: None,
            repaired: Vec::new(),
            is_changed: false,
        }
    }

    /// Makes the kernel's attachments the configured ones, at start.
    ///
    /// Those that are configured no more are let go last, and only once all that are
    /// configured are filtered: under a new name, or next to a mistyped one, it may be the
    /// very interface that is meant.
    pub fn take_over(&mut self) {
        let attached = self.kernel_attached().unwrap_or_default();
        let names: Vec<String> = attached.into_iter().map(|(name, _)| name).collect();
        if self.patterns.is_empty() {
            self.patterns = Patterns::new(&names);
        }
        let mut strays = Vec::new();
        if self.select().is_none() {
            let selected = &self.selection.names;
            strays.extend(names.into_iter().filter(|name| !selected.contains(name)));
        } else if self.selection.names.is_empty() {
            // Which of them are configured is not known: all stay filtered.
            self.selection.names = names;
        }
        if self.patterns.is_empty() {
            tracing::warn!("no interface is configured: nothing is filtered");
        }
        self.settle();
        self.check();
        // A list that is made while interfaces come and go can lack one of them. What is covered
        // by others is let go by each check, once those are filtered.
        strays.retain(|name| !self.selection.names.contains(name) && !self.is_covered(name));
        for name in strays {
            self.let_go(&name);
        }
    }

    /// Filters other interfaces from now on, as if the agent had started with them. Without any,
    /// what is filtered stays so.
    pub fn configure(&mut self, interfaces: &[String]) {
        if interfaces.is_empty() && self.is_detached() {
            // Those that `netpolicy attach` is to filter again.
            return;
        }
        self.patterns = Patterns::new(interfaces);
        self.take_over();
    }

    /// Moves interfaces to the hook that the configuration would have.
    fn settle(&mut self) {
        if self.is_detached() {
            return;
        }
        for name in &self.selection.names {
            if let Err(error) = self.links.settle(name) {
                tracing::warn!(
                    interface = name,
                    error = chain(&error),
                    "it stays at its hook, if it is filtered"
                );
            }
        }
    }

    /// Detaches from an interface that is configured no more.
    fn let_go(&mut self, name: &str) {
        if self.unfiltered.keys().any(|name| !self.is_missed(name)) {
            tracing::warn!(
                interface = name,
                "it is not configured, but stays filtered: others that are configured are not yet"
            );
            return;
        }
        match self.links.detach(name) {
            Ok(true) => tracing::warn!(interface = name, "detached: it is configured no more"),
            Ok(false) => {}
            Err(error) => tracing::error!(
                interface = name,
                error = chain(&error),
                "it is configured no more, but could not be detached"
            ),
        }
    }

    /// Attaches where it should be and is not, and puts removed pins back. Whether there is
    /// anything new to publish.
    pub fn check(&mut self) -> bool {
        // Filtering comes before what keeps it.
        let attached = self.kernel_attached();
        if self.is_detached() {
            self.stay_detached(&attached.unwrap_or_default());
        } else if let Some(attached) = attached {
            let unlisted = self.select();
            for name in self.selection.names.clone() {
                self.check_interface(name, &attached);
            }
            self.filter_uncovered(&attached);
            for pattern in self.selection.unmatched.clone() {
                self.fault(pattern, UNMATCHED.to_owned());
            }
            self.let_go_of_covered(&attached);
            self.report_missed();
            let unkept = self.keep();
            self.set_fault(unlisted.or(unkept));
        }
        std::mem::take(&mut self.is_changed)
    }

    fn stay_detached(&mut self, attached: &[(String, u32)]) {
        // The marker may have been written by a `detach` without the agent.
        if !attached.is_empty() || !self.elsewhere.is_empty() {
            match self.links.detach_all() {
                Ok(names) => tracing::warn!(?names, "detached: the marker says so"),
                Err(error) => {
                    tracing::error!(error = chain(&error), "could not detach");
                }
            }
            self.is_changed = true;
        }
        self.is_changed |= !self.attached.is_empty() || !self.unfiltered.is_empty();
        self.attached.clear();
        self.elsewhere.clear();
        self.unfiltered.clear();
    }

    fn check_interface(&mut self, name: String, attached: &[(String, u32)]) {
        let is_attached = attached.iter().any(|(n, _)| *n == name);
        let before = self.attached.get(&name).copied();
        let index = match self.links.index_of(&name) {
            Ok(Some(index)) => index,
            Ok(None) => {
                let why = self.absent(&name, before, attached);
                return self.fault(name, why);
            }
            Err(error) => return self.fault(name, format!("{}; trying again", chain(&error))),
        };
        if !is_attached {
            if let Err(error) = self.links.attach(&name) {
                return self.fault(name, format!("{}; trying again", chain(&error)));
            }
            if self.is_detached() {
                // The operator was faster.
                return self.stay_detached(&[(name, index)]);
            }
        }
        if before != Some(index) {
            tracing::info!(interface = name, index, "filtered");
        } else if !is_attached {
            tracing::error!(
                interface = name,
                "drift: the program was gone; attached again"
            );
            self.repaired.push(format!(
                "{}: interface {name} had lost its program; attached again",
                Timestamp::now()
            ));
        }
        self.is_changed |= !is_attached || before != Some(index);
        self.is_changed |= self.unfiltered.remove(&name).is_some();
        self.renamed.remove(&name);
        self.attached.insert(name, index);
    }

    fn fault(&mut self, interface: String, why: String) {
        self.attached.remove(&interface);
        if self.unfiltered.get(&interface) != Some(&why) {
            tracing::warn!(interface, "not filtered: {why}");
            self.unfiltered.insert(interface, why);
            self.is_changed = true;
        }
    }

    /// Puts removed pins back; why it cannot.
    fn keep(&mut self) -> Option<String> {
        match self.links.keep() {
            Ok(again) => {
                for index in again {
                    let known = self.attached.iter().find(|(_, i)| **i == index);
                    let name = known.map_or_else(|| format!("index {index}"), |(n, _)| n.clone());
                    tracing::error!(
                        interface = name,
                        "drift: the pin of its link was gone; pinned again"
                    );
                    self.repaired.push(format!(
                        "{}: the pin of interface {name} was removed, which the agent noticed in \
                         time: it stayed filtered, and is pinned again",
                        Timestamp::now()
                    ));
                    self.is_changed = true;
                }
                None
            }
            Err(error) => Some(format!(
                "links may not be pinned, and filtering ends with the agent then, trying again: {}",
                chain(&error)
            )),
        }
    }

    /// Names and indices of the interfaces here; `None` if the kernel does not say.
    fn kernel_attached(&mut self) -> Option<Vec<(String, u32)>> {
        let attached = match self.links.attached() {
            Ok(attached) => attached,
            Err(error) => {
                self.set_fault(Some(format!("the links cannot be read: {}", chain(&error))));
                return None;
            }
        };
        let (here, elsewhere): (Vec<_>, Vec<_>) = attached.into_iter().partition(|i| i.is_here);
        for interface in &elsewhere {
            if self.elsewhere.insert(interface.index) {
                tracing::warn!(
                    index = interface.index,
                    "an interface moved to another network namespace, and stays filtered there"
                );
                self.is_changed = true;
            }
        }
        let views: Vec<_> = here.iter().cloned().map(exposure::interface).collect();
        let overtaken = exposure::overtaken(&views);
        // Status and verify ask for themselves.
        for line in overtaken
            .iter()
            .filter(|line| !self.overtaken.contains(line))
        {
            tracing::error!("{line}");
        }
        self.overtaken = overtaken;
        let before = self.elsewhere.len();
        self.elsewhere
            .retain(|index| elsewhere.iter().any(|i| i.index == *index));
        self.is_changed |= self.elsewhere.len() != before;
        Some(here.into_iter().map(|i| (i.name, i.index)).collect())
    }

    fn set_fault(&mut self, fault: Option<String>) {
        if self.fault != fault {
            if let Some(fault) = &fault {
                tracing::error!("{fault}");
            }
            self.fault = fault;
            self.is_changed = true;
        }
    }

    /// Whether the marker is there.
    fn is_detached(&self) -> bool {
        detach_marker::read(&self.marker).is_some()
    }

    /// Adds to a snapshot what is known of interfaces, and to faults what is wrong.
    pub(in crate::agent) fn publish(&mut self, snapshot: &mut Snapshot, faults: &mut Faults) {
        snapshot.interfaces = self.selection.configured();
        snapshot.detached = detach_marker::read(&self.marker);
        snapshot.unfiltered.clone_from(&self.unfiltered);
        faults.links.clone_from(&self.fault);
        for what in self.repaired.drain(..) {
            faults.repaired(what);
        }
    }

    /// Takes the kill switch off: attaches to the configured interfaces. Those that are
    /// filtered then; why others are not is in the status.
    ///
    /// # Errors
    /// The marker cannot be removed.
    pub fn attach(&mut self) -> Result<Vec<String>, AgentError> {
        detach_marker::remove(&self.marker).map_err(|source| AgentError::Marker {
            what: "could not attach, for the marker cannot be removed:",
            path: self.marker.display().to_string(),
            source,
        })?;
        self.check();
        Ok(self.attached.keys().cloned().collect())
    }
}

#[cfg(test)]
mod tests;
