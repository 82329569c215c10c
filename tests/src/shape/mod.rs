//! Frames as structures: what a frame is made of, how it is written as bytes, and which
//! simpler ones are close to it.
//!
//! It writes headers by itself, since they are to lie: lengths, chains, cuts.

pub mod random;
pub mod shrink;
pub mod two;

use std::net::IpAddr;

use crate::packet::{CLIENT_MAC, HOST_MAC, HOST_V4, HOST_V6};
use crate::reference::linux::{pseudo_sum, sum};

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// It begins with an Ethernet header.
    pub ethernet: bool,
    /// VLAN tags, the outermost first: type and tag control. Without an Ethernet header the
    /// first one's type is missing: it stood in a tunnel's header, which is gone.
    pub tags: Vec<(u16, u16)>,
    /// Instead of the type of its address family.
    pub ether_type: Option<u16>,
    /// Where it comes from; its family is the packet's.
    pub source: IpAddr,
    /// IPv4 options, a multiple of 4 bytes.
    pub options: Vec<u8>,
    /// IPv4: identification.
    pub id: u16,
    /// IPv4: flags and offset of the fragment.
    pub fragment: u16,
    /// IPv6 extension headers.
    pub extensions: Vec<Extension>,
    /// 6 is TCP.
    pub protocol: u8,
    /// TCP port of the client.
    pub source_port: u16,
    /// TCP port of the host.
    pub port: u16,
    /// TCP's sequence and acknowledgement numbers.
    pub numbers: (u32, u32),
    /// TCP's four reserved bits and eight flags.
    pub flags: u16,
    /// TCP options, a multiple of 4 bytes.
    pub tcp_options: Vec<u8>,
    /// Bytes of payload behind the TCP header.
    pub payload: usize,
    /// The part of the segment that the packet holds: from, to. The checksum is the whole's.
    pub slice: Option<(usize, usize)>,
    /// What the IP header says of the length.
    pub length: Option<u16>,
    /// Bytes behind the packet.
    pub padding: Vec<u8>,
    /// Bytes of the frame that are overwritten.
    pub patches: Vec<(usize, u8)>,
    /// So many bytes of the frame are left.
    pub cut: Option<usize>,
}

/// An IPv6 extension header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Its protocol number.
    pub kind: u8,
    /// What follows next header and length: a multiple of 8 bytes without 2 (AH: of 4).
    pub body: Vec<u8>,
    /// What it says of its length.
    pub length: Option<u8>,
}

/// Hop-by-hop options.
pub const HOP_BY_HOP: u8 = 0;
/// A routing header.
pub const ROUTING: u8 = 43;
/// A fragment header.
pub const FRAGMENT: u8 = 44;
/// An authentication header.
pub const AUTHENTICATION: u8 = 51;
/// Destination options.
pub const DESTINATION: u8 = 60;

impl Extension {
    /// Options of so many bytes in all, a multiple of 8, all of which Linux skips as long as
    /// they are at most 2,048.
    #[must_use]
    pub fn options(kind: u8, len: usize) -> Self {
        let mut body = Vec::new();
        let mut left = len - 2;
        while left > 2 {
            // 0x1e: to be skipped by who does not know it (RFC 4727).
            let content = (left - 2).min(255);
            body.extend([0x1e, u8::try_from(content).expect("at most 255")]);
            body.extend(std::iter::repeat_n(0xa5, content));
            left -= content + 2;
        }
        body.extend(std::iter::repeat_n(0, left));
        Self {
            kind,
            body,
            length: None,
        }
    }

    /// A routing header of this type, with no segments left, of so many bytes in all.
    #[must_use]
    pub fn routing(kind: u8, len: usize) -> Self {
        let mut body = vec![0; len - 2];
        body[0] = kind;
        Self {
            kind: ROUTING,
            body,
            length: None,
        }
    }

    /// A fragment header: offset in units of 8 bytes, whether more follow, identification.
    #[must_use]
    pub fn fragment(offset: u16, more: bool, id: u32) -> Self {
        let mut body = (offset << 3 | u16::from(more)).to_be_bytes().to_vec();
        body.extend(id.to_be_bytes());
        Self {
            kind: FRAGMENT,
            body,
            length: Some(0),
        }
    }

    /// An authentication header of so many bytes in all, a multiple of 4.
    #[must_use]
    pub fn authentication(len: usize) -> Self {
        Self {
            kind: AUTHENTICATION,
            body: vec![0xaa; len - 2],
            length: None,
        }
    }

    fn bytes(&self, next: u8) -> Vec<u8> {
        let len = self.body.len() + 2;
        let units = if self.kind == AUTHENTICATION {
            (len / 4).wrapping_sub(2)
        } else {
            (len / 8).wrapping_sub(1)
        };
        let units = u8::try_from(units & 0xff).unwrap_or_default();
        let mut bytes = vec![next, self.length.unwrap_or(units)];
        bytes.extend(&self.body);
        bytes
    }
}

/// TCP's SYN.
pub const SYN: u16 = 0x002;
/// TCP's ACK.
pub const ACK: u16 = 0x010;

