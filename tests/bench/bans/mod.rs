//! `cargo xtask bench bans`: how fast bans are in force and durable, what it takes to keep a
//! million of them, and how fast packets of banned sources are dropped.

mod api;
mod bulk;
pub(crate) mod churn;
mod clients;
mod flood;

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use netpolicy_tests::{packet::HOST_V4, wiring::CLIENT_V4};

use crate::{
    choice::Choice,
    lists::{self, Family, Kind},
    random::Random,
    report::{Measured, Report},
};

/// What bans are compared with.
pub(crate) const PEERS: [Choice; 2] = [Choice::Ipset, Choice::Nftables];

/// A part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// 100,000 bans in one request
    Bulk,
    /// Single bans by 100 clients
    Clients,
    /// 1,000,000 bans that come and go
    Churn,
    /// A flood from banned sources
    BannedFlood,
}

/// How long everything takes.
#[derive(Clone, Copy, Debug)]
struct Plan {
    rounds: usize,
    /// A turn of the clients.
    clients: Duration,
    /// How long bans come and go.
    churn: Duration,
    /// Bans that are kept, and those of the flood.
    many: usize,
}

/// About 2 minutes.
const QUICK: Plan = Plan {
    rounds: 3,
    clients: Duration::from_secs(2),
    churn: Duration::from_secs(10),
    many: 1_000_000,
};

/// About 5 minutes.
const FULL: Plan = Plan {
    rounds: 7,
    clients: Duration::from_secs(4),
    churn: Duration::from_secs(60),
    many: 1_000_000,
};

/// Measures these parts of it, or all.
pub(crate) fn run(report: &mut Report, is_quick: bool, parts: &[Part]) {
    let plan = if is_quick { QUICK } else { FULL };
    let wants = |part: Part| parts.is_empty() || parts.contains(&part);
    if wants(Part::Bulk) {
        bulk::run(report, plan);
    }
    if wants(Part::Clients) {
        clients::run(report, plan);
    }
    if wants(Part::Churn) {
        churn::run(report, plan);
    }
    if wants(Part::BannedFlood) {
        flood::run(report, plan);
    }
}

/// Nine in ten are hosts, the rest networks; none holds an address of the host, of its clients
/// or of the loopback interface, which are never banned.
fn mix(entries: usize) -> Vec<IpNet> {
    let mut random = Random(entries as u64);
    let own: [IpAddr; 3] =
        [HOST_V4, CLIENT_V4, "127.0.0.1"].map(|own| own.parse().expect("an address"));
    // Some more than are wanted, for those that are left out.
    let mut nets = lists::list(Kind::Mix, Family::V4, entries + 64, &mut random);
    nets.retain(|net| !own.iter().any(|address| net.contains(address)));
    // In the order in which they come, not sorted.
    for at in (1..nets.len()).rev() {
        nets.swap(at, random.below(at + 1));
    }
    nets.truncate(entries);
    nets
}

/// What was measured by turns, and what of it is compared.
struct Turns<'a> {
    figure: &'static str,
    unit: &'static str,
    entries: usize,
    is_less_better: bool,
    /// What is measured, and its values, a round each.
    columns: &'a [(&'static str, Vec<f64>)],
    ratios: &'a [Ratio],
}

/// Values of one column through those of another of the same round.
#[derive(Clone, Copy)]
struct Ratio {
    of: &'static str,
    to: &'static str,
    target: Option<f64>,
}

impl Turns<'_> {
    fn report(&self, report: &mut Report) {
        for (name, values) in self.columns {
            report.ban(Measured::of(
                self.figure,
                name,
                self.entries,
                self.unit,
                values,
            ));
        }
        let column = |wanted| self.columns.iter().find(|(name, _)| *name == wanted);
        for ratio in self.ratios {
            // A filter may be missing on this machine.
            let (Some((_, of)), Some((_, to))) = (column(ratio.of), column(ratio.to)) else {
                continue;
            };
            let ratios: Vec<f64> = of.iter().zip(to).map(|(of, to)| of / to).collect();
            report.ban(Measured {
                against: Some(ratio.to),
                target: ratio.target,
                is_less_better: self.is_less_better,
                ..Measured::of(self.figure, ratio.of, self.entries, "times", &ratios)
            });
        }
    }
}
