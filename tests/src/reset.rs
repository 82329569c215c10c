//! Resets as a client receives them: read from a frame, and every part of it checked that a client
//! checks before it believes one.

use std::net::IpAddr;

use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice, TcpHeaderSlice};

/// A TCP reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// The VLAN tags before it: ethertype and tag control, the outer one first.
    pub tags: Vec<[u8; 4]>,
    /// The link-layer addresses, destination first; empty where there are none.
    pub link: Vec<u8>,
    /// From the address and port that were attempted.
    pub from: (IpAddr, u16),
    /// To whoever attempted it.
    pub to: (IpAddr, u16),
    /// What it acknowledges.
    pub acknowledged: u32,
    /// Bytes behind the packet: padding of the frame.
    pub padding: usize,
}

impl Reset {
    /// Reads a frame; `None`: it is no TCP segment with RST.
    ///
    /// # Panics
    /// When it is one, and anything of it is wrong.
    #[must_use]
    pub fn read(frame: &[u8], has_ethernet: bool) -> Option<Self> {
        let (link, mut rest, mut ethertype) = match has_ethernet {
            true => (frame.get(..12)?, frame.get(14..)?, frame.get(12..14)?),
            false => (&frame[..0], frame, &[0x08, 0x00][..]),
        };
        let mut tags = Vec::new();
        while matches!(ethertype, [0x81, 0x00] | [0x88, 0xa8]) {
            let tag: [u8; 2] = rest.get(..2)?.try_into().ok()?;
            tags.push([ethertype[0], ethertype[1], tag[0], tag[1]]);
            ethertype = rest.get(2..4)?;
            rest = rest.get(4..)?;
        }
        let (addresses, segment, sum) = match rest.first()? >> 4 {
            4 => v4(rest)?,
            6 => v6(rest)?,
            _ => return None,
        };
        let tcp = TcpHeaderSlice::from_slice(segment).ok()?;
        if !tcp.rst() {
            return None;
        }
        assert!(
            tcp.ack() && !tcp.syn() && !tcp.fin() && !tcp.psh(),
            "{tcp:?}"
        );
        assert_eq!(
            (tcp.sequence_number(), tcp.window_size()),
            (0, 0),
            "{tcp:?}"
        );
        assert_eq!(
            (tcp.slice().len(), segment.len()),
            (20, 20),
            "a header alone"
        );
        assert_eq!(tcp.checksum(), sum(&tcp), "the TCP checksum of {rest:02x?}");
        let packet = match addresses.0 {
            IpAddr::V4(_) => 40,
            IpAddr::V6(_) => 60,
        };
        Some(Self {
            tags,
            link: link.to_vec(),
            from: (addresses.0, tcp.source_port()),
            to: (addresses.1, tcp.destination_port()),
            acknowledged: tcp.acknowledgment_number(),
            padding: rest.len() - packet,
        })
    }
}

type Sum<'p> = Box<dyn Fn(&TcpHeaderSlice<'_>) -> u16 + 'p>;

/// Addresses, segment, and what its checksum ought to be.
type Parts<'p> = ((IpAddr, IpAddr), &'p [u8], Sum<'p>);

fn v4(packet: &[u8]) -> Option<Parts<'_>> {
    let ip = Ipv4HeaderSlice::from_slice(packet).ok()?;
    if ip.protocol().0 != 6 {
        return None;
    }
    let header = ip.to_header();
    assert_eq!(
        ip.header_checksum(),
        header.calc_header_checksum(),
        "of the IPv4 header"
    );
    let segment = packet.get(ip.slice().len()..usize::from(ip.total_len()))?;
    let sum = move |tcp: &TcpHeaderSlice<'_>| {
        let sum = tcp.to_header().calc_checksum_ipv4(&header, &[]);
        sum.expect("a short segment")
    };
    let addresses = (ip.source_addr().into(), ip.destination_addr().into());
    Some((addresses, segment, Box::new(sum)))
}

fn v6(packet: &[u8]) -> Option<Parts<'_>> {
    let ip = Ipv6HeaderSlice::from_slice(packet).ok()?;
    if ip.next_header().0 != 6 {
        return None;
    }
    let header = ip.to_header();
    let segment = packet.get(40..40 + usize::from(ip.payload_length()))?;
    let sum = move |tcp: &TcpHeaderSlice<'_>| {
        let sum = tcp.to_header().calc_checksum_ipv6(&header, &[]);
        sum.expect("a short segment")
    };
    let addresses = (ip.source_addr().into(), ip.destination_addr().into());
    Some((addresses, segment, Box::new(sum)))
}
