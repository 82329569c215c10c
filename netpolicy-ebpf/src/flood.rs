//! Programs for the tests of changes under load: a sender of numbered frames, a
//! recorder of those that got through, and a staller. They are not installed.
//!
//! The sender runs under `BPF_PROG_TEST_RUN` with live frames and redirects into a
//! veth, whose peer runs the program under test; the recorder sits behind that, at
//! the peer's tc ingress hook. The staller holds the program under test up in its
//! middle, for longer than a change of policies takes, as an interrupt may or a
//! hypervisor that takes the CPU away.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
mod programs {
    use aya_ebpf::{
        bindings::{TC_ACT_OK, TC_ACT_SHOT, xdp_action},
        btf_maps::Array,
        helpers::{bpf_ktime_get_ns, bpf_redirect},
        macros::{btf_map, classifier, perf_event, xdp},
        programs::{PerfEventContext, TcContext, XdpContext},
    };
    use netpolicy_common::Head;

    /// `BPF_F_MMAPABLE`.
    const MMAPABLE: usize = 1 << 10;

    /// Words of a frame; the last is its stamp.
    const WORDS: usize = 11;

    const STAMP: usize = (WORDS - 1) * 8;

    /// The upper half of a stamp; the lower is the frame's number.
    const MAGIC: u64 = 0x6e70_666c << 32;

    /// Frames that the recorder remembers, in so many pages of so many; powers of two.
    const PAGES: usize = 128;
    const PAGE: usize = 1024;

    /// Frames from one note of the moment to the next, and the number of notes.
    const BLOCK: u32 = 512;
    const BLOCKS: usize = PAGES * PAGE / BLOCK as usize;

    /// What to send; see the fields' order in `tests/src/flood.rs`.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub(crate) struct Config {
        /// When to begin no more laps, in nanoseconds of the monotonic clock.
        until: u64,
        /// Interface that frames go out of.
        ifindex: u32,
        /// Entries of `FRAMES`: the frames of a lap.
        frames: u32,
        /// Number of the next frame; its remainder says which of the entries it is.
        next: u32,
        /// Not zero once it was time to end.
        is_over: u32,
    }

    #[btf_map]
    static CONFIG: Array<Config, 1> = Array::new();

    /// How long the staller stalls, in nanoseconds.
    #[btf_map]
    static STALL: Array<u64, 1> = Array::new();

    /// How often it has begun or ended: an odd number while it stalls.
    #[btf_map]
    static STALLS: Array<u64, 1> = Array::new();

    /// As in the program under test, whose map the loader puts in its place.
    #[btf_map]
    static CONTROL: Array<Head, 1, MMAPABLE> = Array::new();

    /// The address of the generation in `CONTROL`'s element.
    #[btf_map]
    static LOCATED: Array<u64, 1> = Array::new();

    /// What is sent in turn. The loader sets the number.
    #[btf_map]
    static FRAMES: Array<[u64; WORDS], 1> = Array::new();

    /// What userspace says of the present moment.
    #[btf_map]
    static MOMENT: Array<u64, 1> = Array::new();

    /// What it said when the first frame of each block was sent.
    #[btf_map]
    static MOMENTS: Array<[u64; BLOCKS], 1> = Array::new();

    /// Numbers of frames that got through, each at its remainder.
    #[btf_map]
    static THROUGH: Array<[u32; PAGE], PAGES> = Array::new();

    #[xdp]
    fn send(ctx: XdpContext) -> u32 {
        let Some(config) = CONFIG.get_ptr_mut(0) else {
            return xdp_action::XDP_ABORTED;
        };
        // SAFETY: one sender runs at a time.
        let config = unsafe { &mut *config };
        let (number, frames) = (config.next, config.frames);
        if config.is_over != 0 || frames == 0 {
            return xdp_action::XDP_DROP;
        }
        // SAFETY: takes nothing, returns a number.
        if number % frames == 0 && unsafe { bpf_ktime_get_ns() } > config.until {
            config.is_over = 1;
            return xdp_action::XDP_DROP;
        }
        config.next = number.wrapping_add(1);
        let Some(frame) = FRAMES.get(number % frames) else {
            return xdp_action::XDP_ABORTED;
        };
        if number % BLOCK == 0
            && let (Some(moment), Some(moments)) = (MOMENT.get_ptr(0), MOMENTS.get_ptr_mut(0))
        {
            // SAFETY: the maps' only elements, and an index below the length; userspace
            // stores the moment as one word.
            unsafe {
                let moment = core::ptr::read_volatile(moment);
                (*moments)[(number / BLOCK) as usize % BLOCKS] = moment;
            }
        }
        let (start, end) = (ctx.data(), ctx.data_end());
        if start + WORDS * 8 > end {
            return xdp_action::XDP_ABORTED;
        }
        // SAFETY: within the frame, checked above. The kernel lays live frames out in
        // pages of their own, behind headers of whole words.
        unsafe {
            let words = start as *mut [u64; WORDS];
            *words = *frame;
            (*words)[WORDS - 1] = MAGIC | u64::from(number);
        }
        // SAFETY: takes numbers, returns a number.
        let action = unsafe { bpf_redirect(config.ifindex, 0) };
        u32::try_from(action).unwrap_or(xdp_action::XDP_ABORTED)
    }

    /// Says where in memory the program under test has its generation.
    #[xdp]
    fn locate(_: XdpContext) -> u32 {
        if let (Some(control), Some(at)) = (CONTROL.get_ptr(0), LOCATED.get_ptr_mut(0)) {
            // SAFETY: the maps' elements.
            unsafe { *at = &raw const (*control).control.generation as u64 };
        }
        xdp_action::XDP_PASS
    }

    #[classifier]
    fn record(ctx: TcContext) -> i32 {
        let Ok(stamp) = ctx.load::<u64>(STAMP) else {
            return TC_ACT_OK;
        };
        if stamp >> 32 != MAGIC >> 32 {
            return TC_ACT_OK;
        }
        let number = stamp as u32;
        let page = number / PAGE as u32 % PAGES as u32;
        if let Some(page) = THROUGH.get_ptr_mut(page) {
            // SAFETY: an element of the map, and an index below its length. A reader in
            // userspace sees each number as a whole.
            unsafe { (*page)[number as usize % PAGE] = number };
        }
        // No other receiver is to see it.
        TC_ACT_SHOT
    }

    /// Rounds of waiting that the verifier walks at once.
    const ROUNDS: u32 = 64;

    /// Runs after some of the reads of the generation by the program under test, which
    /// then goes on with what it read.
    #[perf_event]
    fn stall(_: PerfEventContext) -> u32 {
        // SAFETY: takes nothing, returns a number.
        let now = unsafe { bpf_ktime_get_ns() };
        let until = now + STALL.get(0).copied().unwrap_or_default();
        let Some(stalls) = STALLS.get_ptr_mut(0) else {
            return 0;
        };
        // SAFETY: the map's one element, written on this CPU only.
        unsafe { *stalls += 1 };
        // A bound for the verifier, far beyond the longest stall.
        for _ in 0..4000 {
            if is_over(until) != 0 {
                break;
            }
        }
        // SAFETY: as above.
        unsafe { *stalls += 1 };
        0
    }

    // A global function, which the verifier walks once.
    #[unsafe(no_mangle)]
    #[inline(never)]
    extern "C" fn is_over(until: u64) -> u32 {
        for _ in 0..ROUNDS {
            // SAFETY: takes nothing, returns a number.
            if unsafe { bpf_ktime_get_ns() } >= until {
                return 1;
            }
        }
        0
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }

    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}
