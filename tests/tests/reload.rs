//! Reloading the configuration: a real SIGHUP, what it changes, and what is told of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use netpolicy_tests::command::assert_has;
use netpolicy_tests::host::{LIMIT, NIC, wait_for};
use netpolicy_tests::netns::{End, join};
use netpolicy_tests::traffic::{self, ALLOWED_WAIT, DENIED_WAIT};
use netpolicy_tests::{DatabaseHost, NetNs, Options, Outcome};
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

const BLOCKED: &str = "10.66.0.1";
const OTHER: &str = "nic1";
const OTHER_HOST: &str = "172.31.0.1";
const OTHER_CLIENT: &str = "172.31.0.2";
/// A host whose configuration names its interface.
fn host(more: &str) -> DatabaseHost {
    let mut host = DatabaseHost::with(&Options {
        config: format!("interfaces = [\"{NIC}\"]\n{more}"),
        agent: false,
    });
    let mut command = host.command();
    command.arg("agent");
    host.spawn(command);
    host.wait_for_agent();
    host
}

/// Replaces a line of the configuration file, or adds one at its beginning, and lets the agent
/// reload it.
fn reload(host: &mut DatabaseHost, old: &str, new: &str) {
    let text = fs::read_to_string(host.file("config.toml")).unwrap();
    assert!(text.contains(old), "{old}: {text}");
    host.write("config.toml", text.replacen(old, new, 1));
    host.agent().signal(Signal::SIGHUP);
}

fn interfaces(status: &Value) -> Vec<&str> {
    let all = status["enforcement"]["interfaces"].as_array();
    let names = all
        .into_iter()
        .flatten()
        .map(|i| i["name"].as_str().unwrap());
    names.collect()
}

/// Another client on an interface of its own.
fn other_client(host: &DatabaseHost) -> NetNs {
    let other = NetNs::new();
    let ends = [
        (host.db(), "02:00:00:00:00:03"),
        (&other, "02:00:00:00:00:04"),
    ];
    let [db, client] = ends.map(|(ns, mac)| End {
        ns,
        interface: OTHER,
        mac,
    });
    join(db, client);
    for (ns, address) in [(host.db(), OTHER_HOST), (&other, OTHER_CLIENT)] {
        ns.add_address(OTHER, &format!("{address}/24"));
    }
    other
}

fn attempt(other: &NetNs, wait: Duration) -> Outcome {
    let to = format!("{OTHER_HOST}:5432").parse().unwrap();
    traffic::attempt(other, OTHER_CLIENT.parse().unwrap(), to, wait)
}

#[test]
fn interface_added_by_a_reload_is_filtered_and_a_removed_one_no_more() {
    let mut host = host("");
    let other = other_client(&host);
    host.ok(&format!(
        "policy create office --block {BLOCKED},{OTHER_CLIENT}"
    ));
    assert_eq!(attempt(&other, ALLOWED_WAIT), Outcome::Connected);
    let one = format!("interfaces = [\"{NIC}\"]");
    let both = format!("interfaces = [\"{NIC}\", \"{OTHER}\"]");
    reload(&mut host, &one, &both);
    wait_for(&host, "both are filtered", |status| {
        interfaces(status) == [NIC, OTHER] && status["enforcement"]["state"] == "attached"
    });
    assert_eq!(attempt(&other, DENIED_WAIT), Outcome::TimedOut);
    let log = host.agent().log();
    assert_has(&log, &["configuration reloaded; changed: interfaces"]);
    let audit = host.ok("audit");
    assert_has(&audit, &["reload"]);

    reload(&mut host, &both, &one);
    wait_for(&host, "one is filtered", |status| {
        interfaces(status) == [NIC]
    });
    assert_eq!(attempt(&other, ALLOWED_WAIT), Outcome::Connected);
    host.assert_times_out(&[(BLOCKED, 5432)]);
}

