//! Packets for the program to judge, good and bad ones.
//!
//! `etherparse` writes the headers, so that no parser here or in the program is
//! tested against itself; what it refuses to write (a header that lies about its
//! length, a packet cut in its middle) is done to the bytes.

use std::net::IpAddr;

use etherparse::{
    EtherType, Ethernet2Header, IpAuthHeader, IpFragOffset, IpNumber, Ipv4Header,
    Ipv6FragmentHeader, Ipv6Header, Ipv6RawExtHeader, SingleVlanHeader, TcpHeader, UdpHeader,
    VlanId,
};

/// MAC address of a database host's filtered interface.
pub const HOST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// MAC address of the interface that its clients are behind.
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// IPv4 address of a database host.
pub const HOST_V4: &str = "198.51.100.1";
/// IPv6 address of a database host.
pub const HOST_V6: &str = "2001:db8:ff::1";
/// A customer's VLAN tag (IEEE 802.1Q).
pub const DOT1Q: u16 = 0x8100;
/// A provider's VLAN tag (IEEE 802.1ad, "QinQ").
pub const DOT1AD: u16 = 0x88a8;

const ETHERNET_LEN: usize = 14;
const TAG_LEN: usize = 4;

/// An IPv6 extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Hop-by-hop options of so many bytes in all, a multiple of 8.
    HopByHop(usize),
    /// A routing header of so many bytes in all, a multiple of 8.
    Routing(usize),
    /// Destination options of so many bytes in all, a multiple of 8.
    Destination(usize),
    /// A fragment header: offset in units of 8 bytes, and whether more follow.
    Fragment(u16, bool),
    /// An authentication header of so many bytes in all, a multiple of 4.
    Auth(usize),
    /// A header of another kind, of 8 bytes.
    Other(u8),
}

impl Extension {
    fn number(self) -> IpNumber {
        match self {
            Self::HopByHop(_) => IpNumber(0),
            Self::Routing(_) => IpNumber(43),
            Self::Destination(_) => IpNumber(60),
            Self::Fragment(..) => IpNumber(44),
            Self::Auth(_) => IpNumber(51),
            Self::Other(number) => IpNumber(number),
        }
    }

    fn bytes(self, next: IpNumber) -> Vec<u8> {
        match self {
            Self::HopByHop(len) | Self::Routing(len) | Self::Destination(len) => {
                // Zeros: Pad1 options, or a routing header of type 0 with no segments left.
                let header = Ipv6RawExtHeader::new_raw(next, &vec![0; len - 2]);
                header.expect("a multiple of 8").to_bytes().to_vec()
            }
            Self::Fragment(offset, more) => {
                let offset = IpFragOffset::try_new(offset).expect("13 bits");
                Ipv6FragmentHeader::new(next, offset, more, 7)
                    .to_bytes()
                    .to_vec()
            }
            Self::Auth(len) => {
                let header = IpAuthHeader::new(next, 1, 1, &vec![0xaa; len - 12]);
                header.expect("a multiple of 4").to_bytes().to_vec()
            }
            Self::Other(_) => vec![next.0, 0, 0, 0, 0, 0, 0, 0],
        }
    }
}

/// A packet under construction; by default a whole, valid one.
#[derive(Clone, Debug)]
pub struct Packet {
    source: IpAddr,
    tags: Vec<u16>,
    options: Vec<u8>,
    extensions: Vec<Extension>,
    fragment: Option<(u16, bool)>,
    protocol: u8,
    /// Transport header and payload.
    transport: Vec<u8>,
    ip_length: Option<u16>,
    padding: Vec<u8>,
    ip_patches: Vec<(usize, u8)>,
    frame_length: Option<usize>,
}

impl Packet {
    /// A TCP SYN from an address to a port of the database host.
    #[must_use]
    pub fn syn(source: &str, port: u16) -> Self {
        Self::tcp(source, port, "S")
    }

    /// A TCP segment with these flags, of `FSRPAUEC` (as tcpdump writes them, with
    /// A, U, E, C for ACK, URG, ECE, CWR).
    #[must_use]
    pub fn tcp(source: &str, port: u16, flags: &str) -> Self {
        Self::tcp_from(source, 40_000, port, flags)
    }

