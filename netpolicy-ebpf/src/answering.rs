//! Answering denied attempts: the slow end of a drop, in global functions of its own, so that
//! what drops silently holds nothing of it.
//!
//! What an answer is, and what gets none, is in the library of this crate (`answer.rs`).

use core::mem::MaybeUninit;

use aya_ebpf::helpers::bpf_ktime_get_coarse_ns;
use netpolicy_common::{Answering, ResetStats, ScopeId, answer::next_due};
use netpolicy_ebpf::{
    Bytes as _, Family, Layer, Reset, Segment,
    answer::{Link, RequestV4, RequestV6, V4_LEN, V6_LEN, reset_v4, reset_v6},
    other_reading,
    packet::{ETHERNET_LEN, ETHERTYPE_AT, IPV4, IPV6},
};

use crate::{
    hook::Packet,
    maps,
    outcome::{cpu, finish},
    ruleset::resets_per_second,
    slow::reason_of,
    whole::bounded,
};

/// Counts and reports a denied attempt, and answers it if it can and may. `verdict` is the
/// reason, and above its 8 bits the scope. Returns the action.
#[inline(always)]
pub(crate) fn answer<P: Packet>(packet: P, verdict: u32, generation: u64) -> u32 {
    let (scope, reason) = ((verdict >> 8) as ScopeId, reason_of(u64::from(verdict)));
    let drop = finish(packet, scope, reason, Some(generation), false);
    let Some(cpu) = cpu() else {
        return drop;
    };
    // SAFETY: as in `finish`.
    let stats: &mut ResetStats = unsafe { &mut (*cpu).resets };
    // The time of the last tick, some milliseconds ago at most: reading the clock itself would
    // take longer than making the answer.
    // SAFETY: takes nothing, returns a number.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    // First, so that a flood beyond the limit costs little more than dropping it.
    let Some(due) = next_due(resets_per_second(), stats.due_ns, now) else {
        stats.limited += 1;
        return drop;
    };
    let is_made = match packet.reset_plain() {
        NOT_PLAIN => walked(packet),
        made => made != 0,
    };
    if !is_made {
        stats.withheld += 1;
        return drop;
    }
    stats.due_ns = due;
    stats.sent += 1;
    packet.send()
}

/// What [`plain`] answers of a frame that is not plain.
const NOT_PLAIN: u64 = 2;

/// Makes a reset of a frame as almost all attempts are, without tags and with its headers in the
/// linear part: 1; 0: it gets none, and may be spoilt; [`NOT_PLAIN`]: it is as it was.
///
/// It need not be walked for that: making a reset of headers reads everything that the walk
/// reads, and makes no reset unless the attempt is whole.
///
/// A function of its own, whose variables are on the stack of no walk.
#[inline(always)]
pub(crate) fn plain<P: Packet>(packet: P) -> u64 {
    replaced_if_plain(packet).map_or(NOT_PLAIN, u64::from)
}

#[inline(always)]
fn replaced_if_plain<P: Packet>(packet: P) -> Option<bool> {
    if maps::layer() != Layer::Ethernet {
        return None;
    }
    let frame = packet.linear();
    let start: &[u8; ETHERNET_LEN + V4_LEN] = frame.read(0)?;
    let link = [word(start, 0), word(start, 8)];
    match [start[ETHERTYPE_AT], start[ETHERTYPE_AT + 1]] {
        IPV4 => {
            let at = |number: usize| word(start, ETHERNET_LEN + 8 * number);
            let request: RequestV4 = [at(0), at(1), at(2), at(3), at(4)];
            Some(reset_v4(&request).is_some_and(|reset| replace_plain(packet, &link, &reset)))
        }
        IPV6 => {
            let start: &[u8; ETHERNET_LEN + V6_LEN] = frame.read(0)?;
            let at = |number: usize| word(start, ETHERNET_LEN + 8 * number);
            let request: RequestV6 = [at(0), at(1), at(2), at(3), at(4), at(5), at(6)];
            Some(reset_v6(&request).is_some_and(|reset| replace_plain(packet, &link, &reset)))
        }
        _ => None,
    }
}

/// Eight bytes of many, read at once.
#[inline(always)]
fn word(of: &[u8], at: usize) -> u64 {
    let bytes = of[at..].first_chunk().copied();
    u64::from_ne_bytes(bytes.unwrap_or_default())
}

