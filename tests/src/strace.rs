//! strace(1) at one thread of a process: which system calls it makes, and faults in their
//! place.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{DatabaseHost, binary};

const ATTACH: Duration = Duration::from_secs(20);

/// A system call that a thread made: its name, and that it was the n-th of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// "pwrite64".
    pub name: String,
    /// 1 for the first of this name.
    pub occurrence: usize,
}

/// strace, attached; detached when dropped.
#[derive(Debug)]
pub struct Strace {
    child: Child,
    log: PathBuf,
}

impl Strace {
    /// Attaches to the thread of this name, and only watches.
    ///
    /// # Panics
    /// When strace or the thread is not there.
    #[must_use]
    pub fn watch(pid: u32, thread: &str, log: &Path) -> Self {
        Self::attach(pid, thread, log, &["-e", "trace=all"])
    }

    /// Attaches, and does `fault` at a system call: `signal=KILL` or `error=ENOSPC`
    /// (strace(1), "Tampering").
    ///
    /// # Panics
    /// When strace or the thread is not there.
    #[must_use]
    pub fn inject(pid: u32, thread: &str, log: &Path, call: &Call, fault: &str) -> Self {
        let Call { name, occurrence } = call;
        let inject = format!("inject={name}:{fault}:when={occurrence}");
        Self::attach(
            pid,
            thread,
            log,
            &["-e", &format!("trace={name}"), "-e", &inject],
        )
    }

    fn attach(pid: u32, thread: &str, log: &Path, args: &[&str]) -> Self {
        let _ = fs::remove_file(log);
        let thread = thread_id(pid, thread);
        let said = log.with_extension("err");
        let child = Command::new("strace")
            .args(["-p", &thread.to_string(), "-o"])
            .arg(log)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&said).expect("make strace's log"))
            .spawn()
            .expect("start strace: `cargo xtask setup` installs it");
        let strace = Self {
            child,
            log: log.to_owned(),
        };
        let deadline = Instant::now() + ATTACH;
        loop {
            let text = fs::read_to_string(&said).unwrap_or_default();
            if text.contains("attached") {
                return strace;
            }
            assert!(Instant::now() < deadline, "strace did not attach: {text}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Detaches, and tells which system calls there were, in their order.
    ///
    /// # Panics
    /// When strace's log cannot be read.
    #[must_use]
    pub fn calls(mut self) -> Vec<Call> {
        self.end();
        let text = fs::read_to_string(&self.log).expect("read strace's log");
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let names = text.lines().filter_map(name);
        names
            .map(|name| {
                let count = seen.entry(name).or_default();
                *count += 1;
                Call {
                    name: name.to_owned(),
                    occurrence: *count,
                }
            })
            .collect()
    }

    /// Detaches, and tells whether the fault was injected.
    #[must_use]
    pub fn injected(mut self) -> bool {
        self.end();
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.contains("(INJECTED)")
    }

    fn end(&mut self) {
        let pid = i32::try_from(self.child.id()).map(nix::unistd::Pid::from_raw);
        if let (Ok(pid), Ok(None)) = (pid, self.child.try_wait()) {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        self.end();
    }
}

/// `netpolicy` with these arguments as a host runs it, under strace with its own.
#[must_use]
pub fn traced(host: &DatabaseHost, strace: &[String], args: &[&str]) -> Command {
    let plain = host.command();
    let mut command = host.db().command("strace");
    command.args(strace).arg(binary::netpolicy()).args(args);
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(dir) = plain.get_current_dir() {
        command.current_dir(dir);
    }
    command
}

/// Arguments with which strace runs a command and logs those of its system calls, in all of its
/// threads.
#[must_use]
pub fn logging(calls: &str, log: &Path) -> Vec<String> {
    let log = log.display().to_string();
    ["-f", "-qq", "-o", &log, "-e", &format!("trace={calls}")]
        .map(str::to_owned)
        .to_vec()
}

/// Arguments with which strace runs a command and kills it at a system call, before that
/// happens, in whichever thread makes it first.
#[must_use]
pub fn killing(call: &Call) -> Vec<String> {
    let Call { name, occurrence } = call;
    let inject = format!("inject={name}:signal=KILL:when={occurrence}");
    [
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &format!("trace={name}"),
        "-e",
        &inject,
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The system calls in a log of [`logging`]'s, each once, in their order.
///
/// # Panics
/// When the log cannot be read.
#[must_use]
pub fn logged(log: &Path) -> Vec<Call> {
    let text = fs::read_to_string(log).expect("read strace's log");
    let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let Some(name) = name(rest.trim_start()) else {
            continue;
        };
        // strace counts for each thread by itself.
        let count = seen.entry((thread, name)).or_default();
        *count += 1;
        let call = Call {
            name: name.to_owned(),
            occurrence: *count,
        };
        if !calls.contains(&call) {
            calls.push(call);
        }
    }
    calls
}

/// The name of the system call in a line of strace's.
fn name(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('(')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(is_name)).then_some(name)
}

/// The thread of this name.
fn thread_id(pid: u32, name: &str) -> u32 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("list the threads");
    let mut threads = tasks.flatten().filter(|task| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    });
    let thread = threads.next().expect("a thread of this name");
    let id = thread.file_name().into_string().expect("digits");
    id.parse().expect("a thread's number")
}
