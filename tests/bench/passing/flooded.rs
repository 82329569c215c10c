//! Requests over an open connection while attempts of listed sources are dropped on the
//! processor that serves them.

use std::{fs, thread, time::Duration};

use netpolicy_tests::{host::NIC, netns};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use super::{
    blocked::Blocked,
    bursts::Bursts,
    counts::Counts,
    cpu::{self, Cpu},
    device::Device,
    drops::SOURCES,
    filter::Filter,
    request,
    rounds::{About, Metric, Plan, by_turns, tell},
    site::Site,
};
use crate::{report::Report, wire::generic_receive_offload};

const METRICS: [Metric; 3] = [
    Metric::less("request under a flood, p50", "µs", None),
    Metric::less("request under a flood, p99", "µs", Some(0.5)),
    Metric::more("flood", "Mpps", None),
];

/// What nftables can drop is found out for so long.
const LIMIT: Duration = Duration::from_millis(300);

/// How much longer a flood lasts than requests are sent.
const MARGIN: Duration = Duration::from_millis(100);

/// Latency under a flood at half of the rate that nftables can drop at most.
pub(super) fn run(report: &mut Report, sites: &[Site], blocked: &Blocked, plan: Plan) {
    let nftables = sites.iter().find(|site| site.filter == Filter::Nftables);
    let Some(nftables) = nftables.filter(|_| cpu::count() > 1) else {
        report.progress("left out: latency under a flood, for want of nftables or a second CPU");
        return;
    };
    report.progress("requests under a flood");
    let flooded: Vec<&Site> = sites.iter().filter(|site| site.filter.drops()).collect();
    flooded.iter().copied().for_each(receive_on_last_cpu);
    let mut bursts = Bursts::new(&blocked.listed(SOURCES));
    let limit = limit(nftables, &mut bursts);
    report.progress(&format!("nftables drops {:.2} Mpps at most", limit / 1e6));
    let values = by_turns(&flooded, plan.rounds, |site| {
        latency(site, &mut bursts, limit / 2.0, plan.turn)
    });
    let about = About {
        device: Device::Veth,
        entries: blocked.nets.len(),
        against: Filter::Nftables,
    };
    let filters: Vec<Filter> = flooded.iter().map(|site| site.filter).collect();
    tell(report, about, METRICS, &filters, &values);
}

/// Packets a second that the filter drops at most.
fn limit(site: &Site, bursts: &mut Bursts) -> f64 {
    let before = Counts::of(site);
    bursts.send(site.clients(), None, LIMIT);
    let counts = Counts::of(site) - before;
    counts.dropped() as f64 / LIMIT.as_secs_f64()
}

/// Median and 99th percentile in microseconds, and the flood's rate as it was.
fn latency(site: &Site, bursts: &mut Bursts, rate: f64, time: Duration) -> [f64; 3] {
    let flood = time + MARGIN;
    let before = Counts::of(site);
    let [median, high] = thread::scope(|scope| {
        scope.spawn(|| bursts.send(site.clients(), Some(rate), flood));
        request::latency(site, Cpu::Last, time)
    });
    let counts = Counts::of(site) - before;
    let dropped = counts.dropped() as f64 / flood.as_secs_f64();
    [median, high, dropped / 1e6]
}

/// Makes the filtered interface receive on the last processor, before anything else that runs
/// there, as by a NIC's interrupt: its packets are polled by threads (threaded NAPI) of
/// real-time priority.
fn receive_on_last_cpu(site: &Site) {
    // Without it a veth polls nothing and takes no redirected frames.
    site.db()
        .run(|| generic_receive_offload(NIC))
        .expect("switch generic receive offload on");
    let before = pollers();
    site.db().run(|| {
        with_own_sysfs();
        fs::write(format!("/sys/class/net/{NIC}/threaded"), "1").expect("poll by threads");
    });
    let is_new = |poller: &String| !before.contains(poller);
    for poller in pollers().into_iter().filter(is_new) {
        let cpu = Cpu::Last.number().to_string();
        netns::run("taskset", &["--cpu-list", "--pid", &cpu, &poller]);
        netns::run("chrt", &["--fifo", "--pid", "1", &poller]);
    }
}

/// Threads that poll an interface of the name of the filtered one, by process id.
fn pollers() -> Vec<String> {
    let name = format!("napi/{NIC}-");
    let entries = fs::read_dir("/proc").expect("list processes").flatten();
    let entries = entries.filter(|entry| {
        let comm = fs::read_to_string(entry.path().join("comm"));
        comm.is_ok_and(|comm| comm.starts_with(&name))
    });
    let ids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    ids.collect()
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
