//! A cluster of three that fails in every way while revisions are pushed.

use std::collections::BTreeSet;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::operating::{Fleet, policy};

/// Changes that are pushed meanwhile.
const CHANGES: u32 = 200;

/// What becomes of etcd, and how.
type Fault = (&'static str, fn(&mut Fleet));

/// Hosts, each with its process.
const HOSTS: usize = 4;

#[test]
fn no_host_loses_its_policy_whatever_becomes_of_etcd() {
    if !super::is_long() {
        return;
    }
    let mut fleet = Fleet::running(3, HOSTS);
    let first = fleet.push(&policy(500, "198.51.100.1"));
    fleet.wait_for(first);
    let mut roots: BTreeSet<String> = BTreeSet::new();
    let (mut pushed, mut refused) = (0, 0);
    let faults: [Fault; 9] = [
        ("nothing", |_| {}),
        ("member 0 killed", |fleet| fleet.etcd.kill(0)),
        ("member 0 back, 1 killed", |fleet| {
            fleet.etcd.spawn(0);
            fleet.etcd.kill(1);
        }),
        ("member 1 back, 2 killed", |fleet| {
            fleet.etcd.spawn(1);
            fleet.etcd.kill(2);
        }),
        ("all killed", |fleet| {
            fleet.etcd.spawn(2);
            (0..3).for_each(|member| fleet.etcd.kill(member));
        }),
        ("all back, member 0 stands still", |fleet| {
            (0..3).for_each(|member| fleet.etcd.spawn(member));
            fleet.etcd.wait();
            fleet.etcd.freeze(0, true);
        }),
        (
            "member 0 goes on, 1 and 2 stand still: no quorum",
            |fleet| {
                fleet.etcd.freeze(0, false);
                (1..3).for_each(|member| fleet.etcd.freeze(member, true));
            },
        ),
        ("all go on", |fleet| {
            (1..3).for_each(|member| fleet.etcd.freeze(member, false));
            fleet.etcd.wait();
        }),
        ("restored from a backup", restore),
    ];
    let mut change = 0;
    let backup = fleet.dir.join("backup.db");
    for (what, fault) in faults {
        if what == "all go on" {
            fault(&mut fleet);
            fleet.etcd.wait();
            let saved = Command::new("etcdctl")
                .env("ETCDCTL_API", "3")
                .args(["--endpoints", &fleet.etcd.url(0), "snapshot", "save"])
                .arg(&backup)
                .output()
                .unwrap();
            assert!(saved.status.success());
        } else {
            fault(&mut fleet);
        }
        let begun = Instant::now();
        let share = CHANGES / 9 + 1;
        for _ in 0..share {
            change += 1;
            let file = fleet.dir.join("policy.toml");
            std::fs::write(
                &file,
                policy(500, &format!("198.51.{}.{}", change / 250, change % 250)),
            )
            .unwrap();
            let out = fleet.line(&["push", "-f", file.to_str().unwrap(), "--at-once"]);
            match out.status.success() {
                true => pushed += 1,
                false => refused += 1,
            }
            for host in 0..HOSTS {
                let root = fleet.agents.root(host);
                roots.insert(root.unwrap_or_else(|| panic!("host {host} has nothing: {what}")));
            }
            if begun.elapsed() > Duration::from_secs(25) {
                break;
            }
        }
        println!(
            "{what}: {pushed} pushed, {refused} refused so far, {:.1} s",
            begun.elapsed().as_secs_f64()
        );
    }
    fleet.etcd.wait();
    // A lock of a command that was killed ends by itself.
    let begun = Instant::now();
    let file = fleet.dir.join("policy.toml");
    std::fs::write(&file, policy(500, "198.51.100.99")).unwrap();
    while !fleet
        .line(&["push", "-f", file.to_str().unwrap(), "--at-once"])
        .status
        .success()
    {
        assert!(begun.elapsed() < Duration::from_secs(90));
        thread::sleep(Duration::from_millis(500));
    }
    let begun = Instant::now();
    fleet.wait_for(fleet.newest());
    println!(
        "{} states seen on {HOSTS} hosts; all at the last revision after {:.1} s",
        roots.len(),
        begun.elapsed().as_secs_f64()
    );
    for host in 0..HOSTS {
        // What was handed over in part when etcd went away is asked for again as a whole.
        let mut refusals = fleet.agents.refusals(host);
        refusals.retain(|refusal| !refusal.ends_with("is missing"));
        assert_eq!(refusals, [""; 0], "host {host}");
    }
    assert!(pushed >= 50, "{pushed}");
}

/// Puts what the backup has in place of what all members have.
fn restore(fleet: &mut Fleet) {
    (0..3).for_each(|member| fleet.etcd.kill(member));
    fleet.etcd.restore(&fleet.dir.join("backup.db"));
    fleet.etcd.wait();
    fleet.wait_phase(0, "ahead", "");
}
