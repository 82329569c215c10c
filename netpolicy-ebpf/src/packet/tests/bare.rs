//! Packets of devices without a link-layer header.

use super::*;

#[test]
fn ip_packet_without_link_layer_is_read_from_its_first_byte() {
    let at = |addresses: Addresses, by: usize| Addresses {
        at: addresses.at + by - 14,
        ..addresses
    };
    let (v4, v6) = (v4(40, 0, &tcp(2)), v6(TCP, &tcp(2)));
    assert_eq!(parse_ip(&v4[14..]), attempt(at(SOURCE_V4, 0), PORTS));
    assert_eq!(parse_ip(&v6[14..]), attempt(at(SOURCE_V6, 0), PORTS));
    // What GRE announces as a tag: its ethertype is gone, the tag is not.
    for tci in [[0x00, 0x00], [0x40, 0x00], [0x60, 0x00], [0x00, 0x05]] {
        let mut packet = [tci, [0x08, 0x00]].concat();
        packet.extend(&v4[14..]);
        assert_eq!(
            parse_ip(&packet),
            attempt(at(SOURCE_V4, 4), PORTS),
            "{tci:?}"
        );
        assert_eq!(other_reading_of(&packet), None, "{tci:?}");
        let mut packet = [tci, [0x81, 0x00], [0, 0], [0x86, 0xdd]].concat();
        packet.extend(&v6[14..]);
        assert_eq!(
            parse_ip(&packet),
            attempt(at(SOURCE_V6, 8), PORTS),
            "{tci:?}"
        );
        assert_eq!(other_reading_of(&packet), None, "{tci:?}");
    }
    assert_eq!(parse_ip(&[0x45; 3]), Segment::Pass(Reason::Malformed));
    assert_eq!(
        parse_ip(&v4),
        Segment::Pass(Reason::NotTcp),
        "an Ethernet header is no IP"
    );
}

/// The packet's other reading, as the program asks for it.
fn other_reading_of(packet: &Vec<u8>) -> Option<Segment> {
    let family = other_reading(parse_packed(packet, Layer::Ip))?;
    Some(Segment::unpack(ip(packet, 0, family)))
}

/// An IPv4 SYN of 2,048 bytes that reads as another one behind a tag: its length is the type,
/// its identification and what follows the other's header, of 60 bytes.
fn two_v4() -> Vec<u8> {
    let mut packet = v4(0x0800, 0, &tcp(2))[14..].to_vec();
    packet.resize(0x0800, 0);
    packet[4] = 0x4f;
    packet[4 + 9] = TCP;
    packet[4 + 60..][..20].copy_from_slice(&tcp(2));
    packet
}

/// The same of IPv6: its flow label is the type, its length begins the other's header. It is a
/// chain of extension headers, and ends where TCP's would begin.
fn two_v6() -> Vec<u8> {
    let mut chain = Vec::new();
    for len in [2048; 9].into_iter().chain([1800]) {
        let units = u8::try_from(len / 8 - 1).unwrap();
        chain.extend([DESTINATION, units]);
        chain.resize(chain.len() + len - 2, 0);
    }
    let mut packet = v6(DESTINATION, &chain)[14..].to_vec();
    assert_eq!(packet[4], 0x4f);
    packet[2..4].copy_from_slice(&IPV4);
    packet[4 + 6..4 + 8].fill(0);
    packet[4 + 9] = TCP;
    packet[4 + 60..][..20].copy_from_slice(&tcp(2));
    packet
}

#[test]
fn packet_without_link_layer_that_reads_as_two_has_another_reading() {
    let tagged = |at| {
        let addresses = Addresses {
            family: Family::V4,
            at,
        };
        attempt(addresses, PORTS)
    };
    let first = |addresses: Addresses| Addresses {
        at: addresses.at - 14,
        ..addresses
    };
    let packet = two_v4();
    assert_eq!(parse_ip(&packet), tagged(16));
    assert_eq!(
        other_reading_of(&packet),
        Some(attempt(first(SOURCE_V4), PORTS))
    );
    let packet = two_v6();
    assert_eq!(parse_ip(&packet), tagged(16));
    assert_eq!(
        other_reading_of(&packet),
        Some(unclassified(first(SOURCE_V6)))
    );
    // Linux discards what claims more bytes than the frame has: one reading is left.
    for mut packet in [two_v4(), two_v6()] {
        packet.pop();
        assert_eq!(parse_ip(&packet), tagged(16));
        assert_eq!(other_reading_of(&packet), None);
    }
    // Where no tag is read, there is the first reading alone.
    for mut packet in [two_v4(), two_v6()] {
        let addresses = if packet[0] >> 4 == 4 {
            attempt(first(SOURCE_V4), PORTS)
        } else {
            unclassified(first(SOURCE_V6))
        };
        packet[4 + 9] = 17;
        assert_eq!(parse_ip(&packet), addresses);
        assert_eq!(other_reading_of(&packet), None);
    }
}