#[test]
fn invalid_configuration_changes_nothing_and_is_a_fault_until_corrected() {
    let mut host = host("[limits]\npolicies = 1\n");
    host.ok(&format!("policy create office --block {BLOCKED}"));
    let second = "policy create second --block 10.9.0.0/16";
    assert_eq!(host.line(second).code, Some(1), "the limit");

    // Two slips, and a higher limit that is not to count.
    let slip = "policies = 2\nrules_per_lists = 7\n[limts]\n";
    reload(&mut host, "policies = 1\n", slip);
    let status = wait_for(&host, "the fault", |status| {
        status["faults"].as_array().is_some_and(|f| !f.is_empty())
    });
    let faults = status["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 2, "{faults:?}");
    let file = host.file("config.toml").display().to_string();
    let text = fs::read_to_string(host.file("config.toml")).unwrap();
    let line = text
        .lines()
        .position(|line| line.starts_with("rules_per_lists"));
    let line = line.unwrap() + 1;
    let places = [
        format!("{file}:{line}:1: "),
        format!("{file}:{}:2: ", line + 1),
    ];
    for ((fault, place), what) in faults.iter().zip(&places).zip([
        "unknown key 'rules_per_lists' in [limits]; did you mean 'rules_per_list'?",
        "unknown section 'limts'; did you mean 'limits'?",
    ]) {
        let fault = fault.as_str().unwrap();
        assert_has(fault, &["the previous configuration is used", place, what]);
    }
    let shown = host.line("status");
    assert_eq!(shown.code, Some(1));
    assert_has(&shown.stderr, &["warning: ", &places[0], "config check"]);
    assert_eq!(host.line(second).code, Some(1), "still the limit");
    host.assert_times_out(&[(BLOCKED, 5432)]);
    let log = host.agent().log();
    assert_has(&log, &["the configuration is not reloaded: ", "'limts'"]);
    // The command finds the same without the agent.
    let check = host.line("config check");
    assert_eq!(check.code, Some(1));
    assert_has(&check.stderr, &[&places[0], &places[1], "hint: "]);

    reload(&mut host, slip, "policies = 2\n");
    wait_for(&host, "no fault", |status| status["faults"] == json!([]));
    host.ok(second);
    assert_has(&host.ok("config check"), &["is valid"]);
}

#[test]
fn what_requires_a_restart_is_told_and_the_service_manager_follows_a_reload() {
    let mut host = DatabaseHost::without_agent();
    let socket = UnixDatagram::bind(host.file("notify")).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let mut command = host.command();
    command.args(["agent", "--interface", NIC]);
    command.env("NOTIFY_SOCKET", host.file("notify"));
    host.spawn(command);
    // All lines until one of them is there, and the message that it is in.
    let message_with = |wanted: &str| loop {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
        if text.lines().any(|line| line.starts_with(wanted)) {
            return text;
        }
    };
    message_with("READY=1");

    let now = || {
        let time = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
        Duration::from(time).as_micros()
    };
    let before = now();
    reload(&mut host, "engine", "bpffs = \"host\"\nengine");
    let message = message_with("RELOADING=1");
    let time = message
        .lines()
        .find_map(|l| l.strip_prefix("MONOTONIC_USEC="));
    let time: u128 = time.unwrap().parse().unwrap();
    assert!((before..=now()).contains(&time), "{before} {time}");
    // In either order: what shows the status looks by itself.
    let (mut is_ready, mut is_told) = (false, false);
    while !(is_ready && is_told) {
        let message = message_with("");
        is_ready |= message.trim() == "READY=1";
        is_told |= message.contains("restart required for bpffs");
    }

    let status = host.status();
    assert_eq!(status["agent"]["restart"], json!(["bpffs"]));
    assert_eq!(status["faults"], json!([]), "it is no fault");
    assert_has(
        &host.ok("status"),
        &["Restart", "bpffs: changed in the configuration"],
    );
    let log = host.agent().log();
    assert_has(&log, &["a restart of the agent is required for bpffs"]);
    reload(&mut host, "bpffs = \"host\"\n", "");
    wait_for(&host, "nothing requires a restart", |status| {
        status["agent"]["restart"].is_null()
    });
}

/// The packages install the same text.
#[test]
fn default_configuration_is_valid_and_sets_no_key() {
    let host = DatabaseHost::without_agent();
    let text = host.ok("config default");
    assert_eq!(text, netpolicy_user::config::commented_default());
    assert_eq!(host.json("config default"), json!(text));
    host.write("config.toml", &text);
    assert_has(&host.ok("config check"), &["is valid"]);
    for setting in host.json("config show").as_array().unwrap() {
        assert_ne!(setting["source"], "file", "{setting}");
    }
}
