//! The parser on the host. Every branch has a packet in the kernel tests; here are
//! the ways around a filter, and what must hold for any bytes at all.

use proptest::prelude::*;

use super::*;

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
fn a_syn_is_an_attempt_whatever_flags_stand_beside_it() {
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
    assert_eq!(parse(&frame), attempt(SOURCE_V4, Ports::UNKNOWN));
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

#[test]
fn eight_extension_headers_are_walked_and_nine_are_not() {
    let chain = |count: usize| {
        let mut payload = Vec::new();
        for i in 1..=count {
            let next = if i == count { TCP } else { DESTINATION };
            payload.extend([next, 0, 1, 4, 0, 0, 0, 0]);
        }
        payload.extend(tcp(2));
        v6(DESTINATION, &payload)
    };
    assert_eq!(parse(&chain(MAX_EXTENSIONS)), attempt(SOURCE_V6, PORTS));
    assert_eq!(parse(&chain(MAX_EXTENSIONS + 1)), unclassified(SOURCE_V6));
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
    fn any_bytes_are_read_within_their_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        // A read past the end would panic in the slice above.
        match parse(&bytes) {
            Segment::Judge(Subject { addresses, .. }) => {
                let both = match addresses.family { Family::V4 => 8, Family::V6 => 32 };
                prop_assert!(addresses.at + both <= bytes.len());
            }
            Segment::Pass(_) => {}
        }
    }

    /// Of every frame, the short way says what the long way says, or nothing.
    #[test]
    fn plain_frames_are_read_alike(
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

    /// Cutting a SYN short, or wrapping it in tags and headers, never makes it pass
    /// as established.
    #[test]
    fn a_syn_cut_short_is_never_taken_for_established(cut in 0usize..60, total in 20u16..60, fragment: bool) {
        let mut frame = v4(total, if fragment { 0x2000 } else { 0 }, &tcp(2));
        frame.truncate(14 + cut);
        prop_assert_ne!(parse(&frame), Segment::Pass(Reason::Established));
    }
}
