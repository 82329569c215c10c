//! What operators and hosts do when all is well, and what stops a roll-out.

use netpolicy_fleet::bucket;
use std::time::Duration;

use super::operating::{Fleet, policy, said};

#[test]
fn hosts_take_what_operators_push_and_keep_it_without_etcd() {
    let mut fleet = Fleet::running(1, 2);
    let first = fleet.push(&policy(2_000, "198.51.100.1"));
    fleet.wait_for(first);
    let objects = fleet.agents.taken(0);
    let second = fleet.push(&policy(2_000, "198.51.100.2"));
    fleet.wait_for(second);
    // State, list and the chunk that has the rule.
    let sent = fleet.agents.taken(0) - objects;
    assert!(sent <= 4, "{sent} objects for one rule");
    fleet.wait_phase(1, "current", "");

    // Without etcd nothing changes, with it all goes on.
    fleet.etcd.kill(0);
    fleet.wait("it says since when there is no etcd", |fleet| {
        fleet.log(0).contains("without etcd since")
    });
    assert_eq!(fleet.agents.at(0), Some(second));
    fleet.etcd.spawn(0);
    fleet.etcd.wait();
    let third = fleet.push(&policy(2_000, "198.51.100.3"));
    fleet.wait_for(third);
    assert!(fleet.log(0).contains("answers again"), "{}", fleet.log(0));

    // A compaction that a watch has missed, and a process that was killed meanwhile.
    fleet.kill(0);
    for last in 4..7 {
        fleet.push(&policy(2_000, &format!("198.51.100.{last}")));
    }
    let revision = fleet.etcd.ok(&["get", "x", "-w", "json"]);
    let revision: serde_json::Value = serde_json::from_str(&revision).unwrap();
    let revision = revision["header"]["revision"].to_string();
    fleet.etcd.ok(&["compact", &revision]);
    fleet.restart(0);
    fleet.wait_for(fleet.newest());
    // An agent that has lost a part of what it had is given all of it.
    fleet.agents.forget_objects(0, 1);
    let last = fleet.push(&policy(2_000, "198.51.100.9"));
    fleet.wait_for(last);

    fleet.wait("all hosts report it", |fleet| {
        let status = fleet.ok(&["status"]);
        status.contains("2, 2 alive, 2 at their revision")
    });
    let diff = fleet.ok(&["diff"]);
    assert!(diff.contains("198.51.100.9"), "{diff}");
    let same = fleet.push_by(&policy(2_000, "198.51.100.9"), &["--at-once"]);
    assert_eq!(same, last);
}

#[test]
fn rollout_reaches_its_canaries_first_and_stops_when_one_fails() {
    let fleet = Fleet::running(1, 3);
    let first = fleet.push(&policy(10, "198.51.100.1"));
    fleet.wait_for(first);
    fleet.ok(&[
        "groups",
        "set",
        "default",
        "--must-admit",
        "10.0.0.2:2379",
        "--confirm-within",
        "5s",
    ]);
    let second = fleet.push_by(&policy(10, "198.51.100.2"), &[]);
    std::thread::sleep(Duration::from_millis(300));
    let at: Vec<_> = (0..3).map(|host| fleet.agents.at(host)).collect();
    assert_eq!(
        at,
        [Some(first); 3],
        "a staged revision waits for its roll-out"
    );

    // Any host may be drawn: all that are drawn fail.
    (0..3).for_each(|host| fleet.agents.deny(host, true));
    let stopped = fleet.refused(&["rollout", "default", "--stages", "40,100", "--soak", "1s"]);
    let is_drawn = stopped.contains("stopped at 40 %") || stopped.contains("stopped at 100 %");
    assert!(
        is_drawn && stopped.contains("must admit 10.0.0.2:2379"),
        "{stopped}"
    );
    let status = fleet.ok(&["status"]);
    assert!(status.contains("stopped by itself"), "{status}");
    let failed: Vec<_> = (0..3)
        .filter(|host| fleet.agents.at(*host) == Some(second))
        .collect();
    assert!(!failed.is_empty() && failed.iter().all(|host| !fleet.agents.is_confirmed(*host)));
    // Agents roll it back when the time is over; then it is not tried again.
    failed.iter().for_each(|host| fleet.agents.roll_back(*host));
    (0..3).for_each(|host| fleet.agents.deny(host, false));
    fleet.ok(&["rollback", "--group", "default"]);
    fleet.wait_for(first);

    // Once more, better: all have it in the end, and clients that it denies stop it.
    fleet.agents.deny_clients(0, 1);
    let denies = fleet.refused(&["rollout", "default", "--stages", "100", "--soak", "0s"]);
    assert!(denies.contains("denies 1 connected clients"), "{denies}");
    fleet.agents.deny_clients(0, 0);
    fleet.ok(&["rollback", "--group", "default"]);
    fleet.wait_for(first);
    let done = fleet.ok(&["rollout", "default", "--stages", "40,100", "--soak", "0s"]);
    assert!(
        done.contains(&format!("revision {second} is rolled out")),
        "{done}"
    );
    fleet.wait_for(second);
    // Back to what was first, as a new revision: numbers only ascend.
    let back = fleet.ok(&["rollback", &first.to_string(), "--at-once"]);
    assert!(back.contains("has the state of revision"), "{back}");
    let third = fleet.newest();
    assert!(third > second);
    fleet.wait_for(third);
}

