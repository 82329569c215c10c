//! The writer's progress, for all readers.

use tokio::sync::watch;

use crate::api::{Phase, ProgressView};

/// Tells what the writer is doing.
#[derive(Debug, Default)]
pub struct ProgressReporter(watch::Sender<ProgressView>);

impl ProgressReporter {
    /// What is done, now and from now on.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<ProgressView> {
        self.0.subscribe()
    }

    /// Something begins of which no part is counted.
    pub fn phase(&self, phase: Phase) {
        self.report(phase, 0, 0);
    }

    /// So much of it is done.
    pub fn report(&self, phase: Phase, done: u64, total: u64) {
        self.0.send_modify(|p| {
            p.phase = phase;
            p.done = done;
            p.total = total;
        });
    }

    /// The work is done.
    pub fn rest(&self) {
        self.0.send_replace(ProgressView::default());
    }
}
