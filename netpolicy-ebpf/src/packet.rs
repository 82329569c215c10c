//! From an Ethernet frame to what a verdict needs: source, destination, ports,
//! and whether this is a connection attempt.
//!
//! The rules, each a way in which packets have slipped past other filters: VLAN
//! tags, IPv4 options and IPv6 extension headers are walked; a packet ends where
//! IP says that it ends, not at the frame's padding; a first fragment that hides
//! its flags counts as an attempt; and what cannot be walked to its TCP header is
//! not passed unseen but judged by its source.

mod plain;

use netpolicy_common::Reason;

pub use plain::{
    Plain, parse_plain, plain_port_v4, plain_port_v6, plain_source_v4, plain_source_v6,
};

/// Bounds-checked access to a frame.
pub trait Bytes {
    /// The `N` bytes at `offset`, or `None` if any of them lies past the end.
    fn read<const N: usize>(&self, offset: usize) -> Option<&[u8; N]>;
}

/// The address family of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Where in the frame a packet's addresses are: the source at this offset, right
/// behind it the destination, each of 4 or 16 bytes. Offsets and not the bytes
/// themselves, because the program has 512 bytes of stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Tells how long they are.
    pub family: Family,
    /// Offset of the source address.
    pub at: usize,
}

/// Ports of a segment, host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Of the sender.
    pub source: u16,
    /// Of the receiver.
    pub destination: u16,
}

impl Ports {
    /// What stands for ports that the packet does not hold: port 0, which no service
    /// can have, so that the host scope judges.
    pub const UNKNOWN: Self = Self {
        source: 0,
        destination: 0,
    };
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Nothing to judge: it passes for this reason.
    Pass(Reason),
    /// To be judged.
    Judge(Subject),
}

/// A packet to judge.
///
/// Each field has a value, whatever the packet holds: LLVM copies fields of an enum's
/// other variants about as undefined values on the stack, and verifiers before Linux
/// 6.3 refuse a program that reads what it did not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Whether its TCP header was reached, or hidden by a fragment: a connection
    /// attempt. Else it could not be classified, and its source alone counts.
    pub is_attempt: bool,
    /// Where its addresses are.
    pub addresses: Addresses,
    /// [`Ports::UNKNOWN`] when a fragment cuts the header before them, and in what
    /// could not be classified.
    pub ports: Ports,
}

impl Segment {
    /// In one number, for functions that return no more. See [`Self::unpack`].
    #[inline(always)]
    #[must_use]
    pub const fn pack(self) -> u64 {
        match self {
            Self::Pass(reason) => (reason as u64) << 8,
            Self::Judge(subject) => {
                let Subject {
                    is_attempt,
                    addresses,
                    ports,
                } = subject;
                1 | (is_attempt as u64) << 1
                    | (matches!(addresses.family, Family::V6) as u64) << 2
                    | (addresses.at as u64 & MAX_ADDRESSES_AT) << 16
                    | (ports.source as u64) << 32
                    | (ports.destination as u64) << 48
            }
        }
    }

    /// What [`Self::pack`] packed.
    #[expect(clippy::cast_possible_truncation, reason = "16 bits of many")]
    #[inline(always)]
    #[must_use]
    pub const fn unpack(packed: u64) -> Self {
        if packed & 1 == 0 {
            return Self::Pass(match packed >> 8 {
                0 => Reason::NotTcp,
                1 => Reason::Malformed,
                2 => Reason::Fragment,
                _ => Reason::Established,
            });
        }
        Self::Judge(Subject {
            is_attempt: packed & 2 != 0,
            addresses: Addresses {
                family: if packed & 4 == 0 {
                    Family::V4
                } else {
                    Family::V6
                },
                at: (packed >> 16 & MAX_ADDRESSES_AT) as usize,
            },
            ports: Ports {
                source: (packed >> 32) as u16,
                destination: (packed >> 48) as u16,
            },
        })
    }
}

/// Addresses follow at most the Ethernet header, two tags and 12 bytes of IP; ones of bits.
const MAX_ADDRESSES_AT: u64 = 0x3f;

const ETHERTYPE_AT: usize = 12;
const ETHERNET_LEN: usize = 14;
const VLAN_LEN: usize = 4;
const MAX_VLANS: usize = 2;
const IPV4_MIN_LEN: usize = 20;
const IPV6_LEN: usize = 40;
const TCP_MIN_LEN: usize = 20;

/// IPv6 extension headers that are walked; with more, a packet is unclassified.
pub const MAX_EXTENSIONS: usize = 8;

// Assigned by IANA: ethertypes and protocol numbers.
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const DOT1Q: [u8; 2] = [0x81, 0x00];
const DOT1AD: [u8; 2] = [0x88, 0xa8];
const HOP_BY_HOP: u8 = 0;
const TCP: u8 = 6;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;

const TCP_SYN: u8 = 0x02;
const TCP_ACK: u8 = 0x10;

/// Whether a segment with these flags asks for a connection: SYN without ACK.
#[inline(always)]
const fn is_attempt(flags: u8) -> bool {
    flags & (TCP_SYN | TCP_ACK) == TCP_SYN
}

