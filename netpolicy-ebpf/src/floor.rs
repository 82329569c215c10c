//! Floors of a source filter: programs that do only what none can do without. For
//! benchmarks.

use aya_ebpf::{
    bindings::xdp_action, btf_maps::Array, helpers::bpf_get_smp_processor_id, macros::btf_map,
    macros::xdp, programs::XdpContext,
};
use netpolicy_common::{CpuState, HOST_SCOPE, Reason};
use netpolicy_ebpf::{Plain, parse_plain};
use netpolicy_flat::layout::{LINE_WORDS, mix, mix_v6};

use crate::frame::Frame;

/// `BPF_F_MMAPABLE`: laid out by the kernel as the flat engine's memory is.
const MMAPABLE: usize = 1 << 10;

/// Counters of each CPU, as netpolicy's. The loader sets the number of CPUs.
#[btf_map]
static CPUS: Array<CpuState, 1, MMAPABLE> = Array::new();

/// Memory of which each packet's source chooses a line. The loader sets the number; all
/// are zero.
#[btf_map]
static LINES: Array<[u64; LINE_WORDS], 1, MMAPABLE> = Array::new();

/// Their number, set by the loader.
#[unsafe(no_mangle)]
static LINE_COUNT: u32 = 1;

/// Reads the packet down to its flags, counts it by its reason, and drops an attempt:
/// the floor of what judges by any source at all.
#[xdp(frags)]
fn parse_only(ctx: XdpContext) -> u32 {
    judge(&ctx, |_| count(Reason::Blocked, xdp_action::XDP_DROP))
}

/// The same, and the verdict on an attempt is read from one line, which depends on the
/// source: the floor of what judges by so much memory.
#[xdp(frags)]
fn one_line(ctx: XdpContext) -> u32 {
    judge(&ctx, |mixed| {
        // SAFETY: a static; volatile, since the loader writes what the compiler cannot see.
        let lines = unsafe { core::ptr::read_volatile(&raw const LINE_COUNT) };
        let number = u64::from(mixed()) * u64::from(lines) >> 32;
        match LINES.get(number as u32) {
            Some([0, ..]) => count(Reason::Blocked, xdp_action::XDP_DROP),
            _ => count(Reason::NotBlocked, xdp_action::XDP_PASS),
        }
    })
}

/// Does this with each attempt, by its source, mixed.
#[inline(always)]
fn judge(ctx: &XdpContext, attempt: impl Fn(&dyn Fn() -> u32) -> u32) -> u32 {
    let found = parse_plain(
        &Frame::new(ctx.data(), ctx.data_end()),
        |source, _| attempt(&|| mix(source)),
        |(high, low), _| attempt(&|| mix_v6(high, low)),
    );
    match found {
        Plain::Attempt(action) => action,
        Plain::Established => count(Reason::Established, xdp_action::XDP_PASS),
        Plain::Other => xdp_action::XDP_PASS,
    }
}

#[inline(always)]
fn count(reason: Reason, action: u32) -> u32 {
    // SAFETY: takes nothing, returns a number.
    let cpu = unsafe { bpf_get_smp_processor_id() } as u32;
    if let Some(cpu) = CPUS.get_ptr_mut(cpu) {
        // SAFETY: this CPU's own element, and XDP does not preempt XDP on a CPU.
        unsafe { (*cpu).packets[CpuState::row(HOST_SCOPE, reason)] += 1 };
    }
    action
}
