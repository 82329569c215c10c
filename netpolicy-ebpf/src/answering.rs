//! Answering denied attempts: the slow end of a drop, in global functions of its own, so that
//! what drops silently holds nothing of it.
//!
//! What an answer is, and what gets none, is in the library of this crate (`answer.rs`).

use aya_ebpf::helpers::bpf_ktime_get_boot_ns;
use netpolicy_common::{ResetStats, ScopeId, answer::next_due};
use netpolicy_ebpf::{
    Family, Layer, Reset, Segment,
    answer::{is_to, reset_v4, reset_v6, turned},
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
    u64::from(write(packet, at as usize, reset_v4).is_some())
}

/// As [`v4`], of an IPv6 header.
#[inline(always)]
pub(crate) fn v6<P: Packet>(packet: P, at: u64) -> u64 {
    u64::from(write(packet, at as usize, reset_v6).is_some())
}

#[inline(always)]
fn write<P: Packet, const LEN: usize>(
    packet: P,
    at: usize,
    make: impl FnOnce(&[u8; LEN]) -> Option<Reset<LEN>>,
) -> Option<()> {
    let at = bounded(at);
    let request = load::<_, LEN>(packet, at)?;
    let reset = make(&request.0)?;
    let index = packet.interface();
    // SAFETY: userspace replaces elements and does not write to them; a torn one would be
    // another interface's address at worst, and the frame not answered.
    let interface = unsafe { maps::ANSWERING.get(index) }?;
    match maps::layer() {
        Layer::Ethernet => {
            let link = load::<_, 12>(packet, 0)?;
            if !is_to(&link.0, &interface.addresses) {
                return None;
            }
            let link = Aligned(turned(&link.0));
            // SAFETY: 12 bytes.
            unsafe { packet.store_bytes(0, link.0.as_ptr().cast(), 12) }.then_some(())?;
        }
        // Behind an outer header that is still there, it would have to be made again.
        Layer::Ip if at as u64 != packet.network_header() => return None,
        Layer::Ip => {}
    }
    (packet.store_reset(at as u32, reset) && packet.cut((at + LEN) as u32)).then_some(())
}

/// Bytes whose words can be read as such: the verifier allows no other access to the stack.
#[repr(align(8))]
struct Aligned<const LEN: usize>([u8; LEN]);

/// Bytes of the packet, wherever in it they lie.
#[inline(always)]
fn load<P: Packet, const LEN: usize>(packet: P, at: usize) -> Option<Aligned<LEN>> {
    let mut bytes = Aligned([0; LEN]);
    // SAFETY: so many bytes.
    let is_there = unsafe { packet.load_bytes(at as u32, bytes.0.as_mut_ptr().cast(), LEN as u32) };
    is_there.then_some(bytes)
}
