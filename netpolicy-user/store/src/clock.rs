//! Time: the kernel's boot clock for what expires, the wall clock for display.
//!
//! The wall clock is set by hand and by NTP, forwards and backwards; the boot clock
//! (`CLOCK_BOOTTIME`) only runs, also while the machine is suspended, and it is the clock by
//! which the kernel lets bypasses expire. So whatever has a deadline is measured by [`Clock::now`],
//! and only shown by the wall clock ([`Clock::shown`]). Must not know what has a deadline.

use std::fmt;
use std::fs;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Two clocks are not read at the same instant, and NTP slews both: a difference below this is
/// none.
const SAME: SignedDuration = SignedDuration::from_millis(500);

/// Pairs of both clocks that are read for a scale.
const PAIRS: usize = 5;

/// Where the time comes from.
pub trait TimeSource: Send + Sync {
    /// The wall clock.
    fn wall(&self) -> Timestamp;

    /// The kernel's boot clock: time since boot, suspension included.
    fn since_boot(&self) -> Duration;

    /// The boot's id; empty: unknown, and the same as no other.
    fn boot(&self) -> &str;
}

/// A time scale that follows the boot clock. It agrees with the wall clock at the moment at
/// which it is made, and a wall clock that is set later does not move it.
#[derive(Clone)]
pub struct Clock {
    source: Arc<dyn TimeSource>,
    /// The scale's time at boot.
    origin: Timestamp,
}

impl Clock {
    /// The machine's clocks: one scale for the process.
    #[must_use]
    pub fn system() -> Self {
        static SYSTEM: LazyLock<Clock> =
            LazyLock::new(|| Clock::new(Arc::new(SystemClocks::read())));
        SYSTEM.clone()
    }

    /// A scale that agrees with the wall clock now.
    #[must_use]
    pub fn new(source: Arc<dyn TimeSource>) -> Self {
        // Between two reads a thread may stand still: the pair that was read fastest counts.
        let pairs = (0..PAIRS).map(|_| {
            let before = source.since_boot();
            let wall = source.wall();
            let took = source.since_boot().saturating_sub(before);
            (took, wall, before + took / 2)
        });
        let fastest = pairs.min_by_key(|(took, ..)| *took);
        let origin = fastest.and_then(|(_, wall, since)| wall.checked_sub(signed(since)).ok());
        Self {
            origin: origin.unwrap_or(Timestamp::UNIX_EPOCH),
            source,
        }
    }

    /// Now, by the boot clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.at(signed(self.source.since_boot()))
    }

    /// Now, by the wall clock.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        self.source.wall()
    }

    /// What the wall clock shows at `time` of this scale, unless it is set again.
    #[must_use]
    pub fn shown(&self, time: Timestamp) -> Timestamp {
        let step = self.wall().duration_since(self.now());
        if step.abs() < SAME {
            return time;
        }
        time.checked_add(step).unwrap_or(time)
    }

    /// The time of this scale that the wall clock means by `time`, unless it is set again: the
    /// inverse of [`Self::shown`].
    #[must_use]
    pub fn meant(&self, time: Timestamp) -> Timestamp {
        let step = self.wall().duration_since(self.now());
        if step.abs() < SAME {
            return time;
        }
        time.checked_sub(step).unwrap_or(time)
    }

    /// A time of this scale by the boot clock.
    #[must_use]
    pub fn since_boot(&self, time: Timestamp) -> SignedDuration {
        time.duration_since(self.origin)
    }

    /// A time by the boot clock on this scale.
    #[must_use]
    pub fn at(&self, since_boot: SignedDuration) -> Timestamp {
        let end = if since_boot.is_negative() {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        };
        self.origin.checked_add(since_boot).unwrap_or(end)
    }

    /// The boot's id; empty if it is unknown.
    #[must_use]
    pub fn boot(&self) -> &str {
        self.source.boot()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// The kernel's boot clock, by which `bpf_ktime_get_boot_ns` measures: a process in a time
/// namespace is shown another one, which is corrected here (time_namespaces(7)).
#[must_use]
pub fn since_boot() -> Duration {
    static OFFSET: LazyLock<i128> = LazyLock::new(|| {
        // A kernel without time namespaces has no such file.
        let offsets = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        boot_offset(&offsets)
    });
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let shown = i128::from(now.tv_sec) * NANOS + i128::from(now.tv_nsec);
    Duration::from_nanos(u64::try_from(shown - *OFFSET).unwrap_or_default())
}

const NANOS: i128 = 1_000_000_000;

/// How far a time namespace moves the boot clock, nanoseconds: of lines such as
/// "boottime     86400         0".
fn boot_offset(offsets: &str) -> i128 {
    let line = offsets.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        match fields[..] {
            ["boottime", seconds, nanos] => {
                Some(seconds.parse::<i128>().ok()? * NANOS + nanos.parse::<i128>().ok()?)
            }
            _ => None,
        }
    });
    line.unwrap_or(0)
}

/// The machine's clocks.
struct SystemClocks {
    boot: String,
}

impl SystemClocks {
    fn read() -> Self {
        // Unreadable: what was stored is then taken for another boot's, which prolongs nothing.
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            boot: id.trim().to_owned(),
        }
    }
}

impl TimeSource for SystemClocks {
    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn since_boot(&self) -> Duration {
        since_boot()
    }

    fn boot(&self) -> &str {
        &self.boot
    }
}

/// For tests of what has deadlines.
#[doc(hidden)]
#[expect(
    clippy::unwrap_used,
    clippy::new_without_default,
    reason = "a test fails by panicking"
)]
pub mod testing;
#[cfg(test)]
mod tests {
    use super::testing::Hands;
    use super::*;

    #[test]
    fn setting_the_wall_clock_moves_no_deadline() {
        let hands = Hands::new();
        let clock = hands.clock();
        let begun = clock.now();
        assert_eq!(begun, clock.wall());
        for step in [86_400, -172_800] {
            hands.set_wall(step);
            assert_eq!(clock.now(), begun, "{step}");
            let shown = clock.shown(begun).duration_since(clock.wall());
            assert_eq!(shown.as_secs(), 0, "{step}");
        }
        hands.pass(Duration::from_secs(30));
        assert_eq!(clock.now().duration_since(begun).as_secs(), 30);
        let since_boot = clock.since_boot(begun);
        assert_eq!(clock.at(since_boot), begun);
    }

    #[test]
    fn time_namespaces_offset_is_read() {
        let table = "monotonic           0         0\nboottime       -3600 500000000\n";
        assert_eq!(boot_offset(table), -3600 * NANOS + 500_000_000);
        assert_eq!(boot_offset(""), 0);
    }

    #[test]
    fn system_clocks_advance_and_the_boot_has_an_id() {
        let clock = Clock::system();
        assert_eq!(clock.boot().len(), 36, "{}", clock.boot());
        let before = clock.now();
        std::thread::sleep(Duration::from_millis(20));
        assert!(clock.now() > before);
        assert_eq!(clock.shown(before), before);
    }
}