    /// The same, from a source port of one's own.
    #[must_use]
    pub fn tcp_from(source: &str, source_port: u16, port: u16, flags: &str) -> Self {
        let source: IpAddr = source.parse().expect("an address");
        let mut tcp = TcpHeader::new(source_port, port, 1000, 64_240);
        for flag in flags.chars() {
            match flag {
                'F' => tcp.fin = true,
                'S' => tcp.syn = true,
                'R' => tcp.rst = true,
                'P' => tcp.psh = true,
                'A' => tcp.ack = true,
                'U' => tcp.urg = true,
                'E' => tcp.ece = true,
                'C' => tcp.cwr = true,
                _ => unreachable!("no TCP flag {flag}"),
            }
        }
        tcp.checksum = match (source, destination(source)) {
            (IpAddr::V4(s), IpAddr::V4(d)) => {
                tcp.calc_checksum_ipv4_raw(s.octets(), d.octets(), &[])
            }
            (IpAddr::V6(s), IpAddr::V6(d)) => {
                tcp.calc_checksum_ipv6_raw(s.octets(), d.octets(), &[])
            }
            _ => unreachable!("one family"),
        }
        .expect("short enough");
        Self::with_transport(source, 6, tcp.to_bytes().to_vec())
    }

    /// A UDP datagram.
    #[must_use]
    pub fn udp(source: &str, port: u16) -> Self {
        let udp = UdpHeader {
            source_port: 40_000,
            destination_port: port,
            length: 8,
            checksum: 0,
        };
        Self::protocol(source, 17, &udp.to_bytes())
    }

    /// A packet of any protocol.
    #[must_use]
    pub fn protocol(source: &str, number: u8, transport: &[u8]) -> Self {
        Self::with_transport(
            source.parse().expect("an address"),
            number,
            transport.to_vec(),
        )
    }

    fn with_transport(source: IpAddr, protocol: u8, transport: Vec<u8>) -> Self {
        Self {
            source,
            tags: Vec::new(),
            options: Vec::new(),
            extensions: Vec::new(),
            fragment: None,
            protocol,
            transport,
            ip_length: None,
            padding: Vec::new(),
            ip_patches: Vec::new(),
            frame_length: None,
        }
    }

    /// Adds a VLAN tag, [`DOT1Q`] or [`DOT1AD`], inside of those there are.
    #[must_use]
    pub fn tag(mut self, tpid: u16) -> Self {
        self.tags.push(tpid);
        self
    }

    /// So many bytes of IPv4 options (a multiple of 4, up to 40).
    #[must_use]
    pub fn options(mut self, len: usize) -> Self {
        // No-operation options: valid, so that the kernel's stack takes them too.
        self.options = vec![1; len];
        self
    }

