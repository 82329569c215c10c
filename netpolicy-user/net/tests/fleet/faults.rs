//! A cluster of three that fails in every way while revisions are pushed.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use netpolicy_fleet::Revision;

use super::cluster::Setup;
use super::operating::{Fleet, policy, said};
use super::parting::own_namespace;

/// Changes that are pushed meanwhile, at least.
const CHANGES: u32 = 200;

/// Changes of a fault with which etcd answers.
const CHANGES_OF_ONE: u32 = 22;

/// No fault lasts longer.
const LONGEST: Duration = Duration::from_secs(25);

/// How slow etcd is when it is.
const SLOW: Duration = Duration::from_secs(2);

/// Hosts, each with its process.
const HOSTS: usize = 4;

const RESTORED: &str = "restored from the backup";

/// What becomes of etcd, how, and whether it is to answer then.
type Fault = (&'static str, fn(&mut Fleet), bool);

const FAULTS: [Fault; 17] = [
    ("nothing", |_| {}, true),
    ("member 0 killed", |fleet| fleet.etcd.kill(0), true),
    (
        "member 0 back, 1 killed",
        |fleet| {
            fleet.etcd.spawn(0);
            fleet.etcd.kill(1);
        },
        true,
    ),
    (
        "member 1 back, 2 killed",
        |fleet| {
            fleet.etcd.spawn(1);
            fleet.etcd.kill(2);
        },
        true,
    ),
    (
        "all killed",
        |fleet| {
            fleet.etcd.spawn(2);
            (0..3).for_each(|member| fleet.etcd.kill(member));
        },
        false,
    ),
    (
        "all back, member 0 stands still",
        |fleet| {
            (0..3).for_each(|member| fleet.etcd.spawn(member));
            fleet.etcd.wait();
            fleet.etcd.freeze(0, true);
        },
        true,
    ),
    (
        "member 0 goes on, 1 and 2 stand still: no quorum",
        |fleet| {
            fleet.etcd.freeze(0, false);
            (1..3).for_each(|member| fleet.etcd.freeze(member, true));
        },
        false,
    ),
    (
        "all go on, member 0 parted from 1 and 2",
        |fleet| {
            (1..3).for_each(|member| fleet.etcd.freeze(member, false));
            fleet.etcd.wait();
            parting(fleet).part(0);
        },
        true,
    ),
    (
        "all parted from each other: no quorum",
        |fleet| parting(fleet).part(1),
        false,
    ),
    (
        "all joined again, a backup is made",
        |fleet| {
            assert!(parting(fleet).has_dropped());
            parting(fleet).heal();
            fleet.etcd.wait();
            save(fleet);
        },
        true,
    ),
    (
        "the disk of member 0 full",
        |fleet| fleet.etcd.disks[0].fill(),
        true,
    ),
    (
        "the disks of all full",
        |fleet| (1..3).for_each(|member| fleet.etcd.disks[member].fill()),
        false,
    ),
    (
        "all disks with room again",
        |fleet| {
            for member in 0..3 {
                fleet.etcd.disks[member].free();
                fleet.etcd.kill(member);
                fleet.etcd.spawn(member);
            }
            fleet.etcd.wait();
        },
        true,
    ),
    ("answers take 2 s", |fleet| slow(fleet, SLOW), true),
    (
        "answers are quick again",
        |fleet| slow(fleet, Duration::ZERO),
        true,
    ),
    (RESTORED, restore, true),
    ("nothing any more", |_| {}, true),
];

fn parting(fleet: &Fleet) -> &super::parting::Parting {
    fleet.etcd.parting.as_ref().unwrap()
}

fn slow(fleet: &Fleet, answer: Duration) {
    fleet.etcd.slow.as_ref().unwrap().delay(answer);
}

fn backup(fleet: &Fleet) -> std::path::PathBuf {
    fleet.dir.join("backup.db")
}

fn save(fleet: &Fleet) {
    let saved = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", &fleet.etcd.url(0), "snapshot", "save"])
        .arg(backup(fleet))
        .output()
        .unwrap();
    assert!(saved.status.success(), "{}", said(&saved));
}

/// Puts what the backup has in place of what all members have.
fn restore(fleet: &mut Fleet) {
    (0..3).for_each(|member| fleet.etcd.kill(member));
    let backup = backup(fleet);
    fleet.etcd.restore(&backup);
    fleet.etcd.wait();
    fleet.wait_phase(0, "ahead", "");
}

/// What the pushes of a test came to.
#[derive(Default)]
struct Pushes {
    tried: u32,
    pushed: u32,
    /// Revisions that a push said are made, and that no backup has lost.
    made: Vec<u64>,
}

impl Pushes {
    /// Pushes the next change.
    fn push(&mut self, fleet: &Fleet) -> bool {
        self.tried += 1;
        let last = format!("198.51.{}.{}", self.tried / 250, self.tried % 250);
        let file = fleet.dir.join("policy.toml");
        fs::write(&file, policy(500, &last)).unwrap();
        let out = fleet.line(&["push", "-f", file.to_str().unwrap(), "--at-once"]);
        if !out.status.success() {
            return false;
        }
        self.pushed += 1;
        let said = said(&out);
        let line = said.lines().find(|line| line.starts_with("revision "));
        let number = line.unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        self.made.push(number);
        true
    }

    /// What a push said is made is in etcd, but for what later pushes removed.
    fn assert_kept(&self, fleet: &Fleet) {
        assert!(self.made.is_sorted(), "{:?}", self.made);
        for number in self.made.iter().rev().take(40) {
            let made: Revision = fleet.record(&format!("revisions/{number:020}"));
            assert_eq!(made.revision, *number);
        }
    }
}

#[test]
fn no_host_loses_its_policy_whatever_becomes_of_etcd() {
    if !super::is_long() {
        return;
    }
    own_namespace();
    let setup = Setup {
        parted: true,
        disks: Some(192),
        slow: true,
        ..Setup::default()
    };
    let mut fleet = Fleet::set_up(3, HOSTS, setup);
    fleet.run_all();
    let first = fleet.push(&policy(500, "198.51.100.1"));
    fleet.wait_for(first);
    let mut pushes = Pushes::default();
    let mut roots: BTreeSet<String> = BTreeSet::new();
    for (what, fault, answers) in FAULTS {
        fault(&mut fleet);
        if what == RESTORED {
            pushes.made.clear();
        }
        let before = (pushes.tried, pushes.pushed);
        let begun = Instant::now();
        let mut is_last_made = false;
        for _ in 0..CHANGES_OF_ONE {
            is_last_made = pushes.push(&fleet);
            for host in 0..HOSTS {
                let root = fleet.agents.root(host);
                roots.insert(root.unwrap_or_else(|| panic!("host {host} has nothing: {what}")));
            }
            if begun.elapsed() > LONGEST {
                break;
            }
        }
        let pushing = begun.elapsed();
        let (tried, pushed) = (pushes.tried - before.0, pushes.pushed - before.1);
        let begun = Instant::now();
        if answers {
            // A lock of a command that was cut off ends by itself, within a minute.
            while !is_last_made {
                assert!(begun.elapsed() < Duration::from_secs(90), "{what}");
                is_last_made = pushes.push(&fleet);
                thread::sleep(Duration::from_millis(500));
            }
            fleet.wait_for(*pushes.made.last().unwrap());
        }
        print!(
            "{what}: {pushed} of {tried} pushed in {:.1} s",
            pushing.as_secs_f64()
        );
        match answers {
            true => println!(
                ", all hosts at the last {:.1} s later",
                begun.elapsed().as_secs_f64()
            ),
            false => println!(", all hosts at what they had"),
        }
        // etcdctl asks the first member, which may be the one that has none to ask.
        if answers && fleet.etcd.ctl(&["endpoint", "health"]).status.success() {
            pushes.assert_kept(&fleet);
        }
    }
    println!(
        "{} changes, {} pushed, {} states seen on {HOSTS} hosts",
        pushes.tried,
        pushes.pushed,
        roots.len()
    );
    assert!(pushes.tried >= CHANGES && pushes.pushed >= CHANGES / 2);
    for host in 0..HOSTS {
        // What was handed over in part when etcd went away is asked for again as a whole.
        let mut refusals = fleet.agents.refusals(host);
        refusals.retain(|refusal| !refusal.ends_with("is missing"));
        assert_eq!(refusals, [""; 0], "host {host}");
    }
    // Disks are unmounted when no member writes to them.
    (0..3).for_each(|member| fleet.etcd.kill(member));
}
