//! Entry point: parse, judge, count, report.

use core::cell::Cell;

use aya_ebpf::{
    bindings::{xdp_action, xdp_md},
    btf_maps::{LpmTrie, lpm_trie::Key},
    helpers::{
        bpf_ktime_get_boot_ns,
        generated::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    },
    macros::xdp,
    programs::XdpContext,
};
use netpolicy_common::{
    Action, Control, Event, FAILSAFE_SCOPE, HOST_SCOPE, MAX_SCOPES, PROBE_IFINDEX, Reason,
    SCOPE_BITS, ScopeId, flat::Code, key, reason::Probe, slot_of,
};
use netpolicy_ebpf::{Bytes, Family, Lists, Segment, Subject, judge, judge_unclassified, parse};

use crate::{arena, maps};

/// The frame's linear part: `[start, end)` in memory.
struct Frame {
    ctx: *mut xdp_md,
    start: usize,
    end: usize,
    /// Whether something was asked for that is not in it.
    ran_out: Cell<bool>,
}

/// A frame, or the part of it that is looked at.
trait View: Bytes {
    /// Whether what was asked for may be in the part that is not looked at.
    fn is_not_all(&self) -> bool;
}

impl View for Frame {
    #[inline(always)]
    fn is_not_all(&self) -> bool {
        // SAFETY: our own context.
        self.ran_out.get()
            && unsafe { bpf_xdp_get_buff_len(self.ctx) } > (self.end - self.start) as u64
    }
}

/// A whole frame, of however many buffers, read by calls of the kernel. Some drivers
/// put nothing, or not all headers, into the linear part of a multi-buffer frame (mlx5
/// with striding receive queues).
struct WholeFrame(*mut xdp_md);

impl View for WholeFrame {
    #[inline(always)]
    fn is_not_all(&self) -> bool {
        false
    }
}

impl Bytes for WholeFrame {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if offset > MAX_OFFSET {
            return None;
        }
        let mut bytes = [0; N];
        let (from, len) = (offset as u32, N as u32);
        // SAFETY: our own context, and `N` bytes to write to.
        let failed = unsafe { bpf_xdp_load_bytes(self.0, from, bytes.as_mut_ptr().cast(), len) };
        (failed == 0).then_some(bytes)
    }
}

/// Offsets beyond this are not read: the verifier wants a bound, and no chain of
/// headers that the parser walks reaches it.
const MAX_OFFSET: usize = 0x4fff;

impl Bytes for Frame {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if offset > MAX_OFFSET {
            return None;
        }
        let at = self.start + offset;
        if at + N > self.end {
            self.ran_out.set(true);
            return None;
        }
        // SAFETY: `start..end` is the packet that the kernel gave us, and the `N`
        // bytes at `at` end within it (checked above, and again by the verifier).
        // Byte arrays need no alignment.
        Some(unsafe { *(at as *const [u8; N]) })
    }
}

/// A source address, its lists in one slot, and its bypasses.
trait Source: Lists {
    /// Whether a bypass of this very scope is live at `now`, in nanoseconds since boot.
    fn bypass_lives(&self, scope: ScopeId, now: u64) -> bool;
}

macro_rules! source {
    ($name:ident, $bytes:literal, $key:path, $words:path, $block:ident, $allow:ident, $bypass:ident) => {
        struct $name {
            slot: u32,
            address: [u8; $bytes],
        }

        impl $name {
            #[inline(always)]
            fn key(&self, scope: ScopeId) -> Key<[u8; $bytes + 4]> {
                Key::new(SCOPE_BITS + 8 * $bytes, $key(scope, self.address))
            }
        }

        impl Lists for $name {
            #[inline(always)]
            fn listed(&self, scope: ScopeId, only: bool) -> Code {
                if maps::engine_is_flat() {
                    let (high, low) = $words(&self.address);
                    return arena::listed(self.slot, scope, $bytes == 16, high, low);
                }
                let key = self.key(scope);
                let holds =
                    |trie: &LpmTrie<_, u8, { maps::TRIE_ENTRIES }>| trie.get(&key).is_some();
                if maps::$block.get(self.slot).is_some_and(holds) {
                    Code::Blocked
                } else if only && maps::$allow.get(self.slot).is_some_and(holds) {
                    Code::Allowed
                } else {
                    Code::Neither
                }
            }
        }

        impl Source for $name {
            #[inline(always)]
            fn bypass_lives(&self, scope: ScopeId, now: u64) -> bool {
                maps::$bypass
                    .get(&self.key(scope))
                    .is_some_and(|expiry| now < u64::from_ne_bytes(*expiry))
            }
        }
    };
}

source!(
    SourceV4,
    4,
    key::v4,
    words_v4,
    BLOCK_V4,
    ALLOW_V4,
    BYPASS_V4
);
source!(
    SourceV6,
    16,
    key::v6,
    words_v6,
    BLOCK_V6,
    ALLOW_V6,
    BYPASS_V6
);

/// An address left aligned in two words.
#[inline(always)]
fn words_v4(address: &[u8; 4]) -> (u64, u64) {
    (u64::from(u32::from_be_bytes(*address)) << 32, 0)
}

/// An address in two words.
#[inline(always)]
fn words_v6(address: &[u8; 16]) -> (u64, u64) {
    let [a, b, c, d, e, f, g, h, low @ ..] = *address;
    (
        u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        u64::from_be_bytes(low),
    )
}

/// What [`filter`] answers when it needs the whole frame: neither an action nor what a
/// probe is told.
const NOT_ALL: u32 = u32::MAX;

