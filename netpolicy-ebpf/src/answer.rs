//! The answer to a denied connection attempt: a reset, as a host gives on whose port nothing
//! listens (RFC 9293, section 3.10.7.1).
//!
//! Made of the headers of an attempt as almost all are: whole, without IP options or extension
//! headers. What is not, gets none. A reset is never longer than what it answers, so nothing is
//! amplified. An attempt is the only segment that is answered: an open connection cannot be
//! ended by it.
#![expect(clippy::cast_possible_truncation, reason = "parts of numbers")]

use crate::packet::{IPV4_MIN_LEN, TCP, TCP_MIN_LEN, is_attempt};

/// Bytes of an IPv4 header without options and a TCP header without options.
pub const V4_LEN: usize = 40;
/// The same of IPv6 without extension headers.
pub const V6_LEN: usize = 60;

/// What of an attempt's headers its answer is made of: from the IP header's first byte to the
/// TCP flags, in network order. In words and not in bytes: the verifier takes no access to the
/// stack that is not aligned, and the compiler puts bytes together as it likes.
pub type RequestV4 = [u64; 5];
/// The same over IPv6.
pub type RequestV6 = [u64; 7];

/// Words that hold the headers of a reset, without more behind them: what is left over would be
/// set to zero byte by byte, by a call.
pub const V4_WORDS: usize = V4_LEN.div_ceil(8);
/// The same of IPv6.
pub const V6_WORDS: usize = V6_LEN.div_ceil(8);

const FIN: u8 = 0x01;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Hops that a reset may take: as many as Linux gives its packets.
const HOPS: u32 = 64;

/// A reset, in so many words: [`V4_WORDS`] or [`V6_WORDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset<const WORDS: usize> {
    /// Its headers. In place of the TCP checksum is the sum of the pseudo-header, as a device
    /// expects that completes checksums (`CHECKSUM_PARTIAL`).
    pub headers: [u64; WORDS],
    /// The last word of them with the complete checksum.
    last: u64,
    /// What turns that of the headers into the complete one, as a difference in the one's
    /// complement (`csum_replace_by_diff`).
    pub difference: u32,
}

impl<const WORDS: usize> Reset<WORDS> {
    /// Its bytes.
    pub const LEN: usize = if WORDS == V4_WORDS { V4_LEN } else { V6_LEN };

    /// From the IP header's beginning to the TCP checksum.
    pub const CHECKSUM_AT: usize = Self::LEN - TCP_MIN_LEN + 16;

    /// Its headers with the complete checksum.
    #[inline(always)]
    #[must_use]
    pub fn completed(&self) -> [u64; WORDS] {
        let mut headers = self.headers;
        headers[WORDS - 1] = self.last;
        headers
    }
}

/// The reset that answers an attempt over IPv4, whose headers these are; `None`: it is not to be
/// answered.
#[inline(always)]
#[must_use]
pub fn reset_v4(request: &RequestV4) -> Option<Reset<V4_WORDS>> {
    let first = word(request, 0);
    // Flags and offset of a fragment, without "do not fragment".
    let is_whole = word(request, 1) & 0xbfff == 0;
    if first >> 24 != 0x45 || !is_whole || protocol_v4(request) != TCP {
        return None;
    }
    let (source, destination) = (word(request, 3), word(request, 4));
    if !is_host_v4(source) || !is_host_v4(destination) || source == destination {
        return None;
    }
    let segment_len = (first & 0xffff).checked_sub(IPV4_MIN_LEN as u32)?;
    let [ports, _, acknowledged, flags] = Attempt::read(request, 5, segment_len)?.answer();
    // Never to be fragmented, so without an identification (RFC 6864).
    let start = [0x4500_0000 | V4_LEN as u32, 0x4000];
    let third = HOPS << 24 | u32::from(TCP) << 16;
    let addresses = sum(&[source, destination]);
    let header_sum = !fold(sum(&start) + u64::from(third) + addresses);
    let sums = Sums::new(addresses, sum(&[ports, acknowledged, flags]));
    let tail = |checksum: u16| pair(flags, u32::from(checksum) << 16);
    Some(Reset {
        headers: [
            pair(start[0], start[1]),
            pair(third | u32::from(header_sum), destination),
            pair(source, ports),
            pair(0, acknowledged),
            tail(sums.pseudo),
        ],
        last: tail(!sums.whole),
        difference: sums.difference(),
    })
}

/// The reset that answers an attempt over IPv6, whose headers these are; `None`: it is not to be
/// answered.
#[inline(always)]
#[must_use]
pub fn reset_v6(request: &RequestV6) -> Option<Reset<V6_WORDS>> {
    let second = word(request, 1);
    if word(request, 0) >> 28 != 6 || (second >> 8) as u8 != TCP {
        return None;
    }
    let source = [double(request, 1), double(request, 2)];
    let destination = [double(request, 3), double(request, 4)];
    let is_to_itself = source[0] == destination[0] && source[1] == destination[1];
    if !is_host_v6(source) || !is_host_v6(destination) || is_to_itself {
        return None;
    }
    let [ports, _, acknowledged, flags] = Attempt::read(request, 10, second >> 16)?.answer();
    let halves = |address: [u64; 2]| halves(address[0]) + halves(address[1]);
    let addresses = halves(source) + halves(destination);
    let sums = Sums::new(addresses, sum(&[ports, acknowledged, flags]));
    let tail = |checksum: u16| pair(u32::from(checksum) << 16, 0);
    Some(Reset {
        headers: [
            pair(
                0x6000_0000,
                (TCP_MIN_LEN as u32) << 16 | u32::from(TCP) << 8 | HOPS,
            ),
            destination[0].to_be(),
            destination[1].to_be(),
            source[0].to_be(),
            source[1].to_be(),
            pair(ports, 0),
            pair(acknowledged, flags),
            tail(sums.pseudo),
        ],
        last: tail(!sums.whole),
        difference: sums.difference(),
    })
}

