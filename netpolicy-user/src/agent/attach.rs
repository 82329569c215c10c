//! Which interfaces are filtered: the configured ones, unless the operator said
//! `netpolicy detach`, which a marker file remembers until `netpolicy attach`.

use std::path::Path;

use jiff::Timestamp;

use super::caller::Caller;
use super::enforcer::{Brake, Enforcer};
use super::error::{AgentError, chain};
use super::request::Asker;
use super::writer::Writer;
use crate::detach_marker;

/// The emergency brake: detaches from all interfaces, until told otherwise. Waits for
/// nobody, the writer included, which finds the marker when it looks next.
///
/// # Errors
/// The kernel refuses, or the marker cannot be written; then it is detached, but only
/// until the agent looks again.
pub fn detach(marker: &Path, brake: &dyn Brake, caller: Caller) -> Result<Vec<String>, AgentError> {
    // First, so that the writer does not attach again what is being detached.
    let marked = detach_marker::write(marker, &caller.name(), Timestamp::now());
    let names = brake.detach_all().map_err(|source| AgentError::Kernel {
        what: "could not detach",
        source,
    })?;
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

impl<E: Enforcer> Writer<E> {
    /// Makes the kernel's attachments the configured ones, at start.
    ///
    /// Those that are configured no more are let go last, and only once all that are
    /// configured are filtered: under a new name, or beside a mistyped one, it may be the
    /// very interface that is meant.
    pub(super) fn take_over_interfaces(&mut self) {
        let attached = self.kernel_attached().unwrap_or_default();
        let mut strays = Vec::new();
        if self.settings.interfaces.is_empty() {
            self.settings.interfaces = attached.into_iter().map(|(name, _)| name).collect();
        } else {
            let names = attached.into_iter().map(|(name, _)| name);
            strays.extend(names.filter(|name| !self.settings.interfaces.contains(name)));
        }
        if self.settings.interfaces.is_empty() {
            tracing::warn!("no interface is configured: nothing is filtered");
        }
        self.check_interfaces();
        for name in strays {
            self.let_go(&name);
        }
    }

    /// Detaches from an interface that is configured no more.
    fn let_go(&mut self, name: &str) {
        if !self.faults.interfaces.is_empty() {
            tracing::warn!(
                interface = name,
                "it is not configured, but stays filtered: others that are configured are not yet"
            );
            return;
        }
        match self.enforcer.detach(name) {
            Ok(()) => tracing::warn!(interface = name, "detached: it is configured no more"),
            Err(error) => tracing::error!(
                interface = name,
                error = chain(&error),
                "it is configured no more, but could not be detached"
            ),
        }
    }

    /// Attaches where it should and is not.
    pub(super) fn check_interfaces(&mut self) {
        let Some(attached) = self.kernel_attached() else {
            return;
        };
        if self.is_detached() {
            // The marker may have been written by a `detach` without the agent.
            if !attached.is_empty() {
                match self.enforcer.detach_all() {
                    Ok(names) => tracing::warn!(?names, "detached: the marker says so"),
                    Err(error) => {
                        tracing::error!(error = chain(&error), "could not detach");
                    }
                }
            }
            self.attached.clear();
            self.faults.interfaces.clear();
            return;
        }
        for name in self.settings.interfaces.clone() {
            let is_attached = attached.iter().any(|(n, _)| *n == name);
            self.check_interface(name, is_attached);
        }
    }

    fn check_interface(&mut self, name: String, is_attached: bool) {
        let before = self.attached.get(&name).copied();
        let Some(index) = self.enforcer.index_of(&name) else {
            self.attached.remove(&name);
            self.fault(name, ABSENT.to_owned());
            return;
        };
        if !is_attached && let Err(error) = self.enforcer.attach(&name) {
            self.attached.remove(&name);
            self.fault(name, format!("{}; trying again", chain(&error)));
            return;
        }
        if before != Some(index) {
            tracing::info!(interface = name, index, "filtered");
        } else if !is_attached {
            tracing::error!(
                interface = name,
                "drift: the program was gone; attached again"
            );
            self.faults.repaired(format!(
                "{}: interface {name} had lost its program; attached again",
                Timestamp::now()
            ));
        }
        self.faults.interfaces.remove(&name);
        self.attached.insert(name, index);
    }

    fn fault(&mut self, interface: String, why: String) {
        if self.faults.interfaces.get(&interface) != Some(&why) {
            tracing::warn!(interface, "not filtered: {why}");
            self.faults.interfaces.insert(interface, why);
        }
    }

    /// Names and indices; `None` if the kernel does not say.
    fn kernel_attached(&mut self) -> Option<Vec<(String, u32)>> {
        let attached = match self.enforcer.interfaces() {
            Ok(attached) => attached,
            Err(error) => {
                let fault = format!("the links cannot be read: {}", chain(&error));
                tracing::error!("{fault}");
                self.faults.links = Some(fault);
                return None;
            }
        };
        self.faults.links = None;
        Some(attached.into_iter().map(|i| (i.name, i.index)).collect())
    }

    /// Whether the marker is there.
    pub(super) fn is_detached(&self) -> bool {
        detach_marker::read(&self.settings.marker).is_some()
    }

    /// Takes the emergency brake off: attaches to the configured interfaces. Those
    /// that are filtered then; why others are not is in the status.
    ///
    /// # Errors
    /// The marker cannot be removed.
    pub fn attach(&mut self, asker: Asker) -> Result<Vec<String>, AgentError> {
        detach_marker::remove(&self.settings.marker).map_err(|source| AgentError::Marker {
            what: "could not attach, for the marker cannot be removed:",
            path: self.settings.marker.display().to_string(),
            source,
        })?;
        self.check_interfaces();
        self.publish();
        let names = self.attached.keys().cloned().collect();
        self.note(asker, "attach");
        tracing::info!(actor = asker.caller.name(), interfaces = ?names, "attached");
        Ok(names)
    }
}

#[cfg(test)]
mod tests;
