//! Frames to send.

use std::net::IpAddr;

use netpolicy_user::datapath::packet;

/// The tested end's MAC address.
pub(crate) const TESTED_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// An address that no device on the wire has.
const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 3];

const PORT: u16 = 5432;
const ETHERNET: usize = 14;
const CHECKSUM_V4: usize = ETHERNET + 10;
const SOURCE_V6: usize = ETHERNET + 8;
const FLAGS: usize = 13;
const ACK: u8 = 0x10;

/// What kind of packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packets {
    /// A SYN: an attempt to connect.
    Attempts,
    /// An ACK: of a connection that is open.
    Established,
}

impl Packets {
    /// A frame whose source address is written over.
    pub(crate) fn frame(self, source: IpAddr) -> Vec<u8> {
        let mut frame = packet::syn(source, PORT);
        if self == Self::Established {
            let tcp = ETHERNET + if source.is_ipv4() { 20 } else { 40 };
            frame[tcp + FLAGS] = ACK;
        }
        frame
    }
}

/// Addresses a frame to the tested end, or past it. What is for another host, the
/// kernel drops as soon as a filter passes it, before it looks at anything else.
pub(crate) fn address_to(frame: &mut [u8], to_tested: bool) {
    let mac = if to_tested { TESTED_MAC } else { OTHER_MAC };
    frame[..6].copy_from_slice(&mac);
}

/// A source as the generator wants it: the bytes from a frame's address on, for IPv4
/// with the header's checksum before it. Without a right one, iptables sees no packet.
pub(crate) fn source_bytes(frame: &[u8], source: IpAddr) -> [u8; 16] {
    let mut bytes = [0; 16];
    match source {
        IpAddr::V4(source) => {
            let mut header = [0; 20];
            header.copy_from_slice(&frame[ETHERNET..ETHERNET + 20]);
            header[10..12].fill(0);
            header[12..16].copy_from_slice(&source.octets());
            bytes[..2].copy_from_slice(&checksum(&header).to_be_bytes());
            bytes[2..6].copy_from_slice(&source.octets());
        }
        IpAddr::V6(source) => bytes = source.octets(),
    }
    bytes
}

/// The frame with another source, as the generator would send it.
pub(crate) fn with_source(frame: &[u8], source: IpAddr) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let bytes = source_bytes(&frame, source);
    match source {
        IpAddr::V4(_) => frame[CHECKSUM_V4..CHECKSUM_V4 + 6].copy_from_slice(&bytes[..6]),
        IpAddr::V6(_) => frame[SOURCE_V6..SOURCE_V6 + 16].copy_from_slice(&bytes),
    }
    frame
}

/// RFC 1071.
fn checksum(header: &[u8; 20]) -> u16 {
    let (pairs, _) = header.as_chunks::<2>();
    let mut sum: u32 = pairs
        .iter()
        .map(|p| u32::from(u16::from_be_bytes(*p)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
