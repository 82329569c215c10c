//! Answering denied attempts: the slow end of a drop, in global functions of its own, so that
//! what drops silently holds nothing of it.
//!
//! What an answer is, and what gets none, is in the library of this crate (`answer.rs`).

use aya_ebpf::helpers::bpf_ktime_get_boot_ns;
use netpolicy_common::{Answering, ResetStats, ScopeId, answer::next_due};
use netpolicy_ebpf::{
    Family, Layer, Reset, Segment,
    answer::{Headers, Link, V4_LEN, V6_LEN, reset_v4, reset_v6},
    other_reading,
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
    // SAFETY: takes nothing, returns a number.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    // First, so that a flood beyond the limit costs little more than dropping it.
    let Some(due) = next_due(resets_per_second(), stats.due_ns, now) else {
        stats.limited += 1;
        return drop;
    };
    let packed = packet.walk();
    let Segment::Judge(subject) = Segment::unpack(packed) else {
        return drop;
    };
    // Where the IP header begins, by the place of its addresses.
    let addresses = subject.addresses.at as u64;
    let is_made = subject.is_attempt
        && other_reading(packed).is_none()
        && match subject.addresses.family {
            Family::V4 => packet.reset_v4(addresses.wrapping_sub(12)) != 0,
            Family::V6 => packet.reset_v6(addresses.wrapping_sub(8)) != 0,
        };
    if !is_made {
        stats.withheld += 1;
        return drop;
    }
    stats.due_ns = due;
    stats.sent += 1;
    packet.send()
}

/// Makes a reset of the frame whose IPv4 header is at this offset: 1; 0: it gets none, and may be
/// spoilt.
#[inline(always)]
pub(crate) fn v4<P: Packet>(packet: P, at: u64) -> u64 {
    let at = bounded(at as usize) as u32;
    let reset = load::<_, V4_LEN>(packet, at).and_then(|headers| reset_v4(&headers));
    u64::from(reset.is_some_and(|reset| replace(packet, at, &reset)))
}

/// As [`v4`], of an IPv6 header.
#[inline(always)]
pub(crate) fn v6<P: Packet>(packet: P, at: u64) -> u64 {
    let at = bounded(at as usize) as u32;
    let reset = load::<_, V6_LEN>(packet, at).and_then(|headers| reset_v6(&headers));
    u64::from(reset.is_some_and(|reset| replace(packet, at, &reset)))
}

/// The headers at an offset.
#[inline(always)]
fn load<P: Packet, const LEN: usize>(packet: P, at: u32) -> Option<Headers> {
    let mut headers = [0; 8];
    // SAFETY: no more bytes than that.
    let is_there = unsafe { packet.load_bytes(at, headers.as_mut_ptr().cast(), LEN as u32) };
    is_there.then_some(headers)
}

/// Puts a reset in place of the packet at an offset. `false`: it is none of this host's, or may
/// be spoilt.
#[inline(always)]
fn replace<P: Packet, const LEN: usize>(packet: P, at: u32, reset: &Reset<LEN>) -> bool {
    let index = packet.interface();
    // SAFETY: userspace replaces elements and does not write to them; a torn one would be
    // another interface's address at worst, and the frame not answered.
    let Some(interface) = (unsafe { maps::ANSWERING.get(index) }) else {
        return false;
    };
    let is_addressed = match maps::layer() {
        Layer::Ethernet => turn(packet, interface),
        // Behind an outer header that is still there, it would have to be made again.
        Layer::Ip => u64::from(at) == packet.network_header(),
    };
    is_addressed && packet.store_reset(at, reset) && packet.cut(at + LEN as u32)
}

/// Exchanges a frame's link-layer addresses, if it is addressed to this interface.
#[inline(always)]
fn turn<P: Packet>(packet: P, interface: &Answering) -> bool {
    const LEN: u32 = 16;
    let mut frame = [0; 2];
    // SAFETY: 16 bytes.
    if !unsafe { packet.load_bytes(0, frame.as_mut_ptr().cast(), LEN) } {
        return false;
    }
    let link = Link::read(&frame);
    if !link.is_to(&interface.addresses) {
        return false;
    }
    let answer = link.answer(&frame);
    // SAFETY: 16 bytes.
    unsafe { packet.store_bytes(0, answer.as_ptr().cast(), LEN) }
}
