//! Entry point: parse, judge, count, report.

use aya_ebpf::{
    bindings::{xdp_action, xdp_md},
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_boot_ns},
    macros::xdp,
    programs::XdpContext,
};
use netpolicy_common::{
    Action, Control, CpuHead, CpuState, Event, FAILSAFE_SCOPE, HOST_SCOPE, Head, MAX_SCOPES,
    Reason, ScopeConfig, ScopeFlags, ScopeId, SlotHead, list_slot_of, reason::Probe, slot_of,
};
use netpolicy_ebpf::{
    Bytes, Family, Plain, Segment, Subject, enforced, judge, parse, parse_plain, unclassified,
};

use crate::{
    frame::Frame,
    maps,
    source::{FlatLists, FlatV4, FlatV6, Source, SourceV4, SourceV6},
};

#[xdp(frags)]
pub(crate) fn netpolicy(ctx: XdpContext) -> u32 {
    let found = parse_plain(
        &Frame::of(&ctx),
        |source, port| attempt(&ctx, &FlatV4(source), port),
        |(high, low), port| attempt(&ctx, &FlatV6 { high, low }, port),
    );
    match found {
        Plain::Attempt(action) => action,
        Plain::Established => finish(&ctx, HOST_SCOPE, Reason::Established, None),
        Plain::Other => unusual(ctx.ctx),
    }
}

/// A plain connection attempt to this port: what a flood is made of, so nothing is here
/// that hardly any packet needs.
#[inline(always)]
fn attempt<L: FlatLists>(ctx: &XdpContext, lists: &L, port: u16) -> u32 {
    let Some(head) = head() else {
        return finish(ctx, HOST_SCOPE, Reason::NoPolicy, None);
    };
    let Control {
        generation,
        bypasses,
    } = control(head);
    if bypasses != 0 {
        return unusual(ctx.ctx);
    }
    let slot = slot_head(head, generation);
    if slot.host_ports.holds(port) {
        // What a flood comes to, in as few instructions as there can be: beside long lists they
        // decide whether the processor begins with the next packet while it waits for a line
        // of this one's.
        if lists.is_blocked_host(&slot.host) {
            // SAFETY: as in `finish`.
            let cpu = unsafe { &mut *cpu_head(head) };
            if cpu.allowance == 0 && !maps::is_probe() {
                cpu.blocked += 1;
                return xdp_action::XDP_DROP;
            }
            return finish(ctx, HOST_SCOPE, Reason::Blocked, Some(generation));
        }
        let only = || slot.host.flags.has(ScopeFlags::OWN_ONLY);
        let reason = enforced(lists.otherwise(&slot.host, only), only);
        return judged(ctx, HOST_SCOPE, reason, generation);
    }
    if !maps::engine_is_flat() {
        return unusual(ctx.ctx);
    }
    let (scope, reason) = match govern(generation, port) {
        // The host's configuration is found anew: kept, it would be written to memory and
        // read again around each call.
        Ok((scope, config)) => (scope, judge(lists, config, || host(generation), scope)),
        Err(reason) => (HOST_SCOPE, reason),
    };
    judged(ctx, scope, reason, generation)
}

/// All other packets, and all while somebody has a bypass, or the LPM engine was chosen. A
/// global function (Documentation/bpf: `BTF_FUNC_GLOBAL`), so that its variables are none
/// of the others'.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn unusual(ctx: *mut xdp_md) -> u32 {
    let subject = match Segment::unpack(walk(ctx)) {
        Segment::Pass(reason) => {
            return finish(&XdpContext::new(ctx), HOST_SCOPE, reason, None);
        }
        Segment::Judge(subject) => subject,
    };
    let ctx = XdpContext::new(ctx);
    let frame = Frame::of(&ctx);
    let at = subject.addresses.at;
    let Some(head) = head() else {
        return finish(&ctx, HOST_SCOPE, Reason::NoPolicy, None);
    };
    let control = control(head);
    let host = &slot_head(head, control.generation).host;
    let (scope, reason) = match subject.addresses.family {
        Family::V4 => match frame.read(at) {
            Some(address) => decide::<SourceV4>(*address, host, &control, subject),
            None => (HOST_SCOPE, Reason::Malformed),
        },
        Family::V6 => match frame.read(at) {
            Some(address) => decide::<SourceV6>(*address, host, &control, subject),
            None => (HOST_SCOPE, Reason::Malformed),
        },
    };
    judged(&ctx, scope, reason, control.generation)
}

/// [`parse`], where the verifier walks it once: a global function (Documentation/bpf:
/// `BTF_FUNC_GLOBAL`), which returns a number.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk(ctx: *mut xdp_md) -> u64 {
    parse(&Frame::of(&XdpContext::new(ctx))).pack()
}

