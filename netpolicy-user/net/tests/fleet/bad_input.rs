//! What must be refused, named and change nothing.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use netpolicy_fleet::{Group, Head, ObjectId, ObjectKind, Pin, Revision, Rollout, RolloutState};

use super::operating::{Fleet, command, policy, run, said};

#[test]
fn forged_replayed_cut_and_newer_records_are_refused_and_named() {
    let fleet = Fleet::running(1, 1);
    let first = fleet.push(&policy(10, "198.51.100.1"));
    fleet.wait_for(first);
    let old = fleet.etcd.value(&fleet.key("head"));
    let second = fleet.push(&policy(10, "198.51.100.2"));
    fleet.wait_for(second);
    let good = fleet.etcd.value(&fleet.key("head"));
    let head: Head = fleet.record("head");

    // Of a key that no host trusts.
    let forged = Head {
        counter: head.counter + 1,
        ..head.clone()
    };
    fleet.put("head", &Fleet::forged(&forged));
    fleet.wait_phase(0, "refused", "none of the trusted keys made it");
    let status = fleet.ok(&["status"]);
    assert!(
        status.contains("the head's signature is refused"),
        "{status}"
    );
    let built = fleet.refused(&["groups", "set", "x", "--selector", "a=b"]);
    assert!(built.contains("nothing is built on them"), "{built}");
    // Cut short.
    fleet.put("head", &good[..good.len() / 2]);
    fleet.wait("a cut record is named", |fleet| {
        fleet.log(0).contains("the head is not a signed record")
    });
    // Of another fleet's key: a group in place of the head.
    fleet.put("head", &fleet.etcd.value(&fleet.key("groups/default")));
    fleet.wait("another record is named", |fleet| {
        fleet.log(0).contains("it begins with")
    });
    // Signed once, and older: as after a restore from a backup.
    fleet.put("head", &old);
    fleet.wait_phase(0, "ahead", "head goes back: its counter is");
    assert_eq!(fleet.agents.at(0), Some(second));
    // The next push numbers above what hosts have seen.
    let third = fleet.push(&policy(10, "198.51.100.3"));
    assert!(third > second, "{third}");
    fleet.wait_for(third);

    // Two records of one counter.
    let head: Head = fleet.record("head");
    let fork = Head {
        time: head.time + SignedDuration::from_hours(24),
        ..head.clone()
    };
    fleet.put("head", &fleet.signed(&fork));
    fleet.wait("a fork is named", |fleet| {
        fleet.log(0).contains("there are two of head with counter")
    });
    // A clock that is a day off decides nothing.
    let late = Head {
        counter: fork.counter + 1,
        time: Timestamp::now() - SignedDuration::from_hours(24),
        ..fork
    };
    fleet.put("head", &fleet.signed(&late));
    fleet.wait_phase(0, "current", "");

    // A revision that is gone, and one whose record is of another number.
    let other = Pin {
        revision: 77,
        root: head.newest.root.clone(),
    };
    let ahead = Head {
        counter: late.counter + 1,
        newest: other,
        ..late.clone()
    };
    fleet.put("head", &fleet.signed(&ahead));
    fleet.wait("a missing revision is named", |fleet| {
        fleet.log(0).contains("revision 77 is not in etcd")
    });
    let revision = fleet
        .etcd
        .value(&fleet.key(&format!("revisions/{third:020}")));
    fleet.put(&format!("revisions/{:020}", 77), &revision);
    fleet.wait("another revision in its place is named", |fleet| {
        fleet.log(0).contains(&format!(
            "revision {third} was handed over, the records say 77"
        ))
    });

    // A state of a newer netpolicy.
    let body = b"{\"format\":99}";
    let root = ObjectKind::State.id(body);
    write_object(&fleet, &root, ObjectKind::State, body);
    let newer: Revision = fleet.record(&format!("revisions/{third:020}"));
    let newer = Revision {
        revision: 78,
        root: root.to_string(),
        ..newer
    };
    fleet.put(&format!("revisions/{:020}", 78), &fleet.signed(&newer));
    let head = Head {
        counter: ahead.counter + 1,
        newest: Pin {
            revision: 78,
            root: root.to_string(),
        },
        ..ahead
    };
    fleet.put("head", &fleet.signed(&head));
    fleet.wait("a newer state is named", |fleet| {
        fleet.log(0).contains("its format is 99")
    });
    assert_eq!(fleet.agents.at(0), Some(third));
    assert_eq!(
        fleet.agents.refusals(0),
        [""; 0],
        "the process asks for nothing that is refused"
    );
}

