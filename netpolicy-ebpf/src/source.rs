//! A packet's source: its lists and bans in either engine, and its bypasses.

use aya_ebpf::btf_maps::{LpmTrie, lpm_trie::Key};
use netpolicy_common::{
    HOST_SCOPE, Listing, Overrides, SCOPE_BITS, ScopeConfig, ScopeId, key, list_slot_of,
};
use netpolicy_ebpf::SourceLists;

use crate::{
    flat::{FlatSource as _, FlatV4, FlatV6},
    maps,
};

/// A source address, its lists in one slot, and its bypasses.
pub(crate) trait Source: SourceLists {
    /// Network order.
    type Address;

    /// A source that is looked up in the lists of this slot.
    fn new(address: Self::Address, slot: u32) -> Self;

    /// Whether a bypass of this very scope is live at `now`, in nanoseconds since boot.
    fn bypass_lives(&self, scope: ScopeId, now: u64) -> bool;

    /// Whether a ban of the host or of this scope is in force; only where there are bans.
    fn is_banned(&self, overrides: Overrides, scope: ScopeId) -> bool;
}

/// A key on the stack: its scope and address, which follow four bytes of prefix length,
/// are written in one word, and the verifier wants that aligned.
#[repr(C, align(8))]
struct AlignedV4<K> {
    padding: u32,
    key: K,
}

impl<K> AlignedV4<K> {
    #[inline(always)]
    fn new(key: K) -> Self {
        Self { padding: 0, key }
    }
}

/// The same for IPv6, whose address follows eight bytes and is written in two words.
#[repr(C, align(8))]
struct AlignedV6<K> {
    key: K,
}

impl<K> AlignedV6<K> {
    #[inline(always)]
    fn new(key: K) -> Self {
        Self { key }
    }
}

/// Makes the source of a family, with either engine.
macro_rules! source {
    ($name:ident, $bytes:literal, $key:path, $aligned:ident, $flat:ident, $block:ident, $allow:ident, $bypass:ident, $ban:ident) => {
        /// A source of this family.
        pub(crate) struct $name {
            slot: u32,
            address: [u8; $bytes],
        }

        impl $name {
            #[inline(always)]
            fn key(&self, scope: ScopeId) -> $aligned<Key<[u8; $bytes + 4]>> {
                $aligned::new(Key::new(SCOPE_BITS + 8 * $bytes, $key(scope, self.address)))
            }
        }

        impl SourceLists for $name {
            #[inline(always)]
            fn listed(&self, _: &ScopeConfig, scope: ScopeId, only: impl Fn() -> bool) -> Listing {
                if maps::engine_is_flat() {
                    return $flat::from(self.address).listed_apart(self.slot, scope, only());
                }
                let list_slot = list_slot_of(self.slot);
                let key = self.key(scope);
                let holds =
                    |trie: &LpmTrie<_, u8, { maps::TRIE_ENTRIES }>| trie.get(&key.key).is_some();
                if maps::$block.get(list_slot).is_some_and(holds) {
                    Listing::Blocked
                } else if only() && maps::$allow.get(list_slot).is_some_and(holds) {
                    Listing::Allowed
                } else {
                    Listing::Neither
                }
            }
        }

        impl Source for $name {
            type Address = [u8; $bytes];

            #[inline(always)]
            fn new(address: Self::Address, slot: u32) -> Self {
                Self { slot, address }
            }

            #[inline(always)]
            fn bypass_lives(&self, scope: ScopeId, now: u64) -> bool {
                maps::$bypass
                    .get(&self.key(scope).key)
                    .is_some_and(|expiry| now < u64::from_ne_bytes(*expiry))
            }

            #[inline(always)]
            fn is_banned(&self, overrides: Overrides, scope: ScopeId) -> bool {
                if maps::engine_is_flat() {
                    return $flat::from(self.address).is_banned(overrides, scope);
                }
                maps::$ban.get(&self.key(HOST_SCOPE).key).is_some()
                    || (scope != HOST_SCOPE && maps::$ban.get(&self.key(scope).key).is_some())
            }
        }
    };
}

source!(
    SourceV4,
    4,
    key::v4,
    AlignedV4,
    FlatV4,
    BLOCK_V4,
    ALLOW_V4,
    BYPASS_V4,
    BAN_V4
);
source!(
    SourceV6,
    16,
    key::v6,
    AlignedV6,
    FlatV6,
    BLOCK_V6,
    ALLOW_V6,
    BYPASS_V6,
    BAN_V6
);
