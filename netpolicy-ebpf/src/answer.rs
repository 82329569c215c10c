//! The answer to a denied connection attempt: a reset, as a host gives on whose port nothing
//! listens (RFC 9293, section 3.10.7.1).
//!
//! Made of the headers of an attempt as almost all are: whole, without IP options or extension
//! headers. What is not, gets none. A reset is never longer than what it answers, so nothing is
//! amplified. An attempt is the only segment that is answered: an open connection cannot be
//! ended by it.

use crate::packet::{TCP, TCP_MIN_LEN, is_attempt};

/// Bytes of an IPv4 header without options and a TCP header without options.
pub const V4_LEN: usize = V4_TCP + TCP_MIN_LEN;
/// The same of IPv6 without extension headers.
pub const V6_LEN: usize = V6_TCP + TCP_MIN_LEN;

const V4_TCP: usize = 20;
const V6_TCP: usize = 40;

const FIN: u8 = 0x01;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Hops that a reset may take: as many as Linux gives its packets.
const HOPS: u8 = 64;

/// From the beginning of the TCP header to its checksum.
const SUM_AT: usize = 16;

/// A reset. Aligned, so that the program may write its words as such: it has no other access to
/// its stack.
#[repr(align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset<const LEN: usize> {
    /// Its IP header and TCP header. In place of the TCP checksum is the sum of the pseudo-header,
    /// as a device expects that completes checksums (`CHECKSUM_PARTIAL`).
    pub headers: [u8; LEN],
    /// The complete TCP checksum, in network order.
    pub checksum: [u8; 2],
    /// What turns that of the headers into the complete one, as a difference in the one's
    /// complement (`csum_replace_by_diff`).
    pub difference: u32,
}

impl<const LEN: usize> Reset<LEN> {
    /// From the IP header's beginning to the TCP checksum.
    pub const CHECKSUM_AT: usize = LEN - TCP_MIN_LEN + SUM_AT;

    /// Its headers with the complete checksum.
    #[inline(always)]
    #[must_use]
    pub fn completed(self) -> [u8; LEN] {
        let mut headers = self.headers;
        put(&mut headers, Self::CHECKSUM_AT, self.checksum);
        headers
    }
}

/// The reset that answers an attempt over IPv4, whose headers these are; `None`: it is not to be
/// answered.
#[inline(always)]
#[must_use]
pub fn reset_v4(request: &[u8; V4_LEN]) -> Option<Reset<V4_LEN>> {
    let total = usize::from(word(request, 2));
    // Flags and offset of a fragment, without "do not fragment".
    let is_whole = word(request, 6) & 0xbfff == 0;
    if request[0] != 0x45 || !is_whole || request[9] != TCP {
        return None;
    }
    let (source, destination) = (part::<4>(request, 12), part::<4>(request, 16));
    let is_to_itself = u32::from_ne_bytes(source) == u32::from_ne_bytes(destination);
    if !is_host_v4(source) || !is_host_v4(destination) || is_to_itself {
        return None;
    }
    let segment = Attempt::read(request, V4_TCP, total.checked_sub(V4_TCP)?)?;
    let mut headers = [0; V4_LEN];
    headers[0] = 0x45;
    headers[3] = V4_LEN as u8;
    // Never to be fragmented, so without an identification (RFC 6864).
    headers[6] = 0x40;
    headers[8] = HOPS;
    headers[9] = TCP;
    put(&mut headers, 12, destination);
    put(&mut headers, 16, source);
    let header_sum = !fold(sum::<V4_TCP>(&headers, 0));
    put(&mut headers, 10, header_sum.to_ne_bytes());
    let addresses = sum::<8>(&headers, 12);
    Some(segment.reset(headers, V4_TCP, addresses))
}

/// The reset that answers an attempt over IPv6, whose headers these are; `None`: it is not to be
/// answered.
#[inline(always)]
#[must_use]
pub fn reset_v6(request: &[u8; V6_LEN]) -> Option<Reset<V6_LEN>> {
    if request[0] >> 4 != 6 || request[6] != TCP {
        return None;
    }
    let (source, destination) = (part::<16>(request, 8), part::<16>(request, 24));
    let is_to_itself = u128::from_ne_bytes(source) == u128::from_ne_bytes(destination);
    if !is_host_v6(&source) || !is_host_v6(&destination) || is_to_itself {
        return None;
    }
    let segment = Attempt::read(request, V6_TCP, usize::from(word(request, 4)))?;
    let mut headers = [0; V6_LEN];
    headers[0] = 0x60;
    headers[5] = TCP_MIN_LEN as u8;
    headers[6] = TCP;
    headers[7] = HOPS;
    put(&mut headers, 8, destination);
    put(&mut headers, 24, source);
    let addresses = sum::<32>(&headers, 8);
    Some(segment.reset(headers, V6_TCP, addresses))
}

