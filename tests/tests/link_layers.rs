//! Interfaces without an Ethernet header, with a real server behind them.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "what is skipped is to be seen")]

use std::fs;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use netpolicy_tests::evasion::attempt::Attempt;
use netpolicy_tests::evasion::devices::Device;
use netpolicy_tests::evasion::{self, Sender, Sent, Stand};
use netpolicy_tests::host::NIC;
use netpolicy_tests::packet::{Extension, Packet};
use netpolicy_tests::reference::{Policy, Rules};
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_tests::shape::{Shape, two};
use netpolicy_tests::traffic::{self, Outcome};
use netpolicy_tests::tun::Tun;
use netpolicy_tests::{DatabaseHost, NetNs, netns};
use netpolicy_user::config::HookChoice;
use netpolicy_user::datapath;
use netpolicy_user::netdev::Netdevs;

const TUN: &str = "tun0";
const ALLOWED: &str = "192.0.2.7";
const BLOCKED: &str = "192.0.2.66";
const ALLOWED6: &str = "2001:db8:77::7";
const BLOCKED6: &str = "2001:db8:77::66";
const POLICY: &str = "policy create office --block 192.0.2.66 --block 2001:db8:77::66";

/// How long an answer may take, and how long one that must not come is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(400);

/// An agent that filters a tun device in addition to the usual interface.
fn host_with_tun() -> (DatabaseHost, Tun) {
    let mut host = DatabaseHost::without_agent();
    let tun = Tun::new(host.db(), TUN);
    host.db().ip(&["route", "add", "192.0.2.0/24", "dev", TUN]);
    host.db()
        .ip(&["route", "add", "2001:db8:77::/64", "dev", TUN]);
    start(&mut host);
    host.ok(POLICY);
    (host, tun)
}

fn start(host: &mut DatabaseHost) {
    spawn(host);
    host.wait_for_agent();
}

fn spawn(host: &mut DatabaseHost) {
    let mut command = host.command();
    command.args(["agent", "--interface", &format!("{NIC},{TUN}")]);
    host.spawn(command);
}

/// Whether an attempt from a source gets a SYN-ACK.
fn is_answered(tun: &mut Tun, source: &str, packet: &Packet, patience: Duration) -> bool {
    let source: IpAddr = source.parse().expect("an address");
    let frame = packet.build();
    tun.send(&frame[14..]);
    // Answers to others are sent again and again, since nothing acknowledges them.
    let is_answer = |packet: &[u8]| {
        let Ok(sliced) = SlicedPacket::from_ip(packet) else {
            return false;
        };
        let to: Option<IpAddr> = match sliced.net {
            Some(NetSlice::Ipv4(ip)) => Some(ip.header().destination_addr().into()),
            Some(NetSlice::Ipv6(ip)) => Some(ip.header().destination_addr().into()),
            _ => None,
        };
        let is_syn_ack = matches!(
            sliced.transport,
            Some(TransportSlice::Tcp(tcp)) if tcp.syn() && tcp.ack()
        );
        to == Some(source) && is_syn_ack
    };
    tun.receive(patience, is_answer).is_some()
}

fn assert_filtered(tun: &mut Tun) {
    // Each from a port of its own: an answered one is not answered again in the same way.
    let ports = u16::try_from(std::process::id() % 30_000).unwrap_or(1);
    for (n, source) in (0..).zip([ALLOWED, ALLOWED6]) {
        let syn = Packet::tcp_from(source, ports.wrapping_add(n) | 1024, 5432, "S");
        assert!(
            is_answered(tun, source, &syn, PATIENCE),
            "{source} gets no SYN-ACK"
        );
    }
    for source in [BLOCKED, BLOCKED6] {
        let syn = Packet::syn(source, 5432);
        assert!(
            !is_answered(tun, source, &syn, SILENCE),
            "{source} gets a SYN-ACK"
        );
    }
}

