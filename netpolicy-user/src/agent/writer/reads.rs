//! What is read out of the store: short lists by the writer, past states beside it.

use super::supervisor::{Command, Supervisor};
use crate::agent::error::AgentError;
use crate::api::{AuditView, RevisionView};
use crate::model::State;

impl Supervisor {
    /// The latest revisions, the newest first.
    ///
    /// # Errors
    /// The store cannot be read; or the agent is stopping.
    pub async fn revisions(&self, limit: usize) -> Result<Vec<RevisionView>, AgentError> {
        self.ask(|reply| Command::Revisions { limit, reply }).await
    }

    /// The desired state at a revision.
    ///
    /// # Errors
    /// There is no such revision, or the store cannot be read; or the agent is stopping.
    pub async fn state_at(&self, revision: u64) -> Result<State, AgentError> {
        // Only the way to it is the writer's: changes do not wait until it is read.
        let past = self.ask(|reply| Command::Past { reply }).await?;
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
    pub async fn audit_log(&self, limit: usize) -> Result<Vec<AuditView>, AgentError> {
        self.ask(|reply| Command::AuditLog { limit, reply }).await
    }
}
