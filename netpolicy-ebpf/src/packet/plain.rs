//! The short way through a frame: as almost all TCP frames are, in a few instructions.

use super::{
    Bytes, ETHERNET_LEN, ETHERTYPE_AT, IPV4, IPV4_MIN_LEN, IPV6, IPV6_LEN, TCP, TCP_MIN_LEN,
    is_attempt,
};

/// Offset of the TCP header in a plain frame.
const V4_TCP: usize = ETHERNET_LEN + IPV4_MIN_LEN;
const V6_TCP: usize = ETHERNET_LEN + IPV6_LEN;

/// What [`parse_plain`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain<R> {
    /// A connection attempt, and what became of it.
    Attempt(R),
    /// A TCP segment that is none: it passes.
    Established,
    /// Not plain: for [`super::parse`].
    Other,
}

/// Reads a frame as almost all TCP frames are: whole, without tags, options, extension
/// headers or fragments, down to the TCP header. In a few instructions; [`super::parse`] would
/// say the same of it.
///
/// A connection attempt over IPv4 is handed to `v4` with its source address as a number
/// and the lower byte of its destination port; one over IPv6 to `v6` with the halves of its
/// source address. Very few packets need the rest of the port: [`plain_port_v4`].
/// They are handed over, and not returned, so that the compiler makes a way of each
/// instead of choosing by the family again and again.
#[inline(always)]
pub fn parse_plain<B: Bytes, R>(
    frame: &B,
    v4: impl FnOnce(u32, u8) -> R,
    v6: impl FnOnce((u64, u64), u8) -> R,
) -> Plain<R> {
    const V4_LEN: usize = ETHERNET_LEN + IPV4_MIN_LEN + TCP_MIN_LEN;
    const V6_LEN: usize = ETHERNET_LEN + IPV6_LEN + TCP_MIN_LEN;
    let Some(start) = frame.read::<V4_LEN>(0) else {
        return Plain::Other;
    };
    let ethertype = bytes(start, ETHERTYPE_AT);
    if ethertype == IPV4 {
        // Flags and fragment offset, the time to live, which is ignored, the protocol.
        let fragment_and_protocol = u32::from_be_bytes(bytes(start, ETHERNET_LEN + 6));
        let is_whole_tcp = fragment_and_protocol & 0x3fff_00ff == u32::from(TCP);
        let is_long_enough = usize::from(word(start, ETHERNET_LEN + 2)) >= V4_LEN - ETHERNET_LEN;
        if start[ETHERNET_LEN] != 0x45 || !is_whole_tcp || !is_long_enough {
            return Plain::Other;
        }
        if !is_attempt(start[V4_TCP + 13]) {
            return Plain::Established;
        }
        return Plain::Attempt(v4(source_v4(start), start[V4_TCP + 3]));
    }
    let is_long_enough = usize::from(word(start, ETHERNET_LEN + 4)) >= TCP_MIN_LEN;
    if ethertype != IPV6
        || start[ETHERNET_LEN] >> 4 != 6
        || start[ETHERNET_LEN + 6] != TCP
        || !is_long_enough
    {
        return Plain::Other;
    }
    let Some(whole) = frame.read::<V6_LEN>(0) else {
        return Plain::Other;
    };
    if !is_attempt(whole[V6_TCP + 13]) {
        return Plain::Established;
    }
    Plain::Attempt(v6(source_v6(whole), whole[V6_TCP + 3]))
}

/// The source address of a frame that [`parse_plain`] handed to `v4`, read once more.
#[inline(always)]
pub fn plain_source_v4<B: Bytes>(frame: &B) -> Option<u32> {
    frame
        .read::<{ ETHERNET_LEN + IPV4_MIN_LEN }>(0)
        .map(source_v4)
}

/// The source address of a frame that [`parse_plain`] handed to `v6`, read once more.
#[inline(always)]
pub fn plain_source_v6<B: Bytes>(frame: &B) -> Option<(u64, u64)> {
    frame.read::<{ ETHERNET_LEN + IPV6_LEN }>(0).map(source_v6)
}

/// The destination port of a frame that [`parse_plain`] handed to `v4`, read once more: all
/// of it.
#[inline(always)]
pub fn plain_port_v4<B: Bytes>(frame: &B) -> Option<u16> {
    frame
        .read::<{ V4_TCP + 4 }>(0)
        .map(|start| word(start, V4_TCP + 2))
}

/// The destination port of a frame that [`parse_plain`] handed to `v6`, read once more: all
/// of it.
#[inline(always)]
pub fn plain_port_v6<B: Bytes>(frame: &B) -> Option<u16> {
    frame
        .read::<{ V6_TCP + 4 }>(0)
        .map(|start| word(start, V6_TCP + 2))
}

#[inline(always)]
fn source_v4<const N: usize>(plain: &[u8; N]) -> u32 {
    u32::from_be_bytes(bytes(plain, ETHERNET_LEN + 12))
}

#[inline(always)]
fn source_v6<const N: usize>(plain: &[u8; N]) -> (u64, u64) {
    (
        u64::from_be_bytes(bytes(plain, ETHERNET_LEN + 8)),
        u64::from_be_bytes(bytes(plain, ETHERNET_LEN + 16)),
    )
}

/// Some bytes of many, read at once.
#[inline(always)]
fn bytes<const N: usize>(of: &[u8], at: usize) -> [u8; N] {
    of[at..].first_chunk().copied().unwrap_or([0; N])
}

/// Two bytes in network order.
#[inline(always)]
fn word(of: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(bytes(of, at))
}
