//! Resets, read by another parser, and their checksums computed by it.

use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice, PacketBuilder, TcpHeaderSlice};
use proptest::prelude::*;

use super::*;

const CLIENT: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [198, 51, 100, 7];
const CLIENT_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
const SERVER_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];

fn v4(sequence: u32, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ipv4(CLIENT, SERVER, 17)
        .tcp(40_000, 5432, sequence, 64_240)
        .syn();
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).unwrap();
    packet
}

fn v6(sequence: u32, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ipv6(CLIENT_V6, SERVER_V6, 17)
        .tcp(40_000, 5432, sequence, 64_240)
        .syn();
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).unwrap();
    packet
}

fn request<const N: usize>(packet: &[u8]) -> [u64; N] {
    let mut bytes = [0; 64];
    let len = packet.len().min(64);
    bytes[..len].copy_from_slice(&packet[..len]);
    words(&bytes)
}

fn words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    std::array::from_fn(|at| u64::from_ne_bytes(bytes[at * 8..at * 8 + 8].try_into().unwrap()))
}

fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn answer_v4(packet: &[u8]) -> Option<Reset<V4_WORDS>> {
    reset_v4(&request(packet))
}

fn answer_v6(packet: &[u8]) -> Option<Reset<V6_WORDS>> {
    reset_v6(&request(packet))
}

/// Its bytes: as they are when a device is to complete the checksum, and complete.
fn both<const WORDS: usize>(reset: &Reset<WORDS>) -> [Vec<u8>; 2] {
    let len = Reset::<WORDS>::LEN;
    [reset.headers, reset.completed()].map(|headers| bytes(&headers)[..len].to_vec())
}

fn checksum<const WORDS: usize>(packet: &[u8]) -> [u8; 2] {
    let at = Reset::<WORDS>::CHECKSUM_AT;
    packet[at..][..2].try_into().unwrap()
}

/// The sum of bytes, as a sender computes it.
fn summed(bytes: &[u8]) -> u64 {
    let words = bytes.as_chunks::<2>().0.iter();
    words.map(|word| u64::from(u16::from_be_bytes(*word))).sum()
}

/// The checksum in place of a partial one, as `csum_replace_by_diff` computes it: in 32 bits.
fn replaced(partial: [u8; 2], difference: u32) -> [u8; 2] {
    let add = |a: u32, b: u32| {
        let (sum, carry) = a.overflowing_add(b);
        sum + u32::from(carry)
    };
    let sum = add(difference, !u32::from(u16::from_ne_bytes(partial)));
    (!fold(u64::from(sum))).to_ne_bytes()
}

fn check_segment<const WORDS: usize>(reset: &Reset<WORDS>, next: u32, expected: u16) {
    let [partial, complete] = both(reset);
    let segment = complete.len() - 20;
    let tcp = TcpHeaderSlice::from_slice(&complete[segment..]).unwrap();
    assert_eq!((tcp.source_port(), tcp.destination_port()), (5432, 40_000));
    assert!(tcp.rst() && tcp.ack() && !tcp.syn() && !tcp.fin());
    assert_eq!(
        (tcp.sequence_number(), tcp.acknowledgment_number()),
        (0, next)
    );
    assert_eq!(
        (tcp.data_offset(), tcp.window_size(), tcp.urgent_pointer()),
        (5, 0, 0)
    );
    assert_eq!(tcp.checksum(), expected);
    let at = Reset::<WORDS>::CHECKSUM_AT;
    assert_eq!(partial[..at], complete[..at]);
    assert_eq!(
        replaced(checksum::<WORDS>(&partial), reset.difference),
        checksum::<WORDS>(&complete)
    );
    // What a device does that completes checksums: the sum of all from the TCP header on.
    assert_eq!(!fold(summed(&partial[segment..])), expected);
}

fn check_v4(packet: &[u8], next: u32) {
    let reset = answer_v4(packet).expect("an answer");
    let [_, complete] = both(&reset);
    let ip = Ipv4HeaderSlice::from_slice(&complete).unwrap();
    assert_eq!((ip.source(), ip.destination()), (SERVER, CLIENT));
    assert_eq!(
        (ip.total_len(), ip.ttl(), ip.dont_fragment()),
        (40, 64, true)
    );
    assert_eq!(ip.header_checksum(), ip.to_header().calc_header_checksum());
    let tcp = TcpHeaderSlice::from_slice(&complete[20..]).unwrap();
    let sum = tcp
        .to_header()
        .calc_checksum_ipv4(&ip.to_header(), &[])
        .unwrap();
    check_segment(&reset, next, sum);
}

fn check_v6(packet: &[u8], next: u32) {
    let reset = answer_v6(packet).expect("an answer");
    let [_, complete] = both(&reset);
    let ip = Ipv6HeaderSlice::from_slice(&complete).unwrap();
    assert_eq!((ip.source(), ip.destination()), (SERVER_V6, CLIENT_V6));
    assert_eq!((ip.payload_length(), ip.hop_limit()), (20, 64));
    let tcp = TcpHeaderSlice::from_slice(&complete[40..]).unwrap();
    let sum = tcp
        .to_header()
        .calc_checksum_ipv6(&ip.to_header(), &[])
        .unwrap();
    check_segment(&reset, next, sum);
}

#[test]
fn attempt_gets_a_reset_that_acknowledges_it() {
    check_v4(&v4(7, &[]), 8);
    check_v6(&v6(7, &[]), 8);
}

#[test]
fn data_and_fin_are_acknowledged_too() {
    let with_fin = |mut packet: Vec<u8>, tcp: usize| {
        packet[tcp + 13] |= FIN;
        packet
    };
    check_v4(&v4(u32::MAX, b"hello"), 5);
    check_v4(&with_fin(v4(10, b"hello"), 20), 17);
    check_v6(&with_fin(v6(10, b""), 40), 12);
}

