//! Entry points and the fast path: parse, judge, count, report.

use core::hint::cold_path;

use aya_ebpf::{
    bindings::{xdp_action, xdp_md},
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_boot_ns},
    macros::xdp,
    programs::XdpContext,
};
use netpolicy_common::{
    Action, Control, CpuHead, CpuState, Event, FAILSAFE_SCOPE, HOST_SCOPE, Head, MAX_SCOPES,
    Reason, ScopeConfig, ScopeFlags, ScopeId, SlotHead, reason::Probe, slot_of,
};
use netpolicy_ebpf::{Family, Load, Plain, Segment, Subject, enforced, judge, parse_plain};

use crate::{
    flat::{FlatSource, FlatV4, FlatV6},
    frame::Frame,
    maps,
    slow::{slow_path, walk},
    whole::Whole,
};

/// The program at interfaces.
#[xdp(frags)]
pub(crate) fn netpolicy(ctx: XdpContext) -> u32 {
    filter::<false>(&ctx)
}

/// The program at interfaces without a link-layer header: what comes in there has gone through a
/// tunnel, so the fast path would gain little.
#[xdp(frags)]
pub(crate) fn netpolicy_ip(ctx: XdpContext) -> u32 {
    slow_path(ctx.ctx)
}

/// The program that is asked: the same, but what it finds is neither counted nor reported.
#[xdp(frags)]
pub(crate) fn netpolicy_probe(ctx: XdpContext) -> u32 {
    filter::<true>(&ctx)
}

#[inline(always)]
fn filter<const IS_PROBE: bool>(ctx: &XdpContext) -> u32 {
    let found = parse_plain(
        &Frame::of(ctx),
        |source, low_port| attempt::<_, IS_PROBE>(ctx, &FlatV4(source), low_port),
        |(high, low), low_port| attempt::<_, IS_PROBE>(ctx, &FlatV6 { high, low }, low_port),
    );
    match found {
        Plain::Attempt(action) => action,
        Plain::Established => finish(ctx, HOST_SCOPE, Reason::Established, None, IS_PROBE),
        Plain::Other => slow_path(ctx.ctx),
    }
}

/// A plain connection attempt to a port with this lower byte: what a flood is made of, so
/// nothing is here that hardly any packet needs.
#[inline(always)]
fn attempt<L: FlatSource, const IS_PROBE: bool>(ctx: &XdpContext, lists: &L, low_port: u8) -> u32 {
    let Control {
        generation,
        bypasses,
    } = control();
    if bypasses != 0 {
        return slow_path(ctx.ctx);
    }
    let slot = slot_head(generation);
    if slot.host_ports.holds(low_port) {
        // What a flood comes to, in as few instructions as there can be: beside long lists they
        // decide whether the processor begins with the next packet while it waits for a line
        // of this one's.
        let kept = Kept(ctx.ctx);
        if lists.is_blocked_host(&slot.host) {
            // SAFETY: as in `finish`.
            let cpu = unsafe { &mut *cpu_head() };
            if !IS_PROBE && cpu.allowance == 0 {
                cpu.blocked += 1;
                return xdp_action::XDP_DROP;
            }
            cold_path();
            let ctx = &kept.take();
            return finish(ctx, HOST_SCOPE, Reason::Blocked, Some(generation), IS_PROBE);
        }
        cold_path();
        let ctx = &kept.take();
        // The address is read anew, as what is forgotten is computed anew.
        let Some(lists) = L::again(&Frame::of(ctx)) else {
            return slow_path(ctx.ctx);
        };
        let host = &slot_head(forgotten(generation)).host;
        let only = || host.flags.has(ScopeFlags::OWN_ONLY);
        let reason = enforced(lists.otherwise(host, only), only);
        return judged(ctx, HOST_SCOPE, reason, generation, IS_PROBE);
    }
    cold_path();
    if !maps::engine_is_flat() {
        return slow_path(ctx.ctx);
    }
    let Some(port) = L::port(&Frame::of(ctx)) else {
        return slow_path(ctx.ctx);
    };
    let (scope, reason) = match govern(generation, port) {
        Ok((scope, config)) => {
            let host = || &slot_head(forgotten(generation)).host;
            (scope, judge(lists, config, host, scope))
        }
        Err(reason) => (HOST_SCOPE, reason),
    };
    judged(ctx, scope, reason, generation, IS_PROBE)
}

/// The packet, written to memory at once, from where whoever needs it takes it: the compiler
/// would carry it around look-ups from one register to the other.
struct Kept(*mut xdp_md);

impl Kept {
    #[inline(always)]
    fn take(&self) -> XdpContext {
        // SAFETY: a local variable; volatile, so that it is one.
        XdpContext::new(unsafe { core::ptr::read_volatile(&raw const self.0) })
    }
}