/// Writes an object as it is.
fn write_object(fleet: &Fleet, id: &ObjectId, kind: ObjectKind, body: &[u8]) {
    let value = netpolicy_fleet::value(kind, netpolicy_fleet::BodyEncoding::Plain, body);
    let value = String::from_utf8(value).unwrap();
    fleet.put(&format!("objects/{id}"), &value);
}

#[test]
fn objects_of_another_digest_and_rollouts_that_vanish_change_nothing() {
    let mut fleet = Fleet::running(1, 1);
    let first = fleet.push(&policy(10, "198.51.100.1"));
    fleet.wait_for(first);
    let root = fleet.agents.root(0);
    fleet.kill(0);
    let before = objects(&fleet);
    let second = fleet.push(&policy(10, "198.51.100.2"));
    // A bundle that is none is of no use, and no fault: objects are read.
    fleet.put(&format!("bundles/{second:020}"), "x");
    let new: Vec<_> = objects(&fleet)
        .into_iter()
        .filter(|key| !before.contains(key))
        .collect();
    let values: Vec<_> = new.iter().map(|key| base64_of(&fleet, key)).collect();
    let state = new
        .iter()
        .position(|key| fleet.etcd.value(key).starts_with('s'))
        .unwrap();
    // The body of another object under its name, then no object, then nothing.
    fleet
        .etcd
        .ok(&["put", "--", &new[state], "sp{\"format\":1}"]);
    fleet.restart(0);
    fleet.wait("another digest is named", |fleet| {
        fleet.log(0).contains("its content does not match its hash")
    });
    fleet.kill(0);
    fleet.etcd.ok(&["put", "--", &new[state], "x"]);
    fleet.restart(0);
    fleet.wait("no object is named", |fleet| {
        fleet.log(0).contains("is no value of an object")
    });
    fleet.kill(0);
    fleet.etcd.ok(&["del", "--", &new[state]]);
    fleet.restart(0);
    fleet.wait("a missing object is named", |fleet| {
        fleet.log(0).contains("is missing in etcd")
    });
    assert_eq!(fleet.agents.root(0), root);
    put_base64(&fleet, &new[state], &values[state]);
    fleet.wait_for(second);

    // A roll-out that hosts have seen cannot be taken away from them.
    let group: Group = fleet.record("groups/default");
    let head: Head = fleet.record("head");
    let rollout = Rollout {
        fleet: group.fleet.clone(),
        group: group.group.clone(),
        counter: head.counter + 10,
        from: Some(head.newest.clone()),
        to: Pin {
            revision: second + 1,
            root: head.newest.root.clone(),
        },
        stage: 0,
        salt: "s".to_owned(),
        soak: 0,
        max_failed: 0,
        max_denied_clients: 0,
        state: RolloutState::Running,
        reason: None,
        author: "test".to_owned(),
        time: Timestamp::now(),
    };
    fleet.put("rollout/default", &fleet.signed(&rollout));
    fleet.wait_phase(0, "current", "");
    fleet.etcd.ok(&["del", "--", &fleet.key("rollout/default")]);
    fleet.wait_phase(0, "ahead", "rollout default is gone, it was seen");
}

