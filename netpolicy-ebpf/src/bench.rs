//! Programs for benchmarks: a packet generator, and the programs that filters are
//! measured against. They are not installed.
//!
//! The generator runs under `BPF_PROG_TEST_RUN` with live frames: the kernel hands it
//! the same frame over and over, it writes the next source address into it, and
//! redirects it into a veth, whose peer runs the filter under test.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
mod floor;
#[cfg(target_arch = "bpf")]
mod frame;

#[cfg(target_arch = "bpf")]
mod programs {
    use aya_ebpf::{
        bindings::{TC_ACT_SHOT, xdp_action},
        btf_maps::Array,
        helpers::{bpf_ktime_get_ns, bpf_redirect},
        macros::{btf_map, classifier, xdp},
        programs::{TcContext, XdpContext},
    };

    /// `BPF_F_MMAPABLE`: userspace fills the map as memory.
    const MMAPABLE: usize = 1 << 10;

    /// Last byte of the sender's MAC address, which no filter looks at.
    const TOLD: usize = 11;
    /// The checksum, and behind it the source.
    const CHECKSUM_V4: usize = 14 + 10;
    const SOURCE_V6: usize = 14 + 8;

    /// What to generate; see the fields' order in the benchmark.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub(crate) struct Config {
        /// Interface that frames go out of.
        ifindex: u32,
        /// 4 or 6.
        family: u32,
        /// Entries of `SOURCES` in use.
        sources: u32,
        /// Where in them the next frame's source is.
        next: u32,
        /// Frames made so far in this run.
        made: u64,
        /// The clock at the first frame, in nanoseconds.
        begin: u64,
        /// The clock at the last frame whose number is a multiple of [`STAMPED`], and
        /// that number.
        end: u64,
        made_at_end: u64,
        /// For `generate_bursts`: nanoseconds from one burst to the next, the frames of each,
        /// and how many nanoseconds after the first the last may begin.
        interval: u64,
        burst: u64,
        time: u64,
    }

    /// How often the clock is read. What the system call takes before the first frame
    /// and after the last, some milliseconds, is so left out of the measurement.
    const STAMPED: u64 = 512;

    #[btf_map]
    static CONFIG: Array<Config, 1> = Array::new();

    /// Source addresses, network order; for IPv4 two to an element, each two bytes of the
    /// header's checksum, then the address, as they stand in the header. The loader sets
    /// the size. As few bytes as can be: what is read here takes room in the caches that a
    /// filter could use.
    #[btf_map]
    static SOURCES: Array<[u8; 16], 1, MMAPABLE> = Array::new();

    /// Whether the source with this index calls for a drop, where sources are mixed:
    /// a coin toss that a processor does not learn to predict. The benchmark arranges
    /// sources by the same formula.
    #[inline(always)]
    fn is_told_to_drop(index: u32) -> bool {
        let mixed = index.wrapping_mul(0x9e37_79b1);
        (mixed ^ mixed >> 15).wrapping_mul(0x85eb_ca6b) >> 31 != 0
    }

    #[xdp]
    fn generate(ctx: XdpContext) -> u32 {
        send_next(&ctx)
    }

    /// The frame that [`generate_again`] begins with: as many bytes of it as the frame has.
    #[btf_map]
    static TEMPLATE: Array<[u8; V6_LEN], 1> = Array::new();

    /// Bytes of a SYN without options.
    const V4_LEN: usize = 54;
    const V6_LEN: usize = 74;

    /// The same for filters that write to frames, which the kernel hands out again as they come
    /// back: each is written again.
    #[xdp]
    fn generate_again(ctx: XdpContext) -> u32 {
        let Some(template) = TEMPLATE.get(0) else {
            return xdp_action::XDP_ABORTED;
        };
        let (start, end) = (ctx.data(), ctx.data_end());
        // SAFETY: within the frame, as is checked.
        unsafe {
            if start + V6_LEN <= end {
                *(start as *mut [u8; V6_LEN]) = *template;
            } else if start + V4_LEN <= end
                && let Some(template) = template.first_chunk::<V4_LEN>()
            {
                *(start as *mut [u8; V4_LEN]) = *template;
            }
        }
        send_next(&ctx)
    }

    /// The same, but no more frames than are due; the kernel asks for one again at once.
    #[xdp]
    fn generate_bursts(ctx: XdpContext) -> u32 {
        let Some(config) = CONFIG.get_ptr_mut(0) else {
            return xdp_action::XDP_ABORTED;
        };
        // SAFETY: one generator runs at a time, and the element is its own.
        let config = unsafe { &*config };
        if config.made > 0 {
            // SAFETY: takes nothing, returns a number.
            let elapsed = unsafe { bpf_ktime_get_ns() } - config.begin;
            let due = match config.interval {
                0 => u64::MAX,
                interval => (elapsed / interval + 1) * config.burst,
            };
            if config.made >= due || elapsed > config.time {
                return xdp_action::XDP_DROP;
            }
        }
        send_next(&ctx)
    }

    #[inline(always)]
    fn send_next(ctx: &XdpContext) -> u32 {
        let Some(config) = CONFIG.get_ptr_mut(0) else {
            return xdp_action::XDP_ABORTED;
        };
        // SAFETY: one generator runs at a time, and the element is its own.
        let config = unsafe { &mut *config };
        let at = config.next;
        config.next = if at + 1 >= config.sources { 0 } else { at + 1 };
        if config.made % STAMPED == 0 {
            // SAFETY: takes nothing, returns a number.
            config.end = unsafe { bpf_ktime_get_ns() };
            config.made_at_end = config.made;
            if config.made == 0 {
                config.begin = config.end;
            }
        }
        config.made += 1;
        let (ifindex, family) = (config.ifindex, config.family);
        let Some(source) = SOURCES.get(if family == 4 { at / 2 } else { at }) else {
            return xdp_action::XDP_ABORTED;
        };
        let (start, end) = (ctx.data(), ctx.data_end());
        if start + SOURCE_V6 + 16 > end {
            return xdp_action::XDP_ABORTED;
        }
        let told = is_told_to_drop(at);
        // SAFETY: within the frame, checked above; an IPv4 frame is longer than that.
        unsafe {
            *((start + TOLD) as *mut u8) = told as u8;
            if family == 4 {
                let [first, second] = source.as_chunks::<8>().0 else {
                    return xdp_action::XDP_ABORTED;
                };
                let [a, b, c, d, e, f, ..] = if at % 2 == 0 { *first } else { *second };
                *((start + CHECKSUM_V4) as *mut [u8; 6]) = [a, b, c, d, e, f];
            } else {
                *((start + SOURCE_V6) as *mut [u8; 16]) = *source;
            }
        }
        // SAFETY: takes numbers, returns a number.
        let action = unsafe { bpf_redirect(ifindex, 0) };
        u32::try_from(action).unwrap_or(xdp_action::XDP_ABORTED)
    }

    /// The limit where all is denied: a program that only drops.
    #[xdp(frags)]
    fn bare_drop(_: XdpContext) -> u32 {
        xdp_action::XDP_DROP
    }

    /// The same at tcx.
    #[classifier]
    fn bare_drop_tc(_: TcContext) -> i32 {
        TC_ACT_SHOT
    }

    /// The limit where all is answered: a program that only sends frames back.
    #[xdp(frags)]
    fn bare_return(_: XdpContext) -> u32 {
        xdp_action::XDP_TX
    }

    /// The same at tcx.
    #[classifier]
    fn bare_return_tc(ctx: TcContext) -> i32 {
        // SAFETY: the kernel's context; numbers, and a number back.
        unsafe { bpf_redirect((*ctx.skb.skb).ifindex, 0) as i32 }
    }

    /// The limit where nothing is denied: a program that only passes.
    #[xdp(frags)]
    fn bare_pass(_: XdpContext) -> u32 {
        xdp_action::XDP_PASS
    }

    /// The limit where some is denied: a program that does what the frame says.
    #[xdp(frags)]
    fn bare_told(ctx: XdpContext) -> u32 {
        let (start, end) = (ctx.data(), ctx.data_end());
        if start + TOLD + 1 > end {
            return xdp_action::XDP_ABORTED;
        }
        // SAFETY: within the frame, checked above.
        if unsafe { *((start + TOLD) as *const u8) } == 0 {
            xdp_action::XDP_PASS
        } else {
            xdp_action::XDP_DROP
        }
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }

    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}
