//! Interfaces: several, in the generic hook, with jumbo frames, shared with others.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use netpolicy_tests::host::{NIC, run};
use netpolicy_tests::netns::{End, join};
use netpolicy_tests::packet::{DOT1AD, DOT1Q, Packet};
use netpolicy_tests::traffic::RawSocket;
use netpolicy_tests::{DatabaseHost, NetNs, Options};

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const BLOCKED6: &str = "fd00:bad::1";
const POLICY: &str = "policy create office --allow 10.0.0.0/8 --allow fd00::/16 \
                      --block 10.66.0.0/16 --block fd00:bad::/32";

#[track_caller]
fn wait_for_count(host: &DatabaseHost, reason: &str, count: u64) {
    let deadline = Instant::now() + Duration::from_secs(2);
    while host.counter("host", reason) != count {
        let is = host.counter("host", reason);
        assert!(
            Instant::now() < deadline,
            "{reason}: {is}, expected {count}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_generic_hook_filters_too() {
    let config = "hook = \"generic\"\n".to_owned();
    let host = DatabaseHost::with(&Options {
        config,
        agent: true,
    });
    host.ok(POLICY);
    let attachment = host.json("status")["enforcement"]["interfaces"][0]["attachment"].clone();
    assert_eq!(attachment, "generic");
    host.assert_connects(&[(ALLOWED, 5432), ("fd00::1", 5432)]);
    host.assert_times_out(&[(BLOCKED, 5432), (BLOCKED6, 5432)]);
    let raw = host.raw();
    raw.send(&Packet::syn(BLOCKED, 5432).tag(DOT1Q).build());
    raw.send(&Packet::syn(BLOCKED, 5432).tag(DOT1AD).tag(DOT1Q).build());
    wait_for_count(&host, "blocked", 4);
}

#[test]
fn several_interfaces_get_the_same_verdicts() {
    let mut host = DatabaseHost::without_agent();
    let other = NetNs::new();
    join(
        End {
            ns: host.db(),
            interface: "nic1",
            mac: "02:00:00:00:00:03",
        },
        End {
            ns: &other,
            interface: "nic1",
            mac: "02:00:00:00:00:04",
        },
    );
    let mut command = host.command();
    command.args(["agent", "--interface", "nic0,nic1"]);
    host.spawn(command);
    host.wait_for_agent();
    host.ok(POLICY);
    RawSocket::new(&other, "nic1").send(&Packet::syn(BLOCKED, 5432).build());
    host.raw().send(&Packet::syn(BLOCKED6, 5432).build());
    wait_for_count(&host, "blocked", 2);
    // One goes; the other stays filtered.
    host.db().ip(&["link", "del", "nic1"]);
    let status = host.wait_for_state("partial");
    assert!(status["faults"].to_string().contains("nic1"), "{status}");
    host.assert_times_out(&[(BLOCKED, 5432)]);
}

#[test]
fn jumbo_frames_pass_through_the_native_hook() {
    let mut host = DatabaseHost::with(&Options {
        config: "hook = \"native\"\n".to_owned(),
        agent: false,
    });
    for ns in [host.db(), host.clients()] {
        ns.ip(&["link", "set", NIC, "mtu", "9000"]);
    }
    host.start_agent();
    host.ok(POLICY);
    let attachment = host.json("status")["enforcement"]["interfaces"][0]["attachment"].clone();
    assert_eq!(attachment, "native");
    let mut session = host.session(ALLOWED, 5432);
    let sent = vec![7; 300_000];
    let mut answer = vec![0; sent.len()];
    let mut writer = session.try_clone().expect("a second handle");
    std::thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&sent).expect("send"));
        session.read_exact(&mut answer).expect("the echo");
    });
    assert_eq!(answer, sent);
    // Still judged when it is large: TCP Fast Open lets a SYN carry data.
    host.raw()
        .send(&Packet::syn(BLOCKED, 5432).payload(8900).build());
    wait_for_count(&host, "blocked", 1);
}

#[test]
fn an_interface_with_another_s_program_is_reported_and_left_alone() {
    // Two agents, each with pins of its own, want one interface.
    let mut first = DatabaseHost::with(&Options {
        config: "hook = \"native\"\n".to_owned(),
        agent: true,
    });
    first.ok(POLICY);
    let dir = first.file("second");
    std::fs::create_dir(&dir).expect("make a directory");
    let pins = format!("{}-second", first.bpffs_dir().display());
    let mut command = first.command();
    command.env("NETPOLICY_SOCKET", dir.join("agent.sock"));
    command.env("NETPOLICY_STATE_DIR", dir.join("state"));
    command.env("NETPOLICY_BPFFS_DIR", &pins);
    command.args(["agent", "--interface", NIC]);
    let second = netpolicy_tests::process::Process::start(command, &first.file("second.log"));
    let deadline = Instant::now() + Duration::from_secs(10);
    while !second.log().contains("already has a program at native XDP") {
        assert!(Instant::now() < deadline, "{}", second.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(second);
    let _ = std::fs::remove_dir_all(&pins);
    first.wait_for_agent();
    first.assert_times_out(&[(BLOCKED, 5432)]);
}

#[test]
fn pins_of_another_network_namespace_are_left_alone() {
    let mut host = DatabaseHost::start();
    host.ok(POLICY);
    host.stop_agent();
    // Here is an interface with that index as well, which is not filtered.
    let elsewhere = NetNs::new();
    let shown = host.db().ip(&["-oneline", "link", "show", "dev", NIC]);
    let index = shown.split(':').next().expect("an index").to_owned();
    // The peer is made first; it must not take that index.
    elsewhere.ip(&[
        "link", "add", "other0", "index", &index, "type", "veth", "peer", "name", "other1",
        "index", "99",
    ]);

    let mut agent = host.command_in(&elsewhere);
    agent.args(["agent", "--interface", "other0"]);
    let said = run(agent, &["agent"], "").failed(1).to_owned();
    assert!(said.contains("another network namespace"), "{said}");

    let mut status = host.command_in(&elsewhere);
    status.arg("status");
    let shown = run(status, &["status"], "");
    assert!(
        shown
            .stdout
            .contains("index 2 of another network namespace"),
        "{}",
        shown.stdout
    );
    host.assert_times_out(&[(BLOCKED, 5432)]);

    // The kill switch works from anywhere, and tells what it let go.
    let mut detach = host.command_in(&elsewhere);
    detach.args(["detach", "--yes"]);
    let done = run(detach, &["detach", "--yes"], "");
    assert!(
        done.ok().contains("another network namespace"),
        "{}",
        done.ok()
    );
    host.assert_connects(&[(BLOCKED, 5432)]);
}