/// Whether a frame with these link-layer addresses, destination first, may be answered by an
/// interface with one of `own`. A group's address, which has the lowest bit of its first byte
/// set, is no interface's.
#[inline(always)]
#[must_use]
pub fn is_to(link: &[u8; 12], own: &[[u8; 6]; 2]) -> bool {
    let to = number(part::<6>(link, 0));
    (to == number(own[0]) || to == number(own[1])) && (link[0] | link[6]) & 1 == 0
}

/// To compare as one: the program has no function that compares bytes.
#[inline(always)]
fn number(address: [u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = address;
    u64::from_ne_bytes([a, b, c, d, e, f, 0, 0])
}

/// The link-layer addresses of the answer to a frame that has these.
#[inline(always)]
#[must_use]
pub fn turned(link: &[u8; 12]) -> [u8; 12] {
    let mut turned = [0; 12];
    put(&mut turned, 0, part::<6>(link, 6));
    put(&mut turned, 6, part::<6>(link, 0));
    turned
}

/// What of an attempt's TCP header its answer needs.
struct Attempt {
    ports: [u8; 4],
    /// What it acknowledges: the sequence number behind all that the attempt holds.
    next: u32,
}

impl Attempt {
    /// Reads the header at an offset, of a segment of so many bytes.
    #[inline(always)]
    fn read<const LEN: usize>(
        request: &[u8; LEN],
        at: usize,
        segment_len: usize,
    ) -> Option<Self> {
        let flags = request[at + 13];
        let header_len = usize::from(request[at + 12] >> 4) * 4;
        // "If the RST bit is set, discard": a host answers none either.
        if !is_attempt(flags) || flags & RST != 0 || header_len < TCP_MIN_LEN {
            return None;
        }
        let data = segment_len.checked_sub(header_len)?;
        let fin = u32::from(flags & FIN);
        let sequence = u32::from_be_bytes(part(request, at + 4));
        Some(Self {
            ports: part(request, at),
            // SYN and FIN count as a byte each.
            next: sequence.wrapping_add(data as u32 + 1 + fin),
        })
    }

    /// Adds the TCP header at an offset of headers, whose addresses have this sum.
    #[inline(always)]
    fn reset<const LEN: usize>(
        &self,
        mut headers: [u8; LEN],
        at: usize,
        addresses: u64,
    ) -> Reset<LEN> {
        let [a, b, c, d] = self.ports;
        put(&mut headers, at, [c, d, a, b]);
        put(&mut headers, at + 8, self.next.to_be_bytes());
        headers[at + 12] = (TCP_MIN_LEN as u8 / 4) << 4;
        headers[at + 13] = RST | ACK;
        let segment = sum::<TCP_MIN_LEN>(&headers, at);
        // The pseudo-header: addresses, protocol, length of the segment.
        let rest = (TCP as u16 + TCP_MIN_LEN as u16).to_be();
        let pseudo = fold(addresses + u64::from(rest));
        let whole = fold(u64::from(pseudo) + segment);
        put(&mut headers, at + SUM_AT, pseudo.to_ne_bytes());
        Reset {
            headers,
            checksum: (!whole).to_ne_bytes(),
            difference: u32::from(fold(u64::from(pseudo) + u64::from(whole))),
        }
    }
}

/// Whether it may be a host's: not of this network (RFC 1122: 0/8), loopback, multicast, reserved
/// or broadcast.
#[inline(always)]
fn is_host_v4(address: [u8; 4]) -> bool {
    !matches!(address[0], 0 | 127 | 224..)
}

/// Whether it may be a host's: neither multicast, unspecified nor loopback.
#[inline(always)]
fn is_host_v6(address: &[u8; 16]) -> bool {
    let high = u64::from_ne_bytes(part(address, 0));
    let low = u64::from_be_bytes(part(address, 8));
    address[0] != 0xff && (high != 0 || low > 1)
}

/// Two bytes in network order.
#[inline(always)]
fn word<const LEN: usize>(of: &[u8; LEN], at: usize) -> u16 {
    u16::from_be_bytes(part(of, at))
}

/// Some bytes of many, read at once.
#[inline(always)]
fn part<const N: usize>(of: &[u8], at: usize) -> [u8; N] {
    of[at..].first_chunk().copied().unwrap_or([0; N])
}

#[inline(always)]
fn put<const N: usize>(to: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(place) = to[at..].first_chunk_mut() {
        *place = bytes;
    }
}

/// The sum of 16-bit words in the machine's order: that of the one's complement is the same in
/// any (RFC 1071), but for the order of its own bytes.
#[inline(always)]
fn sum<const LEN: usize>(of: &[u8], at: usize) -> u64 {
    let bytes = part::<LEN>(of, at);
    let words = bytes.as_chunks::<4>().0.iter();
    words.map(|word| u64::from(u32::from_ne_bytes(*word))).sum()
}

#[inline(always)]
const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests;
