//! The parser on the host. Every branch has a packet in the kernel tests; here are
//! the ways around a filter, and what must hold for any bytes at all.

use proptest::prelude::*;

use super::walk::{AUTHENTICATION, DESTINATION, FRAGMENT, ROUTING};
use super::*;

mod bare;

fn parse(frame: &Vec<u8>) -> Segment {
    super::parse(frame, Layer::Ethernet)
}

fn parse_ip(packet: &[u8]) -> Segment {
    super::parse(&packet.to_vec(), Layer::Ip)
}

impl Load for Vec<u8> {
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.read(offset).copied()
    }
}

impl Bytes for Vec<u8> {
    fn read<const N: usize>(&self, offset: usize) -> Option<&[u8; N]> {
        self.get(offset..offset.checked_add(N)?)?.try_into().ok()
    }
}

const ETHERNET_V4: [u8; 14] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0];
const ETHERNET_V6: [u8; 14] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x86, 0xdd];

fn tcp(flags: u8) -> [u8; 20] {
    let mut header = [0; 20];
    header[..4].copy_from_slice(&[0x9c, 0x40, 0x15, 0x38]);
    header[12] = 0x50;
    header[13] = flags;
    header
}

fn v4(total: u16, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = ETHERNET_V4.to_vec();
    let [t0, t1] = total.to_be_bytes();
    let [f0, f1] = fragment.to_be_bytes();
    frame.extend([
        0x45, 0, t0, t1, 0, 0, f0, f1, 64, TCP, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
    ]);
    frame.extend(payload);
    frame
}

fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = ETHERNET_V6.to_vec();
    let [l0, l1] = u16::try_from(payload.len()).unwrap().to_be_bytes();
    frame.extend([0x60, 0, 0, 0, l0, l1, next, 64]);
    frame.extend([0x20; 32]);
    frame.extend(payload);
    frame
}

const SOURCE_V4: Addresses = Addresses {
    family: Family::V4,
    at: 26,
};
const SOURCE_V6: Addresses = Addresses {
    family: Family::V6,
    at: 22,
};
const PORTS: Ports = Ports {
    source: 40_000,
    destination: 5432,
};

fn attempt(addresses: Addresses, ports: Ports) -> Segment {
    Segment::Judge(Subject {
        is_attempt: true,
        addresses,
        ports,
    })
}

fn unclassified(addresses: Addresses) -> Segment {
    Segment::Judge(Subject {
        is_attempt: false,
        addresses,
        ports: Ports::UNKNOWN,
    })
}

#[test]
fn syn_is_an_attempt_whatever_other_flags_are_set() {
    for flags in [0x02, 0x02 | 0x01, 0x02 | 0x04, 0x02 | 0x08, 0x02 | 0xc0] {
        assert_eq!(parse(&v4(40, 0, &tcp(flags))), attempt(SOURCE_V4, PORTS));
    }
    for flags in [0x12, 0x10, 0x04, 0x01, 0] {
        assert_eq!(
            parse(&v4(40, 0, &tcp(flags))),
            Segment::Pass(Reason::Established)
        );
    }
}

#[test]
fn padding_behind_the_packet_is_not_a_header() {
    // IP says 8 bytes of TCP; the frame's padding pretends an ACK.
    let frame = v4(28, 0x2000, &tcp(0x10));
    assert_eq!(parse(&frame), attempt(SOURCE_V4, PORTS));
    let frame = v4(22, 0x2000, &tcp(0x10));
    assert_eq!(parse(&frame), unclassified(SOURCE_V4));
    let frame = v4(28, 0, &tcp(0x10));
    assert_eq!(parse(&frame), unclassified(SOURCE_V4));
}

#[test]
fn an_offset_that_is_not_zero_is_a_later_fragment() {
    assert_eq!(parse(&v4(40, 1, &tcp(2))), Segment::Pass(Reason::Fragment));
    assert_eq!(
        parse(&v4(40, 0x2001, &tcp(2))),
        Segment::Pass(Reason::Fragment)
    );
    let mut fragment = vec![TCP, 0, 0, 0x08, 0, 0, 0, 0];
    fragment.extend(tcp(2));
    assert_eq!(
        parse(&v6(FRAGMENT, &fragment)),
        Segment::Pass(Reason::Fragment)
    );
}

/// The same frame with so many VLAN tags, of both kinds.
fn tagged(frame: &[u8], count: usize) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    for i in 0..count {
        let tag: [u8; 4] = if i % 3 == 0 {
            [0x88, 0xa8, 0, 0]
        } else {
            [0x81, 0, 0xe0, 0]
        };
        tagged.extend(tag);
    }
    tagged.extend(&frame[12..]);
    tagged
}

