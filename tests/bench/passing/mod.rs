//! `cargo xtask bench passing`: what filters cost the traffic that passes them.

mod blocked;
pub(crate) mod bursts;
mod counts;
mod cpu;
mod device;
mod drops;
mod filter;
mod flooded;
mod offloads;
mod postgres;
mod relay;
mod request;
mod ring;
mod rounds;
mod session;
mod site;
mod stream;

use std::time::Duration;

use blocked::Blocked;
use cpu::Cpu;
use device::Device;
pub(crate) use filter::UNFILTERED_AGAIN;
use filter::{Filter, Hook};
use postgres::{Cluster, Size};
use rounds::{About, Metric, Plan, by_turns, tell};
use site::Site;
use stream::Direction;

use crate::{
    choice::{Choice, available},
    report::{Offloads, Report},
};

/// The other filters.
pub(crate) const PEERS: [Choice; 2] = [Choice::Nftables, Choice::Ipset];

/// Blocked sources where packets pass.
const ENTRIES: usize = 100_000;

/// Sources that new connections come from, in turn.
const ALLOWED: usize = 1 << 14;

/// A bulk transfer: its figure, which way it goes, and by how many streams.
type Transfer = (Metric, Direction, usize);

const ONE_STREAM: [Transfer; 2] = [
    (
        Metric::more("1 stream in", "Gbit/s", Some(0.97)),
        Direction::In,
        1,
    ),
    (
        Metric::more("1 stream out", "Gbit/s", Some(0.98)),
        Direction::Out,
        1,
    ),
];

const EIGHT_STREAMS: [Transfer; 2] = [
    (
        Metric::more("8 streams in", "Gbit/s", Some(0.98)),
        Direction::In,
        8,
    ),
    (
        Metric::more("8 streams out", "Gbit/s", Some(0.98)),
        Direction::Out,
        8,
    ),
];

const SESSIONS: [Metric; 3] = [
    Metric::less("request, p50", "µs", None),
    Metric::less("request, p99", "µs", None),
    Metric::more("new connections", "per second", Some(0.98)),
];

const POSTGRES: [Metric; 2] = [
    Metric::more("pgbench select-only", "tps", Some(0.98)),
    Metric::more("pg_dump", "MB/s", Some(0.98)),
];

/// How long everything takes.
#[derive(Clone, Copy, Debug)]
struct Plans {
    /// Streams, requests and connections behind a veth pair.
    veth: Plan,
    /// The same behind other devices.
    others: Plan,
    postgres: Plan,
    size: Size,
    flooded: Plan,
    drops: Plan,
    /// On the lists of drop rates.
    entries: usize,
}

const fn plan(rounds: usize, milliseconds: u64) -> Plan {
    Plan {
        rounds,
        turn: Duration::from_millis(milliseconds),
    }
}

/// 2 to 4 minutes.
const QUICK: Plans = Plans {
    veth: plan(5, 150),
    others: plan(3, 100),
    postgres: plan(3, 1000),
    size: Size {
        scale: 2,
        megabytes: 100,
    },
    flooded: plan(5, 400),
    drops: plan(3, 100),
    entries: 1_000_000,
};

/// A quarter of an hour at most.
const FULL: Plans = Plans {
    veth: plan(9, 500),
    others: plan(5, 250),
    postgres: plan(5, 2000),
    size: Size {
        scale: 10,
        megabytes: 1000,
    },
    flooded: plan(7, 1000),
    drops: plan(7, 500),
    entries: 1_000_000,
};

/// For what a hundredth of a stream decides.
const LONG_STREAM: Plan = plan(45, 1000);

/// A part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Streams, requests and connections behind a veth pair
    Veth,
    /// The same behind the port of a bridge
    Bridge,
    /// The same behind a tap device
    Tap,
    /// The same behind a tun device
    Tun,
    /// pgbench and pg_dump
    Postgres,
    /// Latency under a flood
    Flood,
    /// Drop rates on one and two cores
    Drops,
    /// One stream behind a veth pair, unfiltered and with netpolicy at tcx alone, in so many long
    /// turns that a hundredth shows; 6 minutes, and run only if it is named
    Stream,
}

impl Part {
    /// What it measures behind veth pairs of the same sites.
    const BEHIND_VETH: [Self; 3] = [Self::Veth, Self::Postgres, Self::Flood];

    fn of(device: Device) -> Self {
        match device {
            Device::Veth => Self::Veth,
            Device::BridgePort => Self::Bridge,
            Device::Tap => Self::Tap,
            Device::Tun => Self::Tun,
        }
    }
}

