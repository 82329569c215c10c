//! Denied connection attempts that are answered by a TCP reset: how a client sees them, and when
//! there is no answer.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use netpolicy_tests::host::{NIC, Options};
use netpolicy_tests::netns::{End, join};
use netpolicy_tests::packet::{HOST_V4, Packet};
use netpolicy_tests::reset::Reset;
use netpolicy_tests::rules;
use netpolicy_tests::traffic::{self, Outcome};
use netpolicy_tests::{DatabaseHost, NetNs};

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const BLOCKED6: &str = "fd00:bad::1";
const POLICY: &str = "policy create office --block 10.66.0.0/16 --block fd00:bad::/32";

/// Before the attempt is sent again, which is after a second.
const AT_ONCE: Duration = Duration::from_millis(700);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

fn host_with(config: &str) -> DatabaseHost {
    let host = DatabaseHost::with(&Options {
        config: config.to_owned(),
        agent: true,
    });
    host.ok(POLICY);
    host.ok("host set --on-deny reset");
    host
}

fn ethtool(ns: &NetNs, interface: &str, settings: &[&str]) {
    let mut command = ns.command("ethtool");
    command.args(["-K", interface]).args(settings);
    let out = command.output().expect("run ethtool");
    assert!(out.status.success(), "{settings:?}: {out:?}");
}

/// Fails unless an attempt is refused before it would be sent again.
#[track_caller]
fn assert_refused(host: &DatabaseHost, source: &str, port: u16) {
    let begin = Instant::now();
    let outcome = host.connect(source, port);
    assert_eq!(outcome, Outcome::Refused, "{source} to port {port}");
    let took = begin.elapsed();
    assert!(took < AT_ONCE, "{source} to port {port}: {took:?}");
}

fn resets_sent(host: &DatabaseHost) -> u64 {
    host.json("counters")["resets_sent"]
        .as_u64()
        .expect("a number")
}

#[test]
fn denied_source_is_refused_at_once_whichever_end_completes_checksums() {
    for hook in [rules::tc(), "generic"] {
        let host = host_with(&format!("hook = \"{hook}\"\n"));
        for (client, own) in [("on", "on"), ("on", "off"), ("off", "on"), ("off", "off")] {
            // Received sums are checked in software.
            ethtool(host.clients(), NIC, &["tx", client, "rx", "off"]);
            ethtool(host.db(), NIC, &["tx", own, "rx", "off"]);
            assert_refused(&host, BLOCKED, 5432);
            assert_refused(&host, BLOCKED6, 5432);
        }
        host.assert_connects(&[(ALLOWED, 5432), (BLOCKED, 22)]);
        assert!(resets_sent(&host) >= 8);
        let status = host.ok("status");
        assert!(
            status.contains("Answering     host: denied attempts get a TCP reset\n"),
            "{status}"
        );
        let told = host.ok(&format!("explain {BLOCKED} --port 5432"));
        assert!(told.contains("drop, answered by a TCP reset"), "{told}");
    }
}

#[test]
fn checksum_is_completed_by_a_router_behind_the_host() {
    // The attempt's sum is still to be completed where it arrives, and so is the answer's. The
    // router's interface towards the client completes it, and the client checks it.
    let host = host_with(&format!("hook = \"{}\"\n", rules::tc()));
    let behind = NetNs::new();
    let ends = [
        (host.clients(), "c0", "02:00:00:00:09:01"),
        (&behind, "c1", "02:00:00:00:09:02"),
    ];
    let [router, client] = ends.map(|(ns, interface, mac)| End { ns, interface, mac });
    join(router, client);
    host.clients().add_address("c0", "198.18.9.1/24");
    behind.add_address("c1", "198.18.9.2/24");
    behind.ip(&["route", "add", "default", "via", "198.18.9.1"]);
    host.clients().run(|| {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("make it a router");
    });
    ethtool(host.clients(), "c0", &["tx", "off"]);
    ethtool(&behind, "c1", &["tx", "on", "rx", "off"]);
    let to: SocketAddr = format!("{HOST_V4}:5432").parse().expect("an address");
    let from: IpAddr = "198.18.9.2".parse().expect("an address");
    let attempt = || traffic::attempt(&behind, from, to, PATIENCE);
    assert_eq!(attempt(), Outcome::Connected);
    host.ok("policy alter office --add-block 198.18.9.0/24");
    let begin = Instant::now();
    assert_eq!(attempt(), Outcome::Refused);
    assert!(begin.elapsed() < AT_ONCE);
}

