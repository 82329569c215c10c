//! Answers to denied connection attempts: TCP resets, where a scope's flags ask for them
//! ([`crate::ScopeFlags::OWN_RESET`]).

/// What the program is told of an interface at which it can send. It answers nothing that
/// arrives at another one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answering {
    /// The link-layer addresses of the interface and of the bridge or bond that it is a port of;
    /// twice the same without one. A frame to another is not answered: it is another host's.
    /// Without meaning where frames have no Ethernet header.
    pub addresses: [[u8; 6]; 2],
    /// Zero.
    pub reserved: [u8; 4],
}

const _: () = assert!(size_of::<Answering>() == 16);

/// Interfaces of which the program is told.
pub const ANSWERING_INTERFACES: usize = 1024;

/// Per CPU: what became of the answers to denied attempts.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResetStats {
    /// Handed to the interface.
    pub sent: u64,
    /// Not sent: the CPU had sent as many as it may.
    pub limited: u64,
    /// Not sent: the interface cannot send, the frame was no unicast one to this host, or it had
    /// options, extension headers or a fragment header.
    pub withheld: u64,
    /// The time, in nanoseconds of the coarse monotonic clock, by which all that were sent are
    /// within the limit: later by an equal part of a second for each.
    pub due_ns: u64,
}

/// Resets that a CPU may send at once after a pause: those of so long a time. Ten ticks of the
/// coarse clock at least (`CONFIG_HZ` is 100 or more).
pub const RESET_BURST_NS: u64 = 100_000_000;

const SECOND_NS: u64 = 1_000_000_000;

/// Whether one more may be sent, by [`ResetStats::due_ns`]; then what that is after it.
#[inline(always)]
#[must_use]
pub const fn next_due(per_second: u64, due_ns: u64, now_ns: u64) -> Option<u64> {
    if per_second == 0 {
        return None;
    }
    let earliest = now_ns.saturating_sub(RESET_BURST_NS);
    let due = if due_ns > earliest { due_ns } else { earliest };
    if due > now_ns {
        return None;
    }
    Some(due + SECOND_NS / per_second)
}

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, bytes without padding, every bit pattern is valid.
unsafe impl aya::Pod for Answering {}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many attempts a second are answered within some seconds.
    fn sent(per_second: u64, attempts_per_second: u64, seconds: u64) -> u64 {
        let (mut due, mut sent) = (0, 0);
        let start = 5 * SECOND_NS;
        for attempt in 0..attempts_per_second * seconds {
            let now = start + attempt * SECOND_NS / attempts_per_second;
            if let Some(next) = next_due(per_second, due, now) {
                due = next;
                sent += 1;
            }
        }
        sent
    }

    #[test]
    fn resets_are_limited_to_the_rate_and_a_burst() {
        // A tenth of a second's at once, then the rate.
        let limited = sent(1000, 100_000, 3);
        assert!((3000..=3101).contains(&limited), "{limited}");
        let slow = sent(1, 1000, 10);
        assert!((10..=11).contains(&slow), "{slow}");
    }

    #[test]
    fn ticks_of_the_clock_make_no_difference_to_the_rate() {
        const TICK_NS: u64 = 10_000_000;
        let (mut due, mut sent) = (0, 0);
        for attempt in 0..300_000 {
            let now = (5 * SECOND_NS + attempt * 10_000) / TICK_NS * TICK_NS;
            if let Some(next) = next_due(1000, due, now) {
                due = next;
                sent += 1;
            }
        }
        assert!((2990..=3101).contains(&sent), "{sent}");
    }

    #[test]
    fn slow_attempts_are_all_answered() {
        assert_eq!(sent(1000, 500, 3), 1500);
        assert_eq!(sent(1, 1, 5), 5);
    }

    #[test]
    fn rate_of_zero_answers_nothing_and_a_huge_one_everything() {
        assert_eq!(sent(0, 100, 1), 0);
        assert_eq!(sent(u64::MAX, 100_000, 1), 100_000);
    }
}