/// Reads a frame that begins with its Ethernet header.
#[inline(always)]
pub fn parse<B: Bytes>(frame: &B) -> Segment {
    let Some(&(mut ethertype)) = frame.read::<2>(ETHERTYPE_AT) else {
        return Segment::Pass(Reason::NotTcp);
    };
    let mut at = ETHERNET_LEN;
    for _ in 0..MAX_VLANS {
        if ethertype == DOT1Q || ethertype == DOT1AD {
            // A tag is two bytes of tag control, then the next ethertype.
            let Some(inner) = frame.read::<2>(at + 2) else {
                return Segment::Pass(Reason::NotTcp);
            };
            ethertype = *inner;
            at += VLAN_LEN;
        }
    }
    match ethertype {
        IPV4 => ipv4(frame, at),
        IPV6 => ipv6(frame, at),
        _ => Segment::Pass(Reason::NotTcp),
    }
}

/// RFC 791. A header that the kernel's `ip_rcv` discards is left to it.
#[inline(always)]
fn ipv4<B: Bytes>(frame: &B, at: usize) -> Segment {
    let Some(header) = frame.read::<IPV4_MIN_LEN>(at) else {
        return Segment::Pass(Reason::Malformed);
    };
    let header_len = usize::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 != 4 || header_len < IPV4_MIN_LEN {
        return Segment::Pass(Reason::Malformed);
    }
    if header[9] != TCP {
        return Segment::Pass(Reason::NotTcp);
    }
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    if fragment & 0x1fff != 0 {
        return Segment::Pass(Reason::Fragment);
    }
    let packet = Packet {
        addresses: Addresses {
            family: Family::V4,
            at: at + 12,
        },
        end: end_of_packet(at, u16::from_be_bytes([header[2], header[3]]), 0),
    };
    packet.tcp(frame, at + header_len, fragment & 0x2000 != 0)
}

/// RFC 8200, section 4: extension headers in any order, each naming the next.
#[inline(always)]
fn ipv6<B: Bytes>(frame: &B, at: usize) -> Segment {
    let Some(header) = frame.read::<IPV6_LEN>(at) else {
        return Segment::Pass(Reason::Malformed);
    };
    if header[0] >> 4 != 6 {
        return Segment::Pass(Reason::Malformed);
    }
    let packet = Packet {
        addresses: Addresses {
            family: Family::V6,
            at: at + 8,
        },
        end: end_of_packet(at, u16::from_be_bytes([header[4], header[5]]), IPV6_LEN),
    };
    let mut next = header[6];
    let mut at = at + IPV6_LEN;
    let mut first_fragment = false;
    for _ in 0..MAX_EXTENSIONS {
        if next == TCP {
            break;
        }
        if !is_extension(next) {
            return Segment::Pass(Reason::NotTcp);
        }
        let Some(extension) = packet.read::<B, 4>(frame, at) else {
            return packet.unclassified();
        };
        let len = usize::from(extension[1]);
        at += if next == FRAGMENT {
            let fragment = u16::from_be_bytes([extension[2], extension[3]]);
            if fragment & 0xfff8 != 0 {
                return Segment::Pass(Reason::Fragment);
            }
            first_fragment = fragment & 1 != 0;
            8
        } else if next == AUTHENTICATION {
            // RFC 4302, section 2.2: in units of four bytes, minus two.
            (len + 2) * 4
        } else {
            (len + 1) * 8
        };
        next = extension[0];
    }
    if next == TCP {
        packet.tcp(frame, at, first_fragment)
    } else if is_extension(next) {
        packet.unclassified()
    } else {
        Segment::Pass(Reason::NotTcp)
    }
}

#[inline(always)]
fn is_extension(next: u8) -> bool {
    matches!(
        next,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION
    )
}

/// Where IP says that its packet ends, as an offset in the frame. A length of 0
/// says nothing (an IPv6 jumbogram, or a coalesced packet past 64 KiB).
#[inline(always)]
fn end_of_packet(at: usize, length: u16, header_len: usize) -> usize {
    if length == 0 {
        usize::MAX
    } else {
        at + header_len + usize::from(length)
    }
}

/// An IP packet in a frame.
struct Packet {
    addresses: Addresses,
    /// Offset in the frame at which it ends.
    end: usize,
}

impl Packet {
    /// RFC 9293, section 3.1: ports in bytes 0 to 3, flags in byte 13.
    #[inline(always)]
    fn tcp<B: Bytes>(&self, frame: &B, at: usize, first_fragment: bool) -> Segment {
        if let Some(header) = self.read::<B, 14>(frame, at) {
            return if is_attempt(header[13]) {
                self.attempt(ports(header))
            } else {
                Segment::Pass(Reason::Established)
            };
        }
        if first_fragment {
            // The flags come with the next fragment, unseen: take it for an attempt.
            let header = self.read::<B, 4>(frame, at);
            return self.attempt(header.map_or(Ports::UNKNOWN, ports));
        }
        self.unclassified()
    }

    #[inline(always)]
    fn attempt(&self, ports: Ports) -> Segment {
        Segment::Judge(Subject {
            is_attempt: true,
            addresses: self.addresses,
            ports,
        })
    }

    #[inline(always)]
    fn unclassified(&self) -> Segment {
        Segment::Judge(Subject {
            is_attempt: false,
            addresses: self.addresses,
            ports: Ports::UNKNOWN,
        })
    }

    #[inline(always)]
    fn read<'a, B: Bytes, const N: usize>(&self, frame: &'a B, at: usize) -> Option<&'a [u8; N]> {
        if at + N > self.end {
            return None;
        }
        frame.read::<N>(at)
    }
}

#[inline(always)]
fn ports<const N: usize>(tcp: &[u8; N]) -> Ports {
    Ports {
        source: u16::from_be_bytes([tcp[0], tcp[1]]),
        destination: u16::from_be_bytes([tcp[2], tcp[3]]),
    }
}

#[cfg(test)]
mod tests;
