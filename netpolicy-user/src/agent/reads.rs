//! What is read out of the store, beside the writer: changes do not wait for it.

use super::caller::Caller;
use super::error::AgentError;
use super::supervisor::{Command, Supervisor};
use crate::api::{AuditView, Paged, RevisionView};
use crate::model::State;
use crate::store::{Listed, Past, StoreError, Window};

impl Supervisor {
    /// Revisions, the newest first.
    ///
    /// # Errors
    /// The store cannot be read; or the agent is stopping.
    pub async fn revisions(
        &self,
        caller: Caller,
        window: Window,
    ) -> Result<Paged<RevisionView>, AgentError> {
        let read = move |past: &dyn Past| past.revisions(&window).map(|listed| (listed, window));
        let (listed, window) = self.read(caller, "cannot list revisions", read).await?;
        Ok(page(listed, &window, |revision| {
            (revision.revision, revision.into())
        }))
    }

    /// The desired state at a revision.
    ///
    /// # Errors
    /// There is no such revision, or the store cannot be read; or the agent is stopping.
    pub async fn state_at(&self, caller: Caller, revision: u64) -> Result<State, AgentError> {
        let read = move |past: &dyn Past| past.state_at(revision);
        self.read(caller, "cannot read that revision", read).await
    }

    /// Entries of the audit log, the newest first.
    ///
    /// # Errors
    /// The store cannot be read; or the agent is stopping.
    pub async fn audit_log(
        &self,
        caller: Caller,
        window: Window,
    ) -> Result<Paged<AuditView>, AgentError> {
        let read = move |past: &dyn Past| past.audit_log(&window).map(|listed| (listed, window));
        let (listed, window) = self.read(caller, "cannot read the audit log", read).await?;
        Ok(page(listed, &window, |entry| {
            (entry.0, super::audit::view(entry))
        }))
    }

    /// Only the way to the store is the writer's.
    async fn read<T: Send + 'static>(
        &self,
        caller: Caller,
        what: &'static str,
        read: impl FnOnce(&dyn Past) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, AgentError> {
        // Changes do not wait until it is read.
        let uid = caller.uid;
        let past = self.ask(|reply| Command::Past { uid, reply }).await?;
        let read = tokio::task::spawn_blocking(move || read(&*past));
        let read = read.await.map_err(|_| AgentError::Internal)?;
        read.map_err(|source| AgentError::Store { what, source })
    }
}

/// As the API has it; `view`: an entry's number and what is shown of it.
fn page<T, V>(listed: Listed<T>, window: &Window, view: impl Fn(T) -> (u64, V)) -> Paged<V> {
    let is_full = listed.items.len() == window.limit;
    let (numbers, items): (Vec<_>, Vec<_>) = listed.items.into_iter().map(view).unzip();
    Paged {
        items,
        total: listed.total,
        next: numbers.last().copied().filter(|&last| is_full && last > 1),
    }
}