    /// Adds an IPv6 extension header after those there are.
    #[must_use]
    pub fn extension(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// Makes it a fragment: offset in units of 8 bytes, and whether more follow.
    #[must_use]
    pub fn fragment(mut self, offset: u16, more: bool) -> Self {
        if self.source.is_ipv6() {
            return self.extension(Extension::Fragment(offset, more));
        }
        self.fragment = Some((offset, more));
        self
    }

    /// Adds payload after the transport header (the checksum does not follow).
    #[must_use]
    pub fn payload(mut self, len: usize) -> Self {
        self.transport.extend(std::iter::repeat_n(0x55, len));
        self
    }

    /// Keeps so many bytes of the transport header; the IP header's length follows.
    #[must_use]
    pub fn cut_transport(mut self, keep: usize) -> Self {
        self.transport.truncate(keep);
        self
    }

    /// What the IP header says of the length: IPv4's total length, IPv6's payload length.
    #[must_use]
    pub fn claim_length(mut self, length: u16) -> Self {
        self.ip_length = Some(length);
        self
    }

    /// Bytes after the IP packet, as Ethernet pads short frames.
    #[must_use]
    pub fn padding(mut self, bytes: &[u8]) -> Self {
        self.padding = bytes.to_vec();
        self
    }

    /// Overwrites a byte, counted from the start of the IP header.
    #[must_use]
    pub fn patch_ip(mut self, at: usize, byte: u8) -> Self {
        self.ip_patches.push((at, byte));
        self
    }

    /// Keeps so many bytes of what comes after the Ethernet header and tags.
    #[must_use]
    pub fn cut_ip(mut self, keep: usize) -> Self {
        self.frame_length = Some(keep);
        self
    }

    /// The frame.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let ip_type = if self.source.is_ipv4() {
            0x0800
        } else {
            0x86dd
        };
        let mut frame = link(&self.tags, ip_type);
        let start = frame.len();
        debug_assert_eq!(start, ETHERNET_LEN + TAG_LEN * self.tags.len());
        match (self.source, destination(self.source)) {
            (IpAddr::V4(s), IpAddr::V4(d)) => frame.extend(self.ipv4(s.octets(), d.octets())),
            (IpAddr::V6(s), IpAddr::V6(d)) => frame.extend(self.ipv6(s.octets(), d.octets())),
            _ => unreachable!("one family"),
        }
        frame.extend(&self.transport);
        frame.extend(&self.padding);
        for (at, byte) in &self.ip_patches {
            frame[start + at] = *byte;
        }
        if let Some(keep) = self.frame_length {
            frame.truncate(start + keep);
        }
        frame
    }

    fn ipv4(&self, source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
        let length = u16::try_from(self.transport.len()).expect("a short packet");
        let mut ip = Ipv4Header::new(length, 64, IpNumber(self.protocol), source, destination)
            .expect("a short packet");
        ip.options = self
            .options
            .as_slice()
            .try_into()
            .expect("a multiple of 4, up to 40");
        ip.set_payload_len(self.transport.len())
            .expect("a short packet");
        if let Some((offset, more)) = self.fragment {
            ip.dont_fragment = false;
            ip.fragment_offset = IpFragOffset::try_new(offset).expect("13 bits");
            ip.more_fragments = more;
        }
        if let Some(length) = self.ip_length {
            ip.total_len = length;
        }
        ip.header_checksum = ip.calc_header_checksum();
        ip.to_bytes().to_vec()
    }

    fn ipv6(&self, source: [u8; 16], destination: [u8; 16]) -> Vec<u8> {
        let mut next = IpNumber(self.protocol);
        let mut chain = Vec::new();
        for extension in self.extensions.iter().rev() {
            let mut bytes = extension.bytes(next);
            bytes.append(&mut chain);
            chain = bytes;
            next = extension.number();
        }
        let length = u16::try_from(chain.len() + self.transport.len()).expect("a short packet");
        let ip = Ipv6Header {
            payload_length: self.ip_length.unwrap_or(length),
            next_header: next,
            hop_limit: 64,
            source,
            destination,
            ..Ipv6Header::default()
        };
        let mut bytes = ip.to_bytes().to_vec();
        bytes.append(&mut chain);
        bytes
    }
}

/// A frame of any other kind: tags, an EtherType and what follows.
#[must_use]
pub fn frame(tags: &[u16], ether_type: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = link(tags, ether_type);
    frame.extend(body);
    frame
}

fn link(tags: &[u16], ether_type: u16) -> Vec<u8> {
    let types = tags.iter().copied().chain([ether_type]).map(EtherType);
    let mut types = types.collect::<Vec<_>>().into_iter();
    let ethernet = Ethernet2Header {
        source: CLIENT_MAC,
        destination: HOST_MAC,
        ether_type: types.next().expect("at least one type"),
    };
    let mut bytes = ethernet.to_bytes().to_vec();
    for (ether_type, id) in types.zip(100..) {
        let vlan_id = VlanId::try_new(id).expect("a small id");
        bytes.extend(
            SingleVlanHeader {
                vlan_id,
                ether_type,
                ..Default::default()
            }
            .to_bytes(),
        );
    }
    bytes
}

fn destination(source: IpAddr) -> IpAddr {
    let text = if source.is_ipv4() { HOST_V4 } else { HOST_V6 };
    text.parse().expect("an address")
}