#[test]
fn only_an_attempt_is_answered() {
    for flags in 0..=0xff_u8 {
        let expected = flags & 0x16 == 0x02;
        let mut packet = v4(1, &[]);
        packet[33] = flags;
        assert_eq!(answer_v4(&packet).is_some(), expected, "{flags:#04x}");
        let mut packet = v6(1, &[]);
        packet[53] = flags;
        assert_eq!(answer_v6(&packet).is_some(), expected, "{flags:#04x}");
    }
}

#[test]
fn fragments_options_and_cut_headers_are_not_answered() {
    let refused_v4 = |at: usize, value: u8| {
        let mut packet = v4(1, b"data");
        packet[at] = value;
        answer_v4(&packet).is_none()
    };
    // Options; more fragments; a later fragment; another protocol.
    assert!(refused_v4(0, 0x46) && refused_v4(6, 0x20) && refused_v4(7, 1) && refused_v4(9, 17));
    // A packet that ends within the TCP header; data offsets that lie before or behind.
    assert!(refused_v4(3, 39) && refused_v4(32, 0x40) && refused_v4(32, 0xf0));
    let refused_v6 = |at: usize, value: u8| {
        let mut packet = v6(1, b"data");
        packet[at] = value;
        answer_v6(&packet).is_none()
    };
    // Another version; a jumbogram or cut packet; an extension header; data offsets.
    assert!(refused_v6(0, 0x40) && refused_v6(5, 0) && refused_v6(6, 60));
    assert!(refused_v6(52, 0x40) && refused_v6(52, 0xf0));
}

#[test]
fn addresses_that_are_no_hosts_are_not_answered() {
    let v4_between = |source: [u8; 4], destination: [u8; 4]| {
        let mut packet = v4(1, &[]);
        packet[12..16].copy_from_slice(&source);
        packet[16..20].copy_from_slice(&destination);
        answer_v4(&packet).is_some()
    };
    assert!(v4_between(CLIENT, SERVER));
    for none in [
        [0, 0, 0, 0],
        [127, 0, 0, 1],
        [224, 0, 0, 1],
        [255; 4],
        [240, 1, 2, 3],
    ] {
        assert!(
            !v4_between(none, SERVER) && !v4_between(CLIENT, none),
            "{none:?}"
        );
    }
    assert!(!v4_between(SERVER, SERVER), "to itself");
    let v6_between = |source: [u8; 16], destination: [u8; 16]| {
        let mut packet = v6(1, &[]);
        packet[8..24].copy_from_slice(&source);
        packet[24..40].copy_from_slice(&destination);
        answer_v6(&packet).is_some()
    };
    assert!(v6_between(CLIENT_V6, SERVER_V6));
    let mut loopback = [0; 16];
    loopback[15] = 1;
    let mut multicast = CLIENT_V6;
    multicast[0] = 0xff;
    for none in [[0; 16], loopback, multicast] {
        assert!(
            !v6_between(none, SERVER_V6) && !v6_between(CLIENT_V6, none),
            "{none:?}"
        );
    }
    assert!(!v6_between(SERVER_V6, SERVER_V6), "to itself");
}

#[test]
fn frame_to_another_host_or_a_group_is_not_answered() {
    let (own, bridge, client) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 3]);
    let frame = |to: [u8; 6], from: [u8; 6]| -> [u64; 2] {
        words(&[&to[..], &from, &[0x81, 0, 0, 5]].concat())
    };
    let both = [own, bridge];
    let is_answered = |to, from, own: &[[u8; 6]; 2]| Link::read(&frame(to, from)).is_to(own);
    assert!(is_answered(own, client, &both) && is_answered(bridge, client, &both));
    assert!(!is_answered(client, own, &both));
    assert!(!is_answered([0xff; 6], client, &both));
    assert!(!is_answered([0xff; 6], client, &[[0xff; 6]; 2]));
    assert!(!is_answered(own, [3, 0, 0, 0, 0, 3], &both));
    let sent = frame(own, client);
    assert_eq!(Link::read(&sent).answer(&sent), frame(client, own));
}

proptest! {
    #[test]
    fn any_answer_has_right_checksums(
        sequence in any::<u32>(),
        ports in any::<[u8; 4]>(),
        source in any::<[u8; 16]>(),
        payload in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut packet = v4(sequence, &payload);
        packet[12..16].copy_from_slice(&source[..4]);
        packet[20..24].copy_from_slice(&ports);
        if let Some(reset) = answer_v4(&packet) {
            let [_, complete] = both(&reset);
            prop_assert_eq!(fold(summed(&complete[..20])), 0xffff);
            check_sum(&reset, summed(&complete[12..20]));
        }
        let mut packet = v6(sequence, &payload);
        packet[8..24].copy_from_slice(&source);
        packet[40..44].copy_from_slice(&ports);
        if let Some(reset) = answer_v6(&packet) {
            let [_, complete] = both(&reset);
            check_sum(&reset, summed(&complete[8..40]));
        }
    }
}

/// As a receiver checks it: all together are 0xffff.
fn check_sum<const WORDS: usize>(reset: &Reset<WORDS>, addresses: u64) {
    let [partial, complete] = both(reset);
    let replaced = replaced(checksum::<WORDS>(&partial), reset.difference);
    for checksum in [checksum::<WORDS>(&complete), replaced] {
        let mut headers = complete.clone();
        headers[Reset::<WORDS>::CHECKSUM_AT..][..2].copy_from_slice(&checksum);
        let segment = headers.len() - 20;
        let all = addresses + u64::from(TCP) + 20 + summed(&headers[segment..]);
        assert_eq!(fold(all), 0xffff);
    }
}
