//! A whole frame as the kernel gives it: one buffer, or several.

use aya_ebpf::{bindings::xdp_md, helpers::bpf_xdp_load_bytes, programs::XdpContext};
use netpolicy_ebpf::{Bytes, Chain, Family, Load};

use crate::{frame::Frame, slow};

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
        slow::ip(self.ctx, at as u64, u64::from(matches!(family, Family::V6)))
    }

    #[inline(always)]
    fn skip_tag(&self, at: usize) -> usize {
        slow::tag(self.ctx, at as u64) as usize
    }

    #[inline(always)]
    fn skip_extension(&self, chain: Chain, end: usize) -> Chain {
        Chain(slow::extension(self.ctx, chain.0, end as u64))
    }

    #[inline(always)]
    fn skip_tags(&self, at: usize) -> usize {
        slow::tags(self.ctx, at as u64) as usize
    }

    #[inline(always)]
    fn skip_extensions(&self, chain: Chain, end: usize) -> Chain {
        Chain(slow::extensions(self.ctx, chain.0, end as u64))
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
