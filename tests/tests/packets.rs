//! Every branch of the packet parser, asked of the loaded program: a sentence, a
//! packet, the reason that it must give.

use netpolicy_common::Reason::{
    Allowed, Blocked, Established, Failsafe, Fragment, Malformed, NotAllowed, NotTcp,
    UnclassifiedDropped,
};
use netpolicy_tests::fixtures::{
    ALLOWED, ALLOWED6, BLOCKED, BLOCKED6, FAILSAFE, HOST_PORT, POSTGRES, UNLISTED, UNLISTED6,
    check_example, example,
};
use netpolicy_tests::packet::{DOT1AD, DOT1Q, Extension, Packet, frame};
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_user::datapath::packet;

#[rustfmt::skip] // One row a fixture.
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

#[rustfmt::skip] // One row a fixture.
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

#[rustfmt::skip] // One row a fixture.
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

#[rustfmt::skip] // One row a fixture.
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
        ("three tags", syn(BLOCKED, &[DOT1AD, DOT1Q, DOT1Q]), Blocked),
        ("three tags, allowed", syn(ALLOWED, &[DOT1AD, DOT1Q, DOT1Q]), Allowed),
        ("four tags and IPv6", syn(BLOCKED6, &[DOT1Q, DOT1Q, DOT1AD, DOT1AD]), Blocked),
        ("ten tags of both kinds", syn(BLOCKED, &[DOT1AD, DOT1Q].repeat(5)), Blocked),
        ("128 tags, one stride of the walk", syn(BLOCKED, &[DOT1Q; 128]), Blocked),
        ("129 tags", syn(BLOCKED, &[DOT1Q; 129]), Blocked),
        ("as many tags as an MTU of 1500 holds", syn(BLOCKED, &[DOT1Q; 365]), Blocked),
        ("the same, allowed", syn(ALLOWED, &[DOT1AD; 365]), Allowed),
        ("as many tags as an MTU of 9000 holds", syn(BLOCKED, &[DOT1Q; 2240]), Blocked),
        ("tags to the end of the frame", frame(&[DOT1Q; 365], 0x0800, &[]), Malformed),
        ("tags and nothing else", frame(&[DOT1Q; 365], DOT1Q, &[]), NotTcp),
        ("the old tag 0x9100, which Linux does not strip", syn(BLOCKED, &[0x9100]), NotTcp),
        ("the same inside of another", syn(BLOCKED, &[DOT1Q, 0x9100]), NotTcp),
        ("ten tags and ARP", frame(&[DOT1Q; 10], 0x0806, &[0; 28]), NotTcp),
        ("a tag and options", Packet::syn(BLOCKED, HOST_PORT).tag(DOT1Q).options(40).build(), Blocked),
        ("a tag and ARP", frame(&[DOT1Q], 0x0806, &[0; 28]), NotTcp),
        ("a tag and a cut IP header", frame(&[DOT1Q], 0x0800, &[0x45; 19]), Malformed),
    ]);
}

#[rustfmt::skip] // One row a fixture.
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

#[rustfmt::skip] // One row a fixture.
#[test]
fn ipv4_fragments() {
    let syn = |port| Packet::syn(BLOCKED, port);
    let first = |port| syn(port).fragment(0, true);
    check_example(vec![
        ("a later fragment", syn(HOST_PORT).fragment(1, true).build(), Fragment),
        ("the last fragment", syn(HOST_PORT).fragment(100, false).build(), Fragment),
        ("a later fragment by its offset's highest bit alone", syn(HOST_PORT).fragment(0x1000, true).build(), Fragment),
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
        ("a first fragment that ends before the ports, by the strictest lists", Packet::syn(UNLISTED, POSTGRES).fragment(0, true).cut_transport(3).build(), UnclassifiedDropped),
        ("the same, to a failsafe port that cannot be seen", first(FAILSAFE).cut_transport(3).build(), UnclassifiedDropped),
        ("a first fragment without any payload", first(HOST_PORT).cut_transport(0).build(), UnclassifiedDropped),
        ("the same, allowed on the host", Packet::syn(ALLOWED, HOST_PORT).fragment(0, true).cut_transport(0).build(), UnclassifiedDropped),
        ("a first fragment behind 40 bytes of options", first(HOST_PORT).options(40).cut_transport(8).build(), Blocked),
    ]);
}