#[test]
fn blocked_source_gets_no_answer_through_a_tun_device() {
    let (mut host, mut tun) = host_with_tun();
    let interfaces = host.json("status")["enforcement"]["interfaces"].clone();
    assert!(interfaces.to_string().contains(TUN), "{interfaces}");
    assert_filtered(&mut tun);

    let many = (0..150).fold(Packet::syn(BLOCKED6, 5432), |packet, _| {
        packet.extension(Extension::Destination(8))
    });
    assert!(
        !is_answered(&mut tun, BLOCKED6, &many, SILENCE),
        "150 extension headers"
    );

    // The next agent leaves the right program there.
    host.stop_agent();
    assert_filtered(&mut tun);
    start(&mut host);
    assert_filtered(&mut tun);
}

#[test]
fn reinstalled_program_at_a_tun_device_still_reads_ip() {
    let (mut host, mut tun) = host_with_tun();
    host.stop_agent();
    // Without this pin the agent installs everything again and replaces what links run.
    fs::remove_file(host.bpffs_dir().join("live/BUILD")).expect("remove a pin");
    start(&mut host);
    let deadline = Instant::now() + PATIENCE;
    while !host.json("status")["enforcement"]["interfaces"]
        .to_string()
        .contains(TUN)
    {
        assert!(Instant::now() < deadline, "not attached");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_filtered(&mut tun);
}

#[test]
fn tun_device_in_another_namespace_still_runs_the_program_that_reads_ip() {
    let (mut host, _tun) = host_with_tun();
    let elsewhere = NetNs::new();
    let program = |ns: &NetNs| {
        let running = ns.run(|| {
            let mut netdevs = Netdevs::open().expect("netlink");
            let device = netdevs.by_name(TUN).expect("ask").expect("the device");
            datapath::running(&device)
        });
        let (_, id) = running.first().expect("a program");
        let shown = netns::run("bpftool", &["prog", "show", "id", &id.to_string()]);
        assert!(shown.contains("name netpolicy_tc_ip"), "{shown}");
        *id
    };
    let before = program(host.db());
    host.db()
        .ip(&["link", "set", TUN, "netns", elsewhere.name()]);
    host.stop_agent();
    fs::remove_file(host.bpffs_dir().join("live/BUILD")).expect("remove a pin");
    spawn(&mut host);
    let _ = host.wait_for_state("partial");
    assert_ne!(program(&elsewhere), before, "the program was not replaced");
}

#[test]
fn interface_of_unknown_hardware_type_is_refused_with_a_fault() {
    const ARPHRD_INFINIBAND: u16 = 32;
    let mut host = DatabaseHost::without_agent();
    let _tun = Tun::of_type(host.db(), TUN, ARPHRD_INFINIBAND);
    let mut command = host.command();
    command.args(["agent", "--interface", &format!("{NIC},{TUN}")]);
    host.spawn(command);
    let status = host.wait_for_state("partial");
    let faults = status["faults"].to_string();
    assert!(
        faults.contains(TUN) && faults.contains("hardware type 32"),
        "{faults}"
    );
}

/// Devices without Ethernet headers, those that this kernel can make.
fn stands(mtu: usize) -> Vec<Stand> {
    let devices = Device::ALL
        .into_iter()
        .filter(|device| !device.has_ethernet());
    let made = devices.filter_map(|device| match Stand::new(device, mtu) {
        Ok(stand) => Some(stand),
        Err(why) => {
            println!("skipped: {}: {why}", device.name());
            None
        }
    });
    made.collect()
}

fn blocking(nets: &[&str]) -> Rules {
    let nets = nets.iter().map(|net| (*net).to_owned().try_into());
    let block = nets.map(|net| net.expect("a network")).collect();
    let policy = Policy {
        block,
        host: true,
        ..Policy::default()
    };
    Rules {
        policies: vec![policy],
        ..Rules::default()
    }
}

#[test]
fn packet_that_reads_as_two_is_dropped_if_either_source_is_blocked() {
    let mut loaded = Loaded::new(&rules::ruleset(&[]));
    let mut tried = 0;
    // The largest that pppd takes is below what an IPv6 one of the packets has.
    for stand in stands(32_000) {
        let name = stand.device.name();
        let versions = [false, true].into_iter();
        let versions = versions.filter(|v6| stand.device.carries(*v6));
        let attempts: Vec<Shape> = versions
            .map(|v6| two::attempt(v6, 40_000, evasion::PORT, 1000))
            .collect();
        let mut round = 0;
        let mut answered = |stand: &Stand| {
            round += 1;
            let sent = attempts.iter().enumerate().map(|(number, shape)| {
                // Half-open connections of earlier rounds are answered otherwise.
                let mut shape = shape.clone();
                shape.source_port += u16::from(round);
                Sent::new((Sender::Denied, number), &shape)
            });
            let sent: Vec<Sent> = sent.collect();
            let outcome = stand.exchange(&sent, round);
            let outcome = outcome.unwrap_or_else(|e| panic!("{}: {e}", stand.device.name()));
            assert_eq!(outcome.answered, outcome.accepted);
            outcome.accepted.len()
        };
        // Linux takes it for what it begins with.
        assert_eq!(answered(&stand), attempts.len(), "{name}, no filter");
        for hook in [HookChoice::Generic, HookChoice::Tcx] {
            if let Err(why) = stand.filter(&mut loaded, hook) {
                println!("skipped: {name}, {hook:?}: {why}");
                continue;
            }
            stand.enforce(&mut loaded, &blocking(&["203.0.113.0/24"]));
            let all = attempts.len();
            assert_eq!(answered(&stand), all, "{name}, {hook:?}, neither source");
            // At tc the kernel has read it already, and tells as what.
            let known = if hook == HookChoice::Tcx { all } else { 0 };
            for (source, nets, passing) in [
                ("first", [two::SOURCES_V4, two::SOURCE_NET_V6], 0),
                // That of the other is the destination, or what is in the middle of the source.
                ("other", ["198.51.100.1/32", "0.0.0.0/32"], known),
            ] {
                stand.enforce(&mut loaded, &blocking(&nets));
                let what = format!("{name}, {hook:?}, {source} source blocked");
                assert_eq!(answered(&stand), passing, "{what}");
            }
            stand.unfilter(&mut loaded);
        }
        tried += attempts.len();
    }
    assert!(tried >= 2, "a tun can be made by every kernel");
}

#[test]
fn tag_that_gre_announces_is_read_whatever_its_priority() {
    let stand = match Stand::new(Device::Gre, 1400) {
        Ok(stand) => stand,
        // Part of the kernels that `cargo xtask kernels` boots.
        Err(why) => return println!("skipped: {why}"),
    };
    let mut loaded = Loaded::new(&rules::ruleset(&[]));
    let underlay = stand.underlay();
    let [allowed, blocked] = [Sender::Allowed, Sender::Denied];
    let mut port = 30_000;
    let mut answered = |stand: &Stand, sender| {
        let mut answered = Vec::new();
        // Their first bits are those of no IP version, of IPv4 and of IPv6.
        for control in [0x0000, 0x2000, 0x4000, 0x6000, 0xe000] {
            for v6 in [false, true] {
                port += 1;
                let source = evasion::source(sender, v6, 1);
                let mut shape = Shape::syn(source, port, evasion::PORT);
                shape.ethernet = false;
                shape.tags = vec![(0x8100, control)];
                let mut sent = Sent::new((sender, 0), &shape);
                sent.frames = vec![underlay.gre(0x8100, &shape.build())];
                // Acknowledged as a packet of the tunnel's own end.
                shape.tags.clear();
                sent.attempt = Attempt::of(shape);
                let outcome = stand.exchange_by(&[sent], 1, |frame| underlay.send(frame));
                let outcome = outcome.expect("plain attempts are answered");
                assert_eq!(outcome.answered, outcome.accepted);
                if !outcome.accepted.is_empty() {
                    answered.push((control, v6));
                }
            }
        }
        answered
    };
    let all = answered(&stand, blocked);
    assert_eq!(all.len(), 10, "no filter: {all:x?}");
    for hook in [HookChoice::Generic, HookChoice::Tcx] {
        if let Err(why) = stand.filter(&mut loaded, hook) {
            println!("skipped: {hook:?}: {why}");
            continue;
        }
        for (policy, rules) in evasion::policies() {
            stand.enforce(&mut loaded, &rules);
            assert_eq!(answered(&stand, blocked), [], "{policy}, {hook:?}");
            assert_eq!(answered(&stand, allowed), all, "{policy}, {hook:?}");
        }
        stand.unfilter(&mut loaded);
    }
}

/// An interface whose packets arrive with an outer header before the IP header, at both ends of
/// an underlay; `false`: the kernel has none.
fn make_with_outer_header(kind: &str, db: &NetNs, clients: &NetNs) -> bool {
    const KEY: &str = "0x0102030405060708090a0b0c0d0e0f1011121314";
    let run = |ns: &NetNs, line: &str| {
        let mut command = ns.command("ip");
        let done = command.args(line.split(' ')).output().expect("run ip");
        done.status.success()
    };
    for (ns, own, other) in [(db, 1, 2), (clients, 2, 1)] {
        let (own_end, other_end) = (format!("192.168.77.{own}"), format!("192.168.77.{other}"));
        let ends = format!("local {own_end} remote {other_end}");
        let made = match kind {
            "gre" => run(
                ns,
                &format!("tunnel add l3 mode gre local {own_end} key 42"),
            ),
            "vti" => run(ns, &format!("tunnel add l3 mode vti {ends} key 7")),
            kind => run(ns, &format!("link add l3 type {kind} dev under if_id 7")),
        };
        if !made {
            return false;
        }
        run(ns, "link set l3 up");
        run(ns, &format!("addr add 192.168.78.{own}/24 dev l3"));
        if kind == "gre" {
            let lladdr = format!("neigh add 192.168.78.{other} lladdr {other_end} dev l3");
            assert!(run(ns, &lladdr), "{lladdr}");
            continue;
        }
        let id = if kind == "vti" { "mark 7" } else { "if_id 7" };
        for (from, to) in [(&own_end, &other_end), (&other_end, &own_end)] {
            let spi = if from.ends_with('1') { 0x101 } else { 0x102 };
            let direction = if from == &own_end { "out" } else { "in" };
            let state = format!(
                "xfrm state add src {from} dst {to} proto esp spi {spi} mode tunnel \
                 aead rfc4106(gcm(aes)) {KEY} 128 {id}"
            );
            let policy = format!(
                "xfrm policy add src 0.0.0.0/0 dst 0.0.0.0/0 dir {direction} \
                 tmpl src {from} dst {to} proto esp mode tunnel {id}"
            );
            assert!(run(ns, &state) && run(ns, &policy), "{state}\n{policy}");
        }
    }
    true
}

#[test]
fn attempt_behind_an_outer_header_is_judged_at_tc() {
    for kind in ["gre", "xfrm", "vti"] {
        let mut host = DatabaseHost::without_agent();
        let end = |ns, mac| netns::End {
            ns,
            interface: "under",
            mac,
        };
        netns::join(
            end(host.db(), "02:00:00:00:01:01"),
            end(host.clients(), "02:00:00:00:01:02"),
        );
        host.db().add_address("under", "192.168.77.1/24");
        host.clients().add_address("under", "192.168.77.2/24");
        if !make_with_outer_header(kind, host.db(), host.clients()) {
            println!("skipped: this kernel has no {kind}");
            continue;
        }
        let mut command = host.command();
        let interfaces = format!("{NIC},l3");
        command.args(["agent", "--interface", &interfaces, "--hook", "auto"]);
        host.spawn(command);
        host.wait_for_agent();
        let to = "192.168.78.1:5432".parse().expect("an address");
        let from = "192.168.78.2".parse().expect("an address");
        let attempt = |wait| traffic::attempt(host.clients(), from, to, wait);
        assert_eq!(attempt(PATIENCE), Outcome::Connected, "{kind}, no policy");
        host.ok("policy create office --block 192.168.78.0/24");
        assert_eq!(attempt(SILENCE), Outcome::TimedOut, "{kind}");
        assert!(host.counter("host", "blocked") >= 1, "{kind}");
        assert_eq!(host.counter("host", "malformed"), 0, "{kind}");
    }
}
