//! Entry points and the fast path.

use core::hint::cold_path;

use aya_ebpf::{
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use netpolicy_common::{Control, HOST_SCOPE, Listing, Overrides, Reason, ScopeFlags};
use netpolicy_ebpf::{Judged, Plain, enforced, judge, parse_plain};

use crate::{
    banned::{is_banned_host, is_in_banned_network},
    flat::{First, FlatSource, FlatV4, FlatV6, first},
    hook::{Calls as _, Packet, Tc, Xdp},
    maps,
    outcome::{answered, cpu_head, finish, judged},
    ruleset::{control, govern, slot_head},
    slow::Verdict,
};

/// The program at interfaces.
#[xdp(frags)]
pub(crate) fn netpolicy(ctx: XdpContext) -> u32 {
    filter::<_, false>(Xdp(ctx.ctx))
}

/// The program at interfaces without a link-layer header: what comes in there has gone through a
/// tunnel, so the fast path would gain little.
#[xdp(frags)]
pub(crate) fn netpolicy_ip(ctx: XdpContext) -> u32 {
    Xdp(ctx.ctx).slow_path()
}

/// The program that is asked: the same, but what it finds is neither counted nor reported.
#[xdp(frags)]
pub(crate) fn netpolicy_probe(ctx: XdpContext) -> u32 {
    filter::<_, true>(Xdp(ctx.ctx))
}

/// As [`netpolicy`], at tc ingress.
#[classifier]
pub(crate) fn netpolicy_tc(ctx: TcContext) -> i32 {
    filter::<_, false>(Tc(ctx.skb.skb)) as i32
}

/// As [`netpolicy_ip`], at tc ingress.
#[classifier]
pub(crate) fn netpolicy_tc_ip(ctx: TcContext) -> i32 {
    Tc(ctx.skb.skb).slow_path() as i32
}

/// As [`netpolicy_probe`], at tc ingress.
#[classifier]
pub(crate) fn netpolicy_tc_probe(ctx: TcContext) -> i32 {
    filter::<_, true>(Tc(ctx.skb.skb)) as i32
}

#[inline(always)]
fn filter<P: Packet, const IS_PROBE: bool>(packet: P) -> u32 {
    let found = parse_plain(
        &packet.linear(),
        |source, low_port| attempt::<_, _, IS_PROBE>(packet, &FlatV4(source), low_port),
        |(high, low), low_port| attempt::<_, _, IS_PROBE>(packet, &FlatV6 { high, low }, low_port),
    );
    match found {
        Plain::Attempt(action) => action,
        Plain::Established => finish(packet, HOST_SCOPE, Reason::Established, None, IS_PROBE),
        Plain::Other => packet.slow_path(),
    }
}

/// A plain connection attempt to a port with this lower byte: what a flood is made of, so
/// nothing is here that only few packets need.
#[inline(always)]
fn attempt<P: Packet, L: FlatSource, const IS_PROBE: bool>(
    packet: P,
    lists: &L,
    low_port: u8,
) -> u32 {
    let Control {
        generation,
        overrides,
    } = control();
    if overrides.any() {
        cold_path();
        return overridden::<_, _, IS_PROBE>(packet, lists, low_port, generation, overrides);
    }
    let slot = slot_head(generation);
    if slot.host_ports.holds(low_port) {
        // The path of a flood, in as few instructions as possible: with long lists they
        // decide whether the processor begins with the next packet while it waits for a line
        // of this one's.
        let kept = Kept(packet);
        let found = first(lists, &slot.host);
        if found == First::Blocked {
            // SAFETY: as in `finish`.
            let cpu = unsafe { &mut *cpu_head() };
            if !IS_PROBE && cpu.allowance == 0 {
                cpu.blocked += 1;
                return P::DROP;
            }
            cold_path();
            let packet = kept.take();
            return finish(
                packet,
                HOST_SCOPE,
                Reason::Blocked,
                Some(generation),
                IS_PROBE,
            );
        }
        cold_path();
        let packet = kept.take();
        if found == First::Absent {
            let host = &slot_head(opaque(generation)).host;
            let only = || host.flags.has(ScopeFlags::OWN_ONLY);
            let reason = enforced(Listing::Neither, only);
            return judged(packet, HOST_SCOPE, reason, generation, IS_PROBE);
        }
        // The address is read again, and what depends on an opaque value is computed again.
        let Some(lists) = L::again(&packet.linear()) else {
            return packet.slow_path();
        };
        let host = &slot_head(opaque(generation)).host;
        let only = || host.flags.has(ScopeFlags::OWN_ONLY);
        let reason = enforced(lists.otherwise(host, only), only);
        return judged(packet, HOST_SCOPE, reason, generation, IS_PROBE);
    }
    cold_path();
    if !maps::engine_is_flat() {
        return packet.slow_path();
    }
    let Some(port) = L::port(&packet.linear()) else {
        return packet.slow_path();
    };
    let (scope, found) = match govern(generation, port) {
        Ok((scope, config)) => {
            let host = || &slot_head(opaque(generation)).host;
            (scope, judge(lists, config, host, scope))
        }
        Err(reason) => (HOST_SCOPE, Judged::Quietly(reason)),
    };
    match found {
        Judged::Quietly(reason) => judged(packet, scope, reason, generation, IS_PROBE),
        Judged::Answered(reason) => {
            cold_path();
            answered(packet, scope, reason, generation, IS_PROBE)
        }
    }
}

/// The same while there are bypasses or bans: a flood of banned sources ends here, as one of
/// blocked sources does above.
#[inline(always)]
fn overridden<P: Packet, L: FlatSource, const IS_PROBE: bool>(
    packet: P,
    lists: &L,
    low_port: u8,
    generation: u64,
    overrides: Overrides,
) -> u32 {
    if overrides.bypasses() != 0 || !maps::engine_is_flat() {
        return packet.slow_path();
    }
    let kept = Kept(packet);
    if slot_head(generation).ban_ports.holds(low_port) {
        if is_banned_host(lists, overrides) {
            // SAFETY: as in `finish`.
            let cpu = unsafe { &mut *cpu_head() };
            if !IS_PROBE && cpu.allowance == 0 {
                cpu.banned += 1;
                return P::DROP;
            }
            cold_path();
            return banned::<_, IS_PROBE>(kept.take(), generation);
        }
        cold_path();
        // As for lists: the address is read again.
        let packet = kept.take();
        let Some(lists) = L::again(&packet.linear()) else {
            return packet.slow_path();
        };
        if is_in_banned_network(&lists, Overrides(opaque(overrides.0))) {
            return banned::<_, IS_PROBE>(packet, generation);
        }
    }
    let packet = kept.take();
    let verdict = Verdict(packet.with_bans(generation, overrides.0, L::IS_V6));
    if verdict.0 == Verdict::NONE.0 {
        return packet.slow_path();
    }
    let (scope, reason) = verdict.unpack();
    if verdict.is_answered() {
        return answered(packet, scope, reason, generation, IS_PROBE);
    }
    judged(packet, scope, reason, generation, IS_PROBE)
}

/// The end of an attempt of a banned source.
#[inline(always)]
fn banned<P: Packet, const IS_PROBE: bool>(packet: P, generation: u64) -> u32 {
    let reason = Reason::Banned;
    finish(packet, HOST_SCOPE, reason, Some(generation), IS_PROBE)
}

/// The packet, written to memory at once, from where whoever needs it takes it: the compiler
/// would carry it around look-ups from one register to the other.
struct Kept<P>(P);

impl<P: Copy> Kept<P> {
    #[inline(always)]
    fn take(&self) -> P {
        // SAFETY: a local variable; volatile, so that it is one.
        unsafe { core::ptr::read_volatile(&raw const self.0) }
    }
}

/// The same number, opaque to the compiler: so it computes again what
/// depends on it. Otherwise that would be spilled to the stack around each call.
#[inline(always)]
fn opaque(number: u64) -> u64 {
    let mut number = number;
    // An instruction, though it does nothing: the kernel takes none for two lines of source.
    // SAFETY: changes nothing.
    unsafe { core::arch::asm!("{0} = {0}", inout(reg) number, options(pure, nomem, nostack)) };
    number
}
