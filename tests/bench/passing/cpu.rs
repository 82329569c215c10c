//! Which processor a thread runs on.

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// A processor by its place in a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cpu {
    /// The first: senders and clients.
    First,
    /// The last: receivers, servers, and the filter under a flood.
    Last,
}

impl Cpu {
    /// Its number; both are the same where there is only one.
    pub(super) fn number(self) -> usize {
        match self {
            Self::First => 0,
            Self::Last => count() - 1,
        }
    }
}

/// How many there are.
pub(super) fn count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Keeps the calling thread there.
pub(super) fn pin(cpu: Cpu) {
    let mut set = CpuSet::new();
    if set.set(cpu.number()).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}
