//! Attempts that were reported and are not attributed yet.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use jiff::Timestamp;
use netpolicy_common::{Event, Reason, ScopeId};

use super::ledger::{CountedKind, Ledger, is_remembered};
use super::period::Period;
use crate::clock::since_boot;

/// Sources that wait; what more come are counted without their source.
const MOST: usize = 400_000;

/// Attempts that are attributed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PendingKey {
    pub(super) generation: u64,
    pub(super) scope: ScopeId,
    pub(super) reason: Reason,
    pub(super) source: IpAddr,
}

impl PendingKey {
    /// What the kernel counts them as.
    pub(super) fn kind(&self) -> CountedKind {
        (self.scope, self.reason)
    }
}

/// How many, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenAttempts {
    pub(super) count: u32,
    pub(super) span: Period,
}

/// Attempts that wait.
pub(super) type PendingAttempts = HashMap<PendingKey, SeenAttempts>;

/// Puts reported attempts to those that wait, and tells the ledger; how many they are.
pub(super) fn take(pending: &mut PendingAttempts, ledger: &mut Ledger, events: &[Event]) -> u64 {
    let clock = WallClock::now();
    let mut taken = 0;
    for event in events {
        let (Some(reason), Some(source)) = (Reason::from_u8(event.reason), source(event)) else {
            continue;
        };
        if !is_remembered(reason) {
            continue;
        }
        let key = PendingKey {
            generation: event.generation,
            scope: event.scope,
            reason,
            source,
        };
        if pending.len() >= MOST && !pending.contains_key(&key) {
            continue;
        }
        let at = clock.millis(event.time_ns);
        let seen = pending.entry(key).or_insert(SeenAttempts {
            count: 0,
            span: Period {
                first: at,
                last: at,
            },
        });
        seen.count = seen.count.saturating_add(1);
        seen.span.first = seen.span.first.min(at);
        seen.span.last = seen.span.last.max(at);
        ledger.report(key.kind(), 1);
        taken += 1;
    }
    taken
}

fn source(event: &Event) -> Option<IpAddr> {
    match event.family {
        4 => {
            let [a, b, c, d, ..] = event.source;
            Some(Ipv4Addr::new(a, b, c, d).into())
        }
        6 => Some(Ipv6Addr::from(event.source).into()),
        _ => None,
    }
}

/// What the wall clock showed at an instant of the boot clock, by how long ago it was.
struct WallClock {
    /// Milliseconds since 1970.
    now: i64,
    boot: Duration,
}

impl WallClock {
    fn now() -> Self {
        Self {
            now: Timestamp::now().as_millisecond(),
            boot: since_boot(),
        }
    }

    fn millis(&self, boot_ns: u64) -> i64 {
        let ago = self.boot.saturating_sub(Duration::from_nanos(boot_ns));
        self.now
            .saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX))
    }
}
