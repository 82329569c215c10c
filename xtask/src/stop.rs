//! Ctrl-C and its like: a request to end in order, that whatever was made is removed.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{SigSet, Signal};

/// Set once SIGINT, SIGTERM or SIGHUP came.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    state: Arc<(Mutex<bool>, Condvar)>,
}

/// The error of what was left undone because of the request.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

impl Stop {
    /// From here on these signals do nothing but set this. To be called while the
    /// process has one thread, so that those started later inherit it.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn install() -> Result<Self> {
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            signals.add(signal);
        }
        signals.thread_block().context("block signals")?;
        let stop = Self {
            state: Arc::default(),
        };
        let setter = stop.clone();
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                while signals.wait().is_ok() {
                    setter.set();
                }
            })
            .context("start a thread")?;
        Ok(stop)
    }

    fn set(&self) {
        *self.lock() = true;
        self.state.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps, unless asked to stop; whether it was.
    pub(crate) fn wait(&self, duration: Duration) -> bool {
        let waited = self
            .state
            .1
            .wait_timeout_while(self.lock(), duration, |asked| !*asked);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Goes on, unless asked to stop.
    ///
    /// # Errors
    /// [`Interrupted`] when asked to.
    pub(crate) fn check(&self) -> Result<()> {
        if *self.lock() {
            Err(Interrupted.into())
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_asked_to_stop() {
        let stop = Stop {
            state: Arc::default(),
        };
        assert!(!stop.wait(Duration::from_millis(1)));
        stop.check().unwrap();
        let setter = stop.clone();
        let thread = thread::spawn(move || setter.set());
        assert!(stop.wait(Duration::from_secs(60)));
        thread.join().unwrap();
        assert!(stop.check().unwrap_err().is::<Interrupted>());
    }
}