/// Measures these parts of it, or all.
pub(crate) fn run(report: &mut Report, is_quick: bool, parts: &[Part]) {
    let plans = if is_quick { QUICK } else { FULL };
    let wants = |part: Part| parts.is_empty() || parts.contains(&part);
    let peers = available(report, &PEERS);
    let filters = |device| Filter::of(device, |choice| peers.contains(&choice));
    let blocked = Blocked::new(ENTRIES);
    for device in Device::ALL {
        let part = Part::of(device);
        let is_veth = device == Device::Veth;
        if !(wants(part) || is_veth && Part::BEHIND_VETH.into_iter().any(wants)) {
            continue;
        }
        let sites = set_up(report, device, &filters(device), &blocked);
        if wants(part) {
            let plan = if is_veth { plans.veth } else { plans.others };
            traffic(report, device, &sites, &blocked, plan);
        }
        if is_veth && wants(Part::Postgres) {
            databases(report, &sites, plans);
        }
        if is_veth && wants(Part::Flood) {
            flooded::run(report, &sites, &blocked, plans.flooded);
        }
        // In force to the end.
        sites.iter().for_each(|site| site.check(&blocked));
    }
    if parts.contains(&Part::Stream) {
        let filters = [
            Filter::Unfiltered,
            Filter::UnfilteredAgain,
            Filter::Netpolicy(Hook::Tcx),
        ];
        let sites = set_up(report, Device::Veth, &filters, &blocked);
        report.progress("one stream, in long turns");
        streams(report, Device::Veth, &sites, ONE_STREAM, LONG_STREAM);
        sites.iter().for_each(|site| site.check(&blocked));
    }
    if wants(Part::Drops) {
        let filters = filters(Device::Veth);
        drops::run(report, &filters, plans.entries, plans.drops);
    }
}

/// A site for each filter, and what the filter did to the device.
fn set_up(report: &mut Report, device: Device, filters: &[Filter], blocked: &Blocked) -> Vec<Site> {
    report.progress(&format!("{}: setting up", device.name()));
    let sites = filters
        .iter()
        .map(|filter| Site::new(device, *filter, blocked));
    let sites: Vec<Site> = sites.collect();
    for site in &sites {
        if site.filter.drops() {
            report.offloads(Offloads {
                bench: "offloads",
                device: device.name(),
                filter: site.filter.name(),
                changed: site.offloads.clone(),
            });
        }
    }
    sites
}

fn about(device: Device) -> About {
    About {
        device,
        entries: ENTRIES,
        against: Filter::Unfiltered,
    }
}

/// Streams, requests and new connections. What was asked for was asked for veth.
fn traffic(report: &mut Report, device: Device, sites: &[Site], blocked: &Blocked, plan: Plan) {
    let is_asked = device == Device::Veth;
    report.progress(&format!("{}: streams", device.name()));
    streams(report, device, sites, ONE_STREAM, plan);
    if is_asked {
        streams(report, device, sites, EIGHT_STREAMS, plan);
    }
    report.progress(&format!("{}: requests, new connections", device.name()));
    let sources = blocked.allowed(ALLOWED);
    let sites: Vec<&Site> = sites.iter().collect();
    let filters: Vec<Filter> = sites.iter().map(|site| site.filter).collect();
    let values = by_turns(&sites, plan.rounds, |site| {
        let [median, high] = request::latency(site, Cpu::Last, plan.turn);
        let connections = request::connections(site, &sources, plan.turn);
        [median, high, connections]
    });
    let metrics = SESSIONS.map(|metric| metric.asked(is_asked));
    tell(report, about(device), metrics, &filters, &values);
}

/// Bulk transfers both ways.
fn streams(
    report: &mut Report,
    device: Device,
    sites: &[Site],
    transfers: [Transfer; 2],
    plan: Plan,
) {
    let is_asked = device == Device::Veth;
    let sites: Vec<&Site> = sites.iter().collect();
    let filters: Vec<Filter> = sites.iter().map(|site| site.filter).collect();
    let values = by_turns(&sites, plan.rounds, |site| {
        transfers
            .map(|(_, direction, streams)| stream::gigabits(site, direction, streams, plan.turn))
    });
    let metrics = transfers.map(|(metric, ..)| metric.asked(is_asked));
    tell(report, about(device), metrics, &filters, &values);
}

fn databases(report: &mut Report, sites: &[Site], plans: Plans) {
    report.progress("PostgreSQL: setting up");
    let Some(cluster) = Cluster::new(&sites[0], plans.size) else {
        report.progress("left out for want of PostgreSQL: pgbench, pg_dump");
        return;
    };
    report.progress("PostgreSQL");
    let sites: Vec<&Site> = sites.iter().collect();
    let filters: Vec<Filter> = sites.iter().map(|site| site.filter).collect();
    let plan = plans.postgres;
    let values = by_turns(&sites, plan.rounds, |site| cluster.rates(site, plan.turn));
    tell(report, about(Device::Veth), POSTGRES, &filters, &values);
}
