//! A whole frame as the kernel gives it, one buffer or several, and walking its headers.
//!
//! The steps of the walk are global functions (Documentation/bpf: `BTF_FUNC_GLOBAL`), as the
//! slow path's parts are.

use aya_ebpf::{bindings::xdp_md, helpers::bpf_xdp_load_bytes, programs::XdpContext};
use netpolicy_ebpf::{Bytes, Chain, Family, Load, packet};

use crate::{frame::Frame, maps};

/// A frame, of which the linear part is read as memory, and what lies behind it by a call.
pub(crate) struct Whole {
    ctx: *mut xdp_md,
    linear: Frame,
}

impl Whole {
    #[inline(always)]
    pub(crate) fn of(ctx: &XdpContext) -> Self {
        Self {
            ctx: ctx.ctx,
            linear: Frame::of(ctx),
        }
    }
}

impl Load for Whole {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let offset = bounded(offset);
        if let Some(bytes) = self.linear.read::<N>(offset) {
            return Some(*bytes);
        }
        let mut bytes = [0; N];
        // SAFETY: the helper (Linux 5.18) writes `N` bytes to `bytes`, or fails where any of
        // them lies past the frame's end.
        let failed = unsafe {
            bpf_xdp_load_bytes(self.ctx, offset as u32, bytes.as_mut_ptr().cast(), N as u32)
        };
        (failed == 0).then_some(bytes)
    }

    #[inline(always)]
    fn ip(&self, at: usize, family: Family) -> u64 {
        ip(self.ctx, at as u64, u64::from(matches!(family, Family::V6)))
    }

    #[inline(always)]
    fn skip_tag(&self, at: usize) -> usize {
        tag(self.ctx, at as u64) as usize
    }

    #[inline(always)]
    fn skip_extension(&self, chain: Chain, end: usize) -> Chain {
        Chain(extension(self.ctx, chain.0, end as u64))
    }

    #[inline(always)]
    fn skip_tags(&self, at: usize) -> usize {
        tags(self.ctx, at as u64) as usize
    }

    #[inline(always)]
    fn skip_extensions(&self, chain: Chain, end: usize) -> Chain {
        Chain(extensions(self.ctx, chain.0, end as u64))
    }
}

/// An offset of 17 bits, to the verifier too: the compiler may compare a copy of it, or its
/// lower half, from which the verifier of Linux 6.12 learns nothing of the whole.
#[inline(always)]
fn bounded(offset: usize) -> usize {
    let mut offset = offset as u64;
    // SAFETY: changes nothing but its operand.
    unsafe {
        core::arch::asm!(
            "{0} &= 0x1ffff",
            inout(reg) offset,
            options(pure, nomem, nostack)
        );
    }
    offset as usize
}

/// [`packet::parse_packed`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn walk(ctx: *mut xdp_md) -> u64 {
    packet::parse_packed(&Whole::of(&XdpContext::new(ctx)), maps::layer())
}

/// [`packet::ip`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn ip(ctx: *mut xdp_md, at: u64, is_v6: u64) -> u64 {
    let family = if is_v6 == 0 { Family::V4 } else { Family::V6 };
    packet::ip(&Whole::of(&XdpContext::new(ctx)), at as usize, family)
}

/// [`packet::skip_tags`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tags(ctx: *mut xdp_md, at: u64) -> u64 {
    packet::skip_tags(&Whole::of(&XdpContext::new(ctx)), at as usize) as u64
}

/// [`packet::skip_extensions`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn extensions(ctx: *mut xdp_md, chain: u64, end: u64) -> u64 {
    let frame = Whole::of(&XdpContext::new(ctx));
    packet::skip_extensions(&frame, Chain(chain), end as usize).0
}

/// [`packet::skip_tag`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tag(ctx: *mut xdp_md, at: u64) -> u64 {
    packet::skip_tag(&Whole::of(&XdpContext::new(ctx)), at as usize) as u64
}

/// [`packet::skip_extension`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn extension(ctx: *mut xdp_md, chain: u64, end: u64) -> u64 {
    let frame = Whole::of(&XdpContext::new(ctx));
    packet::skip_extension(&frame, Chain(chain), end as usize).0
}