#[test]
fn groups_labels_and_pins_divide_hosts() {
    let fleet = Fleet::running(1, 2);
    let first = fleet.push(&policy(10, "198.51.100.1"));
    fleet.wait_for(first);
    fleet.ok(&[
        "groups",
        "set",
        "db",
        "--selector",
        "role=db",
        "--pin",
        &first.to_string(),
    ]);
    let labelled = fleet.ok(&["label", "h1", "role=db"]);
    assert!(labelled.contains("group db"), "{labelled}");
    let second = fleet.push(&policy(10, "198.51.100.2"));
    fleet.wait("only the host that is not pinned has it", |fleet| {
        fleet.agents.at(0) == Some(second)
    });
    fleet.wait_phase(1, "current", "");
    assert_eq!(fleet.agents.at(1), Some(first));
    let pinned = fleet.refused(&["rollout", "db"]);
    assert!(pinned.contains("is pinned to revision 1"), "{pinned}");
    fleet.ok(&["groups", "set", "db", "--unpin"]);
    fleet.wait_for(second);
    fleet.ok(&["label", "h1", "role-"]);
    let hosts = fleet.ok(&["hosts", "--group", "default"]);
    assert!(hosts.contains("h0") && hosts.contains("h1"), "{hosts}");
    for (args, expected) in [
        (&["join", "h0"][..], "is in fleet prod already"),
        (&["join", "H0"], "'H0' is no name of a host"),
        (&["label", "h9", "a=b"], "fleet join h9"),
        (&["rollout", "web"], "there is no group web"),
        (
            &["groups", "set", "db", "--pin", "99"],
            "there is no revision 99",
        ),
        (
            &["groups", "set", "db", "--confirm-within", "1s"],
            "expected 5s to 1h",
        ),
        (
            &["rollout", "default", "--stages", "50,10"],
            "expected ascending",
        ),
        (&["diff", "--from", "77"], "there is no revision 77"),
        (&["push", "-f", "/nonexistent"], "cannot read /nonexistent"),
        (&["promote"], "is no mirror"),
    ] {
        let refused = fleet.refused(args);
        assert!(refused.contains(expected), "fleet {args:?}: {refused}");
    }
    // Drawn as the crate says, whoever asks.
    assert!(bucket("a", &"h0".parse().unwrap()) < 10_000);
}

#[test]
fn mirror_serves_hosts_and_is_promoted() {
    let mut fleet = Fleet::start(1, 1);
    let first = fleet.push(&policy(10, "198.51.100.1"));
    let other = fleet.dir.join("mirror");
    std::fs::create_dir(&other).unwrap();
    let second = super::cluster::Cluster::start(&other, 1, super::cluster::Tls::default());
    let read = |file: &str| std::fs::read_to_string(fleet.dir.join(file)).unwrap();
    let urls = super::operating::quoted(&second.urls());
    let own = super::operating::quoted(&fleet.etcd.urls());
    let operator = read("operator.toml").replace(&own, &urls);
    std::fs::write(fleet.dir.join("mirror.toml"), operator).unwrap();
    let host = read("h0.toml") + &format!("mirror = [{urls}]\n");
    std::fs::write(fleet.dir.join("h0.toml"), host).unwrap();
    let to = fleet.dir.join("mirror.toml");
    let mirror = |fleet: &Fleet| fleet.ok(&["mirror", "--once", "--to", to.to_str().unwrap()]);
    assert!(mirror(&fleet).contains("keys copied"));
    let on_mirror = |args: &[&str]| super::operating::command(&to, args).output().unwrap();
    let status = said(&on_mirror(&["status"]));
    assert!(status.contains("read-only copy of http://"), "{status}");
    let file = fleet.dir.join("policy.toml");
    let push = ["push", "-f", file.to_str().unwrap(), "--at-once"];
    let refused = on_mirror(&push);
    assert!(!refused.status.success() && said(&refused).contains("fleet promote"));
    let answers = said(&on_mirror(&["promote"]));
    assert!(answers.contains("its source still answers"), "{answers}");

    // Without their own etcd hosts follow the mirror.
    fleet.etcd.kill(0);
    let process = fleet.process(&[0], "h0.log");
    fleet.wait("the host has what the mirror has", |fleet| {
        fleet.agents.at(0) == Some(first)
    });
    let promoted = on_mirror(&["promote"]);
    assert!(promoted.status.success(), "{}", said(&promoted));
    std::fs::write(&file, policy(10, "198.51.100.2")).unwrap();
    let pushed = on_mirror(&push);
    assert!(pushed.status.success(), "{}", said(&pushed));
    fleet.wait("the host follows the promoted etcd", |fleet| {
        fleet.agents.at(0) == Some(first + 1)
    });
    drop(process);
}
