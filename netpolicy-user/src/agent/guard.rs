//! A process of its own that takes an unconfirmed change back if the agent is gone.
//!
//! Who locks himself out by a change that also brings the agent down could not even start
//! it again. So the agent leaves a guard behind for as long as a change waits for its
//! confirmation: the same program with the same arguments, which sleeps, and at the
//! deadline does what an agent's start would do. While an agent runs it does nothing.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::sync::mpsc;

use super::lock::{self, LockError};
use super::start::{self, StartError};
use crate::clock::{Clock, since_boot};
use crate::config::Config;
use crate::datapath;
use crate::store;

/// The option by which a process knows that it is the guard; its value is in seconds.
pub const OPTION: &str = "take-back-after";

/// What the agent itself gets to take the change back.
const LATE: Duration = Duration::from_secs(1);

/// How long a guard looks on while an agent is there that ought to have done it.
const PATIENCE: u32 = 10;

/// A guard that was left.
#[derive(Debug)]
pub struct Guard(Child);

impl Guard {
    /// Starts one: this program with the agent's own arguments.
    ///
    /// # Errors
    /// The system starts no process.
    pub fn start(arguments: &[OsString], within: Duration) -> io::Result<Self> {
        // Rounded up: never before the deadline.
        let seconds = within.as_secs() + u64::from(within.subsec_nanos() > 0);
        Command::new("/proc/self/exe")
            .args(arguments)
            .arg(format!("--{OPTION}={seconds}"))
            // What ends the agent's process group is not to end this one.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .spawn()
            .map(Self)
    }

    /// Ends it: nothing waits for a confirmation any more.
    pub fn end(mut self) {
        // One that has ended by itself is only waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

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
