//! Child processes that do not outlive the task.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use crate::stop::Stop;

/// How long a process may take to end when asked to, before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A child process, ended when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

/// Starts a child: in a process group of its own, so that Ctrl-C reaches only the task,
/// which then ends its children in order; and ended by the kernel when the task's
/// calling thread is killed. In a network namespace, if one is given.
///
/// # Errors
/// When the program or the namespace is not there.
pub(crate) fn start(mut command: Command, namespace: Option<&Path>) -> Result<Process> {
    let namespace = namespace.map(open_namespace).transpose()?;
    let enter = move || {
        set_pdeathsig(Signal::SIGTERM)?;
        // What the task blocks to receive it elsewhere would stay blocked in the child.
        SigSet::empty().thread_set_mask()?;
        if let Some(namespace) = &namespace {
            setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes three system calls, and neither
    // allocates nor takes a lock.
    unsafe { command.pre_exec(enter) };
    command.process_group(0).stdin(Stdio::null());
    let program = command.get_program().display().to_string();
    let child = command
        .spawn()
        .with_context(|| format!("start {program}"))?;
    Ok(Process { child })
}

/// Opens a network namespace by its file.
///
/// # Errors
/// When it is not there.
pub(crate) fn open_namespace(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("open the network namespace {}", path.display()))
}

impl Process {
    /// Its exit status, if it has ended.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("look after a child process")
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// [`Interrupted`](crate::stop::Interrupted) when asked to stop before.
    pub(crate) fn wait(&mut self, stop: &Stop) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if stop.wait(Duration::from_millis(5)) {
                stop.check()?;
            }
        }
    }

    /// Asks it to end, and kills it when it does not.
    pub(crate) fn end(&mut self) {
        if let Ok(id) = i32::try_from(self.child.id())
            && matches!(self.child.try_wait(), Ok(None))
        {
            // Not yet waited for, so the id is still this process's.
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
            let deadline = Instant::now() + GRACE;
            while Instant::now() < deadline {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                thread::sleep(Duration::from_millis(5));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_ends_with_its_guard() {
        let mut command = Command::new("sleep");
        command.arg("600");
        let mut process = start(command, None).unwrap();
        assert!(process.ended().unwrap().is_none());
        let proc = format!("/proc/{}", process.child.id());
        assert!(Path::new(&proc).exists());
        drop(process);
        assert!(!Path::new(&proc).exists());
    }

    #[test]
    fn what_cannot_be_started_is_named() {
        let error = start(Command::new("/nonexistent/program"), None).unwrap_err();
        assert!(
            format!("{error:#}").contains("/nonexistent/program"),
            "{error:#}"
        );
        let error = start(Command::new("true"), Some(Path::new("/nonexistent/ns"))).unwrap_err();
        assert!(
            format!("{error:#}").contains("/nonexistent/ns"),
            "{error:#}"
        );
    }
}