#[test]
fn vlan_tags_are_walked_in_any_number() {
    let plain = v4(40, 0, &tcp(2));
    // The last: as many as fit into the largest MTU, 65,535 bytes with the header's 14.
    for count in [0, 1, 2, 3, 10, 63, 64, 65, 375, 2235, 16_370] {
        let addresses = Addresses {
            at: SOURCE_V4.at + 4 * count,
            ..SOURCE_V4
        };
        assert_eq!(
            parse(&tagged(&plain, count)),
            attempt(addresses, PORTS),
            "{count}"
        );
    }
    let mut only_tags = tagged(&plain, 300);
    only_tags.truncate(12 + 300 * 4);
    assert_eq!(parse(&only_tags), Segment::Pass(Reason::NotTcp));
    let mut old = plain;
    old.splice(12..12, [0x91, 0, 0, 0]);
    assert_eq!(
        parse(&old),
        Segment::Pass(Reason::NotTcp),
        "Linux does not strip 0x9100"
    );
}

#[test]
fn extension_headers_are_walked_in_any_number() {
    let chain = |count: usize, len: u8| {
        let mut payload = Vec::new();
        for i in 1..=count {
            let next = if i == count { TCP } else { DESTINATION };
            payload.extend([next, len, 1, 4, 0, 0, 0, 0]);
            payload.extend(vec![0; usize::from(len) * 8]);
        }
        payload.extend(tcp(2));
        v6(DESTINATION, &payload)
    };
    // The last: as many as fit into the largest packet.
    for count in [1, 8, 9, 31, 32, 33, 64, 175, 1120, 8189] {
        assert_eq!(
            parse(&chain(count, 0)),
            attempt(SOURCE_V6, PORTS),
            "{count}"
        );
    }
    for count in [1, 2, 31] {
        assert_eq!(
            parse(&chain(count, 255)),
            attempt(SOURCE_V6, PORTS),
            "{count}"
        );
    }
    let mut cut = chain(175, 0);
    cut.truncate(14 + 40 + 174 * 8 + 3);
    assert_eq!(parse(&cut), unclassified(SOURCE_V6));
}

#[test]
fn first_fragment_that_ends_before_the_ports_is_unclassified() {
    for keep in 0..14 {
        let mut payload = vec![TCP, 0, 0, 1, 0, 0, 0, 0];
        payload.extend(&tcp(2)[..keep]);
        let expected = if keep < 4 {
            unclassified(SOURCE_V6)
        } else {
            attempt(SOURCE_V6, PORTS)
        };
        assert_eq!(parse(&v6(FRAGMENT, &payload)), expected, "{keep}");
    }
    // A later header does not undo what the fragment header says.
    let mut payload = vec![FRAGMENT, 0, 0, 1, 0, 0, 0, 0, TCP, 0, 0, 0, 0, 0, 0, 0];
    payload.extend(&tcp(2)[..8]);
    assert_eq!(parse(&v6(FRAGMENT, &payload)), attempt(SOURCE_V6, PORTS));
}

#[test]
fn every_reason_survives_packing() {
    for reason in Reason::ALL {
        let passed = Segment::Pass(*reason);
        assert_eq!(Segment::unpack(passed.pack()), passed);
    }
}

#[test]
fn an_authentication_header_counts_in_words_of_four_bytes() {
    let mut payload = vec![TCP, 4];
    payload.extend([0; 22]);
    payload.extend(tcp(2));
    assert_eq!(
        parse(&v6(AUTHENTICATION, &payload)),
        attempt(SOURCE_V6, PORTS)
    );
}

#[test]
fn a_chain_that_ends_with_the_packet_is_unclassified() {
    assert_eq!(
        parse(&v6(ROUTING, &[TCP, 200, 0, 0, 0, 0, 0, 0])),
        unclassified(SOURCE_V6)
    );
    assert_eq!(parse(&v6(ROUTING, &[TCP])), unclassified(SOURCE_V6));
}

