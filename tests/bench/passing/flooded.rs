//! Requests over an open connection while attempts of listed sources are dropped on the
//! processor that serves them.

use std::{
    fs,
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use netpolicy_tests::host::NIC;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::prctl,
};

use super::{
    blocked::Blocked,
    cpu::{self, Cpu},
    device::Device,
    drops::{SOURCES, check_dropped},
    filter::Filter,
    request,
    ring::{self, BATCH, Ring},
    rounds::{About, Metric, Plan, by_turns, tell},
    site::Site,
};
use crate::report::Report;

const METRICS: [Metric; 3] = [
    Metric::less("request under a flood, p50", "µs", None),
    Metric::less("request under a flood, p99", "µs", Some(0.5)),
    Metric::more("flood", "Mpps", None),
];

const WITHOUT: [Metric; 2] = [
    Metric::less("request without a flood, p50", "µs", None),
    Metric::less("request without a flood, p99", "µs", None),
];

/// How often the flood's next packets are sent: as many at a time as came due meanwhile.
const TICK: Duration = Duration::from_micros(50);

/// What nftables can drop is found out for so long.
const LIMIT: Duration = Duration::from_millis(500);

/// Latency under a flood at half of the rate that nftables can drop at most.
pub(super) fn run(report: &mut Report, sites: &[Site], blocked: &Blocked, plan: Plan) {
    let nftables = sites.iter().find(|site| site.filter == Filter::Nftables);
    let Some(nftables) = nftables.filter(|_| cpu::count() > 1) else {
        report.progress("left out: latency under a flood, for want of nftables or a second CPU");
        return;
    };
    report.progress("requests under a flood");
    let entries = blocked.nets.len();
    let unfiltered = sites.iter().find(|site| !site.filter.drops());
    let flooded = sites.iter().filter(|site| site.filter.is_steered());
    let flooded: Vec<&Site> = flooded.collect();
    for site in flooded.iter().copied().chain(unfiltered) {
        receive_on_last_cpu(site);
    }
    let sources = blocked.listed(SOURCES);
    let half = limit(nftables, &sources) / 2.0;
    let values = by_turns(&flooded, plan.rounds, |site| {
        flooded_latency(site, &sources, half, plan.turn)
    });
    let about = About {
        device: Device::Veth,
        entries,
        against: Filter::Nftables,
    };
    let filters: Vec<Filter> = flooded.iter().map(|site| site.filter).collect();
    tell(report, about, METRICS, &filters, &values);
    if let Some(site) = unfiltered {
        let values = by_turns(&[site], plan.rounds, |site| {
            request::latency(site, Cpu::First, plan.turn)
        });
        let about = About {
            against: site.filter,
            ..about
        };
        tell(report, about, WITHOUT, &[site.filter], &values);
    }
}

/// Packets a second that the filter drops at most.
fn limit(site: &Site, sources: &[IpAddr]) -> f64 {
    let mut ring = Ring::new(site, sources);
    let (before, _) = ring::received(site);
    let begin = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            cpu::pin(Cpu::First);
            ring.flood(LIMIT);
        });
    });
    let (after, _) = ring::received(site);
    (after - before) as f64 / begin.elapsed().as_secs_f64()
}

/// Median and 99th percentile in microseconds, and the flood's rate as it was.
fn flooded_latency(site: &Site, sources: &[IpAddr], rate: f64, time: Duration) -> [f64; 3] {
    let mut ring = Ring::new(site, sources);
    let is_over = AtomicBool::new(false);
    let before = ring::received(site);
    let begin = Instant::now();
    let [median, high] = thread::scope(|scope| {
        scope.spawn(|| {
            cpu::pin(Cpu::First);
            send_at(rate, &mut ring, &is_over);
        });
        let found = request::latency(site, Cpu::First, time);
        is_over.store(true, Ordering::Relaxed);
        found
    });
    let seconds = begin.elapsed().as_secs_f64();
    let after = ring::received(site);
    // Requests and their acknowledgements are packets, too, and the filter's passing.
    let segments = after.1 - before.1;
    let dropped = after.0 - before.0 - segments;
    check_dropped(site, dropped, 0);
    [median, high, dropped as f64 / seconds / 1e6]
}

fn send_at(rate: f64, ring: &mut Ring, is_over: &AtomicBool) {
    // Otherwise the kernel may wake this thread 50 µs late (`PR_SET_TIMERSLACK`).
    let _ = prctl::set_timerslack(1);
    let begin = Instant::now();
    let mut sent = 0u64;
    while !is_over.load(Ordering::Relaxed) {
        let due = (begin.elapsed().as_secs_f64() * rate) as u64;
        let behind = usize::try_from(due - sent).unwrap_or(BATCH);
        if behind > 0 {
            sent += ring.send(behind.min(BATCH)) as u64;
        }
        if behind <= BATCH {
            thread::sleep(TICK);
        }
    }
    ring.settle();
}

/// Makes the last processor receive what comes to the filtered interface (receive packet
/// steering, RPS), as a NIC's interrupt may.
fn receive_on_last_cpu(site: &Site) {
    let mask = format!("{:x}", 1u64 << Cpu::Last.number().min(63));
    site.db().run(|| {
        with_own_sysfs();
        let queues = format!("/sys/class/net/{NIC}/queues");
        for queue in fs::read_dir(queues).expect("list queues").flatten() {
            let file = queue.path().join("rps_cpus");
            if file.exists() {
                fs::write(file, &mask).expect("steer packets");
            }
        }
    });
}

/// sysfs shows the network namespace in which it was mounted: here, in a mount namespace of
/// the calling thread's own.
fn with_own_sysfs() {
    unshare(CloneFlags::CLONE_NEWNS).expect("make a mount namespace");
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .expect("make mounts private");
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none).expect("mount sysfs");
}
