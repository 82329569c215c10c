//! What becomes of a verdict: counted, reported, and turned into an action.
//!
//! Denied attempts are reported ([`finish`]), and those that pass by [`Reason::is_sampled`]
//! ([`sampled`]), each as long as the CPU's allowance for them lasts. What is no attempt comes
//! through [`finish`] with a reason that is known when this is compiled, and meets none of it.

use core::hint::cold_path;

use aya_ebpf::{
    bindings::xdp_action,
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_boot_ns},
};
use netpolicy_common::{Action, CpuHead, CpuState, Event, Head, Reason, ScopeId, reason::Probe};
use netpolicy_ebpf::{Family, Load, Segment, Subject};

use crate::{hook::Packet, maps, whole::Whole};

/// `BPF_RB_NO_WAKEUP` of `linux/bpf.h`.
const NO_WAKEUP: u64 = 1;

/// This CPU's number.
#[inline(always)]
fn cpu_number() -> u32 {
    // SAFETY: takes nothing, returns a number.
    (unsafe { bpf_get_smp_processor_id() }) as u32
}

/// This CPU's element.
#[inline(always)]
pub(crate) fn cpu() -> Option<*mut CpuState> {
    maps::CPUS.get_ptr_mut(cpu_number())
}

/// This CPU's element of the head.
#[inline(always)]
pub(crate) fn cpu_head() -> *mut CpuHead {
    head_of(cpu_number())
}

/// A CPU's element of the head.
#[inline(always)]
fn head_of(cpu: u32) -> *mut CpuHead {
    // SAFETY: the index is within the array.
    unsafe { &raw mut (*maps::head()).cpus[Head::cpu(cpu)] }
}

/// See [`finish`]; the reason is that of this generation.
#[inline(always)]
pub(crate) fn judged<P: Packet>(
    packet: P,
    scope: ScopeId,
    reason: Reason,
    generation: u64,
    is_probe: bool,
) -> u32 {
    #[cfg(feature = "log")]
    aya_log_ebpf::debug!(
        &packet,
        "attempt in scope {}: reason {}",
        scope,
        reason as u8
    );
    match reason {
        // What most of a flood comes to, with all that follows from it known beforehand.
        Reason::Blocked => finish(packet, scope, Reason::Blocked, Some(generation), is_probe),
        reason if reason.is_sampled() => sampled(packet, scope, reason, generation, is_probe),
        reason => {
            let denied = reason.is_denial().then_some(generation);
            finish(packet, scope, reason, denied, is_probe)
        }
    }
}

/// Counts an attempt that passes by [`Reason::is_sampled`], and reports it while the CPU has an
/// allowance for that. Few have one where attempts are many, so the others need neither the packet
/// nor the generation once this is known.
#[inline(always)]
fn sampled<P: Packet>(
    packet: P,
    scope: ScopeId,
    reason: Reason,
    generation: u64,
    is_probe: bool,
) -> u32 {
    if is_probe {
        return Probe::new(xdp_action::XDP_PASS, reason).0;
    }
    let number = cpu_number();
    // SAFETY: as in `finish`.
    let head = unsafe { &mut *head_of(number) };
    if head.sampled != 0 {
        cold_path();
        // Counted first: what is counted and was not reported by then never will be.
        count(number, scope, reason);
        head.sampled -= 1;
        packet.report(u32::from(scope) << 8 | reason as u32, generation);
        return P::PASS;
    }
    count(number, scope, reason);
    P::PASS
}

/// Counts a packet.
#[inline(always)]
fn count(cpu: u32, scope: ScopeId, reason: Reason) {
    if let Some(cpu) = maps::CPUS.get_ptr_mut(cpu) {
        // SAFETY: as in `finish`.
        unsafe { (*cpu).packets[CpuState::row(scope, reason)] += 1 };
    }
}

/// As [`judged`], of a denial that is answered.
#[inline(always)]
pub(crate) fn answered<P: Packet>(
    packet: P,
    scope: ScopeId,
    reason: Reason,
    generation: u64,
    is_probe: bool,
) -> u32 {
    if is_probe {
        return finish(packet, scope, reason, Some(generation), true);
    }
    packet.answer(u32::from(scope) << 8 | reason as u32, generation)
}

/// Counts, reports a denial by the generation `denied`, and turns the reason into the
/// action. `is_probe`: it only says what it found.
#[inline(always)]
pub(crate) fn finish<P: Packet>(
    packet: P,
    scope: ScopeId,
    reason: Reason,
    denied: Option<u64>,
    is_probe: bool,
) -> u32 {
    if is_probe {
        let action = match reason.action() {
            Action::Pass => xdp_action::XDP_PASS,
            Action::Drop => xdp_action::XDP_DROP,
        };
        return Probe::new(action, reason).0;
    }
    let action = match reason.action() {
        Action::Pass => P::PASS,
        Action::Drop => P::DROP,
    };
    let Some(cpu) = cpu() else {
        return action;
    };
    // SAFETY: this CPU's own elements, and neither hook preempts the other or itself on a CPU.
    unsafe {
        (*cpu).packets[CpuState::row(scope, reason)] += 1;
        if let Some(generation) = denied {
            let head = cpu_head();
            if (*head).allowance == 0 {
                (*cpu).events.limited += 1;
            } else {
                (*head).allowance -= 1;
                let verdict = u32::from(scope) << 8 | reason as u32;
                if packet.report(verdict, generation) == 0 {
                    (*cpu).events.overflowed += 1;
                } else {
                    (*cpu).events.sent += 1;
                }
            }
        }
    }
    action
}

/// Writes an event, if the ring buffer has room: 1, else 0. `verdict` is the reason, and
/// above its 8 bits the scope. Apart from what each packet goes through; it looks at the
/// packet once more.
#[inline(always)]
pub(crate) fn report<P: Packet>(packet: P, verdict: u32, generation: u64) -> u32 {
    let Segment::Judge(subject) = Segment::unpack(packet.walk()) else {
        return 0;
    };
    let Some(mut entry) = maps::EVENTS.reserve(0) else {
        return 0;
    };
    let Subject {
        addresses, ports, ..
    } = subject;
    let event = entry.write(Event {
        // SAFETY: takes nothing, returns a number.
        time_ns: unsafe { bpf_ktime_get_boot_ns() },
        generation,
        source: [0; 16],
        destination: [0; 16],
        ifindex: packet.interface(),
        source_port: ports.source,
        destination_port: ports.destination,
        scope: (verdict >> 8) as u16,
        reason: verdict as u8,
        family: match addresses.family {
            Family::V4 => 4,
            Family::V6 => 6,
        },
        reserved: [0; 4],
    });
    let frame = Whole::of(packet);
    match addresses.family {
        Family::V4 => {
            if let Some(both) = frame.load::<8>(addresses.at) {
                event.source[..4].copy_from_slice(&both[..4]);
                event.destination[..4].copy_from_slice(&both[4..]);
            }
        }
        Family::V6 => {
            if let Some(both) = frame.load::<32>(addresses.at) {
                event.source.copy_from_slice(&both[..16]);
                event.destination.copy_from_slice(&both[16..]);
            }
        }
    }
    // The reader comes by anyway: waking it for each event would cost more than the event.
    entry.submit(NO_WAKEUP);
    1
}
