//! From a frame to what a verdict needs: source, destination, ports, and whether
//! this is a connection attempt.
//!
//! The rules, each a way in which packets have slipped past other filters: VLAN
//! tags, IPv4 options and IPv6 extension headers are walked in any number, and
//! wherever in the frame they lie; a packet ends where IP says that it ends, not at
//! the frame's padding; a first fragment that hides its flags counts as an attempt;
//! and what cannot be walked to its ports is not passed unseen but judged by its
//! source.

mod bare;
mod plain;
mod walk;

use netpolicy_common::Reason;

pub use bare::other_reading;
pub use plain::{
    Plain, parse_plain, plain_port_v4, plain_port_v6, plain_source_v4, plain_source_v6,
};
pub use walk::{Chain, skip_extension, skip_extensions, skip_tag, skip_tags};

/// Bounds-checked access to a frame's linear part.
pub trait Bytes {
    /// The `N` bytes at `offset`, or `None` if any of them lies past the end.
    fn read<const N: usize>(&self, offset: usize) -> Option<&[u8; N]>;
}

/// Bounds-checked access to a whole frame, of one buffer or of several; and the steps of
/// a walk through its headers, which the kernel's side makes functions of their own.
pub trait Load: Sized {
    /// The `N` bytes at `offset`, or `None` if any of them lies past the end.
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// See [`ip`].
    fn ip(&self, at: usize, family: Family) -> u64 {
        ip(self, at, family)
    }

    /// See [`skip_tags`].
    fn skip_tags(&self, at: usize) -> usize {
        skip_tags(self, at)
    }

    /// See [`skip_tag`].
    fn skip_tag(&self, at: usize) -> usize {
        skip_tag(self, at)
    }

    /// See [`skip_extension`].
    fn skip_extension(&self, chain: Chain, end: usize) -> Chain {
        skip_extension(self, chain, end)
    }

    /// See [`skip_extensions`].
    fn skip_extensions(&self, chain: Chain, end: usize) -> Chain {
        skip_extensions(self, chain, end)
    }
}

/// What a frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// An Ethernet header.
    Ethernet,
    /// An IP header, as on devices without a link-layer header (tun, `WireGuard`, ipip).
    Ip,
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
    /// What stands for ports that the packet does not hold.
    pub const UNKNOWN: Self = Self {
        source: 0,
        destination: 0,
    };
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Nothing to judge: this is the reason.
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
    /// Whether its ports were reached: a connection attempt, though a fragment may hide
    /// its flags. Else it could not be classified, and every scope judges its source.
    pub is_attempt: bool,
    /// Where its addresses are.
    pub addresses: Addresses,
    /// [`Ports::UNKNOWN`] in what could not be classified.
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
                    | (addresses.at as u64 & ADDRESSES_MASK) << 8
                    | (ports.source as u64) << 32
                    | (ports.destination as u64) << 48
            }
        }
    }

    /// Whether [`Self::pack`] packed what is to be judged.
    #[inline(always)]
    const fn is_judged(packed: u64) -> bool {
        packed & 1 != 0
    }

    /// What [`Self::pack`] packed.
    #[expect(clippy::cast_possible_truncation, reason = "16 bits of many")]
    #[inline(always)]
    #[must_use]
    pub const fn unpack(packed: u64) -> Self {
        if !Self::is_judged(packed) {
            return Self::Pass(match Reason::from_u8((packed >> 8) as u8) {
                Some(reason) => reason,
                None => Reason::Malformed,
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
                at: (packed >> 8 & ADDRESSES_MASK) as usize,
            },
            ports: Ports {
                source: (packed >> 32) as u16,
                destination: (packed >> 48) as u16,
            },
        })
    }
}

/// Bits of the offset of addresses: tags may take a whole frame, whose largest MTU is 65,535
/// bytes.
const ADDRESSES_MASK: u64 = 0x1_ffff;

/// Offset of the ethertype in a frame without VLAN tags.
pub const ETHERTYPE_AT: usize = 12;
/// Bytes of an Ethernet header.
pub const ETHERNET_LEN: usize = 14;
pub(crate) const IPV4_MIN_LEN: usize = 20;
const IPV6_LEN: usize = 40;
pub(crate) const TCP_MIN_LEN: usize = 20;

