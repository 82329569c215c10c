//! Every branch of the packet parser and of the order of judgement, asked of the
//! loaded program: a sentence, a packet, the reason that it must give.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use netpolicy_common::{HOST_SCOPE, Reason};
use netpolicy_tests::packet::{DOT1AD, DOT1Q, Extension, Packet, frame};
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_user::datapath::{BypassEntry, packet};
use netpolicy_user::model::change::Change;
use netpolicy_user::model::{Combine, Mode};

use Reason::{
    Allowed, Blocked, Bypass, Established, Failsafe, Fragment, Malformed, NoPolicy, NotAllowed,
    NotBlocked, NotTcp, ObservedBlocked, ObservedNotAllowed, ObservedUnclassified,
    UnclassifiedDropped, UnclassifiedPassed,
};

type Fixture = (&'static str, Vec<u8>, Reason);

// By the host's lists.
const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const UNLISTED: &str = "8.8.8.8";
const ALLOWED6: &str = "fd00::1";
const BLOCKED6: &str = "fd00:bad::1";
const UNLISTED6: &str = "2001:db8::1";

// What governs them is in `example`.
const HOST_PORT: u16 = 3306;
const FAILSAFE: u16 = 22;
const POSTGRES: u16 = 5432;
const BARE: u16 = 6432;
const METRICS: u16 = 7005;
const LAB: u16 = 8080;

fn example() -> Vec<Change> {
    let host_allow = ["10.0.0.0/8", "192.168.0.0/16", "fd00::/8"];
    let host_block = ["10.66.0.0/16", "203.0.113.7", "fd00:bad::/32"];
    vec![
        rules::service("postgres", &["5432"], Combine::Override, Mode::Enforce),
        rules::service("bare", &["6432"], Combine::Override, Mode::Enforce),
        rules::service("metrics", &["7000-7010"], Combine::And, Mode::Enforce),
        rules::service("lab", &["8080"], Combine::Override, Mode::Observe),
        rules::policy("office", Some(&host_allow), &host_block, &[]),
        rules::policy("dba", Some(&["8.8.8.0/24", "fd00:1::/32"]), &["8.8.8.99"], &["postgres"]),
        rules::policy("scrape", Some(&["10.1.0.0/16", "10.66.1.0/24", "172.16.0.0/12"]), &[], &["metrics"]),
        rules::policy("trial", None, &["10.0.0.0/24"], &["lab"]),
    ]
}

#[track_caller]
fn check(loaded: &mut Loaded, fixtures: Vec<Fixture>) {
    let wrong: Vec<String> = fixtures
        .into_iter()
        .filter_map(|(sentence, packet, expected)| {
            let said = loaded.judge(&packet);
            let frame = || packet.iter().map(|b| format!("{b:02x}")).collect::<String>();
            (said != expected)
                .then(|| format!("{sentence}: expected {expected:?}, got {said:?}: {}", frame()))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[track_caller]
fn check_example(fixtures: Vec<Fixture>) {
    check(&mut Loaded::new(&rules::ruleset(&example())), fixtures);
}

#[test]
fn plain_attempts() {
    let syn = |source| Packet::syn(source, HOST_PORT).build();
    check_example(vec![
        ("an IPv4 SYN from an allowed source", syn(ALLOWED), Allowed),
        ("an IPv4 SYN from a source that is allowed and blocked", syn(BLOCKED), Blocked),
        ("an IPv4 SYN from a source that is only blocked", syn("203.0.113.7"), Blocked),
        ("an IPv4 SYN from a source on no list", syn(UNLISTED), NotAllowed),
        ("an IPv6 SYN from an allowed source", syn(ALLOWED6), Allowed),
        ("an IPv6 SYN from a source that is allowed and blocked", syn(BLOCKED6), Blocked),
        ("an IPv6 SYN from a source on no list", syn(UNLISTED6), NotAllowed),
        ("the first address of a block", syn("10.66.0.0"), Blocked),
        ("the last address of a block", syn("10.66.255.255"), Blocked),
        ("the address before a block", syn("10.65.255.255"), Allowed),
        ("the address after a block", syn("10.67.0.0"), Allowed),
        ("the address 0.0.0.0", syn("0.0.0.0"), NotAllowed),
        ("the address 255.255.255.255", syn("255.255.255.255"), NotAllowed),
        ("the address ::", syn("::"), NotAllowed),
        ("the crafted SYN of explain, IPv4", packet::syn(BLOCKED.parse().unwrap(), HOST_PORT), Blocked),
        ("the crafted SYN of explain, IPv6", packet::syn(BLOCKED6.parse().unwrap(), HOST_PORT), Blocked),
        // The stack discards such a packet (ip6_rcv_core, since Linux 5.4): no way in.
        ("a mapped source on the wire is an IPv6 source", syn("::ffff:10.0.0.1"), NotAllowed),
    ]);
}

#[test]
fn tcp_flags() {
    let tcp = |flags| Packet::tcp(BLOCKED, HOST_PORT, flags).build();
    let tcp6 = |flags| Packet::tcp(BLOCKED6, HOST_PORT, flags).build();
    check_example(vec![
        ("SYN with ECE and CWR, as ECN asks", tcp("SEC"), Blocked),
        ("SYN with FIN", tcp("SF"), Blocked),
        ("SYN with RST", tcp("SR"), Blocked),
        ("SYN with PSH and URG", tcp("SPU"), Blocked),
        ("SYN with payload (TCP Fast Open)", Packet::syn(BLOCKED, HOST_PORT).payload(64).build(), Blocked),
        ("SYN-ACK", tcp("SA"), Established),
        ("SYN-ACK with ECE", tcp("SAE"), Established),
        ("ACK", tcp("A"), Established),
        ("PSH and ACK with payload", Packet::tcp(BLOCKED, HOST_PORT, "PA").payload(99).build(), Established),
        ("FIN and ACK", tcp("FA"), Established),
        ("RST", tcp("R"), Established),
        ("RST and ACK", tcp("RA"), Established),
        ("no flag at all", tcp(""), Established),
        ("every flag", tcp("FSRPAUEC"), Established),
        ("SYN-ACK over IPv6", tcp6("SA"), Established),
        ("RST over IPv6", tcp6("R"), Established),
    ]);
}

#[test]
fn what_is_not_tcp_is_never_touched() {
    let neighbour_solicitation = [135, 0, 0, 0, 0, 0, 0, 0];
    check_example(vec![
        ("UDP from a blocked source", Packet::udp(BLOCKED, HOST_PORT).build(), NotTcp),
        ("UDP over IPv6", Packet::udp(BLOCKED6, HOST_PORT).build(), NotTcp),
        ("ICMP", Packet::protocol(BLOCKED, 1, &[8, 0, 0, 0]).build(), NotTcp),
        ("ND", Packet::protocol(BLOCKED6, 58, &neighbour_solicitation).build(), NotTcp),
        ("SCTP", Packet::protocol(BLOCKED, 132, &[0; 12]).build(), NotTcp),
        ("an IP packet in an IP packet", Packet::protocol(BLOCKED, 4, &[0x45; 20]).build(), NotTcp),
        ("ESP over IPv6", Packet::protocol(BLOCKED6, 50, &[0; 16]).build(), NotTcp),
        ("no next header", Packet::protocol(BLOCKED6, 59, &[]).build(), NotTcp),
        ("ARP", frame(&[], 0x0806, &[0, 1, 8, 0, 6, 4, 0, 1]), NotTcp),
        ("LLDP", frame(&[], 0x88cc, &[0; 46]), NotTcp),
        ("MPLS", frame(&[], 0x8847, &[0; 46]), NotTcp),
        ("an IEEE 802.3 length instead of an EtherType", frame(&[], 46, &[0; 46]), NotTcp),
        ("an Ethernet header and nothing else", frame(&[], 0x0800, &[]), Malformed),
        ("the same, announcing IPv6", frame(&[], 0x86dd, &[]), Malformed),
        ("the same, announcing a tag", frame(&[], DOT1Q, &[]), NotTcp),
        ("a tag cut in its middle", frame(&[], DOT1Q, &[0, 1, 8]), NotTcp),
    ]);
}

#[test]
fn vlan_tags() {
    let syn = |source, tags: &[u16]| {
        tags.iter().fold(Packet::syn(source, HOST_PORT), |p, tpid| p.tag(*tpid)).build()
    };
    check_example(vec![
        ("an 802.1Q tag", syn(BLOCKED, &[DOT1Q]), Blocked),
        ("an 802.1Q tag and IPv6", syn(BLOCKED6, &[DOT1Q]), Blocked),
        ("an 802.1ad tag alone", syn(BLOCKED, &[DOT1AD]), Blocked),
        ("an 802.1Q tag, allowed", syn(ALLOWED, &[DOT1Q]), Allowed),
        ("QinQ", syn(BLOCKED, &[DOT1AD, DOT1Q]), Blocked),
        ("QinQ and IPv6, not allowed", syn(UNLISTED6, &[DOT1AD, DOT1Q]), NotAllowed),
        ("two 802.1Q tags", syn(BLOCKED, &[DOT1Q, DOT1Q]), Blocked),
        ("two 802.1ad tags", syn(BLOCKED, &[DOT1AD, DOT1AD]), Blocked),
        ("three tags", syn(BLOCKED, &[DOT1AD, DOT1Q, DOT1Q]), NotTcp),
        ("a tag and options", Packet::syn(BLOCKED, HOST_PORT).tag(DOT1Q).options(40).build(), Blocked),
        ("a tag and ARP", frame(&[DOT1Q], 0x0806, &[0; 28]), NotTcp),
        ("a tag and a cut IP header", frame(&[DOT1Q], 0x0800, &[0x45; 19]), Malformed),
    ]);
}

#[test]
fn ipv4_headers() {
    let syn = || Packet::syn(BLOCKED, HOST_PORT);
    check_example(vec![
        ("4 bytes of options", syn().options(4).build(), Blocked),
        ("40 bytes of options (IHL 15)", syn().options(40).build(), Blocked),
        ("40 bytes of options, allowed", Packet::syn(ALLOWED, HOST_PORT).options(40).build(), Allowed),
        ("40 bytes of options, SYN-ACK", Packet::tcp(BLOCKED, HOST_PORT, "SA").options(40).build(), Established),
        ("an IHL of 4", syn().patch_ip(0, 0x44).build(), Malformed),
        ("an IHL of 0", syn().patch_ip(0, 0x40).build(), Malformed),
        ("version 6 under IPv4's EtherType", syn().patch_ip(0, 0x65).build(), Malformed),
        ("version 0", syn().patch_ip(0, 0x05).build(), Malformed),
        ("a header of 19 bytes", syn().cut_ip(19).build(), Malformed),
        ("options that reach past the frame", syn().options(40).cut_ip(40).build(), UnclassifiedDropped),
        ("IHL 15 over a TCP header: the flags lie past the end", syn().patch_ip(0, 0x4f).build(), UnclassifiedDropped),
        ("the reserved fragment bit", syn().patch_ip(6, 0x80).build(), Blocked),
        ("don't fragment", syn().patch_ip(6, 0x40).build(), Blocked),
    ]);
}

#[test]
fn ipv4_fragments() {
    let syn = |port| Packet::syn(BLOCKED, port);
    let first = |port| syn(port).fragment(0, true);
    check_example(vec![
        ("a later fragment", syn(HOST_PORT).fragment(1, true).build(), Fragment),
        ("the last fragment", syn(HOST_PORT).fragment(100, false).build(), Fragment),
        ("the farthest fragment", syn(HOST_PORT).fragment(0x1fff, false).build(), Fragment),
        ("a later fragment of UDP", Packet::udp(BLOCKED, 1).fragment(1, false).build(), NotTcp),
        ("a first fragment with a whole TCP header", first(HOST_PORT).build(), Blocked),
        ("the same, allowed", Packet::syn(ALLOWED, HOST_PORT).fragment(0, true).build(), Allowed),
        ("the same, no attempt", Packet::tcp(BLOCKED, HOST_PORT, "A").fragment(0, true).build(), Established),
        ("a first fragment that ends with the flags", first(HOST_PORT).cut_transport(14).build(), Blocked),
        ("a first fragment that ends before the flags", first(HOST_PORT).cut_transport(13).build(), Blocked),
        ("the same, of 8 bytes as fragments are", first(HOST_PORT).cut_transport(8).build(), Blocked),
        ("the same, of an ACK: its flags cannot be seen", Packet::tcp(BLOCKED, HOST_PORT, "A").fragment(0, true).cut_transport(8).build(), Blocked),
        ("the same, to a service, by its lists", Packet::syn(UNLISTED, POSTGRES).fragment(0, true).cut_transport(8).build(), Allowed),
        ("the same, to a failsafe port", first(FAILSAFE).cut_transport(8).build(), Failsafe),
        ("the same, from an allowed source", Packet::syn(ALLOWED, HOST_PORT).fragment(0, true).cut_transport(8).build(), Allowed),
        ("a first fragment that ends with the ports", Packet::syn(UNLISTED, POSTGRES).fragment(0, true).cut_transport(4).build(), Allowed),
        ("a first fragment that ends before the ports, by the host's lists", Packet::syn(UNLISTED, POSTGRES).fragment(0, true).cut_transport(3).build(), NotAllowed),
        ("the same, to a failsafe port that cannot be seen", first(FAILSAFE).cut_transport(3).build(), Blocked),
        ("a first fragment without any payload", first(HOST_PORT).cut_transport(0).build(), Blocked),
        ("the same, allowed", Packet::syn(ALLOWED, HOST_PORT).fragment(0, true).cut_transport(0).build(), Allowed),
        ("a first fragment behind 40 bytes of options", first(HOST_PORT).options(40).cut_transport(8).build(), Blocked),
    ]);
}

#[test]
fn the_packet_ends_where_ip_says() {
    // What follows the packet would be a harmless ACK, were it read as TCP.
    let ack = &Packet::tcp(BLOCKED, POSTGRES, "A").build()[34..];
    let cut = |keep, source| Packet::syn(source, HOST_PORT).cut_transport(keep);
    check_example(vec![
        ("padding that pretends to be flags", cut(8, BLOCKED).padding(&ack[8..]).build(), UnclassifiedDropped),
        ("the same in a first fragment", cut(8, BLOCKED).fragment(0, true).padding(&ack[8..]).build(), Blocked),
        ("padding that pretends to be a whole TCP header", cut(0, BLOCKED).padding(ack).build(), UnclassifiedDropped),
        ("padding that pretends to be a service's port", Packet::syn(UNLISTED, HOST_PORT).fragment(0, true).cut_transport(0).padding(ack).build(), NotAllowed),
        ("the same over IPv6", cut(8, BLOCKED6).padding(&ack[8..]).build(), UnclassifiedDropped),
        ("honest padding", cut(20, BLOCKED).padding(&[0; 6]).build(), Blocked),
        ("a TCP header cut before its flags, without fragmentation", cut(13, BLOCKED).build(), UnclassifiedDropped),
        ("the same, from an allowed source", cut(13, ALLOWED).build(), UnclassifiedPassed),
        ("the same, from a source on no list", cut(13, UNLISTED).build(), UnclassifiedDropped),
        ("the same, to a failsafe port: its source decides", Packet::syn(BLOCKED, FAILSAFE).cut_transport(13).build(), UnclassifiedDropped),
        ("the same, to a service: the host's lists decide", Packet::syn(UNLISTED, POSTGRES).cut_transport(13).build(), UnclassifiedDropped),
        ("a TCP header cut right after its flags", cut(14, BLOCKED).build(), Blocked),
        ("no TCP header at all", cut(0, BLOCKED).build(), UnclassifiedDropped),
        ("IPv6: a TCP header cut before its flags", cut(13, BLOCKED6).build(), UnclassifiedDropped),
        ("IPv6: the same, from an allowed source", cut(13, ALLOWED6).build(), UnclassifiedPassed),
        ("a total length that ends within the IP header", Packet::syn(BLOCKED, HOST_PORT).claim_length(19).build(), UnclassifiedDropped),
        ("a total length of the IP header alone", Packet::syn(BLOCKED, HOST_PORT).claim_length(20).build(), UnclassifiedDropped),
        ("a total length of 0, as of a packet that was coalesced", Packet::syn(BLOCKED, HOST_PORT).claim_length(0).build(), Blocked),
        ("a frame shorter than its total length, flags in it", Packet::syn(BLOCKED, HOST_PORT).claim_length(1500).build(), Blocked),
        ("a frame shorter than its total length, flags beyond", Packet::syn(BLOCKED, HOST_PORT).cut_ip(33).build(), UnclassifiedDropped),
        ("IPv6: a payload length shorter than the frame", Packet::syn(BLOCKED6, HOST_PORT).claim_length(13).build(), UnclassifiedDropped),
        ("IPv6: a payload length beyond the frame", Packet::syn(BLOCKED6, HOST_PORT).claim_length(9000).build(), Blocked),
        ("IPv6: a payload length of 0, as of a jumbogram", Packet::syn(BLOCKED6, HOST_PORT).claim_length(0).build(), Blocked),
        ("IPv6: a frame cut within the TCP header", Packet::syn(BLOCKED6, HOST_PORT).cut_ip(53).build(), UnclassifiedDropped),
    ]);
}

#[test]
fn ipv6_extension_headers() {
    use Extension::{Auth, Destination, HopByHop, Other, Routing};
    let with = |source, chain: &[Extension]| {
        chain.iter().fold(Packet::syn(source, HOST_PORT), |p, e| p.extension(*e)).build()
    };
    let atomic = Extension::Fragment(0, false);
    let all = [HopByHop(8), Destination(16), Routing(24), atomic, Auth(24), Destination(8)];
    let eight = [Destination(8); 8];
    let mut nine = eight.to_vec();
    nine.push(Destination(8));
    let mut not_tcp = Packet::udp(BLOCKED6, HOST_PORT);
    for _ in 0..8 {
        not_tcp = not_tcp.extension(Destination(8));
    }
    let syn = || Packet::syn(BLOCKED6, HOST_PORT);
    check_example(vec![
        ("a hop-by-hop header", with(BLOCKED6, &[HopByHop(8)]), Blocked),
        ("a long hop-by-hop header", with(BLOCKED6, &[HopByHop(2048)]), Blocked),
        ("a routing header", with(BLOCKED6, &[Routing(24)]), Blocked),
        ("destination options", with(BLOCKED6, &[Destination(16)]), Blocked),
        ("an atomic fragment", with(BLOCKED6, &[atomic]), Blocked),
        ("AH of 12 bytes, counted in units of 4", with(BLOCKED6, &[Auth(12)]), Blocked),
        ("AH of 24 bytes", with(BLOCKED6, &[Auth(24)]), Blocked),
        ("AH of 44 bytes, no multiple of 8", with(BLOCKED6, &[Auth(44)]), Blocked),
        ("one of each", with(BLOCKED6, &all), Blocked),
        ("one of each, allowed", with(ALLOWED6, &all), Allowed),
        ("one of each, on no list", with(UNLISTED6, &all), NotAllowed),
        ("hop-by-hop not in the first place", with(BLOCKED6, &[Routing(8), HopByHop(8)]), Blocked),
        ("eight headers", with(BLOCKED6, &eight), Blocked),
        ("eight headers, allowed", with(ALLOWED6, &eight), Allowed),
        ("nine headers", with(BLOCKED6, &nine), UnclassifiedDropped),
        ("nine headers, allowed", with(ALLOWED6, &nine), UnclassifiedPassed),
        ("nine headers, on no list", with(UNLISTED6, &nine), UnclassifiedDropped),
        ("eight headers and UDP", not_tcp.build(), NotTcp),
        ("a header and an ACK", Packet::tcp(BLOCKED6, HOST_PORT, "A").extension(Routing(8)).build(), Established),
        ("a header and UDP", Packet::udp(BLOCKED6, HOST_PORT).extension(HopByHop(8)).build(), NotTcp),
        ("mobility, which is not walked", with(BLOCKED6, &[Other(135)]), NotTcp),
        ("a header that reaches past the packet", syn().extension(HopByHop(64)).claim_length(32).build(), UnclassifiedDropped),
        ("the same, allowed", Packet::syn(ALLOWED6, HOST_PORT).extension(HopByHop(64)).claim_length(32).build(), UnclassifiedPassed),
        ("a header that says it is longer than the frame", syn().extension(Routing(8)).patch_ip(41, 255).build(), UnclassifiedDropped),
        ("a header cut in its first bytes", syn().extension(HopByHop(8)).cut_ip(43).build(), UnclassifiedDropped),
        ("a first header that lies wholly outside", syn().extension(HopByHop(8)).cut_ip(40).build(), UnclassifiedDropped),
        ("an IPv6 header of 39 bytes", syn().cut_ip(39).build(), Malformed),
        ("version 4 under IPv6's EtherType", syn().patch_ip(0, 0x45).build(), Malformed),
        ("a tag and a header", syn().extension(Destination(8)).tag(DOT1Q).build(), Blocked),
    ]);
}

#[test]
fn ipv6_fragments() {
    use Extension::{Destination, HopByHop};
    let first = |source, port| Packet::syn(source, port).fragment(0, true);
    check_example(vec![
        ("a later fragment", Packet::syn(BLOCKED6, HOST_PORT).fragment(1, true).build(), Fragment),
        ("the last fragment", Packet::syn(BLOCKED6, HOST_PORT).fragment(0x1fff, false).build(), Fragment),
        ("a first fragment with a whole TCP header", first(BLOCKED6, HOST_PORT).build(), Blocked),
        ("a first fragment that ends before the flags", first(BLOCKED6, HOST_PORT).cut_transport(8).build(), Blocked),
        ("the same, to a service, by its lists", first("fd00:1::1", POSTGRES).cut_transport(8).build(), Allowed),
        ("the same, to a service, not on its lists", first(ALLOWED6, POSTGRES).cut_transport(8).build(), NotAllowed),
        ("the same, to a failsafe port", first(BLOCKED6, FAILSAFE).cut_transport(8).build(), Failsafe),
        ("a first fragment that ends before the ports, by the host's lists", first(ALLOWED6, POSTGRES).cut_transport(3).build(), Allowed),
        ("a first fragment without any payload", first(BLOCKED6, HOST_PORT).cut_transport(0).build(), Blocked),
        ("a hop-by-hop header, then a later fragment", Packet::syn(BLOCKED6, HOST_PORT).extension(HopByHop(8)).fragment(2, false).build(), Fragment),
        ("a first fragment, then destination options", first(BLOCKED6, HOST_PORT).extension(Destination(8)).build(), Blocked),
        ("a first fragment, then options that reach past its end", first(BLOCKED6, HOST_PORT).extension(Destination(64)).claim_length(24).build(), Blocked),
        ("a first fragment that ends before its next header", first(BLOCKED6, HOST_PORT).extension(Destination(64)).claim_length(8).build(), UnclassifiedDropped),
        ("an atomic fragment without TCP header", Packet::syn(BLOCKED6, HOST_PORT).fragment(0, false).cut_transport(8).build(), UnclassifiedDropped),
    ]);
}

#[test]
fn scopes_by_port() {
    let syn = |source, port| Packet::syn(source, port).build();
    check_example(vec![
        ("the failsafe port, from a blocked source", syn(BLOCKED, FAILSAFE), Failsafe),
        ("the failsafe port, over IPv6", syn(BLOCKED6, FAILSAFE), Failsafe),
        ("the port after the failsafe port", syn(BLOCKED, 23), Blocked),
        ("port 0", syn(BLOCKED, 0), Blocked),
        ("port 65535", syn(BLOCKED, 65535), Blocked),
        ("override: the service allows what the host does not", syn(UNLISTED, POSTGRES), Allowed),
        ("override: the service does not allow what the host allows", syn(ALLOWED, POSTGRES), NotAllowed),
        ("override: the service blocks", syn("8.8.8.99", POSTGRES), Blocked),
        ("override: the host's block does not count", syn(BLOCKED, POSTGRES), NotAllowed),
        ("override, IPv6", syn("fd00:1::1", POSTGRES), Allowed),
        ("a service without a policy: the host's lists", syn(ALLOWED, BARE), Allowed),
        ("the same, blocked", syn(BLOCKED, BARE), Blocked),
        ("the same, on no list", syn(UNLISTED, BARE), NotAllowed),
        ("and: both allow", syn("10.1.0.1", METRICS), Allowed),
        ("and: only the host allows", syn(ALLOWED, METRICS), NotAllowed),
        ("and: only the service allows", syn("172.16.0.1", METRICS), NotAllowed),
        ("and: the service allows, the host blocks", syn("10.66.1.1", METRICS), Blocked),
        ("the first port of a range", syn(ALLOWED, 7000), NotAllowed),
        ("the last port of a range", syn(ALLOWED, 7010), NotAllowed),
        ("the port before a range", syn(ALLOWED, 6999), Allowed),
        ("the port after a range", syn(ALLOWED, 7011), Allowed),
        ("observe: blocked, but passed", syn(ALLOWED, LAB), ObservedBlocked),
        ("observe: not blocked", syn(UNLISTED, LAB), NotBlocked),
    ]);
}

#[test]
fn an_observing_host_drops_nothing() {
    let mut changes = example();
    changes.push(rules::host_mode(Mode::Observe));
    let mut loaded = Loaded::new(&rules::ruleset(&changes));
    let syn = |source, port| Packet::syn(source, port).build();
    let unclassified = |source| Packet::syn(source, HOST_PORT).cut_transport(8).build();
    check(
        &mut loaded,
        vec![
            ("blocked by the host", syn(BLOCKED, HOST_PORT), ObservedBlocked),
            ("not allowed by the host", syn(UNLISTED6, HOST_PORT), ObservedNotAllowed),
            ("allowed by the host", syn(ALLOWED, HOST_PORT), Allowed),
            ("unclassifiable", unclassified(BLOCKED), ObservedUnclassified),
            ("unclassifiable, allowed", unclassified(ALLOWED), UnclassifiedPassed),
            ("a service that enforces its own lists", syn(ALLOWED, POSTGRES), NotAllowed),
            ("a service without lists of its own: the host's only observe", syn(BLOCKED, BARE), ObservedBlocked),
            ("and: the service's own denial drops", syn(ALLOWED, METRICS), NotAllowed),
            ("and: the host's denial is only observed", syn("172.16.0.1", METRICS), ObservedNotAllowed),
        ],
    );
}

#[test]
fn without_a_policy_everything_passes() {
    let mut loaded = Loaded::new(&rules::ruleset(&[]));
    let syn = |source, port| Packet::syn(source, port).build();
    check(
        &mut loaded,
        vec![
            ("IPv4", syn(BLOCKED, HOST_PORT), NoPolicy),
            ("IPv6", syn(BLOCKED6, HOST_PORT), NoPolicy),
            ("the failsafe port", syn(BLOCKED, FAILSAFE), Failsafe),
            ("unclassifiable", Packet::syn(BLOCKED, HOST_PORT).cut_transport(8).build(), UnclassifiedPassed),
        ],
    );
    loaded.apply(&rules::ruleset(&[rules::policy("nobody", Some(&[]), &[], &[])]));
    check(&mut loaded, vec![("an empty allow list denies everybody", syn(ALLOWED, HOST_PORT), NotAllowed)]);
    loaded.apply(&rules::ruleset(&[rules::policy("all_v4", Some(&["0.0.0.0/0"]), &[], &[])]));
    check(
        &mut loaded,
        vec![
            ("all of IPv4 allowed", syn(UNLISTED, HOST_PORT), Allowed),
            ("then IPv6, with no entry, is denied", syn(UNLISTED6, HOST_PORT), NotAllowed),
        ],
    );
}

#[test]
fn bypasses() {
    let state = rules::state(&example());
    let postgres = state.service("postgres").unwrap().id;
    let mut loaded = Loaded::new(&rules::ruleset(&example()));
    let grant = |scope, source: &str, millis| BypassEntry {
        scope,
        source: source.parse().unwrap(),
        remaining: Duration::from_millis(millis),
    };
    let syn = |source, port| Packet::syn(source, port).build();
    let live = [
        grant(HOST_SCOPE, "10.66.0.0/24", 60_000),
        grant(HOST_SCOPE, "fd00:bad::1/128", 60_000),
        grant(postgres, "203.0.113.0/24", 60_000),
    ];
    loaded.datapath().set_bypasses(&live).unwrap();
    check(
        &mut loaded,
        vec![
            ("a bypass of the host", syn(BLOCKED, HOST_PORT), Bypass),
            ("a bypass of the host, IPv6", syn(BLOCKED6, HOST_PORT), Bypass),
            ("a bypass of the host holds for its services", syn(BLOCKED, POSTGRES), Bypass),
            ("a bypass of the host, unclassifiable", Packet::syn(BLOCKED, HOST_PORT).cut_transport(8).build(), Bypass),
            ("beside the bypass", syn("10.66.1.0", HOST_PORT), Blocked),
            ("beside the bypass, IPv6", syn("fd00:bad::2", HOST_PORT), Blocked),
            ("a bypass of a service", syn("203.0.113.7", POSTGRES), Bypass),
            ("a bypass of a service does not hold for the host", syn("203.0.113.7", HOST_PORT), Blocked),
            ("a bypass of a service does not hold for another", syn("203.0.113.7", METRICS), NotAllowed),
            ("the failsafe port comes first", syn(BLOCKED, FAILSAFE), Failsafe),
        ],
    );
    loaded.apply(&rules::ruleset(&example()));
    check(&mut loaded, vec![("a bypass outlives an apply", syn(BLOCKED, HOST_PORT), Bypass)]);

    loaded.datapath().set_bypasses(&[grant(HOST_SCOPE, "10.66.0.1/32", 150)]).unwrap();
    check(
        &mut loaded,
        vec![
            ("a short bypass", syn(BLOCKED, HOST_PORT), Bypass),
            ("what is no longer granted is gone", syn("10.66.0.2", HOST_PORT), Blocked),
            ("the same, of a service", syn("203.0.113.7", POSTGRES), NotAllowed),
        ],
    );
    std::thread::sleep(Duration::from_millis(200));
    check(&mut loaded, vec![("a bypass that has lapsed", syn(BLOCKED, HOST_PORT), Blocked)]);
}

#[test]
fn frames_of_any_size() {
    let mut loaded = Loaded::new(&rules::ruleset(&example()));
    // The kernel refuses to test-run what is no Ethernet frame: an error, no crash.
    assert!(loaded.datapath().probe(&[]).is_err());
    assert!(loaded.datapath().probe(&[0; 13]).is_err());
    assert_eq!(loaded.judge(&[0; 14]), NotTcp);

    let jumbo = Packet::syn(BLOCKED, HOST_PORT).payload(9000 - 40).build();
    assert_eq!(loaded.judge(&jumbo), Blocked, "a jumbo frame, in several buffers");
    let jumbo6 = Packet::tcp(BLOCKED6, HOST_PORT, "A").payload(9000 - 60).build();
    assert_eq!(loaded.judge(&jumbo6), Established);

    // Cut anywhere, a packet from a blocked source is never taken for an allowed one.
    let whole = Packet::syn(BLOCKED6, HOST_PORT)
        .tag(DOT1AD)
        .tag(DOT1Q)
        .extension(Extension::HopByHop(8))
        .extension(Extension::Auth(12))
        .build();
    for len in 14..=whole.len() {
        let said = loaded.judge(&whole[..len]);
        let fits = [NotTcp, Malformed, UnclassifiedDropped, Blocked].contains(&said);
        assert!(fits, "cut to {len} bytes: {said:?}");
    }
}