/// A VLAN on the wire, and one inside it.
fn vlan_devices(host: &DatabaseHost) -> Result<(), String> {
    for ns in [host.db(), host.clients()] {
        for (lower, name, id) in [(NIC, "v5", "5"), ("v5", "v6", "6")] {
            let mut command = ns.command("ip");
            command.args([
                "link", "add", "link", lower, "name", name, "type", "vlan", "id", id,
            ]);
            let out = command.output().expect("run ip");
            if !out.status.success() {
                return Err(String::from_utf8_lossy(&out.stderr).trim().to_owned());
            }
        }
    }
    Ok(())
}

#[test]
fn denied_source_in_a_vlan_is_refused_whichever_end_offloads_tags_and_checksums() {
    for hook in [rules::tc(), "generic"] {
        let host = host_with(&format!("hook = \"{hook}\"\n"));
        if let Err(why) = vlan_devices(&host) {
            println!("skipped: {why}");
            return;
        }
        for (ns, last) in [(host.db(), 1), (host.clients(), 2)] {
            for (name, id) in [("v5", 5), ("v6", 6)] {
                ns.ip(&["link", "set", name, "up"]);
                ns.wait_up(name);
                ns.add_address(name, &format!("198.18.{id}.{last}/24"));
            }
        }
        // Where the kernel has the tag of a frame, and who completes its checksum, on either end:
        // in the frame or in metadata, completed already or not.
        for settings in 0..16 {
            let offload = |bit: u32| ["on", "off"][(settings >> bit & 1) as usize];
            let ends = [(host.clients(), 0), (host.db(), 1)];
            for (ns, bit) in ends {
                let (tags, sums) = (offload(bit), offload(bit + 2));
                let settings = ["txvlan", tags, "rxvlan", tags, "tx", sums, "rx", "off"];
                ethtool(ns, NIC, &settings);
            }
            for id in [5, 6] {
                let what = format!(
                    "{hook}, VLAN {id}; tags at the client {}, at the host {}; sums {}, {}",
                    offload(0),
                    offload(1),
                    offload(2),
                    offload(3)
                );
                let to: SocketAddr = format!("198.18.{id}.1:5432").parse().expect("an address");
                let from = |text: &str| text.parse().expect("an address");
                let own = from(&format!("198.18.{id}.2"));
                let found = traffic::attempt(host.clients(), own, to, PATIENCE);
                assert_eq!(found, Outcome::Connected, "{what}");
                let begin = Instant::now();
                let found = traffic::attempt(host.clients(), from(BLOCKED), to, PATIENCE);
                assert_eq!(found, Outcome::Refused, "{what}");
                assert!(begin.elapsed() < AT_ONCE, "{what}");
            }
        }
        // None came by another way.
        assert!(resets_sent(&host) >= 32, "{hook}");
    }
}

#[test]
fn native_xdp_on_a_veth_drops_and_status_says_why() {
    let host = host_with("hook = \"native\"\n");
    host.assert_times_out(&[(BLOCKED, 5432), (BLOCKED6, 5432)]);
    host.assert_connects(&[(ALLOWED, 5432)]);
    let counters = host.json("counters");
    assert_eq!(counters["resets_sent"], 0, "{counters}");
    assert!(
        counters["resets_withheld"].as_u64() >= Some(2),
        "{counters}"
    );
    let status = host.ok("status");
    let line = format!("not on {NIC}, where they are dropped: ");
    assert!(status.contains(&line), "{status}");
    let interface = host.status()["enforcement"]["interfaces"][0].clone();
    assert!(interface["unanswered"].is_string(), "{interface}");
}

#[test]
fn service_and_host_answer_each_for_itself() {
    let host = DatabaseHost::start();
    host.ok("service add pg --port 5432 --on-deny reset");
    host.ok(POLICY);
    let listed = host.ok("service list");
    assert!(listed.contains("reset"), "{listed}");
    // By the host's lists, and then by the service's own.
    for bound in [false, true] {
        if bound {
            host.ok("bind office --service pg");
        }
        if rules::attachment() != "native" {
            assert_refused(&host, BLOCKED, 5432);
        }
        host.assert_times_out(&[(BLOCKED, 8080)]);
        host.assert_connects(&[(ALLOWED, 5432), (ALLOWED, 8080)]);
    }
    host.ok("service alter pg --on-deny drop");
    host.assert_times_out(&[(BLOCKED, 5432)]);
}

