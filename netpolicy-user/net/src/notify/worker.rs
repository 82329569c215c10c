//! The thread of one hook.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use super::hook::{self, Poster};
use super::limit::Limits;
use super::{Hook, Notice};

/// Notices that may wait for a hook.
const QUEUE: usize = 16;

/// How long is waited for a notice where none is withheld.
const IDLE: Duration = Duration::from_secs(3600);

/// Ends once it is dropped and the hook that runs has ended.
#[derive(Debug)]
pub(super) struct Worker {
    hook: Hook,
    queue: SyncSender<Notice>,
    /// Notices for which the queue had no room, since the hook was last run.
    dropped: Arc<AtomicU64>,
}

impl Worker {
    pub(super) fn start(hook: Hook, poster: Poster) -> io::Result<Self> {
        let (queue, notices) = mpsc::sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let (own, lost) = (hook.clone(), dropped.clone());
        thread::Builder::new()
            .name("hook".to_owned())
            .spawn(move || work(&own, &notices, &lost, &poster))?;
        Ok(Self {
            hook,
            queue,
            dropped,
        })
    }

    pub(super) fn hook(&self) -> &Hook {
        &self.hook
    }

    /// Hands a notice over, if it is one of the hook's; waits for nothing.
    pub(super) fn hand_over(&self, notice: &Notice) {
        let is_wanted = self.hook.on.contains(&notice.topic);
        if is_wanted && self.queue.try_send(notice.clone()).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn work(hook: &Hook, notices: &Receiver<Notice>, dropped: &AtomicU64, poster: &Poster) {
    let mut limits = Limits::new(hook.per_hour);
    let carry_out = |notice: &Notice, withheld: u64| {
        let before = dropped.swap(0, Ordering::Relaxed) + withheld;
        match hook::carry_out(hook, notice, before, poster) {
            Ok(()) => tracing::info!(%hook, topic = notice.topic, "hook done"),
            Err(error) => tracing::warn!(%hook, topic = notice.topic, %error, "hook failed"),
        }
    };
    loop {
        let now = Instant::now();
        let next = limits.next(now).map(|at| at - now);
        match notices.recv_timeout(next.unwrap_or(IDLE)) {
            Ok(notice) => {
                let is_withheld = limits.next(now).is_some();
                match limits.permit(&notice, Instant::now()) {
                    Some(withheld) => carry_out(&notice, withheld),
                    None if is_withheld => {}
                    None => {
                        let per_hour = hook.per_hour;
                        tracing::warn!(%hook, per_hour, "more notices than `per_hour`: further ones are counted");
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                for (notice, withheld) in limits.due(Instant::now()) {
                    carry_out(&notice, withheld);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
