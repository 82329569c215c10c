//! A process of its own that rolls an unconfirmed change back if the agent is gone.
//!
//! An operator who is locked out by a change that also stops the agent could not even start
//! it again. So the agent leaves a guard behind for as long as a change waits for its
//! confirmation: the same program with the same arguments, which sleeps, and at the
//! deadline does what an agent's start would do. While an agent runs it does nothing.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::agent::start::{self, StartError};
use crate::agent::upkeep::lock::{self, LockError};
use crate::clock::{Clock, since_boot};
use crate::config::Config;
use crate::datapath;
use crate::store;

/// What the agent itself gets to take the change back.
const LATE: Duration = Duration::from_secs(1);

/// How long a guard looks on while an agent is there that ought to have done it.
const PATIENCE: u32 = 10;

/// What the guard does. To be called without a runtime.
///
/// # Errors
/// As an agent's start.
pub fn watch(config: &Config, within: Duration) -> Result<(), StartError> {
    let clock = Clock::system();
    let mut wait = within + LATE;
    let mut left = PATIENCE;
    loop {
        sleep(wait);
        // Locking it would make it.
        if left == 0 || !config.state_dir.is_dir() {
            return Ok(());
        }
        let state = match lock::state(&config.state_dir) {
            Ok(lock) => lock,
            Err(LockError::StateInUse { .. }) => {
                left -= 1;
                wait = LATE;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let pending = store::open(&config.state_dir, clock.clone())?
            .load()?
            .pending;
        let Some(pending) = pending else {
            return Ok(());
        };
        let remaining = pending.remaining(clock.now());
        if !remaining.is_zero() {
            // A later change waits now.
            drop(state);
            wait = remaining + LATE;
            continue;
        }
        tracing::warn!(
            revision = pending.revision,
            "no agent runs and the change was not confirmed: rolled back by the guard"
        );
        datapath::prepare_dir(&config.bpffs_dir, config.bpffs)?;
        let _pins = lock::pins(&config.bpffs_dir)?;
        let (sources, _) = mpsc::unbounded_channel();
        return start::start(config, sources, None).map(drop);
    }
}

/// Sleeps by the boot clock: `nanosleep(2)` does not count the time of a suspended machine.
fn sleep(wait: Duration) {
    const LOOK: Duration = Duration::from_secs(1);
    let until = since_boot() + wait;
    loop {
        let left = until.saturating_sub(since_boot());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(LOOK));
    }
}
