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
    if generation.is_multiple_of(SLOTS as u64) {
        0
    } else {
        1
    }
}

/// The word that decides which ruleset is in force, and what goes with it. The one
/// element of a memory-mapped array, so that userspace stores to it as to memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// The generation in force; 0: none was applied yet. See [`slot_of`].
    pub generation: u64,
    /// Bypass entries in the maps; while 0 the program does not look any up.
    pub bypasses: u64,
}

const _: () = assert!(size_of::<Control>() == 16);

/// Who made the pins. The ABI version stays the first field in every version.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Build {
    /// [`crate::ABI_VERSION`] of the maker.
    pub abi: u32,
    /// An [`Engine`].
    pub engine: u32,
    /// BLAKE3 of the program's object file.
    pub program: [u8; 32],
}

const _: () = assert!(size_of::<Build>() == 40);

/// The structure in which the lists are kept in the kernel.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// One LPM trie for each list and family: the reference.
    Lpm = 1,
    /// A multibit trie in pages, see [`crate::flat`].
    Flat = 2,
}

impl Engine {
    /// The engine with this number.
    #[must_use]
    pub const fn from_u32(value: u32) -> Option<Self> {
        match value {
            1 => Some(Self::Lpm),
            2 => Some(Self::Flat),
            _ => None,
        }
    }

    /// Its name in configuration and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lpm => "lpm",
            Self::Flat => "flat",
        }
    }
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
// SAFETY: `repr(C)`, integers without padding (asserted above), every bit pattern is valid.
unsafe impl aya::Pod for SlotInfo {}
#[cfg(feature = "user")]
// SAFETY: as above.
unsafe impl aya::Pod for Control {}
#[cfg(feature = "user")]
// SAFETY: as above.
unsafe impl aya::Pod for Build {}