impl Shape {
    /// A plain connection attempt.
    #[must_use]
    pub fn syn(source: IpAddr, source_port: u16, port: u16) -> Self {
        Self {
            ethernet: true,
            tags: Vec::new(),
            ether_type: None,
            source,
            options: Vec::new(),
            id: 1,
            fragment: 0,
            extensions: Vec::new(),
            protocol: 6,
            source_port,
            port,
            numbers: (1000, 0),
            flags: SYN,
            tcp_options: Vec::new(),
            payload: 0,
            slice: None,
            length: None,
            padding: Vec::new(),
            patches: Vec::new(),
            cut: None,
        }
    }

    /// Where it goes.
    ///
    /// # Panics
    /// Never: the texts are addresses.
    #[must_use]
    pub fn destination(&self) -> IpAddr {
        let text = if self.source.is_ipv4() {
            HOST_V4
        } else {
            HOST_V6
        };
        text.parse().expect("an address")
    }

    /// The whole TCP segment.
    #[must_use]
    pub fn segment(&self) -> Vec<u8> {
        let mut tcp = Vec::with_capacity(20 + self.tcp_options.len() + self.payload);
        tcp.extend(self.source_port.to_be_bytes());
        tcp.extend(self.port.to_be_bytes());
        tcp.extend(self.numbers.0.to_be_bytes());
        tcp.extend(self.numbers.1.to_be_bytes());
        let words = u16::try_from(5 + self.tcp_options.len() / 4).unwrap_or(15);
        tcp.extend((words << 12 | self.flags & 0xfff).to_be_bytes());
        tcp.extend(64_240u16.to_be_bytes());
        tcp.extend([0; 4]);
        tcp.extend(&self.tcp_options);
        tcp.extend(std::iter::repeat_n(0x55, self.payload));
        let checksum = !pseudo_sum(self.source, self.destination(), &tcp);
        tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
        tcp
    }

    /// The frame.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let segment = self.segment();
        let held = match self.slice {
            Some((from, to)) => {
                let to = to.min(segment.len());
                &segment[from.min(to)..to]
            }
            None => &segment,
        };
        let mut frame = self.link();
        match (self.source, self.destination()) {
            (IpAddr::V4(s), IpAddr::V4(d)) => {
                frame.extend(self.ipv4(s.octets(), d.octets(), held.len()));
            }
            (IpAddr::V6(s), IpAddr::V6(d)) => {
                frame.extend(self.ipv6(s.octets(), d.octets(), held.len()));
            }
            _ => unreachable!("one family"),
        }
        frame.extend(held);
        frame.extend(&self.padding);
        for (at, byte) in &self.patches {
            if let Some(there) = frame.get_mut(*at) {
                *there = *byte;
            }
        }
        if let Some(cut) = self.cut {
            frame.truncate(cut);
        }
        frame
    }

    /// Bytes before the IP header.
    #[must_use]
    pub fn link_len(&self) -> usize {
        4 * self.tags.len() + if self.ethernet { 14 } else { 0 }
    }

    fn link(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if !self.ethernet && self.tags.is_empty() {
            return bytes;
        }
        bytes.extend(HOST_MAC);
        bytes.extend(CLIENT_MAC);
        for (kind, control) in &self.tags {
            bytes.extend(kind.to_be_bytes());
            bytes.extend(control.to_be_bytes());
        }
        let family = if self.source.is_ipv4() {
            0x0800
        } else {
            0x86dd
        };
        bytes.extend(self.ether_type.unwrap_or(family).to_be_bytes());
        if !self.ethernet {
            bytes.drain(..14);
        }
        bytes
    }

    fn ipv4(&self, source: [u8; 4], destination: [u8; 4], held: usize) -> Vec<u8> {
        let len = 20 + self.options.len();
        let words = u8::try_from(len / 4).unwrap_or(15);
        let total = u16::try_from(len + held).unwrap_or(u16::MAX);
        let mut ip = vec![0x40 | words, 0];
        ip.extend(self.length.unwrap_or(total).to_be_bytes());
        ip.extend(self.id.to_be_bytes());
        ip.extend(self.fragment.to_be_bytes());
        ip.extend([64, self.protocol, 0, 0]);
        ip.extend(source);
        ip.extend(destination);
        ip.extend(&self.options);
        let checksum = !sum(&ip);
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());
        ip
    }

    fn ipv6(&self, source: [u8; 16], destination: [u8; 16], held: usize) -> Vec<u8> {
        let mut next = self.protocol;
        let mut headers = Vec::new();
        for extension in self.extensions.iter().rev() {
            headers.push(extension.bytes(next));
            next = extension.kind;
        }
        let chain: Vec<u8> = headers.into_iter().rev().flatten().collect();
        let length = u16::try_from(chain.len() + held).unwrap_or(u16::MAX);
        let mut ip = vec![0x60, 0, 0, 0];
        ip.extend(self.length.unwrap_or(length).to_be_bytes());
        ip.extend([next, 64]);
        ip.extend(source);
        ip.extend(destination);
        ip.extend(chain);
        ip
    }
}
