//! A snapshot in force, from the start of the process on.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use netpolicy_tests::{host::NIC, pins};
use netpolicy_user::{datapath, netdev::Netdevs};

use super::{Plan, Site, Turns};
use crate::report::Report;

/// A snapshot is written within this after a change.
const WRITTEN: Duration = Duration::from_secs(10);

pub(super) fn run(report: &mut Report, plan: Plan, entries: usize) {
    report.progress(&format!("start: a snapshot of {entries} rules"));
    let mut site = Site::new("netpolicy", entries, None);
    let snapshot = site.host.state_dir().join("early.snapshot");
    let begun = Instant::now();
    let size = || fs::metadata(&snapshot).map_or(0, |file| file.len());
    // The one that an agent without rules wrote is as large as its table of ports.
    while size() < entries as u64 {
        assert!(begun.elapsed() < WRITTEN, "no snapshot");
        thread::sleep(Duration::from_millis(20));
    }
    site.host.kill_agent();
    let (mut filters, mut ends) = (Vec::new(), Vec::new());
    // The first one reads the files into memory.
    for round in 0..=plan.rounds {
        pins::remove(site.host.bpffs_dir());
        let begun = Instant::now();
        let netdevs = site
            .host
            .db()
            .run(|| Netdevs::open().expect("open netlink"));
        let filtered = thread::scope(|scope| {
            let filtered = scope.spawn(|| site.host.db().run(|| until_filtered(netdevs, begun)));
            let mut command = site.host.command();
            command.arg("early");
            let out = command.output().expect("run netpolicy early");
            let error = String::from_utf8_lossy(&out.stderr);
            assert!(out.status.success(), "netpolicy early: {error}");
            let ended = begun.elapsed();
            (filtered.join().expect("filtered"), ended)
        });
        if round > 0 {
            filters.push(filtered.0.as_secs_f64() * 1e3);
            ends.push(filtered.1.as_secs_f64() * 1e3);
        }
    }
    let target = if entries > 1_000_000 { 400.0 } else { 100.0 };
    for (figure, values, target) in [
        ("early: the interface filters", filters, Some(target)),
        ("early: the command ends", ends, None),
    ] {
        let measured = Turns {
            figure,
            entries,
            unit: "ms",
            target,
            ratio: None,
        };
        measured.report(report, &[(site.name, values)]);
    }
}

/// The time until the interface runs a program.
fn until_filtered(mut netdevs: Netdevs, begun: Instant) -> Duration {
    loop {
        let device = netdevs.by_name(NIC).expect("look at the interface");
        if device.is_some_and(|device| !datapath::running(&device).is_empty()) {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "not filtered");
        thread::sleep(Duration::from_micros(500));
    }
}
