//! What is read: short lists out of the store by the writer, past states and all that takes
//! a while beside it, on threads that stand back.

use rustix::process::{getpriority_process, setpriority_process};
use tokio::sync::oneshot;

use super::error::AgentError;
use super::supervisor::{Command, Supervisor};
use crate::api::{AuditView, RevisionView};
use crate::model::State;

/// The nice value of long reads; see sched(7).
const NICE: i32 = 10;

/// Runs a long read on a thread of its own, which leaves the processors to changes where
/// they are scarce.
///
/// # Errors
/// The system makes no thread, or the read panicked.
pub(super) async fn aside<T: Send + 'static>(
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
        let read = aside(move || past.state_at(revision)).await?;
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
