//! Which scenarios are measured, and beside which filters.

use std::time::{Duration, Instant};

use crate::{
    bound,
    filters::{MOST_HOSTS, Sense},
    frame::Packets,
    lists::{Family, Kind},
    rate::{self, Choice, Scenario},
    report::Report,
    sources::Sources,
};

const BLOCKLIST: Scenario = Scenario {
    kind: Kind::Mix,
    sense: Sense::Block,
    family: Family::V4,
    entries: 1_000,
    sources: Sources::Listed,
    packets: Packets::Attempts,
};

const NETPOLICY: [Choice; 2] = [Choice::Flat, Choice::Lpm];
const PEERS: [Choice; 4] = [Choice::Flat, Choice::Lpm, Choice::Ipset, Choice::Nftables];
/// The time after which the quick run begins with no further large list: what is to
/// be done in 45 s has to be done on slower machines, too.
const ENOUGH: Duration = Duration::from_secs(28);

/// For what has shares with idle time: they differ by its steps.
const LONG: Duration = Duration::from_secs(16);

/// The headline figures. Those of the largest list only while there is time.
pub(crate) fn quick(report: &mut Report) {
    let begin = Instant::now();
    rate::check_machine();
    let time = Duration::from_secs(2);
    for entries in [1_000, 100_000] {
        let scenario = Scenario {
            entries,
            ..BLOCKLIST
        };
        rate::measure(report, &scenario, &NETPOLICY, time);
    }
    let million = Scenario {
        entries: 1_000_000,
        ..BLOCKLIST
    };
    let peers = rate::available(report, &PEERS);
    rate::measure(report, &million, &peers, time * 2);
    let ipv6 = Scenario {
        family: Family::V6,
        entries: 100_000,
        ..BLOCKLIST
    };
    rate::measure(report, &ipv6, &NETPOLICY, time);
    let established = Scenario {
        entries: 100_000,
        packets: Packets::Established,
        ..BLOCKLIST
    };
    rate::measure(report, &established, &NETPOLICY, time);
    for (family, entries) in [(Family::V4, 4_000_000), (Family::V6, 1_000_000)] {
        if begin.elapsed() > ENOUGH {
            report.progress(&format!("no time is left for {} {entries}", family.name()));
            return;
        }
        let large = Scenario {
            family,
            entries,
            ..BLOCKLIST
        };
        rate::measure(report, &large, &[Choice::Flat], time);
    }
}

/// Everything, with lists of these sizes.
pub(crate) fn full<S: Iterator<Item = usize>>(report: &mut Report, sizes: impl Fn() -> S) {
    rate::check_machine();
    let time = Duration::from_secs(10);
    let peers = rate::available(report, &PEERS);
    let with_hosts = [&peers[..], &rate::available(report, &[Choice::XdpFilter])].concat();
    for family in [Family::V4, Family::V6] {
        for entries in sizes() {
            bound::measure(report, &blocklist(family, entries), &peers, LONG);
            for sources in [Sources::Unlisted, Sources::Mixed] {
                let scenario = Scenario {
                    family,
                    entries,
                    sources,
                    ..BLOCKLIST
                };
                rate::measure(report, &scenario, &peers, time);
            }
        }
        established(report, family, time);
        allowlist(report, family, &peers, time);
        hosts(report, family, &with_hosts, time);
    }
}

/// What bounds the flat engine, with lists of these sizes, beside no other filter.
pub(crate) fn bounds<S: Iterator<Item = usize>>(report: &mut Report, sizes: impl Fn() -> S) {
    rate::check_machine();
    for family in [Family::V4, Family::V6] {
        for entries in sizes() {
            let scenario = blocklist(family, entries);
            bound::measure(report, &scenario, &[Choice::Flat], LONG);
        }
    }
}

fn blocklist(family: Family, entries: usize) -> Scenario {
    Scenario {
        family,
        entries,
        ..BLOCKLIST
    }
}

/// Packets of open connections, of listed sources: all pass.
fn established(report: &mut Report, family: Family, time: Duration) {
    let scenario = Scenario {
        family,
        entries: 100_000,
        packets: Packets::Established,
        ..BLOCKLIST
    };
    rate::measure(report, &scenario, &NETPOLICY, time);
}

/// Only a country may connect.
fn allowlist(report: &mut Report, family: Family, choices: &[Choice], time: Duration) {
    for sources in [Sources::Unlisted, Sources::Listed, Sources::Mixed] {
        let scenario = Scenario {
            kind: Kind::Country,
            sense: Sense::Allow,
            family,
            entries: match family {
                Family::V4 => 40_000,
                Family::V6 => 20_000,
            },
            sources,
            ..BLOCKLIST
        };
        rate::measure(report, &scenario, choices, time);
    }
}

/// Hosts alone, which is all that xdp-filter takes.
fn hosts(report: &mut Report, family: Family, choices: &[Choice], time: Duration) {
    for entries in [1_000, MOST_HOSTS] {
        let scenario = Scenario {
            kind: Kind::Hosts,
            family,
            entries,
            ..BLOCKLIST
        };
        rate::measure(report, &scenario, choices, time);
    }
}
