//! Reconciles the kernel with the desired state: reads, compares, repairs, reports.

use jiff::Timestamp;

use super::core::Writer;
use crate::agent::access::Requester;
use crate::agent::change::{ChangeOptions, Proposal};
use crate::agent::error::chain;
use crate::agent::upkeep::keeper;

/// Differences that are logged one by one.
const SHOWN: usize = 5;

impl Writer {
    /// One round.
    pub fn reconcile(&mut self) {
        // Before lists are read back, which says when that is due again.
        self.check_bans();
        if self.check_pins() && !self.upkeep.keeps_others() {
            self.check_ruleset();
        }
        self.kernel.check_interfaces();
        self.record_unrecorded();
        keeper::check(&mut *self.store, &mut self.faults);
        self.drop_expired_bypasses(self.now());
        self.roll_back_unconfirmed();
        self.end_user_bypasses();
        self.upkeep.prune(&mut *self.store);
        self.publish();
    }

    /// Another process may have removed the pins, and with them the links. Whether they are
    /// there, perhaps again.
    pub(super) fn check_pins(&mut self) -> bool {
        if self.kernel.is_pinned() {
            return true;
        }
        tracing::error!("drift: the pins are gone; reinstalling");
        match self.kernel.reinstall(&self.in_force) {
            Ok(in_force) => {
                // Before anything else: what had lost its link is open.
                self.kernel.check_interfaces();
                self.in_force = in_force;
                // What was in force is gone, and the store's is all that is known.
                self.upkeep.others_are_gone();
                self.faults.kernel = None;
                self.faults.repaired(format!(
                    "{}: the pins were gone; reinstalled",
                    Timestamp::now()
                ));
                self.kernel.open_events();
                // Bans are in force by what was installed.
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

    /// Removes the bypasses that have expired by `time`.
    pub(in crate::agent) fn drop_expired_bypasses(&mut self, time: Timestamp) {
        let (bypasses, mut around) = self.bypasses();
        bypasses.drop_expired(time, &mut around);
    }

    /// Makes the kernel's bypasses the ones that the agent knows of.
    pub(super) fn restore_bypasses(&mut self) {
        let state = self.in_force.state.clone();
        let (bypasses, mut around) = self.bypasses();
        bypasses.restore(&state, &mut around);
    }

    fn check_ruleset(&mut self) {
        match self.kernel.look(&self.in_force, &mut self.faults) {
            Ok(differences) if differences.is_empty() => self.faults.kernel = None,
            Ok(differences) => self.repair(&differences),
            // It is in the log and in the status, and tried again.
            Err(_) => {}
        }
    }

    /// Refills the idle slot and puts it into force.
    pub(super) fn repair(&mut self, differences: &[String]) {
        let shown = differences.iter().take(SHOWN).cloned().collect::<Vec<_>>();
        let more = match differences.len().saturating_sub(SHOWN) {
            0 => String::new(),
            n => format!("; and {n} more"),
        };
        let what = format!("{}{more}", shown.join("; "));
        let revision = self.in_force.revision;
        tracing::error!(revision, "drift: {what}");
        // What was repaired is compared once more, what was not again.
        self.kernel.verify_soon();
        match self.kernel.prepare_again(&self.in_force, &self.progress) {
            Ok(prepared) => {
                self.in_force = self.kernel.commit(prepared, revision);
                let generation = self.in_force.generation;
                self.faults.kernel = None;
                self.faults.repaired(format!(
                    "{}: the kernel did not hold what revision {revision} says ({what}); repaired as generation {generation}",
                    Timestamp::now(),
                ));
                tracing::warn!(generation, "drift repaired");
            }
            Err(error) => {
                self.faults.kernel = Some(format!(
                    "the kernel does not hold what revision {revision} says ({what}), and repair failed, trying again: {}",
                    chain(&error)
                ));
            }
        }
        self.rest();
    }

    /// Takes the unconfirmed change back if its time is over.
    pub fn roll_back_unconfirmed(&mut self) {
        if self.upkeep.is_held() {
            // The change that waits is not in force.
            return;
        }
        let Some(pending) = self.confirmation.overdue(self.now()) else {
            return;
        };
        tracing::warn!(
            revision = pending.revision,
            base = pending.base,
            "not confirmed in time: rolled back"
        );
        let proposal = Proposal::Unconfirmed(pending.clone());
        self.faults.pending = match self.change(
            proposal,
            Requester::agent(),
            ChangeOptions::default(),
        ) {
            Ok(_) => None,
            Err(error) => {
                let fault = format!(
                    "revision {} was not confirmed, but could not be rolled back; trying again: {}",
                    pending.revision,
                    chain(&error)
                );
                tracing::error!("{fault}");
                Some(fault)
            }
        };
        self.publish();
    }
}

#[cfg(test)]
mod tests;
