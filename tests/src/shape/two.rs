//! Packets of devices without a link-layer header that read as two: from their first byte, and
//! as the remains of a VLAN tag with an IPv4 packet behind it.
//!
//! The first packet's length or flow label is the other's ethertype. What the first has at the
//! places of the other's IP header has to fit: some bytes of its source address among it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::shape::{DESTINATION, Extension, SYN, Shape};

/// The ethertype of IPv4: an IPv4 packet of this length, an IPv6 packet of this flow label.
const ETHER_TYPE: u16 = 0x0800;
/// First byte of the other's IP header: of 60 bytes, the longest.
const VERSION_AND_LEN: u16 = 0x4f00;
/// Where the other's TCP header begins.
const TCP_AT: usize = 4 + 60;

/// All sources of such packets over IPv4.
pub const SOURCES_V4: &str = "10.6.0.0/16";
/// Source of such packets over IPv6.
pub const SOURCE_V6: &str = "fd00:0:6::66";
/// The network of it.
pub const SOURCE_NET_V6: &str = "fd00:0:6::/48";

/// A connection attempt that Linux takes, of an address of [`SOURCES_V4`] or of [`SOURCE_V6`].
/// The other is one from the host itself to another port.
///
/// # Panics
/// Never: an address that fits is found.
#[must_use]
pub fn attempt(v6: bool, source_port: u16, port: u16, other_port: u16) -> Shape {
    let source: IpAddr = if v6 {
        SOURCE_V6.parse::<Ipv6Addr>().expect("an address").into()
    } else {
        Ipv4Addr::new(10, 6, 0, 0).into()
    };
    let mut shape = Shape::syn(source, source_port, port);
    shape.ethernet = false;
    // An option that is passed over by who does not know it (RFC 4727).
    shape.tcp_options = vec![0; 40];
    shape.tcp_options[..2].copy_from_slice(&[253, 40]);
    let headers = if v6 { 40 } else { 20 };
    tcp(&mut shape.tcp_options, headers + 20, other_port);
    let length = if v6 {
        shape.patches = flow_label();
        VERSION_AND_LEN
    } else {
        shape.id = VERSION_AND_LEN;
        ETHER_TYPE - 20
    };
    shape.payload = usize::from(length) - 60;
    if !v6 {
        shape.source = fitting_source(&shape).expect("one of them fits").into();
    }
    shape
}

/// An IPv6 packet of [`SOURCE_V6`] that is a chain of extension headers and ends where TCP's
/// header would begin. The other is an attempt.
///
/// # Panics
/// Never: the text is an address.
#[must_use]
pub fn chain(other_port: u16) -> Shape {
    let source: Ipv6Addr = SOURCE_V6.parse().expect("an address");
    let mut shape = Shape::syn(source.into(), 40_000, 1);
    shape.ethernet = false;
    shape.patches = flow_label();
    // 0x4f08 bytes.
    let lens = [2048; 9].into_iter().chain([1800]);
    let chain = lens.map(|len| Extension::options(DESTINATION, len));
    shape.extensions = chain.collect();
    tcp(&mut shape.extensions[0].body, 42, other_port);
    shape.slice = Some((0, 0));
    shape
}

fn flow_label() -> Vec<(usize, u8)> {
    let [high, low] = ETHER_TYPE.to_be_bytes();
    vec![(2, high), (3, low)]
}

/// Writes the other's port and flags into bytes that begin at this offset of the packet.
fn tcp(bytes: &mut [u8], at: usize, port: u16) {
    bytes[TCP_AT + 2 - at..][..2].copy_from_slice(&port.to_be_bytes());
    let [_, syn] = SYN.to_be_bytes();
    bytes[TCP_AT + 13 - at] = syn;
}

/// The source address with which the IPv4 header's checksum reads as the other's offset 0.
fn fitting_source(shape: &Shape) -> Option<Ipv4Addr> {
    let IpAddr::V4(destination) = shape.destination() else {
        return None;
    };
    let held = shape.segment().len();
    (0..=u16::MAX).find_map(|low| {
        let [third, fourth] = low.to_be_bytes();
        let source = Ipv4Addr::new(10, 6, third, fourth);
        let header = shape.ipv4(source.octets(), destination.octets(), held);
        let checksum = u16::from_be_bytes([header[10], header[11]]);
        (checksum & 0x1fff == 0).then_some(source)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{HOST_MAC, HOST_V4, HOST_V6};
    use crate::reference::linux::{Answer, Host};
    use crate::reference::{Class, classify};

    #[test]
    fn each_reads_as_two_and_linux_takes_attempts() {
        let host = Host {
            mac: HOST_MAC,
            addresses: [HOST_V4, HOST_V6].map(|a| a.parse().unwrap()).into(),
            listening: vec![5432],
        };
        for v6 in [false, true] {
            let shape = attempt(v6, 40_000, 5432, 22);
            let frame = shape.build();
            let [first, other] = classify(false, &frame).try_into().unwrap();
            let (source, port) = (shape.source, 5432);
            assert_eq!(first, Class::Attempt { source, port });
            assert!(
                matches!(other, Class::Attempt { port: 22, .. }),
                "{other:?}"
            );
            assert_eq!(host.answer(false, &frame), Answer::SynAck { source, port });
        }
        let frame = chain(22).build();
        let [first, other] = classify(false, &frame).try_into().unwrap();
        assert!(matches!(first, Class::Unclassified { .. }), "{first:?}");
        assert!(
            matches!(other, Class::Attempt { port: 22, .. }),
            "{other:?}"
        );
        // Cut short, it is the other alone.
        let cut = &frame[..frame.len() - 1];
        assert_eq!(classify(false, cut), [other]);
    }
}
