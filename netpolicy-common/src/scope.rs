//! Scopes: the host, and the services that ports belong to.

/// A scope's number in the kernel. [`HOST_SCOPE`] is the host; services follow.
pub type ScopeId = u16;

/// The host's scope.
pub const HOST_SCOPE: ScopeId = 0;

/// In a [`Governance`]: the port is a failsafe port, on which nothing is judged.
pub const FAILSAFE_SCOPE: ScopeId = ScopeId::MAX;

/// Scopes that the kernel can hold, the host included.
pub const MAX_SCOPES: u32 = 256;

/// What governs a generation, apart from lists: one element of a memory-mapped array.
#[repr(C)]
pub struct Governance {
    /// Scope of every destination TCP port, indexed by port, host order:
    /// [`HOST_SCOPE`], a service's scope, or [`FAILSAFE_SCOPE`].
    pub scope_of_port: [ScopeId; 65536],
    /// Indexed by scope.
    pub scopes: [ScopeConfig; MAX_SCOPES as usize],
}

const _: () = assert!(size_of::<Governance>() == 131_072 + 32_768);

/// Where the engine has the bans of single services, by scope: an element of a memory-mapped
/// array for each set of bans.
#[repr(C)]
pub struct BanScopes(pub [ScopeConfig; MAX_SCOPES as usize]);

const _: () = assert!(size_of::<BanScopes>() == 32_768);

/// What governs a scope, as [`ScopeFlags`]. Aligned so that all that is read for a packet
/// is on one cache line, or for IPv6 on two.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeConfig {
    /// Bits of [`ScopeFlags`].
    pub flags: ScopeFlags,
    /// Zero.
    pub reserved: u32,
    /// What the engine tells the program of the scope's lists.
    pub engine: EngineWords,
}

// As large as its fields: nothing is padding.
const _: () = assert!(size_of::<ScopeConfig>() == 128 && 128 == 8 + size_of::<EngineWords>());

/// What an engine tells the program of a scope's lists. Only the engine knows the meaning;
/// all zero: nothing, as the LPM engine does, whose lists are found by the scope's number.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineWords(pub [u64; 15]);

/// Which of a scope's lists an address is on, deny-first resolved. The number is part of the
/// engines' layouts.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// On neither list.
    Neither = 0,
    /// On a block list.
    Blocked = 1,
    /// On an allow list, and on no block list.
    Allowed = 2,
}

impl Listing {
    /// The listing in the lowest two bits.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        match bits & 3 {
            1 => Self::Blocked,
            2 => Self::Allowed,
            _ => Self::Neither,
        }
    }
}

/// A set of scopes.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeSet([u64; MAX_SCOPES as usize / 64]);

impl ScopeSet {
    /// Adds a scope; a number that no scope has is left out.
    pub fn insert(&mut self, scope: ScopeId) {
        if let Some(word) = self.0.get_mut(usize::from(scope / 64)) {
            *word |= 1 << (scope % 64);
        }
    }

    /// Whether it holds a scope.
    #[must_use]
    pub fn holds(&self, scope: ScopeId) -> bool {
        let word = self.0.get(usize::from(scope / 64));
        word.is_some_and(|word| word >> (scope % 64) & 1 != 0)
    }

    /// Its scopes by their numbers, 64 to a word, the lowest bit first.
    #[inline(always)]
    #[must_use]
    pub const fn words(&self) -> &[u64; MAX_SCOPES as usize / 64] {
        &self.0
    }
}

/// A set of bits; see the constants.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeFlags(pub u32);

impl ScopeFlags {
    /// Active policies are bound to the scope itself: its own lists are judged.
    pub const OWN_LISTS: Self = Self(1);
    /// The host's lists are judged too (after the scope's own, if any): a service
    /// with no policy of its own, or one that combines with `and`. Never set for
    /// the host itself.
    pub const HOST_LISTS: Self = Self(1 << 1);
    /// A denial by the scope's own lists drops; without it, it is only observed.
    pub const OWN_ENFORCE: Self = Self(1 << 2);
    /// A denial by the host's lists drops; without it, it is only observed.
    pub const HOST_ENFORCE: Self = Self(1 << 3);
    /// Some active policy of the scope says `only`: what its allow list does not
    /// hold is denied.
    pub const OWN_ONLY: Self = Self(1 << 4);
    /// The same for the host's policies, as seen from this scope.
    pub const HOST_ONLY: Self = Self(1 << 5);
    /// The scope is in observe mode: a ban denies nothing in it and is only counted. Without
    /// it, as in a scope that has no policies, a ban drops.
    pub const BANS_OBSERVED: Self = Self(1 << 6);

    /// Whether all bits of `other` are set.
    #[inline(always)]
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets' bits.
    #[inline(always)]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_set_holds_inserted_scopes_alone() {
        let mut set = ScopeSet::default();
        for scope in [0, 63, 64, 255, FAILSAFE_SCOPE] {
            set.insert(scope);
        }
        for scope in 0..=ScopeId::MAX {
            assert_eq!(
                set.holds(scope),
                [0, 63, 64, 255].contains(&scope),
                "{scope}"
            );
        }
        assert_eq!(set.words(), &[1 | 1 << 63, 1, 0, 1 << 63]);
    }
}