/// Puts a reset in place of a plain frame that begins with these words.
#[inline(always)]
fn replace_plain<P: Packet, const WORDS: usize>(
    packet: P,
    start: &[u64; 2],
    reset: &Reset<WORDS>,
) -> bool {
    let link = Link::read(start);
    let len = (ETHERNET_LEN + Reset::<WORDS>::LEN) as u32;
    interface(packet).is_some_and(|own| link.is_to(&own.addresses))
        && packet.store_answer(&link.answer(start), reset)
        && packet.cut(len)
}

/// Makes a reset of any frame. `false`: it gets none, and may be spoilt.
#[inline(always)]
fn walked<P: Packet>(packet: P) -> bool {
    let packed = packet.walk();
    let Segment::Judge(subject) = Segment::unpack(packed) else {
        return false;
    };
    // Where the IP header begins, by the place of its addresses.
    let addresses = subject.addresses.at as u64;
    subject.is_attempt
        && other_reading(packed).is_none()
        && match subject.addresses.family {
            Family::V4 => packet.reset_v4(addresses.wrapping_sub(12)) != 0,
            Family::V6 => packet.reset_v6(addresses.wrapping_sub(8)) != 0,
        }
}

/// Makes a reset of the frame whose IPv4 header is at this offset: 1; 0: it gets none, and may be
/// spoilt.
#[inline(always)]
pub(crate) fn v4<P: Packet>(packet: P, at: u64) -> u64 {
    let at = bounded(at as usize) as u32;
    let reset = load(packet, at).and_then(|request| reset_v4(&request));
    u64::from(reset.is_some_and(|reset| replace(packet, at, &reset)))
}

/// As [`v4`], of an IPv6 header.
#[inline(always)]
pub(crate) fn v6<P: Packet>(packet: P, at: u64) -> u64 {
    let at = bounded(at as usize) as u32;
    let reset = load(packet, at).and_then(|request| reset_v6(&request));
    u64::from(reset.is_some_and(|reset| replace(packet, at, &reset)))
}

/// Words of a frame from an offset on.
#[inline(always)]
fn load<P: Packet, const WORDS: usize>(packet: P, at: u32) -> Option<[u64; WORDS]> {
    let mut words = MaybeUninit::<[u64; WORDS]>::uninit();
    let to = words.as_mut_ptr().cast();
    // SAFETY: as many bytes.
    if !unsafe { packet.load_bytes(at, to, size_of::<[u64; WORDS]>() as u32) } {
        return None;
    }
    // SAFETY: all of them were written.
    Some(unsafe { words.assume_init() })
}

/// Puts a reset in place of the packet at an offset. `false`: it is none of this host's, or may
/// be spoilt.
#[inline(always)]
fn replace<P: Packet, const WORDS: usize>(packet: P, at: u32, reset: &Reset<WORDS>) -> bool {
    let Some(own) = interface(packet) else {
        return false;
    };
    let is_addressed = match maps::layer() {
        Layer::Ethernet => turn(packet, own),
        // Behind an outer header that is still there, it would have to be made again.
        Layer::Ip => u64::from(at) == packet.network_header(),
    };
    is_addressed && packet.store_reset(at, reset) && packet.cut(at + Reset::<WORDS>::LEN as u32)
}

/// What is told of the interface that a packet arrived at, if it can answer there.
#[inline(always)]
fn interface<'a, P: Packet>(packet: P) -> Option<&'a Answering> {
    let index = packet.interface();
    // SAFETY: userspace replaces elements and does not write to them; a torn one would be
    // another interface's address at worst, and the frame not answered.
    unsafe { maps::ANSWERING.get(index) }
}

/// Exchanges a frame's link-layer addresses, if it is addressed to this interface.
#[inline(always)]
fn turn<P: Packet>(packet: P, own: &Answering) -> bool {
    let Some(start) = load(packet, 0) else {
        return false;
    };
    let link = Link::read(&start);
    if !link.is_to(&own.addresses) {
        return false;
    }
    let answer = link.answer(&start);
    // SAFETY: 16 bytes.
    unsafe { packet.store_bytes(0, answer.as_ptr().cast(), 16) }
}
