//! Entry points and the fast path.

use core::hint::cold_path;

use aya_ebpf::{
    bindings::{xdp_action, xdp_md},
    macros::xdp,
    programs::XdpContext,
};
use netpolicy_common::{Control, HOST_SCOPE, Listing, Reason, ScopeFlags};
use netpolicy_ebpf::{Plain, enforced, judge, parse_plain};

use crate::{
    flat::{First, FlatSource, FlatV4, FlatV6, first},
    frame::Frame,
    maps,
    outcome::{cpu_head, finish, judged},
    ruleset::{control, govern, slot_head},
    slow::slow_path,
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
        let found = first(lists, &slot.host);
        if found == First::Blocked {
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
        if found == First::Absent {
            let host = &slot_head(forgotten(generation)).host;
            let only = || host.flags.has(ScopeFlags::OWN_ONLY);
            let reason = enforced(Listing::Neither, only);
            return judged(ctx, HOST_SCOPE, reason, generation, IS_PROBE);
        }
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
fn forgotten(number: u64) -> u64 {
    let mut number = number;
    // An instruction, though it does nothing: the kernel takes none for two lines of source.
    // SAFETY: changes nothing.
    unsafe { core::arch::asm!("{0} = {0}", inout(reg) number, options(pure, nomem, nostack)) };
    number
}
