//! Which ruleset is in force, and what it is.

use core::mem::offset_of;

use crate::{BAN_SLOTS, LIST_SLOTS, SLOTS, ScopeConfig, ScopeSet};

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
    /// What is looked up before the lists.
    pub overrides: Overrides,
}

const _: () = assert!(size_of::<Control>() == 16);

/// Bypasses and bans, which are looked up before the lists, in one word: 0, and the program
/// looks neither up.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides(pub u64);

impl Overrides {
    /// So many bypass entries, and a set of bans; 0: no bans.
    #[must_use]
    pub const fn new(bypasses: u32, ban_set: u32) -> Self {
        Self((ban_set as u64) << 32 | bypasses as u64)
    }

    /// Whether anything is to be looked up.
    #[inline(always)]
    #[must_use]
    pub const fn any(self) -> bool {
        self.0 != 0
    }

    /// Bypass entries in the maps.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    #[inline(always)]
    #[must_use]
    pub const fn bypasses(self) -> u32 {
        self.0 as u32
    }

    /// The number of the set of bans in force; 0: no bans. See [`ban_slot_of`].
    #[inline(always)]
    #[must_use]
    pub const fn ban_set(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// The slot that holds a set of bans.
#[inline(always)]
#[must_use]
pub const fn ban_slot_of(ban_set: u32) -> u32 {
    ban_set % BAN_SLOTS
}

/// What the program is told of a set of bans; [`BanScopes`](crate::BanScopes) has those of
/// single services. As large as a power of two: found by a shift.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BanHead {
    /// Where the engine has the bans of the whole host, which deny in every scope.
    pub host: ScopeConfig,
    /// Services with bans of their own.
    pub services: ScopeSet,
    /// The engine's own word: only the engine knows its meaning.
    pub engine: u64,
    /// Zero.
    pub reserved: [u64; 11],
}

const _: () = assert!(size_of::<BanHead>() == 256);

/// What the program reads first, and what it writes of most denied attempts: a variable of
/// the program, and the one element of a memory-mapped array that is made before the program
/// is loaded.
#[repr(C, align(64))]
#[derive(Clone, Debug)]
pub struct Head {
    /// What most packets need of each slot.
    pub slots: [SlotHead; SLOTS as usize],
    /// Sets of bans.
    pub bans: [BanHead; BAN_SLOTS as usize],
    /// What is in force.
    pub control: Control,
    /// Resets that each CPU may send in a second; 0: none. See [`crate::answer`].
    pub resets_per_second: u64,
    /// Zero.
    pub reserved: [u64; 13],
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
    /// Events of denied attempts that this CPU may still write; userspace grants more as time
    /// passes. So the program needs no clock on its way to a drop, and without a reader
    /// nothing is written.
    pub allowance: u64,
    /// Attempts that the host's block list denied, enforced, while nothing was to be written
    /// of them. They are counted nowhere else.
    pub blocked: u64,
    /// Not 0: of the last source that was a blocked host, or on no list, it was the latter. So the
    /// flat engine's program asks first what will likely answer.
    pub was_absent: u64,
    /// Attempts that a ban of the whole host denied on the host's ports, enforced, while nothing
    /// was to be written of them. They are counted nowhere else.
    pub banned: u64,
    /// Events of attempts that pass ([`crate::Reason::is_sampled`]) that this CPU may still
    /// write, as `allowance`.
    pub sampled: u64,
}

/// What most packets need of a slot, with [`crate::Governance`]. As large as a power of
/// two: found by a shift.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotHead {
    /// The host's configuration.
    pub host: ScopeConfig,
    /// Where nothing else need be looked at.
    pub host_ports: HostPorts,
    /// Scopes that judge a packet whose port cannot be found: the host, and every service
    /// that has policies and a port that is no failsafe port.
    pub unclassified: ScopeSet,
    /// Ports that the host governs, and on which a ban of it drops.
    pub ban_ports: HostPorts,
    /// Zero.
    pub reserved: [u64; 10],
}

const _: () =
    assert!(size_of::<Head>() == 128 + (SLOTS + BAN_SLOTS) as usize * 256 + Head::CPUS * 64);

/// Bytes that processors fetch together: a line and its neighbour.
const LINE_PAIR: usize = 128;

// Every packet on every CPU reads what is in force, and each denial writes to `cpus`: where
// the two are fetched together, a write on one CPU takes the other from all of them.
const _: () = assert!(offset_of!(Head, control).is_multiple_of(LINE_PAIR));
const _: () = assert!(offset_of!(Head, cpus).is_multiple_of(LINE_PAIR));
const _: () = assert!(offset_of!(Head, cpus) >= offset_of!(Head, control) + LINE_PAIR);

/// Ports on which the host's own lists decide alone, and enforced: all of them, or some. A
/// bit stands for all ports with the same lowest six bits, the highest bit for zeros, so that
/// few instructions tell. Of the lower byte, and not of the upper: so a port shares its bit
/// with few that are used together with it (with port 22 neither 25, 53, 80 nor 443).
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostPorts(u64);

impl HostPorts {
    /// All ports.
    pub const ALL: Self = Self(u64::MAX);

    /// Takes a port out, and those that share its bit.
    pub fn remove(&mut self, port: u16) {
        self.0 &= !(1 << (63 - port % 64));
    }

    /// `true`: all ports with this lower byte, the second on the wire, are among them.
    /// `false`: some may be.
    #[inline(always)]
    #[must_use]
    pub const fn holds(&self, low: u8) -> bool {
        (self.0 << (low % 64)).cast_signed() < 0
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
    /// Tables of hosts and a multibit trie, in pages: the crate `netpolicy-flat`.
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
    /// The engine's own word: only the engine knows its meaning.
    pub engine: u64,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_taken_out_with_those_of_the_same_lowest_bits() {
        let mut ports = HostPorts::ALL;
        for port in [22, 5432] {
            ports.remove(port);
        }
        for port in 0..=u16::MAX {
            let [_, low] = port.to_be_bytes();
            let shares = [22, 5432].iter().any(|other| port % 64 == other % 64);
            assert_eq!(ports.holds(low), !shares, "{port}");
        }
        for low in [0, 63, 255] {
            assert!(!HostPorts::default().holds(low) && HostPorts::ALL.holds(low));
        }
    }
}
