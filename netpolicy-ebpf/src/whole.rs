//! A whole frame as the kernel gives it, one buffer or several, and walking its headers.
//!
//! The steps of the walk are bodies of global functions (`hook.rs`), as the slow path's parts
//! are.

use core::mem::MaybeUninit;

use netpolicy_ebpf::{Bytes, Chain, Family, Load, packet};

use crate::{frame::Frame, hook::Packet};

/// A frame, of which the linear part is read as memory, and what lies behind it by a call.
pub(crate) struct Whole<P> {
    packet: P,
    linear: Frame,
}

impl<P: Packet> Whole<P> {
    #[inline(always)]
    pub(crate) fn of(packet: P) -> Self {
        Self {
            packet,
            linear: packet.linear(),
        }
    }
}

impl<P: Packet> Load for Whole<P> {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let offset = bounded(offset);
        if let Some(bytes) = self.linear.read::<N>(offset) {
            return Some(*bytes);
        }
        // Not set to zero first: that would be a loop over the bytes, in a call.
        let mut bytes = MaybeUninit::<[u8; N]>::uninit();
        let to = bytes.as_mut_ptr().cast();
        // SAFETY: `bytes` has `N` bytes.
        if !unsafe { self.packet.load_bytes(offset as u32, to, N as u32) } {
            return None;
        }
        // SAFETY: all of them were written.
        Some(unsafe { bytes.assume_init() })
    }

    #[inline(always)]
    fn ip(&self, at: usize, family: Family) -> u64 {
        let is_v6 = u64::from(matches!(family, Family::V6));
        self.packet.ip(at as u64, is_v6)
    }

    #[inline(always)]
    fn skip_tag(&self, at: usize) -> usize {
        self.packet.tag(at as u64) as usize
    }

    #[inline(always)]
    fn skip_extension(&self, chain: Chain, end: usize) -> Chain {
        Chain(self.packet.extension(chain.0, end as u64))
    }

    #[inline(always)]
    fn skip_tags(&self, at: usize) -> usize {
        self.packet.tags(at as u64) as usize
    }

    #[inline(always)]
    fn skip_extensions(&self, chain: Chain, end: usize) -> Chain {
        Chain(self.packet.extensions(chain.0, end as u64))
    }
}

/// An offset of 17 bits, to the verifier too: the compiler may compare a copy of it, or its
/// lower half, from which the verifier of Linux 6.12 learns nothing of the whole.
#[inline(always)]
pub(crate) fn bounded(offset: usize) -> usize {
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

/// [`Packet::parse`].
#[inline(always)]
pub(crate) fn walk<P: Packet>(packet: P) -> u64 {
    packet.parse()
}

/// [`Packet::find_network_header`]. A function of its own: the verifier walks all its ways, and
/// behind it nothing for each of them.
#[inline(always)]
pub(crate) fn network_header<P: Packet>(packet: P) -> u64 {
    packet.find_network_header()
}

/// [`packet::ip`].
#[inline(always)]
pub(crate) fn ip<P: Packet>(packet: P, at: u64, is_v6: u64) -> u64 {
    let family = if is_v6 == 0 { Family::V4 } else { Family::V6 };
    packet::ip(&Whole::of(packet), at as usize, family)
}

/// [`packet::skip_tags`].
#[inline(always)]
pub(crate) fn tags<P: Packet>(packet: P, at: u64) -> u64 {
    packet::skip_tags(&Whole::of(packet), at as usize) as u64
}

/// [`packet::skip_extensions`].
#[inline(always)]
pub(crate) fn extensions<P: Packet>(packet: P, chain: u64, end: u64) -> u64 {
    packet::skip_extensions(&Whole::of(packet), Chain(chain), end as usize).0
}

/// [`packet::skip_tag`].
#[inline(always)]
pub(crate) fn tag<P: Packet>(packet: P, at: u64) -> u64 {
    packet::skip_tag(&Whole::of(packet), at as usize) as u64
}

/// [`packet::skip_extension`].
#[inline(always)]
pub(crate) fn extension<P: Packet>(packet: P, chain: u64, end: u64) -> u64 {
    packet::skip_extension(&Whole::of(packet), Chain(chain), end as usize).0
}
