//! Which ruleset is in force, and what it is.

use crate::{LIST_SLOTS, SLOTS, ScopeConfig};

/// The slot that holds ruleset generation `generation`.
///
/// The generation in force is one 64-bit word; its lowest bits name the slot, so
/// storing the next generation moves every list of both families, every scope
/// and every port at one instant.
#[expect(clippy::cast_possible_truncation, reason = "less than SLOTS")]
#[inline(always)]
#[must_use]
pub const fn slot_of(generation: u64) -> u32 {
    (generation % SLOTS as u64) as u32
}

/// Where in the LPM engine's outer maps the lists of a slot are.
#[inline(always)]
#[must_use]
pub const fn list_slot_of(slot: u32) -> u32 {
    slot % LIST_SLOTS
}

/// The word that decides which ruleset is in force, and what goes with it. Part of the
/// one element of a memory-mapped array, so that userspace stores to it as to memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// The generation in force; 0: none was applied yet. See [`slot_of`].
    pub generation: u64,
    /// Bypass entries in the maps; while 0 the program does not look any up.
    pub bypasses: u64,
}

const _: () = assert!(size_of::<Control>() == 16);

/// What the program reads first, and what it writes of most denied attempts: a variable of
/// the program, of which the loader makes a memory-mapped array of one element.
#[repr(C, align(64))]
#[derive(Clone, Debug)]
pub struct Head {
    /// What most packets need of each slot.
    pub slots: [SlotHead; SLOTS as usize],
    /// What is in force.
    pub control: Control,
    /// Zero.
    pub reserved: [u64; 6],
    /// By CPU; see [`Head::cpu`].
    pub cpus: [CpuHead; Self::CPUS],
}

impl Head {
    /// CPUs that count apart. Of more, some share an element, and may lose counts.
    pub const CPUS: usize = 1024;

    /// The element of a CPU in [`Head::cpus`].
    #[inline(always)]
    #[must_use]
    pub const fn cpu(number: u32) -> usize {
        number as usize % Self::CPUS
    }
}

/// What a CPU's programs need of an attempt that the host's block list denies.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuHead {
    /// Events that this CPU may still write; userspace grants more as time passes. So
    /// the program needs no clock on its way to a drop, and where nobody reads,
    /// nothing is written.
    pub allowance: u64,
    /// Attempts that the host's block list denied, enforced, while nothing was to be written
    /// of them. They are counted nowhere else.
    pub blocked: u64,
}

/// What most packets need of a slot, beside [`crate::Governance`]. As large as a power of
/// two: found by a shift.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotHead {
    /// The host's configuration.
    pub host: ScopeConfig,
    /// Where nothing else need be looked at.
    pub host_ports: HostPorts,
    /// Zero.
    pub reserved: [u64; 15],
}

const _: () = assert!(size_of::<Head>() == 64 + SLOTS as usize * 256 + Head::CPUS * 64);

/// Ports on which the host's own lists decide alone, and enforced: all of them, or some. A
/// bit stands for all ports with the same lowest six bits in their upper byte, which is the
/// first on the wire, the highest bit for zeros, so that few instructions tell.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostPorts(u64);

impl HostPorts {
    /// All ports.
    pub const ALL: Self = Self(u64::MAX);

    /// Takes a port out, and those that share its bit.
    pub fn remove(&mut self, port: u16) {
        let [first, _] = port.to_be_bytes();
        self.0 &= !(1 << (63 - first % 64));
    }

    /// `true`: the port, in network order, is one of them. `false`: it may be one.
    #[inline(always)]
    #[must_use]
    pub const fn holds(&self, port: [u8; 2]) -> bool {
        (self.0 << (port[0] % 64)).cast_signed() < 0
    }
}

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
    /// The first chunk of the flat engine's memory that it uses.
    pub first_chunk: u64,
    /// BLAKE3 of the ruleset.
    pub digest: [u8; 32],
}

const _: () = assert!(size_of::<SlotInfo>() == 64);

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, integers without padding (asserted above), every bit pattern is valid.
unsafe impl aya::Pod for SlotInfo {}
#[cfg(feature = "user")]
// SAFETY: as above.
unsafe impl aya::Pod for Build {}
