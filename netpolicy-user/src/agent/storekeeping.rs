//! What becomes of the store itself: lost and rescued, backed up.
//!
//! Nothing is accepted that cannot be kept. Must not decide what the desired state is.

use super::consent::Consent;
use super::enforcer::Enforcer;
use super::error::{AgentError, chain};
use super::lock::{self, LockError};
use super::request::Asker;
use super::rights;
use super::supervisor::{Command, Reply, Supervisor};
use super::writer::Writer;
use crate::api::{AcknowledgedView, RescuedView};
use crate::model::Privilege;
use crate::store::{Archivist, Outcome, Whole, by_rescue};

/// What is asked for of the store itself.
pub(super) enum Order {
    Rescue {
        asker: Asker,
        reply: Reply<RescuedView>,
    },
    Acknowledge {
        asker: Asker,
        consent: Consent,
        dry_run: bool,
        reply: Reply<AcknowledgedView>,
    },
    Backup {
        asker: Asker,
        reply: Reply<Archivist>,
    },
}

impl Supervisor {
    /// See [`Writer::rescue`].
    ///
    /// # Errors
    /// Refused or failed; or the agent is stopping.
    pub async fn rescue(&self, asker: Asker) -> Result<RescuedView, AgentError> {
        self.ask(|reply| Command::Store(Order::Rescue { asker, reply }))
            .await
    }

    /// See [`Writer::acknowledge`].
    ///
    /// # Errors
    /// Refused or failed; or the agent is stopping.
    pub async fn acknowledge(
        &self,
        asker: Asker,
        consent: Consent,
        dry_run: bool,
    ) -> Result<AcknowledgedView, AgentError> {
        self.ask(|reply| {
            Command::Store(Order::Acknowledge {
                asker,
                consent,
                dry_run,
                reply,
            })
        })
        .await
    }

    /// See [`Writer::archivist`].
    ///
    /// # Errors
    /// Refused or failed; or the agent is stopping.
    pub async fn archivist(&self, asker: Asker) -> Result<Archivist, AgentError> {
        self.ask(|reply| Command::Store(Order::Backup { asker, reply }))
            .await
    }
}

impl<E: Enforcer> Writer<E> {
    /// Does what is asked for of the store itself.
    pub(super) fn keep_store(&mut self, order: Order) {
        // A caller who has gone away does not stop what was asked for.
        match order {
            Order::Rescue { asker, reply } => drop(reply.send(self.rescue(asker))),
            Order::Acknowledge {
                asker,
                consent,
                dry_run,
                reply,
            } => drop(reply.send(self.acknowledge(asker, consent, dry_run))),
            Order::Backup { asker, reply } => drop(reply.send(self.archivist(asker))),
        }
    }

    /// Notes whether what is stored is kept.
    pub(super) fn check_store(&mut self) {
        let fault = self.store.check().err().map(|error| {
            format!(
                "{error}; changes are refused; `netpolicy store rescue` stores what the agent holds"
            )
        });
        match &fault {
            Some(fault) if self.faults.store.is_none() => tracing::error!("{fault}"),
            None if self.faults.store.is_some() => tracing::warn!("the state database is back"),
            _ => {}
        }
        self.faults.store = fault;
    }

    /// Stores all that the agent holds in a new database, after the old one was lost.
    ///
    /// # Errors
    /// The caller is no admin, nothing is lost, another agent has the directory, or the store
    /// cannot be written.
    pub fn rescue(&mut self, asker: Asker) -> Result<RescuedView, AgentError> {
        const ACTION: &str = "store rescue";
        let result = self.try_rescue(asker, ACTION);
        result.inspect_err(|error| self.audit_refusal(asker, ACTION, error))
    }

    fn try_rescue(&mut self, asker: Asker, action: &str) -> Result<RescuedView, AgentError> {
        rights::require(
            asker.caller,
            &self.grants,
            Privilege::Admin,
            "rescue the store",
        )?;
        if self.store.check().is_ok() {
            return Err(AgentError::NothingLost);
        }
        self.lock_again()?;
        let mut entry = self.entry(asker, action, Outcome::Done);
        entry.detail.changes = self.faults.store.iter().cloned().collect();
        let base = self.pending_base.clone();
        let pending = self.pending.as_ref();
        let rescued = self.store.rescue(&Whole {
            state: &self.state,
            revision: self.revision,
            by: by_rescue(self.settings.clock.wall(), &entry.actor),
            bypasses: &self.bypasses,
            grants: &self.grants,
            pending: pending.and_then(|pending| Some((pending, base.as_deref()?))),
            audit: entry.clone(),
        });
        let rescued = rescued.map_err(|source| AgentError::Store {
            what: "the store could not be rescued",
            source,
        })?;
        if self.held.is_none() {
            self.adopt_store();
        }
        self.check_store();
        self.publish();
        tracing::warn!(
            actor = entry.actor,
            revision = self.revision,
            history = rescued.history,
            "the store was rescued"
        );
        Ok(RescuedView {
            revision: self.revision,
            history: rescued.history,
            kept: rescued
                .kept
                .as_ref()
                .map(|kept| kept.path.display().to_string()),
            kept_log: rescued
                .kept
                .and_then(|kept| kept.log)
                .map(|log| log.display().to_string()),
        })
    }

    /// Locks the state directory that the path names now: it may be another than the one that
    /// was locked at start.
    fn lock_again(&mut self) -> Result<(), AgentError> {
        let Some(dir) = self.settings.marker.parent() else {
            return Ok(());
        };
        match lock::state(dir) {
            Ok(lock) => self.lock = Some(lock),
            // Held since the start, or since the last rescue.
            Err(LockError::StateInUse { pid, .. }) if pid == Some(std::process::id()) => {}
            Err(error) => return Err(AgentError::Directory(chain(&error))),
        }
        Ok(())
    }

    /// What makes a backup, off the writer's thread.
    ///
    /// # Errors
    /// The caller is no admin, or the store cannot be read.
    pub fn archivist(&mut self, asker: Asker) -> Result<Archivist, AgentError> {
        rights::require(
            asker.caller,
            &self.grants,
            Privilege::Admin,
            "back the store up",
        )?;
        let archivist = self.store.archivist().map_err(|source| AgentError::Store {
            what: "the store cannot be backed up",
            source,
        })?;
        self.note(asker, "backup");
        Ok(archivist)
    }
}

#[cfg(test)]
mod tests;
