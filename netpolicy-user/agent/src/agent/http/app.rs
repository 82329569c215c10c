//! What handlers work with.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use super::linted::Linted;
use super::quota::Quota;
use crate::agent::connected::Connected;
use crate::agent::error::AgentError;
use crate::agent::events::EventHub;
use crate::agent::kernel::{Inspector, KillSwitch};
use crate::agent::observed::Observations;
use crate::agent::rates::DropRates;
use crate::agent::reload::Running;
use crate::agent::writer::Supervisor;

/// What handlers work with.
#[derive(Clone)]
pub struct App {
    /// The way to the writer, and what it publishes.
    pub supervisor: Supervisor,
    /// The kernel, to read from.
    pub inspector: Arc<dyn Inspector>,
    /// The kill switch.
    pub kill_switch: Arc<dyn KillSwitch>,
    /// The file that says that nothing is to be attached.
    pub marker: PathBuf,
    /// What of the configuration is in force.
    pub running: watch::Receiver<Arc<Running>>,
    /// Who is connected.
    pub connected: Arc<Connected>,
    /// What was dropped in the last minute.
    pub rates: Arc<DropRates>,
    /// Events.
    pub hub: EventHub,
    /// The memory of sources.
    pub observations: Observations,
    /// What lint found.
    pub linted: Arc<Linted>,
    /// Becomes `true` when the agent stops; streams end then.
    pub stopping: watch::Receiver<bool>,
    /// When the agent started.
    pub started: Timestamp,
    /// The memory that bodies under way may take.
    pub bodies: Arc<Quota>,
}

/// Runs what takes a while off the threads that serve.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AgentError> + Send + 'static,
) -> Result<T, AgentError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(%error, "a request failed for a fault in netpolicy");
            Err(AgentError::Internal)
        }
    }
}
