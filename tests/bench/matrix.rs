//! Which scenarios are measured, and with which filters.

use std::time::Duration;

use crate::{
    bound,
    choice::{Choice, available},
    filters::{MOST_HOSTS, Sense},
    frame::Packets,
    lists::{Family, Kind},
    rate::{self, Scenario},
    report::Report,
    sources::Sources,
};

pub(crate) const BLOCKLIST: Scenario = Scenario {
    kind: Kind::Mix,
    sense: Sense::Block,
    family: Family::V4,
    entries: 1_000,
    sources: Sources::Listed,
    packets: Packets::Attempts,
};

pub(crate) const NETPOLICY: [Choice; 2] = [Choice::Flat, Choice::Lpm];
pub(crate) const PEERS: [Choice; 4] = [Choice::Flat, Choice::Lpm, Choice::Ipset, Choice::Nftables];

/// All that a list of hosts is measured with.
pub(crate) const WITH_HOSTS: [Choice; 5] = [
    Choice::Flat,
    Choice::Lpm,
    Choice::Ipset,
    Choice::Nftables,
    Choice::XdpFilter,
];

/// For what has shares with idle time: they differ by its steps.
const LONG: Duration = Duration::from_secs(16);

/// Everything, with lists of these sizes.
pub(crate) fn full<S: Iterator<Item = usize>>(report: &mut Report, sizes: impl Fn() -> S) {
    rate::check_machine();
    let time = Duration::from_secs(10);
    let with_hosts = available(report, &WITH_HOSTS);
    let peers: Vec<Choice> = with_hosts
        .iter()
        .copied()
        .filter(|choice| PEERS.contains(choice))
        .collect();
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
        established(report, family, &peers, time);
        allowlist(report, family, &peers, time);
        hosts(report, family, &with_hosts, time);
    }
}

/// What bounds the flat engine, with lists of these sizes, and no other filter.
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

/// Packets of open connections, of listed sources: all pass. xdp-filter takes no part, since
/// it cannot tell them from attempts.
fn established(report: &mut Report, family: Family, choices: &[Choice], time: Duration) {
    let scenario = Scenario {
        family,
        entries: 100_000,
        packets: Packets::Established,
        ..BLOCKLIST
    };
    rate::measure(report, &scenario, choices, time);
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
        for (sources, time) in [
            (Sources::Listed, time),
            (Sources::Unlisted, time / 2),
            (Sources::Mixed, time / 2),
        ] {
            let scenario = Scenario {
                kind: Kind::Hosts,
                family,
                entries,
                sources,
                ..BLOCKLIST
            };
            rate::measure(report, &scenario, choices, time);
        }
    }
}
