//! What the program reports about single packets.

use crate::{MAX_SCOPES, Reason, ResetStats, ScopeId};

/// A connection attempt that was judged: one that was dropped, or would have been in enforce
/// mode, or one of [`Reason::is_sampled`] that passed.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds since boot (`CLOCK_BOOTTIME`).
    pub time_ns: u64,
    /// The generation of the ruleset that judged it.
    pub generation: u64,
    /// Network order; an IPv4 address in the first four bytes, the rest zero.
    pub source: [u8; 16],
    /// Network order, like `source`.
    pub destination: [u8; 16],
    /// Interface it came in on.
    pub ifindex: u32,
    /// Host order; 0 when the packet holds no ports.
    pub source_port: u16,
    /// Host order; 0 when the packet holds no ports.
    pub destination_port: u16,
    /// Scope in which it was judged.
    pub scope: u16,
    /// A [`crate::Reason`].
    pub reason: u8,
    /// 4 or 6.
    pub family: u8,
    /// Zero.
    pub reserved: [u8; 4],
}

const _: () = assert!(size_of::<Event>() == 64);

/// Per CPU: what became of events.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventStats {
    /// Written to the ring buffer.
    pub sent: u64,
    /// Not written: the CPU's allowance was used up.
    pub limited: u64,
    /// Not written: the ring buffer was full.
    pub overflowed: u64,
}

/// What a CPU's programs write: an element of a memory-mapped array for each CPU.
#[repr(C)]
pub struct CpuState {
    /// What became of events.
    pub events: EventStats,
    /// What became of resets.
    pub resets: ResetStats,
    /// Packets, by scope and [`Reason`]; see [`CpuState::row`].
    pub packets: [u64; (MAX_SCOPES * Reason::SLOTS) as usize],
}

impl CpuState {
    /// The index of a scope's and reason's packets.
    #[inline(always)]
    #[must_use]
    pub const fn row(scope: ScopeId, reason: Reason) -> usize {
        (scope as usize * Reason::SLOTS as usize + reason as usize)
            % (MAX_SCOPES * Reason::SLOTS) as usize
    }
}

const _: () = assert!(size_of::<CpuState>().is_multiple_of(8));