#[rustfmt::skip] // One row a fixture.
#[test]
fn the_packet_ends_where_ip_says() {
    // What follows the packet would be a harmless ACK, were it read as TCP.
    let ack = &Packet::tcp(BLOCKED, POSTGRES, "A").build()[34..];
    let cut = |keep, source| Packet::syn(source, HOST_PORT).cut_transport(keep);
    check_example(vec![
        ("padding that pretends to be flags", cut(8, BLOCKED).padding(&ack[8..]).build(), UnclassifiedDropped),
        ("the same in a first fragment", cut(8, BLOCKED).fragment(0, true).padding(&ack[8..]).build(), Blocked),
        ("padding that pretends to be a whole TCP header", cut(0, BLOCKED).padding(ack).build(), UnclassifiedDropped),
        ("padding that pretends to be a service's port", Packet::syn(UNLISTED, HOST_PORT).fragment(0, true).cut_transport(0).padding(ack).build(), UnclassifiedDropped),
        ("the same over IPv6", cut(8, BLOCKED6).padding(&ack[8..]).build(), UnclassifiedDropped),
        ("honest padding", cut(20, BLOCKED).padding(&[0; 6]).build(), Blocked),
        ("a TCP header cut before its flags, without fragmentation", cut(13, BLOCKED).build(), UnclassifiedDropped),
        ("the same, from a source that the host allows and a service does not", cut(13, ALLOWED).build(), UnclassifiedDropped),
        ("the same, from a source on no list", cut(13, UNLISTED).build(), UnclassifiedDropped),
        ("the same, to a failsafe port: its source decides", Packet::syn(BLOCKED, FAILSAFE).cut_transport(13).build(), UnclassifiedDropped),
        ("the same, to a service: the host's lists decide", Packet::syn(UNLISTED, POSTGRES).cut_transport(13).build(), UnclassifiedDropped),
        ("a TCP header cut right after its flags", cut(14, BLOCKED).build(), Blocked),
        ("no TCP header at all", cut(0, BLOCKED).build(), UnclassifiedDropped),
        ("IPv6: a TCP header cut before its flags", cut(13, BLOCKED6).build(), UnclassifiedDropped),
        ("IPv6: the same, from a source that the host allows and a service does not", cut(13, ALLOWED6).build(), UnclassifiedDropped),
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

#[rustfmt::skip] // One row a fixture.
#[test]
fn ipv6_extension_headers() {
    use Extension::{Auth, Destination, HopByHop, Other, Routing};
    let with = |source, chain: &[Extension]| {
        chain.iter().fold(Packet::syn(source, HOST_PORT), |p, e| p.extension(*e)).build()
    };
    let atomic = Extension::Fragment(0, false);
    let all = [HopByHop(8), Destination(16), Routing(24), atomic, Auth(24), Destination(8)];
    let many = |count| vec![Destination(8); count];
    // The TCP header lies behind the first buffer of a frame of several.
    let far = [Destination(2048), Destination(2048), Routing(8)];
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
        ("eight headers", with(BLOCKED6, &many(8)), Blocked),
        ("nine headers", with(BLOCKED6, &many(9)), Blocked),
        ("nine headers, allowed", with(ALLOWED6, &many(9)), Allowed),
        ("nine headers, on no list", with(UNLISTED6, &many(9)), NotAllowed),
        ("64 headers, one stride of the walk", with(BLOCKED6, &many(64)), Blocked),
        ("65 headers", with(BLOCKED6, &many(65)), Blocked),
        ("as many headers as Linux answers with an MTU of 1500", with(BLOCKED6, &many(175)), Blocked),
        ("the same, allowed", with(ALLOWED6, &many(175)), Allowed),
        ("as many headers as an MTU of 9000 holds", with(BLOCKED6, &many(1115)), Blocked),
        ("the same, of UDP", many(1115).into_iter().fold(Packet::udp(BLOCKED6, HOST_PORT), Packet::extension).build(), NotTcp),
        ("175 headers that end with the packet", many(175).into_iter().fold(Packet::syn(BLOCKED6, HOST_PORT), Packet::extension).cut_ip(40 + 1400).build(), UnclassifiedDropped),
        ("175 headers of an ACK", many(175).into_iter().fold(Packet::tcp(BLOCKED6, HOST_PORT, "A"), Packet::extension).build(), Established),
        ("a TCP header behind the first buffer", with(BLOCKED6, &far), Blocked),
        ("the same, allowed", with(ALLOWED6, &far), Allowed),
        ("the same, to a service", far.iter().fold(Packet::syn(ALLOWED6, POSTGRES), |p, e| p.extension(*e)).build(), NotAllowed),
        ("the same, a SYN-ACK", far.iter().fold(Packet::tcp(BLOCKED6, HOST_PORT, "SA"), |p, e| p.extension(*e)).build(), Established),
        ("eight headers and UDP", not_tcp.build(), NotTcp),
        ("a header and an ACK", Packet::tcp(BLOCKED6, HOST_PORT, "A").extension(Routing(8)).build(), Established),
        ("a header and UDP", Packet::udp(BLOCKED6, HOST_PORT).extension(HopByHop(8)).build(), NotTcp),
        ("mobility, which is not walked", with(BLOCKED6, &[Other(135)]), NotTcp),
        ("a header that reaches past the packet", syn().extension(HopByHop(64)).claim_length(32).build(), UnclassifiedDropped),
        ("the same, allowed", Packet::syn(ALLOWED6, HOST_PORT).extension(HopByHop(64)).claim_length(32).build(), UnclassifiedDropped),
        ("a header that says it is longer than the frame", syn().extension(Routing(8)).patch_ip(41, 255).build(), UnclassifiedDropped),
        ("a header cut in its first bytes", syn().extension(HopByHop(8)).cut_ip(43).build(), UnclassifiedDropped),
        ("a first header that lies wholly outside", syn().extension(HopByHop(8)).cut_ip(40).build(), UnclassifiedDropped),
        ("an IPv6 header of 39 bytes", syn().cut_ip(39).build(), Malformed),
        ("version 4 under IPv6's EtherType", syn().patch_ip(0, 0x45).build(), Malformed),
        ("a tag and a header", syn().extension(Destination(8)).tag(DOT1Q).build(), Blocked),
    ]);
}

#[rustfmt::skip] // One row a fixture.
#[test]
fn ipv6_fragments() {
    use Extension::{Destination, HopByHop};
    let first = |source, port| Packet::syn(source, port).fragment(0, true);
    check_example(vec![
        ("a later fragment", Packet::syn(BLOCKED6, HOST_PORT).fragment(1, true).build(), Fragment),
        ("a later fragment by its offset's highest bit alone", Packet::syn(BLOCKED6, HOST_PORT).fragment(0x1000, true).build(), Fragment),
        ("the last fragment", Packet::syn(BLOCKED6, HOST_PORT).fragment(0x1fff, false).build(), Fragment),
        ("a first fragment with a whole TCP header", first(BLOCKED6, HOST_PORT).build(), Blocked),
        ("a first fragment that ends before the flags", first(BLOCKED6, HOST_PORT).cut_transport(8).build(), Blocked),
        ("the same, to a service, by its lists", first("fd00:1::1", POSTGRES).cut_transport(8).build(), Allowed),
        ("the same, to a service, not on its lists", first(ALLOWED6, POSTGRES).cut_transport(8).build(), NotAllowed),
        ("the same, to a failsafe port", first(BLOCKED6, FAILSAFE).cut_transport(8).build(), Failsafe),
        ("a first fragment that ends before the ports, by the strictest lists", first(ALLOWED6, POSTGRES).cut_transport(3).build(), UnclassifiedDropped),
        ("a first fragment without any payload", first(BLOCKED6, HOST_PORT).cut_transport(0).build(), UnclassifiedDropped),
        ("a hop-by-hop header, then a later fragment", Packet::syn(BLOCKED6, HOST_PORT).extension(HopByHop(8)).fragment(2, false).build(), Fragment),
        ("a first fragment, then destination options", first(BLOCKED6, HOST_PORT).extension(Destination(8)).build(), Blocked),
        ("a first fragment, then options that reach past its end", first(BLOCKED6, HOST_PORT).extension(Destination(64)).claim_length(24).build(), UnclassifiedDropped),
        ("a first fragment that ends before its next header", first(BLOCKED6, HOST_PORT).extension(Destination(64)).claim_length(8).build(), UnclassifiedDropped),
        ("an atomic fragment without TCP header", Packet::syn(BLOCKED6, HOST_PORT).fragment(0, false).cut_transport(8).build(), UnclassifiedDropped),
    ]);
}

#[rustfmt::skip] // One row a fixture.
#[test]
fn packets_without_a_link_layer_header() {
    let mut loaded = Loaded::new(&rules::ruleset(&example()));
    let ip = |packet: Packet| packet.build()[14..].to_vec();
    let syn = |source| Packet::syn(source, HOST_PORT);
    // GRE announced it, so it begins behind its own ethertype.
    let tagged = |source, tci: [u8; 2], count| {
        let tags = [DOT1Q].repeat(count);
        let mut packet = tags.iter().fold(syn(source), |p, tpid| p.tag(*tpid)).build()[14..].to_vec();
        packet[..2].copy_from_slice(&tci);
        packet
    };
    for (sentence, packet, expected) in [
        ("an IPv4 SYN, blocked", ip(syn(BLOCKED)), Blocked),
        ("an IPv4 SYN, allowed", ip(syn(ALLOWED)), Allowed),
        ("an IPv6 SYN, blocked", ip(syn(BLOCKED6)), Blocked),
        ("an IPv6 SYN, on no list", ip(syn(UNLISTED6)), NotAllowed),
        ("to a service", ip(Packet::syn(ALLOWED, POSTGRES)), NotAllowed),
        ("to a failsafe port", ip(Packet::syn(BLOCKED, FAILSAFE)), Failsafe),
        ("an ACK", ip(Packet::tcp(BLOCKED, HOST_PORT, "A")), Established),
        ("UDP", ip(Packet::udp(BLOCKED6, HOST_PORT)), NotTcp),
        ("175 extension headers", ip([Extension::Destination(8); 175].into_iter().fold(syn(BLOCKED6), Packet::extension)), Blocked),
        ("a TCP header behind the first buffer", ip([Extension::Routing(2048); 3].into_iter().fold(syn(BLOCKED6), Packet::extension)), Blocked),
        ("a header that is cut", ip(syn(BLOCKED).cut_transport(8)), UnclassifiedDropped),
        ("a later fragment", ip(syn(BLOCKED).fragment(1, false)), Fragment),
        ("an IPv4 header of 19 bytes", ip(syn(BLOCKED).cut_ip(19)), Malformed),
        ("neither IPv4 nor IPv6", vec![0; 60], NotTcp),
        ("a tag that GRE announced", tagged(BLOCKED, [0, 0], 1), Blocked),
        ("the same, with a priority that looks like IPv4", tagged(BLOCKED, [0x40, 0], 1), Blocked),
        ("the same, with a priority that looks like IPv6", tagged(BLOCKED, [0x60, 0], 1), Blocked),
        ("three such tags", tagged(BLOCKED6, [0x60, 0], 3), Blocked),
        ("the same, allowed", tagged(ALLOWED6, [0x60, 0], 3), Allowed),
    ] {
        assert_eq!(loaded.judge_ip(&packet), expected, "{sentence}");
    }
}