#[xdp(frags)]
pub(crate) fn netpolicy(ctx: XdpContext) -> u32 {
    let frame = Frame {
        ctx: ctx.ctx,
        start: ctx.data(),
        end: ctx.data_end(),
        ran_out: Cell::new(false),
    };
    match filter(&ctx, &frame) {
        NOT_ALL => netpolicy_whole(ctx.ctx),
        answer => answer,
    }
}

/// By the whole frame. A function of its own, which has a stack of its own.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn netpolicy_whole(ctx: *mut xdp_md) -> u32 {
    filter(&XdpContext::new(ctx), &WholeFrame(ctx))
}

/// The way of a frame, in the kernel's manner: its action, or what a probe is told.
#[inline(always)]
fn filter<V: View>(ctx: &XdpContext, frame: &V) -> u32 {
    let parsed = parse(frame);
    if frame.is_not_all() {
        return NOT_ALL;
    }
    let subject = match parsed {
        Segment::Pass(reason) => return finish(ctx, HOST_SCOPE, reason),
        Segment::Judge(subject) => subject,
    };
    // Read once: everything below belongs to this generation.
    let control = control();
    let slot = slot_of(control.generation);
    let (scope, reason) = match subject.addresses.family {
        Family::V4 => match frame.read(subject.addresses.at) {
            Some(address) => decide(&SourceV4 { slot, address }, &control, subject),
            None => (HOST_SCOPE, Reason::Malformed),
        },
        Family::V6 => match frame.read(subject.addresses.at) {
            Some(address) => decide(&SourceV6 { slot, address }, &control, subject),
            None => (HOST_SCOPE, Reason::Malformed),
        },
    };
    #[cfg(feature = "log")]
    aya_log_ebpf::debug!(ctx, "attempt in scope {}: reason {}", scope, reason as u8);
    if reason.is_denial() && !is_probe(ctx) {
        report(ctx, frame, subject, scope, reason, control.generation);
    }
    finish(ctx, scope, reason)
}

/// Failsafe port, service of the port, bypass, lists: in this order.
#[inline(always)]
fn decide<S: Source>(source: &S, control: &Control, subject: Subject) -> (ScopeId, Reason) {
    let slot = slot_of(control.generation);
    let port = bounded(subject.ports.destination);
    let scope = maps::PORTS
        .get(slot)
        .map_or(HOST_SCOPE, |table| table.scope[port]);
    if scope == FAILSAFE_SCOPE {
        return (HOST_SCOPE, Reason::Failsafe);
    }
    if bypassed(source, control, scope) {
        return (scope, Reason::Bypass);
    }
    let config = maps::SCOPES
        .get(slot * MAX_SCOPES + u32::from(scope))
        .copied()
        .unwrap_or_default();
    let reason = if subject.is_attempt {
        judge(source, config, scope)
    } else {
        judge_unclassified(source, config)
    };
    (scope, reason)
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
fn control() -> Control {
    match maps::CONTROL.get_ptr(0) {
        // SAFETY: the map's one element; userspace stores each field as one word.
        Some(control) => unsafe {
            Control {
                generation: core::ptr::read_volatile(&raw const (*control).generation),
                bypasses: core::ptr::read_volatile(&raw const (*control).bypasses),
            }
        },
        None => Control {
            generation: 0,
            bypasses: 0,
        },
    }
}

/// Whether userspace asks what the program would do; see [`PROBE_IFINDEX`].
#[inline(always)]
fn is_probe(ctx: &XdpContext) -> bool {
    ctx.ingress_ifindex() as u32 == PROBE_IFINDEX
}

/// Counts, and turns the reason into the action.
#[inline(always)]
fn finish(ctx: &XdpContext, scope: ScopeId, reason: Reason) -> u32 {
    let action = match reason.action() {
        Action::Pass => xdp_action::XDP_PASS,
        Action::Drop => xdp_action::XDP_DROP,
    };
    if is_probe(ctx) {
        return Probe::new(action, reason).0;
    }
    let row = u32::from(scope) * Reason::SLOTS + reason as u32;
    if let Some(counter) = maps::COUNTERS.get_ptr_mut(row) {
        // SAFETY: this CPU's own element, and XDP does not preempt XDP on a CPU.
        unsafe { *counter += 1 };
    }
    action
}

/// Writes an event, if this CPU's allowance and the ring buffer's room permit.
#[inline(always)]
fn report<V: View>(
    ctx: &XdpContext,
    frame: &V,
    subject: Subject,
    scope: ScopeId,
    reason: Reason,
    generation: u64,
) {
    let (Some(allowance), Some(stats)) = (
        maps::EVENT_ALLOWANCE.get_ptr_mut(0),
        maps::EVENT_STATS.get_ptr_mut(0),
    ) else {
        return;
    };
    // SAFETY: this CPU's own elements, as in `finish`; so also below.
    unsafe {
        if *allowance == 0 {
            (*stats).limited += 1;
            return;
        }
        *allowance -= 1;
    }
    let Some(mut entry) = maps::EVENTS.reserve(0) else {
        // SAFETY: as above.
        unsafe { (*stats).overflowed += 1 };
        return;
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
        scope,
        reason: reason as u8,
        family: match addresses.family {
            Family::V4 => 4,
            Family::V6 => 6,
        },
        reserved: [0; 4],
    });
    match addresses.family {
        Family::V4 => {
            if let Some([a, b, c, d, e, f, g, h]) = frame.read(addresses.at) {
                event.source = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                event.destination = [e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            }
        }
        Family::V6 => {
            if let Some(source) = frame.read(addresses.at) {
                event.source = source;
            }
            if let Some(destination) = frame.read(addresses.at + 16) {
                event.destination = destination;
            }
        }
    }
    entry.submit(0);
    // SAFETY: as above.
    unsafe { (*stats).sent += 1 };
}
