//! Past states are read beside the writer.

use super::supervisor::Supervisor;
use crate::agent::access::Caller;
use crate::agent::error::AgentError;
use crate::model::State;

impl Supervisor {
    /// The desired state at a revision.
    ///
    /// # Errors
    /// There is no such revision, or the store cannot be read; or the agent is stopping.
    pub async fn state_at(&self, caller: Caller, revision: u64) -> Result<State, AgentError> {
        // Only the way to it is the writer's: changes do not wait until it is read.
        let past = self.run(caller, |writer| writer.past()).await?;
        let read = tokio::task::spawn_blocking(move || past.state_at(revision));
        let read = read.await.map_err(|_| AgentError::Internal)?;
        read.map_err(|source| AgentError::Store {
            what: "cannot read that revision",
            source,
        })
    }
}
