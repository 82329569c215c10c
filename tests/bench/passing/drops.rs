//! Attempts of listed sources that a filter drops, on one processor and on two.

use std::{
    net::IpAddr,
    thread,
    time::{Duration, Instant},
};

use super::{
    blocked::Blocked,
    cpu::{self, Cpu},
    device::Device,
    filter::{Filter, Hook},
    ring::{self, Ring},
    rounds::{About, Metric, Plan, by_turns, tell},
    site::Site,
};
use crate::report::Report;

/// Sources that a list is asked for in turn: more than caches hold.
pub(super) const SOURCES: u32 = 1 << 20;

const METRICS: [Metric; 3] = [
    Metric::more("drops, 1 core", "Mpps", Some(3.0)),
    Metric::more("drops, 2 cores", "Mpps", None),
    Metric::more("drops, 2 cores to 1", "times", None),
];

const AGAINST_GENERIC: [Metric; 1] =
    [Metric::more("drops, 1 core (to generic XDP)", "Mpps", Some(1.0))];

/// Drop rates of these filters behind a veth pair.
pub(super) fn run(report: &mut Report, filters: &[Filter], entries: usize, plan: Plan) {
    let blocked = Blocked::new(entries);
    report.progress(&format!("drops: setting up lists of {entries} entries"));
    let filters = filters.iter().copied().filter(|filter| filter.drops());
    let filters: Vec<Filter> = filters.collect();
    let sites = filters
        .iter()
        .map(|filter| Site::new(Device::Veth, *filter, &blocked));
    let sites: Vec<Site> = sites.collect();
    let sources = blocked.listed(SOURCES);
    report.progress("drops");
    let values = by_turns(&sites.iter().collect::<Vec<_>>(), plan.rounds, |site| {
        let one = megapackets(site, &sources, &[Cpu::Last], plan.turn);
        let two = megapackets(site, &sources, &[Cpu::First, Cpu::Last], plan.turn);
        [one, two, two / one]
    });
    let about = About {
        device: Device::Veth,
        entries,
        against: Filter::Nftables,
    };
    tell(report, about, METRICS, &filters, &values);
    let generic = About {
        against: Filter::Netpolicy(Hook::Generic),
        ..about
    };
    let first = values.iter().map(|runs| runs.iter().map(|[one, ..]| [*one]));
    let first: Vec<Vec<[f64; 1]>> = first.map(Iterator::collect).collect();
    tell(report, generic, AGAINST_GENERIC, &filters, &first);
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
    let before = ring::received(site);
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
    let after = ring::received(site);
    let [packets, segments] = [after.0 - before.0, after.1 - before.1];
    check_dropped(site, packets, segments);
    packets as f64 / seconds / 1e6
}

/// Fails if a filter let attempts of listed sources pass.
pub(super) fn check_dropped(site: &Site, packets: u64, segments: u64) {
    let name = site.filter.name();
    assert!(packets > 1000, "{name} took {packets} packets of a flood");
    // What else runs meanwhile sends few segments of its own.
    assert!(
        segments < packets / 10,
        "{name} let {segments} segments of {packets} packets of a flood pass"
    );
}