fn objects(fleet: &Fleet) -> Vec<String> {
    let keys = fleet
        .etcd
        .ok(&["get", "--prefix", "--keys-only", &fleet.key("objects/")]);
    keys.lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A value in base64, which no shell and no text changes.
fn base64_of(fleet: &Fleet, key: &str) -> String {
    let found = fleet.etcd.ok(&["get", key, "-w", "json"]);
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    found["kvs"][0]["value"].as_str().unwrap().to_owned()
}

fn put_base64(fleet: &Fleet, key: &str, base64: &str) {
    let script = format!(
        "printf %s '{base64}' | base64 -d | ETCDCTL_API=3 etcdctl --endpoints {} put -- '{key}'",
        fleet.etcd.urls().join(",")
    );
    let done = std::process::Command::new("sh")
        .args(["-c", &script])
        .status()
        .unwrap();
    assert!(done.success());
}

#[test]
fn second_operator_and_second_host_of_a_name_are_told() {
    let mut fleet = Fleet::running(1, 1);
    let first = fleet.push(&policy(10, "198.51.100.1"));
    fleet.wait_for(first);
    fleet.wait_phase(0, "current", "");
    // Both begin at once: what succeeded is there, and who did not is told.
    let file = fleet.dir.join("policy.toml");
    std::fs::write(&file, policy(3_000, "198.51.100.2")).unwrap();
    let settings = fleet.dir.join("operator.toml");
    let push = ["push", "-f", file.to_str().unwrap(), "--at-once"];
    let pushes: Vec<_> = (0..4)
        .map(|_| {
            let mut push = command(&settings, &push);
            push.stdout(std::process::Stdio::piped());
            push.stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let outs: Vec<_> = pushes
        .into_iter()
        .map(|push| push.wait_with_output().unwrap())
        .collect();
    let told = outs.iter().filter(|out| !out.status.success()).map(said);
    for told in told {
        assert!(
            told.contains("is at work on fleet prod; nothing was changed"),
            "{told}"
        );
    }
    assert!(outs.iter().any(|out| out.status.success()));
    assert_eq!(fleet.newest(), first + 1);
    fleet.wait_for(first + 1);
    // A lock that is held names its holder.
    let holder = r#"{"author":"eve@x","since":"2026-11-30T00:00:00Z","what":"push"}"#;
    fleet.put("lock", holder);
    std::fs::write(&file, policy(10, "198.51.100.3")).unwrap();
    let held = fleet.refused(&push);
    assert!(held.contains("eve@x (push, since 2026-11-30"), "{held}");
    fleet.etcd.ok(&["del", "--", &fleet.key("lock")]);

    // The same name on another host.
    let twin = fleet.dir.join("twin.toml");
    std::fs::copy(fleet.settings(0), &twin).unwrap();
    let log = fleet.dir.join("twin.log");
    let process = run(&[twin], &log);
    fleet.wait_phase(0, "refused", "the name h0 is used twice, also by");
    let status = fleet.ok(&["status"]);
    assert!(status.contains("used twice"), "{status}");
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains("used twice"), "{said}");
    let third = fleet.push(&policy(10, "198.51.100.4"));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(
        fleet.agents.at(0),
        Some(first + 1),
        "neither takes anything new"
    );
    // Without the other one it goes on, also when it was itself killed.
    drop(process);
    fleet.kill(0);
    fleet.etcd.ok(&["del", "--", &fleet.key("hosts/h0/alive")]);
    fleet.restart(0);
    fleet.wait_for(third);
}

#[test]
fn full_etcd_refuses_a_push_and_hosts_go_on() {
    let mut fleet = Fleet::running(1, 1);
    let first = fleet.push(&policy(10, "198.51.100.1"));
    fleet.wait_for(first);
    fleet.etcd.kill(0);
    fleet.etcd.quota = Some(2 << 20);
    fleet.etcd.spawn(0);
    fleet.etcd.wait();
    let filler = "x".repeat(100_000);
    let filled = (0..60).any(|i| {
        !fleet
            .etcd
            .ctl(&["put", &format!("filler{i}"), &filler])
            .status
            .success()
    });
    assert!(filled);
    let file = fleet.dir.join("policy.toml");
    std::fs::write(&file, policy(10, "198.51.100.2")).unwrap();
    let refused = fleet.refused(&["push", "-f", file.to_str().unwrap(), "--at-once"]);
    assert!(
        refused.contains("is full") && refused.contains("etcdctl defrag"),
        "{refused}"
    );
    assert_eq!(fleet.agents.at(0), Some(first));
    // What its hint says helps.
    fleet.etcd.ok(&["del", "--prefix", "filler"]);
    let at = fleet.etcd.ok(&["get", "x", "-w", "json"]);
    let at: serde_json::Value = serde_json::from_str(&at).unwrap();
    fleet
        .etcd
        .ok(&["compact", &at["header"]["revision"].to_string()]);
    fleet.etcd.ok(&["defrag"]);
    fleet.etcd.ok(&["alarm", "disarm"]);
    let second = fleet.push(&policy(10, "198.51.100.2"));
    fleet.wait_for(second);
}
