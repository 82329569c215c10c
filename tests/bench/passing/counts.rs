//! What a site's host has received.

use std::{fs, ops::Sub};

use netpolicy_tests::host::NIC;

use super::site::Site;

/// Counts so far, or between two moments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    /// Packets that came in at the filtered interface, whatever became of them. Those that the
    /// device had no room for are not among them.
    pub(super) packets: u64,
    /// TCP segments that came to the host's stack.
    pub(super) segments: u64,
}

impl Counts {
    pub(super) fn of(site: &Site) -> Self {
        let read = |file| fs::read_to_string(file).expect("read the host's counters");
        let (devices, protocols) = site.db().run(|| {
            (
                read("/proc/thread-self/net/dev"),
                read("/proc/thread-self/net/snmp"),
            )
        });
        // Receive: bytes, packets, errs, drop, …; see `net/core/net-procfs.c`.
        let line = devices.lines().find_map(|line| {
            let (name, counters) = line.split_once(':')?;
            (name.trim() == NIC).then_some(counters)
        });
        // A line of names, and a line of as many numbers.
        let mut tcp = protocols.lines().filter(|line| line.starts_with("Tcp:"));
        let names = tcp.next().unwrap_or_default();
        let at = names.split_whitespace().position(|name| name == "InSegs");
        Self {
            packets: number(line, 1),
            segments: number(tcp.next(), at.expect("InSegs")),
        }
    }

    /// Packets that the filter dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.packets.saturating_sub(self.segments)
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            packets: self.packets - before.packets,
            segments: self.segments - before.segments,
        }
    }
}

fn number(line: Option<&str>, at: usize) -> u64 {
    let number = line.and_then(|line| line.split_whitespace().nth(at)?.parse().ok());
    number.expect("a counter")
}