/// Failsafe port, service of the port, bypass, lists: in this order.
#[inline(always)]
fn decide<S: Source>(
    address: S::Address,
    host: &ScopeConfig,
    control: &Control,
    subject: Subject,
) -> (ScopeId, Reason) {
    let generation = control.generation;
    let source = S::new(address, list_slot_of(slot_of(generation)));
    let (scope, config) = match govern(generation, subject.ports.destination) {
        Ok(governing) => governing,
        Err(reason) => return (HOST_SCOPE, reason),
    };
    if bypassed(&source, control, scope) {
        return (scope, Reason::Bypass);
    }
    let reason = judge(&source, config, || Some(host), scope);
    if subject.is_attempt {
        (scope, reason)
    } else {
        (scope, unclassified(reason))
    }
}

/// The scope of a port, and its configuration; or why nothing is judged there.
#[inline(always)]
fn govern<'a>(generation: u64, port: u16) -> Result<(ScopeId, &'a ScopeConfig), Reason> {
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

/// A bypass of the host exempts from everything on it, one of a service from that.
#[inline(always)]
fn bypassed<S: Source>(source: &S, control: &Control, scope: ScopeId) -> bool {
    if control.bypasses == 0 {
        return false;
    }
    // SAFETY: takes nothing, returns a number.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    source.bypass_lives(scope, now) || (scope != HOST_SCOPE && source.bypass_lives(HOST_SCOPE, now))
}

#[inline(always)]
fn head() -> Option<*mut Head> {
    maps::CONTROL.get_ptr_mut(0)
}

/// Read once: all that is said of a packet belongs to this generation.
#[inline(always)]
fn control(head: *mut Head) -> Control {
    // SAFETY: the map's one element; userspace stores each field as one word.
    unsafe {
        Control {
            generation: core::ptr::read_volatile(&raw const (*head).control.generation),
            bypasses: core::ptr::read_volatile(&raw const (*head).control.bypasses),
        }
    }
}

/// What most packets need of a generation's slot.
#[inline(always)]
fn slot_head<'a>(head: *mut Head, generation: u64) -> &'a SlotHead {
    // SAFETY: the map's one element, which lives as long as the program. Userspace does not
    // write the slot in force.
    unsafe { &*(&raw const (*head).slots[slot_of(generation) as usize]) }
}

/// The host's configuration in a generation.
#[inline(always)]
fn host<'a>(generation: u64) -> Option<&'a ScopeConfig> {
    Some(&slot_head(head()?, generation).host)
}

/// This CPU's element.
#[inline(always)]
fn cpu() -> Option<*mut CpuState> {
    // SAFETY: takes nothing, returns a number.
    maps::CPUS.get_ptr_mut(unsafe { bpf_get_smp_processor_id() } as u32)
}

/// This CPU's element of the head.
#[inline(always)]
fn cpu_head(head: *mut Head) -> *mut CpuHead {
    // SAFETY: takes nothing, returns a number.
    let cpu = unsafe { bpf_get_smp_processor_id() } as u32;
    // SAFETY: the map's one element; the index is within the array.
    unsafe { &raw mut (*head).cpus[Head::cpu(cpu)] }
}

/// See [`finish`]; the reason is that of this generation.
#[inline(always)]
fn judged(ctx: &XdpContext, scope: ScopeId, reason: Reason, generation: u64) -> u32 {
    #[cfg(feature = "log")]
    aya_log_ebpf::debug!(ctx, "attempt in scope {}: reason {}", scope, reason as u8);
    match reason {
        // What most of a flood comes to, with all that follows from it known beforehand.
        Reason::Blocked => finish(ctx, scope, Reason::Blocked, Some(generation)),
        reason => finish(ctx, scope, reason, reason.is_denial().then_some(generation)),
    }
}

/// Counts, reports a denial by the generation `denied`, and turns the reason into the
/// action.
#[inline(always)]
fn finish(ctx: &XdpContext, scope: ScopeId, reason: Reason, denied: Option<u64>) -> u32 {
    let action = match reason.action() {
        Action::Pass => xdp_action::XDP_PASS,
        Action::Drop => xdp_action::XDP_DROP,
    };
    if maps::is_probe() {
        return Probe::new(action, reason).0;
    }
    let Some(cpu) = cpu() else {
        return action;
    };
    // SAFETY: this CPU's own elements, and XDP does not preempt XDP on a CPU.
    unsafe {
        (*cpu).packets[CpuState::row(scope, reason)] += 1;
        if let Some(generation) = denied
            && let Some(head) = head()
        {
            let head = cpu_head(head);
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
    let frame = Frame::of(&ctx);
    match addresses.family {
        Family::V4 => {
            if let Some(both) = frame.read::<8>(addresses.at) {
                event.source[..4].copy_from_slice(&both[..4]);
                event.destination[..4].copy_from_slice(&both[4..]);
            }
        }
        Family::V6 => {
            if let Some(both) = frame.read::<32>(addresses.at) {
                event.source.copy_from_slice(&both[..16]);
                event.destination.copy_from_slice(&both[16..]);
            }
        }
    }
    entry.submit(0);
    1
}
