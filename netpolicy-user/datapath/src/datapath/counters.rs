//! Reading what the program counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use netpolicy_common::{CpuState, EventStats, HOST_SCOPE, MAX_SCOPES, Reason, ResetStats, ScopeId};

use super::{
    maps::Maps,
    sys::{ControlPage, Mapped},
};

/// All counters at about one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterSnapshot {
    /// Packets by scope and reason, all CPUs together; zeros are left out.
    pub rows: Vec<(ScopeId, Reason, u64)>,
    /// What became of events, all CPUs together.
    pub events: EventStats,
    /// What became of resets, all CPUs together.
    pub resets: ResetStats,
    /// When counting began: when the maps were pinned, by the wall clock of then. `None`: it is
    /// not known.
    pub since: Option<SystemTime>,
}

// Places of words in a CPU's state.
const SENT: usize = std::mem::offset_of!(CpuState, events.sent) / 8;
const LIMITED: usize = std::mem::offset_of!(CpuState, events.limited) / 8;
const OVERFLOWED: usize = std::mem::offset_of!(CpuState, events.overflowed) / 8;
const RESETS_SENT: usize = std::mem::offset_of!(CpuState, resets.sent) / 8;
const RESETS_LIMITED: usize = std::mem::offset_of!(CpuState, resets.limited) / 8;
const RESETS_WITHHELD: usize = std::mem::offset_of!(CpuState, resets.withheld) / 8;
const PACKETS: usize = std::mem::offset_of!(CpuState, packets) / 8;

/// A word of every CPU.
fn words(cpus: &Mapped<CpuState>, at: usize) -> impl Iterator<Item = &AtomicU64> {
    (0..cpus.len()).filter_map(move |cpu| cpus.word(cpu, at))
}

fn sum(cpus: &Mapped<CpuState>, at: usize) -> u64 {
    load_all(words(cpus, at))
}

fn load_all<'a>(words: impl Iterator<Item = &'a AtomicU64>) -> u64 {
    words.map(|word| word.load(Ordering::Relaxed)).sum()
}

/// The sum of what CPUs count of a scope and reason where nothing is reported:
/// [`netpolicy_common::CpuHead::blocked`] and [`netpolicy_common::CpuHead::banned`].
fn unreported(control: &ControlPage, scope: ScopeId, reason: Reason) -> u64 {
    match (scope, reason) {
        (HOST_SCOPE, Reason::Blocked) => load_all(control.cpus().map(|cpu| cpu.blocked)),
        (HOST_SCOPE, Reason::Banned) => load_all(control.cpus().map(|cpu| cpu.banned)),
        _ => 0,
    }
}

/// All counters, from shared memory.
pub(super) fn read(maps: &Maps) -> CounterSnapshot {
    read_pages(&maps.cpus, &maps.control)
}

/// The same, of these pages.
pub(super) fn read_pages(cpus: &Mapped<CpuState>, control: &ControlPage) -> CounterSnapshot {
    let mut rows = Vec::new();
    for scope in 0..MAX_SCOPES {
        let scope = ScopeId::try_from(scope).unwrap_or(ScopeId::MAX);
        for reason in Reason::ALL {
            let packets = sum(cpus, PACKETS + CpuState::row(scope, *reason))
                + unreported(control, scope, *reason);
            if packets > 0 {
                rows.push((scope, *reason, packets));
            }
        }
    }
    CounterSnapshot {
        rows,
        events: event_stats(cpus, control),
        resets: ResetStats {
            sent: sum(cpus, RESETS_SENT),
            limited: sum(cpus, RESETS_LIMITED),
            withheld: sum(cpus, RESETS_WITHHELD),
            due_ns: 0,
        },
        since: None,
    }
}

/// What became of events, all CPUs together.
pub(super) fn event_stats(cpus: &Mapped<CpuState>, control: &ControlPage) -> EventStats {
    EventStats {
        sent: sum(cpus, SENT),
        limited: sum(cpus, LIMITED)
            + unreported(control, HOST_SCOPE, Reason::Blocked)
            + unreported(control, HOST_SCOPE, Reason::Banned),
        overflowed: sum(cpus, OVERFLOWED),
    }
}

/// Sets a service's counters to zero, as nearly as programs that count meanwhile allow. The
/// host is always there, so its counters go on.
pub(super) fn reset(maps: &Maps, scope: ScopeId) {
    for reason in Reason::ALL {
        for word in words(&maps.cpus, PACKETS + CpuState::row(scope, *reason)) {
            word.store(0, Ordering::Relaxed);
        }
    }
}

/// Lets every CPU write this many events more: of denied attempts, and of those that pass.
pub(super) fn grant(control: &ControlPage, denied: u64, passed: u64) {
    for cpu in control.cpus() {
        cpu.allowance.store(denied, Ordering::Relaxed);
        cpu.sampled.store(passed, Ordering::Relaxed);
    }
}
