//! Programs for benchmarks: a packet generator, and the two programs that netpolicy
//! is measured against. Not part of what is installed.
//!
//! The generator runs under `BPF_PROG_TEST_RUN` with live frames: the kernel hands it
//! the same frame over and over, it writes the next source address into it, and
//! redirects it into a veth, whose peer runs the program under test.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
mod programs {
    use aya_ebpf::{
        bindings::xdp_action,
        btf_maps::Array,
        helpers::bpf_redirect,
        macros::{btf_map, xdp},
        programs::XdpContext,
    };

    const SOURCE_V4: usize = 14 + 12;
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
    }

    #[btf_map]
    static CONFIG: Array<Config, 1> = Array::new();

    /// Source addresses, network order, IPv4 in the first four bytes. The loader
    /// sets the size.
    #[btf_map]
    static SOURCES: Array<[u8; 16], 1> = Array::new();

    #[xdp]
    fn generate(ctx: XdpContext) -> u32 {
        let Some(config) = CONFIG.get_ptr_mut(0) else {
            return xdp_action::XDP_ABORTED;
        };
        // SAFETY: one generator runs at a time.
        let (ifindex, family, at) = unsafe {
            let at = (*config).next;
            (*config).next = if at + 1 >= (*config).sources {
                0
            } else {
                at + 1
            };
            ((*config).ifindex, (*config).family, at)
        };
        let Some(source) = SOURCES.get(at) else {
            return xdp_action::XDP_ABORTED;
        };
        let (start, end) = (ctx.data(), ctx.data_end());
        if family == 4 {
            if start + SOURCE_V4 + 4 > end {
                return xdp_action::XDP_ABORTED;
            }
            let [a, b, c, d, ..] = *source;
            // SAFETY: within the frame, checked above.
            unsafe { *((start + SOURCE_V4) as *mut [u8; 4]) = [a, b, c, d] };
        } else {
            if start + SOURCE_V6 + 16 > end {
                return xdp_action::XDP_ABORTED;
            }
            // SAFETY: within the frame, checked above.
            unsafe { *((start + SOURCE_V6) as *mut [u8; 16]) = *source };
        }
        // SAFETY: takes numbers, returns a number.
        let action = unsafe { bpf_redirect(ifindex, 0) };
        u32::try_from(action).unwrap_or(xdp_action::XDP_ABORTED)
    }

    /// The limit: a program that only drops.
    #[xdp(frags)]
    fn bare_drop(_: XdpContext) -> u32 {
        xdp_action::XDP_DROP
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }

    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}