/// The link-layer addresses of an Ethernet header, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    destination: u64,
    source: u64,
}

impl Link {
    /// Of the first 16 bytes of a frame.
    #[inline(always)]
    #[must_use]
    pub const fn read(frame: &[u64; 2]) -> Self {
        let (first, second) = (u64::from_be(frame[0]), u64::from_be(frame[1]));
        Self {
            destination: first >> 16,
            source: (first & 0xffff) << 32 | second >> 32,
        }
    }

    /// Whether what is addressed so may be answered by an interface with one of these addresses.
    /// A group's address, which has the lowest bit of its first byte set, is no interface's.
    #[inline(always)]
    #[must_use]
    pub fn is_to(self, own: &[[u8; 6]; 2]) -> bool {
        let is_own = |[a, b, c, d, e, f]: [u8; 6]| {
            self.destination == u64::from_be_bytes([0, 0, a, b, c, d, e, f])
        };
        (is_own(own[0]) || is_own(own[1])) && (self.destination | self.source) >> 40 & 1 == 0
    }

    /// The addresses of the answer: of a frame's first 16 bytes, whose last four stay.
    #[inline(always)]
    #[must_use]
    pub const fn answer(self, frame: &[u64; 2]) -> [u64; 2] {
        let first = self.source << 16 | self.destination >> 32;
        let rest = u64::from_be(frame[1]) & 0xffff_ffff;
        [first.to_be(), (self.destination << 32 | rest).to_be()]
    }
}

/// What of an attempt's TCP header its answer needs.
struct Attempt {
    ports: u32,
    /// What it acknowledges: the sequence number behind all that the attempt holds.
    next: u32,
}

impl Attempt {
    /// Reads the header that begins with this word, of a segment of so many bytes.
    #[inline(always)]
    fn read<const N: usize>(request: &[u64; N], at: usize, segment_len: u32) -> Option<Self> {
        let fourth = word(request, at + 3);
        let flags = (fourth >> 16) as u8;
        let header_len = fourth >> 28 << 2;
        // "If the RST bit is set, discard": a host answers none either.
        if !is_attempt(flags) || flags & RST != 0 || header_len < TCP_MIN_LEN as u32 {
            return None;
        }
        let data = segment_len.checked_sub(header_len)?;
        let fin = u32::from(flags & FIN);
        Some(Self {
            ports: word(request, at),
            // SYN and FIN count as a byte each.
            next: word(request, at + 1).wrapping_add(data + 1 + fin),
        })
    }

    /// The TCP header that answers it: its words but for the last, which has the checksum.
    #[inline(always)]
    fn answer(&self) -> [u32; 4] {
        let flags = (TCP_MIN_LEN as u32 / 4) << 28 | u32::from(RST | ACK) << 16;
        [self.ports.rotate_left(16), 0, self.next, flags]
    }
}

/// Sums of a reset.
struct Sums {
    /// Of the pseudo-header: addresses, protocol, length of the segment.
    pseudo: u16,
    /// Of that and the segment.
    whole: u16,
}

impl Sums {
    #[inline(always)]
    fn new(addresses: u64, segment: u64) -> Self {
        let pseudo = addresses + u64::from(TCP) + TCP_MIN_LEN as u64;
        Self {
            pseudo: fold(pseudo),
            whole: fold(pseudo + segment),
        }
    }

    /// Added to a sum that is the one's complement of the pseudo-header's, it makes the whole's.
    #[inline(always)]
    fn difference(&self) -> u32 {
        let difference = fold(u64::from(self.pseudo) + u64::from(self.whole));
        u32::from(difference.to_be())
    }
}

/// Whether it may be a host's: not of this network (RFC 1122: 0/8), loopback, multicast, reserved
/// or broadcast.
#[inline(always)]
const fn is_host_v4(address: u32) -> bool {
    !matches!(address >> 24, 0 | 127 | 224..)
}

/// Whether it may be a host's: neither multicast, unspecified nor loopback.
#[inline(always)]
const fn is_host_v6([high, low]: [u64; 2]) -> bool {
    high >> 56 != 0xff && (high != 0 || low > 1)
}

#[inline(always)]
fn protocol_v4(request: &RequestV4) -> u8 {
    (word(request, 2) >> 16) as u8
}

/// Eight bytes as a number.
#[inline(always)]
const fn double<const N: usize>(of: &[u64; N], at: usize) -> u64 {
    u64::from_be(of[at])
}

/// Four bytes as a number.
#[inline(always)]
const fn word<const N: usize>(of: &[u64; N], at: usize) -> u32 {
    let both = double(of, at / 2);
    if at.is_multiple_of(2) {
        (both >> 32) as u32
    } else {
        both as u32
    }
}

/// Two numbers as eight bytes.
#[inline(always)]
const fn pair(first: u32, second: u32) -> u64 {
    ((first as u64) << 32 | second as u64).to_be()
}

#[inline(always)]
const fn halves(number: u64) -> u64 {
    (number >> 32) + (number & 0xffff_ffff)
}

/// The sum of numbers, to be [folded](fold).
#[inline(always)]
fn sum(words: &[u32]) -> u64 {
    words.iter().map(|word| u64::from(*word)).sum()
}

/// The sum of 16-bit words in the one's complement (RFC 1071), of a sum of larger ones.
#[inline(always)]
const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests;
