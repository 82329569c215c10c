//! Keeps the kernel what the desired state says: looks, compares, repairs, reports.

use std::time::Instant;

use jiff::Timestamp;

use super::enforcer::Enforcer;
use super::error::{AgentError, chain};
use super::writer::Writer;
use crate::compiler::Extent;

/// A comparison of all lists takes at most one part in this many of the writer's time.
const VERIFY_SHARE: u32 = 20;

/// Differences that are logged one by one.
const SHOWN: usize = 5;

impl<E: Enforcer> Writer<E> {
    /// One round.
    pub fn reconcile(&mut self) {
        if self.check_pins() && self.held.is_none_or(|held| !held.keeps) {
            self.check_ruleset();
        }
        self.check_interfaces();
        self.record_unrecorded();
        self.check_store();
        self.drop_lapsed_bypasses(self.now());
        self.take_back_unconfirmed();
        self.prune();
        self.publish();
    }

    /// Somebody may have removed the pins, and with them the links. Whether they are
    /// there, perhaps again.
    pub(super) fn check_pins(&mut self) -> bool {
        if self.enforcer.is_pinned() {
            return true;
        }
        tracing::error!("drift: the pins are gone; reinstalling");
        match self.enforcer.reinstall(&self.ruleset, self.revision) {
            Ok(generation) => {
                // Before anything else: what had lost its link is open.
                self.check_interfaces();
                self.generation = generation;
                // What was in force is gone, and the store's is all that is known.
                if let Some(held) = &mut self.held {
                    held.keeps = false;
                }
                self.faults.kernel = None;
                self.faults.repaired(format!(
                    "{}: the pins were gone; reinstalled",
                    Timestamp::now()
                ));
                self.open_events();
                self.restore_bypasses();
                true
            }
            Err(error) => {
                let fault = format!(
                    "the pins are gone, and reinstalling failed, trying again: {}",
                    chain(&error)
                );
                tracing::error!("{fault}");
                self.faults.kernel = Some(fault);
                false
            }
        }
    }

    /// Removes old revisions.
    fn prune(&mut self) {
        if !std::mem::take(&mut self.prune_due) {
            return;
        }
        match self.store.prune() {
            Ok(pruned) if pruned.revisions > 0 => {
                tracing::info!(revisions = pruned.revisions, "old revisions removed");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(error = chain(&error), "old revisions could not be removed");
            }
        }
    }

    fn check_ruleset(&mut self) {
        let is_time = Instant::now() >= self.verify_at;
        match self.compare(is_time.then_some(self.extent)) {
            Ok(differences) if differences.is_empty() => self.faults.kernel = None,
            Ok(differences) => self.repair(&differences),
            // It is in the log and in the status, and tried again.
            Err(_) => {}
        }
    }

    /// How what is in force differs from what should be: the generation, the digest, and
    /// if an extent is given the lists.
    ///
    /// # Errors
    /// The kernel cannot be read, which is noted as a fault.
    pub(super) fn compare(&mut self, lists: Option<Extent>) -> Result<Vec<String>, AgentError> {
        let read = |what, result: Result<_, _>| {
            result.map_err(|source| AgentError::Kernel { what, source })
        };
        let compared = read("the kernel's maps cannot be read", self.enforcer.enforced());
        let compared = compared.and_then(|enforced| {
            if enforced.generation != self.generation {
                return Ok(vec![format!(
                    "generation {} is in force, not {}",
                    enforced.generation, self.generation
                )]);
            }
            if enforced.digest != self.digest {
                return Ok(vec!["the rules' digest is another".to_owned()]);
            }
            let Some(extent) = lists else {
                return Ok(Vec::new());
            };
            self.verify(extent)
        });
        if let Err(error) = &compared {
            let fault = chain(error);
            tracing::error!("{fault}");
            self.faults.kernel = Some(fault);
        }
        compared
    }

    fn verify(&mut self, extent: Extent) -> Result<Vec<String>, AgentError> {
        let started = Instant::now();
        let differences = self.enforcer.verify(&self.ruleset, extent);
        let differences = differences.map_err(|source| AgentError::Kernel {
            what: "the kernel's lists cannot be read",
            source,
        })?;
        let took = started.elapsed();
        tracing::debug!(?extent, ?took, "the kernel's lists were read back");
        self.verify_at = Instant::now() + self.settings.verify_interval.max(took * VERIFY_SHARE);
        self.extent = match extent {
            Extent::Full => Extent::Sample(0),
            Extent::Sample(number) => Extent::Sample(number + 1),
        };
        Ok(differences)
    }

    /// Fills the idle slot anew and puts it into force.
    pub(super) fn repair(&mut self, differences: &[String]) {
        let shown = differences.iter().take(SHOWN).cloned().collect::<Vec<_>>();
        let more = match differences.len().saturating_sub(SHOWN) {
            0 => String::new(),
            n => format!("; and {n} more"),
        };
        let what = format!("{}{more}", shown.join("; "));
        tracing::error!(revision = self.revision, "drift: {what}");
        // What was repaired is compared once more, what was not again.
        self.verify_at = Instant::now();
        self.extent = Extent::Full;
        self.enforcer.distrust();
        let ruleset = self.ruleset.clone();
        match self.prepare(&ruleset, self.revision) {
            Ok(prepared) => {
                self.generation = self.enforcer.commit(prepared);
                self.faults.kernel = None;
                self.faults.repaired(format!(
                    "{}: the kernel did not hold what revision {} says ({what}); repaired as generation {}",
                    Timestamp::now(),
                    self.revision,
                    self.generation
                ));
                tracing::warn!(generation = self.generation, "drift repaired");
            }
            Err(error) => {
                self.faults.kernel = Some(format!(
                    "the kernel does not hold what revision {} says ({what}), and repair failed, trying again: {}",
                    self.revision,
                    chain(&error)
                ));
            }
        }
        self.rest();
    }
}

#[cfg(test)]
mod tests;
