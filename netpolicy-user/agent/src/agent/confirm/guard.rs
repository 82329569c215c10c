//! The process that is left behind for as long as a change waits for its confirmation.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The option by which a process knows that it is the guard; its value is in seconds.
pub const OPTION: &str = "roll-back-after";

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