// Assigned by IANA: ethertypes and protocol numbers.
/// IPv4's ethertype.
pub const IPV4: [u8; 2] = [0x08, 0x00];
/// IPv6's.
pub const IPV6: [u8; 2] = [0x86, 0xdd];
pub(crate) const TCP: u8 = 6;

const TCP_SYN: u8 = 0x02;
const TCP_ACK: u8 = 0x10;

/// Whether a segment with these flags asks for a connection: SYN without ACK.
#[inline(always)]
pub(crate) const fn is_attempt(flags: u8) -> bool {
    flags & (TCP_SYN | TCP_ACK) == TCP_SYN
}

/// Reads a frame.
#[inline(always)]
#[must_use]
pub fn parse<L: Load>(frame: &L, layer: Layer) -> Segment {
    Segment::unpack(parse_packed(frame, layer))
}

/// The same, [packed](Segment::pack).
#[inline(always)]
pub fn parse_packed<L: Load>(frame: &L, layer: Layer) -> u64 {
    match layer {
        Layer::Ethernet => behind_tags(frame, ETHERTYPE_AT),
        Layer::Ip => bare::parse(frame),
    }
}

/// Reads what is at an offset of a frame without a link-layer header, of which is known what it
/// is, in one number: [`Segment::pack`].
#[inline(always)]
pub fn parse_announced<L: Load>(frame: &L, at: usize, ethertype: [u8; 2]) -> u64 {
    match ethertype {
        IPV4 => frame.ip(at, Family::V4),
        IPV6 => frame.ip(at, Family::V6),
        tag if walk::is_tag(tag) => behind_tags(frame, at + bare::TAG_TYPE_AT),
        _ => Segment::Pass(Reason::NotTcp).pack(),
    }
}

/// Reads what follows an ethertype, the one at this offset or that behind VLAN tags.
#[inline(always)]
fn behind_tags<L: Load>(frame: &L, at: usize) -> u64 {
    let (at, ethertype) = walk::behind_tags(frame, at);
    match ethertype {
        Some(IPV4) => frame.ip(at, Family::V4),
        Some(IPV6) => frame.ip(at, Family::V6),
        _ => Segment::Pass(Reason::NotTcp).pack(),
    }
}

/// Reads an IP packet at an offset.
#[inline(always)]
pub fn ip<L: Load>(frame: &L, at: usize, family: Family) -> u64 {
    let at = at & walk::OFFSET_MASK;
    match family {
        Family::V4 => ipv4(frame, at).pack(),
        Family::V6 => ipv6(frame, at).pack(),
    }
}

/// RFC 791. A header that the kernel's `ip_rcv` discards is left to it.
#[inline(always)]
fn ipv4<L: Load>(frame: &L, at: usize) -> Segment {
    let Some(header) = frame.load::<IPV4_MIN_LEN>(at) else {
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
fn ipv6<L: Load>(frame: &L, at: usize) -> Segment {
    let Some(header) = frame.load::<IPV6_LEN>(at) else {
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
    let chain = Chain::new(at + IPV6_LEN, header[6]).walk(frame, packet.end);
    if chain.is_later_fragment() {
        Segment::Pass(Reason::Fragment)
    } else if chain.next() == TCP && !chain.is_cut() {
        packet.tcp(frame, chain.at(), chain.is_first_fragment())
    } else if chain.is_cut() || chain.is_open() {
        packet.unclassified()
    } else {
        Segment::Pass(Reason::NotTcp)
    }
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
    fn tcp<L: Load>(&self, frame: &L, at: usize, first_fragment: bool) -> Segment {
        if let Some(header) = self.load::<L, 14>(frame, at) {
            return if is_attempt(header[13]) {
                self.attempt(ports(&header))
            } else {
                Segment::Pass(Reason::Established)
            };
        }
        if first_fragment && let Some(header) = self.load::<L, 4>(frame, at) {
            // The flags come with the next fragment, unseen: take it for an attempt.
            return self.attempt(ports(&header));
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
    fn load<L: Load, const N: usize>(&self, frame: &L, at: usize) -> Option<[u8; N]> {
        walk::load_before(frame, at, self.end)
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