/// The same number, of which the compiler does not know that it is: so it computes anew what
/// depends on it. Kept, that would be written to memory and read again around each call.
#[inline(always)]
pub(crate) fn forgotten(number: u64) -> u64 {
    let mut number = number;
    // An instruction, though it does nothing: the kernel takes none for two lines of source.
    // SAFETY: changes nothing.
    unsafe { core::arch::asm!("{0} = {0}", inout(reg) number, options(pure, nomem, nostack)) };
    number
}

/// The scope of a port, and its configuration; or why nothing is judged there.
#[inline(always)]
pub(crate) fn govern<'a>(generation: u64, port: u16) -> Result<(ScopeId, &'a ScopeConfig), Reason> {
    let governance = maps::GOVERNANCE
        .get(slot_of(generation))
        .ok_or(Reason::NoPolicy)?;
    match governance.scope_of_port[bounded(port)] {
        FAILSAFE_SCOPE => Err(Reason::Failsafe),
        scope => {
            let config = &governance.scopes[usize::from(scope) % MAX_SCOPES as usize];
            Ok((scope, config))
        }
    }
}

/// An index of 16 bits, to the verifier too: before Linux 6.10 it knows nothing of a
/// number put together from bytes, but how large one is that was loaded from memory.
#[inline(always)]
fn bounded(index: u16) -> usize {
    // SAFETY: a local variable; volatile, since the compiler knows the bounds anyway.
    usize::from(unsafe { core::ptr::read_volatile(&raw const index) })
}

/// Read once: all that is said of a packet belongs to this generation.
#[inline(always)]
pub(crate) fn control() -> Control {
    let head = maps::head();
    // SAFETY: userspace stores each field as one word.
    unsafe {
        Control {
            generation: core::ptr::read_volatile(&raw const (*head).control.generation),
            bypasses: core::ptr::read_volatile(&raw const (*head).control.bypasses),
        }
    }
}

/// What most packets need of a generation's slot.
#[inline(always)]
pub(crate) fn slot_head<'a>(generation: u64) -> &'a SlotHead {
    // SAFETY: it lives as long as the program. Userspace does not write the slot in force.
    unsafe { &*(&raw const (*maps::head()).slots[slot_of(generation) as usize]) }
}

/// This CPU's element.
#[inline(always)]
fn cpu() -> Option<*mut CpuState> {
    // SAFETY: takes nothing, returns a number.
    maps::CPUS.get_ptr_mut(unsafe { bpf_get_smp_processor_id() } as u32)
}

/// This CPU's element of the head.
#[inline(always)]
fn cpu_head() -> *mut CpuHead {
    // SAFETY: takes nothing, returns a number.
    let cpu = unsafe { bpf_get_smp_processor_id() } as u32;
    // SAFETY: the index is within the array.
    unsafe { &raw mut (*maps::head()).cpus[Head::cpu(cpu)] }
}

/// See [`finish`]; the reason is that of this generation.
#[inline(always)]
pub(crate) fn judged(
    ctx: &XdpContext,
    scope: ScopeId,
    reason: Reason,
    generation: u64,
    is_probe: bool,
) -> u32 {
    #[cfg(feature = "log")]
    aya_log_ebpf::debug!(ctx, "attempt in scope {}: reason {}", scope, reason as u8);
    match reason {
        // What most of a flood comes to, with all that follows from it known beforehand.
        Reason::Blocked => finish(ctx, scope, Reason::Blocked, Some(generation), is_probe),
        reason => {
            let denied = reason.is_denial().then_some(generation);
            finish(ctx, scope, reason, denied, is_probe)
        }
    }
}

/// Counts, reports a denial by the generation `denied`, and turns the reason into the
/// action. `is_probe`: it only says what it found.
#[inline(always)]
pub(crate) fn finish(
    ctx: &XdpContext,
    scope: ScopeId,
    reason: Reason,
    denied: Option<u64>,
    is_probe: bool,
) -> u32 {
    let action = match reason.action() {
        Action::Pass => xdp_action::XDP_PASS,
        Action::Drop => xdp_action::XDP_DROP,
    };
    if is_probe {
        return Probe::new(action, reason).0;
    }
    let Some(cpu) = cpu() else {
        return action;
    };
    // SAFETY: this CPU's own elements, and XDP does not preempt XDP on a CPU.
    unsafe {
        (*cpu).packets[CpuState::row(scope, reason)] += 1;
        if let Some(generation) = denied {
            let head = cpu_head();
            if (*head).allowance == 0 {
                (*cpu).events.limited += 1;
            } else {
                (*head).allowance -= 1;
                let verdict = u32::from(scope) << 8 | reason as u32;
                if report(ctx.ctx, verdict, generation) == 0 {
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
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn report(ctx: *mut xdp_md, verdict: u32, generation: u64) -> u32 {
    let Segment::Judge(subject) = Segment::unpack(walk(ctx)) else {
        return 0;
    };
    let ctx = XdpContext::new(ctx);
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
        ifindex: ctx.ingress_ifindex() as u32,
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
    let frame = Whole::of(&ctx);
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
    entry.submit(0);
    1
}
