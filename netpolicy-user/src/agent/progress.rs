//! What the writer is doing, for whoever asks.

use tokio::sync::watch;

use crate::api::ProgressView;

/// Tells what the writer is doing.
#[derive(Debug)]
pub struct Progress(watch::Sender<ProgressView>);

impl Default for Progress {
    fn default() -> Self {
        Self(watch::Sender::new(idle()))
    }
}

impl Progress {
    /// What is done, now and from now on.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<ProgressView> {
        self.0.subscribe()
    }

    /// Something begins of which no part is counted.
    pub fn phase(&self, phase: &str) {
        self.report(phase, 0, 0);
    }

    /// So much of it is done.
    pub fn report(&self, phase: &str, done: u64, total: u64) {
        self.0.send_modify(|p| {
            if p.phase != phase {
                phase.clone_into(&mut p.phase);
            }
            p.done = done;
            p.total = total;
        });
    }

    /// The work is done.
    pub fn rest(&self) {
        self.0.send_replace(idle());
    }
}

fn idle() -> ProgressView {
    ProgressView {
        phase: "idle".to_owned(),
        ..ProgressView::default()
    }
}