proptest! {
    #[test]
    fn any_bytes_are_read_within_their_bounds(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        has_ethernet: bool,
    ) {
        // A read past the end would panic in the slice above.
        let layer = if has_ethernet { Layer::Ethernet } else { Layer::Ip };
        let parsed = super::parse(&bytes, layer);
        prop_assert_eq!(Segment::unpack(parsed.pack()), parsed);
        match parsed {
            Segment::Judge(Subject { addresses, .. }) => {
                let both = match addresses.family { Family::V4 => 8, Family::V6 => 32 };
                prop_assert!(addresses.at + both <= bytes.len());
            }
            Segment::Pass(_) => {}
        }
    }

    /// Of every frame, the short way says what the long way says, or nothing.
    #[test]
    fn plain_frames_are_read_as_by_the_slow_path(
        is_v6: bool,
        total in 0u16..80,
        fragment in prop_oneof![Just(0u16), Just(0x4000), any::<u16>()],
        flags: u8,
        cut in 0usize..100,
        change in proptest::option::of((12usize..74, any::<u8>())),
    ) {
        let mut frame = if is_v6 { v6(6, &tcp(flags)) } else { v4(total, fragment, &tcp(flags)) };
        if let Some((at, value)) = change && at < frame.len() {
            frame[at] = value;
        }
        frame.truncate(cut);
        let parsed = parse(&frame);
        let found = parse_plain(
            &frame,
            |source, low| (source.to_be_bytes().to_vec(), low),
            |(high, rest), low| ([high.to_be_bytes(), rest.to_be_bytes()].concat(), low),
        );
        match (found, parsed) {
            (Plain::Attempt((source, low)), Segment::Judge(subject)) => {
                prop_assert!(subject.is_attempt);
                prop_assert_eq!(low, subject.ports.destination.to_be_bytes()[1]);
                prop_assert_eq!(&source, &frame[subject.addresses.at..][..source.len()]);
                let is_v6 = subject.addresses.family == Family::V6;
                prop_assert_eq!(source.len(), if is_v6 { 16 } else { 4 });
                let again = if is_v6 {
                    plain_source_v6(&frame).map(|(high, low)| [high.to_be_bytes(), low.to_be_bytes()].concat())
                } else {
                    plain_source_v4(&frame).map(|source| source.to_be_bytes().to_vec())
                };
                prop_assert_eq!(again, Some(source));
                let port = if is_v6 { plain_port_v6(&frame) } else { plain_port_v4(&frame) };
                prop_assert_eq!(port, Some(subject.ports.destination));
            }
            (Plain::Established, parsed) => {
                prop_assert_eq!(parsed, Segment::Pass(Reason::Established));
            }
            (Plain::Other, _) => {}
            (Plain::Attempt(_), parsed) => prop_assert!(false, "an attempt, and {:?}", parsed),
        }
        prop_assert_eq!(Segment::unpack(parsed.pack()), parsed);
    }

    /// Tags before a frame change nothing but where its addresses are.
    #[test]
    fn tags_do_not_change_what_a_frame_is(
        is_v6: bool,
        flags: u8,
        cut in 14usize..100,
        change in proptest::option::of((14usize..74, any::<u8>())),
        count in 0usize..200,
    ) {
        let mut frame = if is_v6 { v6(6, &tcp(flags)) } else { v4(40, 0, &tcp(flags)) };
        if let Some((at, value)) = change && at < frame.len() {
            frame[at] = value;
        }
        frame.truncate(cut);
        let expected = match parse(&frame) {
            Segment::Judge(mut subject) => {
                subject.addresses.at += 4 * count;
                Segment::Judge(subject)
            }
            passed => passed,
        };
        prop_assert_eq!(parse(&tagged(&frame, count)), expected);
    }

    /// A packet is the same with an Ethernet header and without.
    #[test]
    fn packet_is_the_same_with_and_without_ethernet(
        is_v6: bool,
        flags: u8,
        cut in 18usize..100,
        change in proptest::option::of((14usize..74, any::<u8>())),
    ) {
        let mut frame = if is_v6 { v6(6, &tcp(flags)) } else { v4(40, 0, &tcp(flags)) };
        if let Some((at, value)) = change && at < frame.len() {
            frame[at] = value;
        }
        frame.truncate(cut);
        let expected = match parse(&frame) {
            Segment::Judge(mut subject) => {
                subject.addresses.at -= 14;
                Segment::Judge(subject)
            }
            // Without the ethertype, another version is another protocol.
            Segment::Pass(Reason::Malformed) => return Ok(()),
            passed => passed,
        };
        prop_assert_eq!(parse_ip(&frame[14..]), expected);
    }

    /// Cutting a SYN short, or wrapping it in tags and headers, never makes it pass
    /// as established.
    #[test]
    fn a_syn_cut_short_is_never_taken_for_established(cut in 0usize..60, total in 20u16..60, fragment: bool) {
        let mut frame = v4(total, if fragment { 0x2000 } else { 0 }, &tcp(2));
        frame.truncate(14 + cut);
        prop_assert_ne!(parse(&frame), Segment::Pass(Reason::Established));
    }
}
