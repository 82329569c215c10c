//! Reads, concurrent with the writer and on low-priority threads: changes do not wait for them.

use rustix::process::{getpriority_process, setpriority_process};
use tokio::sync::{Semaphore, oneshot};

use super::supervisor::Supervisor;
use crate::agent::access::{Caller, audit};
use crate::agent::error::AgentError;
use crate::api::{AuditView, Paged, RevisionView};
use crate::model::State;
use crate::store::{HistoryWindow, Listed, Past, PastChange, Revision, StoreError, Window};

/// The nice value of long reads; see sched(7).
const NICE: i32 = 10;

/// Reads that judge much, at once.
const JUDGING: usize = 2;

/// Runs a long read on a thread of its own, which leaves the processors to changes where
/// they are scarce.
///
/// # Errors
/// The system makes no thread, or the read panicked.
pub(in crate::agent) async fn aside<T: Send + 'static>(
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AgentError> {
    let (reply, answer) = oneshot::channel();
    let thread = std::thread::Builder::new().name("reader".to_owned());
    let thread = thread.spawn(move || {
        // Of this thread alone, as Linux has it. Without it the read is only in the way.
        let now = getpriority_process(None).unwrap_or(0);
        let _ = setpriority_process(None, now.max(NICE));
        // A caller that has gone away needs no answer.
        drop(reply.send(read()));
    });
    if let Err(error) = thread {
        tracing::error!(%error, "no thread for a read");
        return Err(AgentError::Internal);
    }
    answer.await.map_err(|_| AgentError::Internal)
}

/// Runs a read that judges much and takes much memory: as [`aside`], and at most [`JUDGING`] at
/// once. Others wait.
///
/// # Errors
/// See [`aside`].
pub(in crate::agent) async fn judge_aside<T: Send + 'static>(
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AgentError> {
    static ROOM: Semaphore = Semaphore::const_new(JUDGING);
    let permit = ROOM.acquire().await.map_err(|_| AgentError::Internal)?;
    // It is given back by the thread: a caller that has gone away does not end the read.
    aside(move || {
        let answer = read();
        drop(permit);
        answer
    })
    .await
}

/// Runs what rayon divides on all processors, with the priority of the thread that calls it: its
/// threads inherit that, as Linux has it.
pub(in crate::agent) fn on_all_processors<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let name = |at| format!("reader-{at}");
    match rayon::ThreadPoolBuilder::new().thread_name(name).build() {
        Ok(pool) => pool.install(work),
        // In the pool of changes, which is slower for them and no less right.
        Err(_) => work(),
    }
}

/// A revision as the API shows it, with what changed by it in words.
pub(in crate::agent) fn revision_view(revision: Revision, changes: Vec<String>) -> RevisionView {
    RevisionView {
        revision: revision.revision,
        created: revision.meta.created,
        actor: revision.meta.actor,
        action: revision.meta.action,
        changes,
    }
}

impl Supervisor {
    /// Revisions, the newest first.
    ///
    /// # Errors
    /// The store cannot be read; or the agent is stopping.
    pub async fn revisions(
        &self,
        caller: Caller,
        of: HistoryWindow,
    ) -> Result<Paged<RevisionView>, AgentError> {
        let read = move |past: &dyn Past| past.history(&of).map(|listed| (listed, of));
        let (listed, of) = self.read(caller, "cannot list revisions", read).await?;
        Ok(page(listed, &of.window, |past: PastChange| {
            let view = revision_view(past.revision, past.changes);
            (view.revision, view)
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
        Ok(page(listed, &window, |entry| (entry.0, audit::view(entry))))
    }

    /// Only the way to the store is the writer's.
    async fn read<T: Send + 'static>(
        &self,
        caller: Caller,
        what: &'static str,
        read: impl FnOnce(&dyn Past) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, AgentError> {
        // Changes do not wait until it is read.
        let past = self.run(caller, |writer| writer.past()).await?;
        let read = aside(move || read(&*past)).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_read_stands_back_and_nothing_else_does() {
        let before = getpriority_process(None).unwrap();
        let nice = aside(|| getpriority_process(None).unwrap()).await.unwrap();
        assert_eq!(nice, NICE.max(before));
        assert_eq!(getpriority_process(None).unwrap(), before);
        let failed = aside(move || assert!(before > 1000, "on purpose")).await;
        assert!(matches!(failed, Err(AgentError::Internal)));
    }
}