#[test]
fn not_allowed_source_is_refused_and_an_observed_scope_answers_nothing() {
    let host = host_with(&format!("hook = \"{}\"\n", rules::tc()));
    host.ok("policy create inner --allow 10.0.0.0/16");
    assert_refused(&host, "10.7.0.1", 5432);
    assert_refused(&host, "fd00::7", 5432);
    let sent = resets_sent(&host);
    host.ok("host set --mode observe --yes");
    host.assert_connects(&[(BLOCKED, 5432), ("10.7.0.1", 5432)]);
    assert_eq!(resets_sent(&host), sent);
    let exported = host.ok("export");
    assert!(exported.contains("on_deny = \"reset\""), "{exported}");
    assert!(!host.ok("status").contains("Answering"));
    host.ok("host set --mode enforce --on-deny drop");
    host.assert_times_out(&[(BLOCKED, 5432)]);
    assert_eq!(resets_sent(&host), sent);
}

#[test]
fn denied_source_is_refused_while_no_agent_runs() {
    let mut host = host_with(&format!("hook = \"{}\"\n", rules::tc()));
    assert_refused(&host, BLOCKED, 5432);
    host.kill_agent();
    assert_refused(&host, BLOCKED, 5432);
    host.start_agent();
    assert_refused(&host, BLOCKED6, 5432);
}

#[test]
fn segments_of_an_open_connection_are_never_answered() {
    let host = host_with(&format!("hook = \"{}\"\n", rules::tc()));
    host.ok("policy alter office --set-block 203.0.113.9 --yes");
    let mut sessions = [BLOCKED, BLOCKED6].map(|source| host.session(source, 5432));
    host.ok("policy alter office --add-block 10.66.0.0/16 --add-block fd00:bad::/32");
    assert_refused(&host, BLOCKED, 5432);
    let sent = resets_sent(&host);
    for stream in &mut sessions {
        stream
            .write_all(b"still here")
            .expect("write to an open connection");
        let mut echo = [0; 10];
        stream.read_exact(&mut echo).expect("the echo");
        assert_eq!(&echo, b"still here");
    }
    let socket = host.raw();
    for flags in ["A", "PA", "FA", "R", "RA", "SA", "SAE", "F", ""] {
        for source in [BLOCKED, BLOCKED6] {
            socket.send(&Packet::tcp(source, 5432, flags).build());
        }
    }
    // Behind all of them.
    assert_refused(&host, BLOCKED, 5432);
    assert_eq!(resets_sent(&host), sent + 1);
    // An attempt from the very address and port of a connection does not end it.
    for stream in &mut sessions {
        let own = stream.local_addr().expect("an address");
        let (ip, port) = (own.ip().to_string(), own.port());
        socket.send(&Packet::tcp_from(&ip, port, 5432, "S").build());
        stream
            .write_all(b"still here")
            .expect("write to an open connection");
        let mut echo = [0; 10];
        stream.read_exact(&mut echo).expect("the echo");
    }
}

#[test]
fn resets_are_limited_and_the_rest_is_dropped_silently() {
    const ATTEMPTS: u16 = 400;
    let host = host_with(&format!(
        "hook = \"{}\"\nresets_per_second = 20\n",
        rules::tc()
    ));
    // The agent has told the limit.
    assert_refused(&host, BLOCKED, 5432);
    std::thread::sleep(Duration::from_millis(200));
    let before = resets_sent(&host);
    let (socket, begin) = (host.raw(), Instant::now());
    for source_port in 10_000..10_000 + ATTEMPTS {
        socket.send(&Packet::tcp_from(BLOCKED, source_port, 5432, "S").build());
    }
    let mut buffer = [0; 2048];
    let mut received = 0;
    while let Some(frame) = socket.receive(&mut buffer) {
        received += u64::from(Reset::read(frame, true).is_some());
    }
    let counters = host.json("counters");
    let count = |name: &str| counters[name].as_u64().expect("a number");
    let sent = count("resets_sent") - before;
    assert_eq!(received, sent);
    // Of each CPU a tenth of a second's at once, and what it may as time passes.
    let cpus = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let most = cpus * (2.0 + 1.0 + begin.elapsed().as_secs_f64() * 20.0);
    assert!(
        sent >= 1 && sent as f64 <= most,
        "{sent} of {ATTEMPTS}, {most}"
    );
    assert_eq!(
        count("resets_limited") + sent,
        u64::from(ATTEMPTS),
        "{counters}"
    );
    let shown = host.ok("counters");
    assert!(
        shown.contains(" sent, ") && shown.contains(" rate-limited, "),
        "{shown}"
    );
    // All of them were denied nevertheless.
    assert!(host.counter("host", "blocked") >= u64::from(ATTEMPTS));
}

#[test]
fn no_resets_a_second_means_none() {
    let host = host_with(&format!(
        "hook = \"{}\"\nresets_per_second = 0\n",
        rules::tc()
    ));
    host.assert_times_out(&[(BLOCKED, 5432)]);
    assert_eq!(resets_sent(&host), 0);
}
