//! What is read out of the store: short lists by the writer, past states beside it.

use super::caller::Caller;
use super::error::AgentError;
use super::supervisor::{Command, Supervisor};
use crate::api::{AuditView, RevisionView};
use crate::model::State;

impl Supervisor {
    /// The latest revisions, the newest first.
    ///
    /// # Errors
    /// The store cannot be read; or the agent is stopping.
    pub async fn revisions(
        &self,
        caller: Caller,
        limit: usize,
    ) -> Result<Vec<RevisionView>, AgentError> {
        let uid = caller.uid;
        let listed = self.ask(|reply| Command::Revisions { uid, limit, reply });
        listed.await
    }

    /// The desired state at a revision.
    ///
    /// # Errors
    /// There is no such revision, or the store cannot be read; or the agent is stopping.
    pub async fn state_at(&self, caller: Caller, revision: u64) -> Result<State, AgentError> {
        // Only the way to it is the writer's: changes do not wait until it is read.
        let uid = caller.uid;
        let past = self.ask(|reply| Command::Past { uid, reply }).await?;
        let read = tokio::task::spawn_blocking(move || past.state_at(revision));
        let read = read.await.map_err(|_| AgentError::Internal)?;
        read.map_err(|source| AgentError::Store {
            what: "cannot read that revision",
            source,
        })
    }

    /// The newest entries of the audit log, the newest first.
    ///
    /// # Errors
    /// The store cannot be read; or the agent is stopping.
    pub async fn audit_log(
        &self,
        caller: Caller,
        limit: usize,
    ) -> Result<Vec<AuditView>, AgentError> {
        let uid = caller.uid;
        let read = self.ask(|reply| Command::AuditLog { uid, limit, reply });
        read.await
    }
}
