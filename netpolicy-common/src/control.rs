//! Which ruleset is in force, and what it is.

use crate::SLOTS;

/// The slot that holds ruleset generation `generation`.
///
/// The generation in force is one 64-bit word; its lowest bit names the slot, so
/// storing the next generation moves every list of both families, every scope
/// and every port at one instant.
#[inline(always)]
#[must_use]
pub const fn slot_of(generation: u64) -> u32 {
    (generation as u32) & (SLOTS - 1)
}

/// The structure in which the lists are kept in the kernel.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// One LPM trie for each list and family: the reference.
    Lpm = 1,
}

/// What a slot holds; written before the slot comes into force.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotInfo {
    /// The generation in this slot; 0 while it was never filled.
    pub generation: u64,
    /// The store revision that it was compiled from.
    pub revision: u64,
    /// Prefixes in all lists together.
    pub entries: u64,
    /// BLAKE3 of the ruleset.
    pub digest: [u8; 32],
}

const _: () = assert!(size_of::<SlotInfo>() == 56);

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, no padding (asserted above), every bit pattern is valid.
unsafe impl aya::Pod for SlotInfo {}
