//! What Linux itself makes of a frame where nothing filters: whether a listening socket
//! answers it with a SYN-ACK.
//!
//! So that "dropped by the filter" and "cannot be answered anyway" are told apart. Read from
//! the sources of Linux 6.18 (the functions are named) and held to the running kernel by
//! `tests/tests/evasion.rs`. It knows a host as those tests make it: default settings, no VLAN
//! devices, no IPsec, a route to every source.

use std::net::IpAddr;

/// What Linux does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It answers with a SYN-ACK.
    SynAck {
        /// To this address.
        source: IpAddr,
        /// From this port.
        port: u16,
    },
    /// It keeps the frame as a fragment, and can answer once it has the others.
    Kept,
    /// It does not, for this reason.
    None(&'static str),
    /// That depends on how the kernel was built.
    Depends(&'static str),
}

use Answer::{Depends, Kept, None as Silent, SynAck};

/// A host: its addresses and listening ports.
#[derive(Clone, Debug)]
pub struct Host {
    /// The interface's MAC address.
    pub mac: [u8; 6],
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// TCP ports on which it listens.
    pub listening: Vec<u16>,
}

impl Host {
    /// What it does with a frame. `ethernet`: the frame begins with an Ethernet header, else
    /// with the IP header.
    #[must_use]
    pub fn answer(&self, ethernet: bool, frame: &[u8]) -> Answer {
        if !ethernet {
            return match frame.first().map(|byte| byte >> 4) {
                Some(4) => self.ipv4(frame),
                Some(6) => self.ipv6(frame),
                _ => Silent("neither IPv4 nor IPv6"),
            };
        }
        if frame.len() < 14 {
            return Silent("no whole Ethernet header");
        }
        if frame[..6] != self.mac {
            return Silent("for another MAC address");
        }
        // __netif_receive_skb_core, skb_vlan_untag: any number of tags with VID 0.
        let mut at = 12;
        loop {
            let Some(ether_type) = word(frame, at) else {
                return Silent("no type behind the tag");
            };
            at += 2;
            match ether_type {
                0x8100 | 0x88a8 => match word(frame, at) {
                    Some(control) if control & 0x0fff == 0 => at += 2,
                    _ => return Silent("a VLAN without a device"),
                },
                0x0800 => return self.ipv4(&frame[at..]),
                0x86dd => return self.ipv6(&frame[at..]),
                _ => return Silent("neither IPv4 nor IPv6"),
            }
        }
    }

    /// `ip_rcv_core`, `ip_rcv_finish_core`, `ip_local_deliver`.
    fn ipv4(&self, bytes: &[u8]) -> Answer {
        if bytes.len() < 20 {
            return Silent("no whole IPv4 header");
        }
        let header_len = usize::from(bytes[0] & 0xf) * 4;
        if bytes[0] >> 4 != 4 || header_len < 20 || bytes.len() < header_len {
            return Silent("no IPv4 header");
        }
        let header = &bytes[..header_len];
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if total > bytes.len() || total < header_len {
            return Silent("an IPv4 length that lies");
        }
        if sum(header) != 0xffff {
            return Silent("a wrong IPv4 checksum");
        }
        if header[20..].contains(&134) {
            return Depends("CIPSO");
        }
        if !options_v4(&header[20..]) {
            return Silent("IPv4 options that are refused");
        }
        let address = |at: usize| -> IpAddr {
            let mut octets = [0; 4];
            octets.copy_from_slice(&header[at..at + 4]);
            octets.into()
        };
        let (source, destination) = (address(12), address(16));
        if !self.is_between(source, destination) {
            return Silent("addresses that are not routed");
        }
        if header[9] != 6 {
            return Silent("not TCP");
        }
        let fragment = u16::from_be_bytes([header[6], header[7]]);
        let payload = &bytes[header_len..total];
        if fragment & 0x3fff != 0 {
            // ip_frag_queue: all but the last hold a multiple of 8 bytes.
            return if payload.is_empty() || fragment & 0x2000 != 0 && payload.len() < 8 {
                Silent("a fragment without content")
            } else {
                Kept
            };
        }
        self.tcp(source, destination, payload)
    }

    /// `ip6_rcv_core`, `ip6_protocol_deliver_rcu`.
    fn ipv6(&self, bytes: &[u8]) -> Answer {
        if bytes.len() < 40 || bytes[0] >> 4 != 6 {
            return Silent("no IPv6 header");
        }
        let address = |at: usize| -> IpAddr {
            let mut octets = [0; 16];
            octets.copy_from_slice(&bytes[at..at + 16]);
            octets.into()
        };
        let (source, destination) = (address(8), address(24));
        if !self.is_between(source, destination) {
            return Silent("addresses that are not routed");
        }
        let length = usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
        let mut next = bytes[6];
        // A length of 0 is a jumbogram's, if hop-by-hop options follow.
        let end = if length == 0 && next == 0 {
            bytes.len()
        } else {
            40 + length
        };
        if end > bytes.len() {
            return Silent("an IPv6 length that lies");
        }
        let packet = &bytes[..end];
        let (mut at, mut is_fragment) = (40, false);
        loop {
            let rest = &packet[at..];
            if next == 6 {
                return self.tcp(source, destination, rest);
            }
            if !matches!(next, 0 | 43 | 44 | 60) {
                return Silent("not TCP");
            }
            if next == 0 && at != 40 {
                return Silent("hop-by-hop options behind another header");
            }
            if rest.len() < 8 {
                return Silent("an extension header that is cut");
            }
            let len = if next == 44 {
                8
            } else {
                (usize::from(rest[1]) + 1) * 8
            };
            let Some(header) = rest.get(..len) else {
                return Silent("an extension header that is cut");
            };
            match next {
                0 | 60 if !options_v6(&header[2..]) => {
                    return Silent("IPv6 options that are refused");
                }
                43 if header[3] != 0 || matches!(header[2], 3 | 4) => {
                    return Silent("a routing header that is refused");
                }
                // ipv6_rthdr_rcv, with CONFIG_IPV6_MIP6.
                43 if header[2] == 2 => return Depends("a routing header of type 2"),
                44 => {
                    // ipv6_frag_rcv: IP6SKB_FRAGMENTED.
                    if std::mem::replace(&mut is_fragment, true) {
                        return Silent("a second fragment header");
                    }
                    let fragment = u16::from_be_bytes([header[2], header[3]]);
                    if length == 0 {
                        return Silent("a fragment in a jumbogram");
                    }
                    if fragment & 0xfff9 != 0 {
                        return fragment_v6(fragment, header[0], &rest[8..]);
                    }
                }
                _ => {}
            }
            at += len;
            next = header[0];
        }
    }

    fn is_between(&self, source: IpAddr, destination: IpAddr) -> bool {
        let is_odd = match source {
            IpAddr::V4(v4) => {
                v4.octets()[0] == 0 || v4.is_loopback() || v4.is_multicast() || v4.is_broadcast()
            }
            IpAddr::V6(v6) => {
                v6.is_unspecified()
                    || v6.is_loopback()
                    || v6.is_multicast()
                    || v6.to_ipv4_mapped().is_some()
            }
        };
        !is_odd && !self.addresses.contains(&source) && self.addresses.contains(&destination)
    }

    /// `tcp_v4_rcv`, `tcp_v6_rcv`, `tcp_rcv_state_process` of a listening socket.
    fn tcp(&self, source: IpAddr, destination: IpAddr, segment: &[u8]) -> Answer {
        if segment.len() < 20 {
            return Silent("no whole TCP header");
        }
        let header_len = usize::from(segment[12] >> 4) * 4;
        if header_len < 20 || header_len > segment.len() {
            return Silent("a TCP header length that lies");
        }
        if pseudo_sum(source, destination, segment) != 0xffff {
            return Silent("a wrong TCP checksum");
        }
        let flags = segment[13];
        let (fin, syn, reset, ack) = (flags & 1, flags & 2, flags & 4, flags & 16);
        if syn == 0 || ack != 0 || reset != 0 || fin != 0 {
            return Silent("no SYN, or one with ACK, RST or FIN");
        }
        let port = u16::from_be_bytes([segment[2], segment[3]]);
        if self.listening.contains(&port) {
            SynAck { source, port }
        } else {
            Silent("nothing listens")
        }
    }
}

/// `ip_options_compile` and `ip_rcv_options`.
fn options_v4(mut options: &[u8]) -> bool {
    let mut has_timestamp = false;
    while let [kind, rest @ ..] = options {
        match kind {
            0 => return true,
            1 => {
                options = rest;
                continue;
            }
            _ => {}
        }
        let Some(len) = rest.first().map(|len| usize::from(*len)) else {
            return false;
        };
        if len < 2 || len > options.len() {
            return false;
        }
        let option = &options[..len];
        let is_good = match kind {
            // Source routes, refused by default.
            131 | 137 => false,
            // Record route.
            7 => len >= 3 && option[2] >= 4 && has_room(option, 3),
            68 => {
                let first = !std::mem::replace(&mut has_timestamp, true);
                first && len >= 4 && option[2] >= 5 && timestamp(option)
            }
            // Router alert.
            148 => len >= 4,
            _ => true,
        };
        if !is_good {
            return false;
        }
        options = &options[len..];
    }
    true
}

/// Whether an option that points behind its end, or else has so many bytes of room there.
fn has_room(option: &[u8], more: usize) -> bool {
    let pointer = usize::from(option[2]);
    pointer > option.len() || pointer + more <= option.len()
}

fn timestamp(option: &[u8]) -> bool {
    let pointer = usize::from(option[2]);
    if pointer > option.len() {
        return option[3] >> 4 != 15;
    }
    match option[3] & 0xf {
        0 => pointer + 3 <= option.len(),
        1 | 3 => pointer + 7 <= option.len(),
        _ => true,
    }
}

/// `ip6_parse_tlv`: at most 7 bytes of padding in a row, 8 other options, all of them such
/// that the unknowing skip them.
fn options_v6(mut options: &[u8]) -> bool {
    let (mut padding, mut others) = (0, 0);
    while let [kind, rest @ ..] = options {
        if *kind == 0 {
            padding += 1;
            if padding > 7 {
                return false;
            }
            options = rest;
            continue;
        }
        let Some(len) = rest.first().map(|len| usize::from(*len) + 2) else {
            return false;
        };
        if len > options.len() {
            return false;
        }
        let option = &options[..len];
        if *kind == 1 {
            padding += len;
            if padding > 7 || option[2..].iter().any(|byte| *byte != 0) {
                return false;
            }
        } else {
            others += 1;
            if others > 8 || kind >> 6 != 0 {
                return false;
            }
            padding = 0;
        }
        options = &options[len..];
    }
    true
}

/// `ipv6_frag_rcv`, `ip6_frag_queue`: a first fragment must hold all headers.
fn fragment_v6(fragment: u16, next: u8, content: &[u8]) -> Answer {
    let more = fragment & 1 != 0;
    if more && !content.len().is_multiple_of(8) {
        return Silent("a fragment of a length that is no multiple of 8");
    }
    if fragment & 0xfff8 == 0 && next == 6 && content.len() < 20 {
        return Silent("a first fragment without the whole TCP header");
    }
    if content.is_empty() {
        return Silent("a fragment without content");
    }
    Kept
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let both = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([both[0], both[1]]))
}

/// RFC 1071, not complemented: 0xffff over what carries its right checksum.
#[must_use]
pub fn sum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or_default()
}

/// The sum over a TCP segment and its pseudo header.
#[must_use]
pub fn pseudo_sum(source: IpAddr, destination: IpAddr, segment: &[u8]) -> u16 {
    let mut bytes = Vec::with_capacity(40 + segment.len());
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => bytes.extend(address.octets()),
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
    }
    bytes.extend([0, 6]);
    let length = u32::try_from(segment.len()).unwrap_or_default();
    bytes.extend(length.to_be_bytes());
    bytes.extend(segment);
    sum(&bytes)
}
