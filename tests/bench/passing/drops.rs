//! Attempts of listed sources that a filter drops, on one processor and on two.

use std::{
    net::IpAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use netpolicy_user::config::{EngineChoice, HookChoice};

use super::{
    blocked::Blocked,
    counts::Counts,
    cpu::{self, Cpu},
    device::Device,
    filter::{Filter, Hook},
    ring::Ring,
    rounds::{About, Metric, Plan, by_turns, tell},
    site::Site,
};
use crate::{
    filters::{self, Bare, Ipset, Netpolicy, Nftables},
    frame::Packets,
    generator::{CALL, Generator},
    rate,
    report::Report,
};

/// Sources that a list is asked for in turn: more than caches hold.
pub(super) const SOURCES: u32 = 1 << 20;

/// Packets that pass a filter unasked: neighbour discovery and the like.
const STRAY: u64 = 32;

const DROPS: [Metric; 1] = [Metric::more("drops", "Mpps", Some(3.0))];
const TO_GENERIC: [Metric; 1] = [Metric::more("drops (to generic XDP)", "Mpps", Some(1.0))];

/// The same against what a program reaches at tcx that only drops.
const TO_BARE: [Metric; 1] = [Metric::more(
    "drops (to the bare program at tcx)",
    "Mpps",
    None,
)];

const FROM_RING: [Metric; 3] = [
    Metric::more("drops from a packet ring, 1 core", "Mpps", None),
    Metric::more("drops from a packet ring, 2 cores", "Mpps", None),
    Metric::more("drops from a packet ring, 2 cores to 1", "times", None),
];

const RING_TO_GENERIC: [Metric; 1] = [Metric::more(
    "drops from a packet ring (to generic XDP)",
    "Mpps",
    None,
)];

/// Drop rates of these filters behind a veth pair.
pub(super) fn run(report: &mut Report, filters: &[Filter], entries: usize, plan: Plan) {
    let blocked = Blocked::new(entries);
    let sources = blocked.listed(SOURCES);
    let about = About {
        device: Device::Veth,
        entries,
        against: Filter::Nftables,
    };
    let filters = filters.iter().copied().filter(|filter| filter.drops());
    let filters: Vec<Filter> = filters.collect();
    generated(report, about, &filters, &blocked, &sources, plan);
    from_ring(report, about, &filters, &blocked, &sources, plan);
}

/// Of the generator of `bench rate`, whose packets are linear, as most drivers make them.
fn generated(
    report: &mut Report,
    about: About,
    filters: &[Filter],
    blocked: &Blocked,
    sources: &[IpAddr],
    plan: Plan,
) {
    report.progress(&format!("drops: lists of {} entries", about.entries));
    let rules = Arc::new(rate::ruleset(blocked.content()));
    let bare = [Filter::Bare, Filter::BareTcx, Filter::BareGeneric];
    let names: Vec<Filter> = bare.into_iter().chain(filters.iter().copied()).collect();
    let set_up = |name: &Filter| -> Box<dyn filters::Filter> {
        match name {
            Filter::Netpolicy(Hook::Tcx) => Box::new(Netpolicy::at(HookChoice::Tcx, &rules)),
            Filter::Netpolicy(Hook::Generic) => {
                Box::new(Netpolicy::at(HookChoice::Generic, &rules))
            }
            Filter::Netpolicy(Hook::Native) => Box::new(Netpolicy::new(EngineChoice::Flat, &rules)),
            Filter::Nftables => Box::new(Nftables::new(blocked.content())),
            Filter::Ipset => Box::new(Ipset::new(blocked.content())),
            Filter::BareGeneric => Box::new(Bare::drop_all_generic()),
            Filter::BareTcx => Box::new(Bare::drop_all_tcx()),
            _ => Box::new(Bare::drop_all()),
        }
    };
    let filters: Vec<Box<dyn filters::Filter>> = names.iter().map(set_up).collect();
    let mut generator = Generator::new(Packets::Attempts, sources);
    report.progress("drops");
    let calls: Vec<u32> = filters
        .iter()
        .map(|filter| {
            let mpps = generator.run(filter.as_ref(), 1).mpps;
            (mpps * plan.turn.as_micros() as f64 / f64::from(CALL)).ceil() as u32
        })
        .collect();
    let numbers: Vec<usize> = (0..filters.len()).collect();
    let values = by_turns(&numbers.iter().collect::<Vec<_>>(), plan.rounds, |at| {
        [generator.run(filters[*at].as_ref(), calls[*at]).mpps]
    });
    for (filter, name) in filters.iter().zip(&names) {
        let passed = filter.passed();
        assert!(passed <= STRAY, "{} let {passed} pass", name.name());
    }
    tell(report, about, DROPS, &names, &values);
    let generic = About {
        against: Filter::Netpolicy(Hook::Generic),
        ..about
    };
    tell(report, generic, TO_GENERIC, &names, &values);
    let bare = About {
        against: Filter::BareTcx,
        ..about
    };
    tell(report, bare, TO_BARE, &names, &values);
}

/// Of a sender in userspace, of whose packets no more than the Ethernet header is linear.
fn from_ring(
    report: &mut Report,
    about: About,
    filters: &[Filter],
    blocked: &Blocked,
    sources: &[IpAddr],
    plan: Plan,
) {
    report.progress("drops from a packet ring: setting up");
    let sites = filters
        .iter()
        .map(|filter| Site::new(about.device, *filter, blocked));
    let sites: Vec<Site> = sites.collect();
    report.progress("drops from a packet ring");
    let values = by_turns(&sites.iter().collect::<Vec<_>>(), plan.rounds, |site| {
        let one = megapackets(site, sources, &[Cpu::Last], plan.turn);
        let two = megapackets(site, sources, &[Cpu::First, Cpu::Last], plan.turn);
        [one, two, two / one]
    });
    tell(report, about, FROM_RING, filters, &values);
    let generic = About {
        against: Filter::Netpolicy(Hook::Generic),
        ..about
    };
    let one = values
        .iter()
        .map(|runs| runs.iter().map(|[one, ..]| [*one]));
    let one: Vec<Vec<[f64; 1]>> = one.map(Iterator::collect).collect();
    tell(report, generic, RING_TO_GENERIC, filters, &one);
}

/// Million packets a second that senders on these processors make and the filter drops, on
/// the same processors.
fn megapackets(site: &Site, sources: &[IpAddr], cpus: &[Cpu], time: Duration) -> f64 {
    let part = sources.len() / cpus.len();
    let rings: Vec<Ring> = sources
        .chunks(part)
        .take(cpus.len())
        .map(|sources| Ring::new(site, sources))
        .collect();
    let before = Counts::of(site);
    let begin = Instant::now();
    thread::scope(|scope| {
        for (mut ring, cpu) in rings.into_iter().zip(cpus) {
            scope.spawn(move || {
                cpu::pin(*cpu);
                ring.flood(time);
            });
        }
    });
    let seconds = begin.elapsed().as_secs_f64();
    let counts = Counts::of(site) - before;
    let (name, dropped) = (site.filter.name(), counts.dropped());
    assert!(
        dropped > 1000 && counts.segments <= STRAY,
        "{name} of a flood: {counts:?}"
    );
    dropped as f64 / seconds / 1e6
}
