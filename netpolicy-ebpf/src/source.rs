//! A packet's source: its lists in either engine, and its bypasses.

use aya_ebpf::btf_maps::{LpmTrie, lpm_trie::Key};
use netpolicy_common::{SCOPE_BITS, ScopeConfig, ScopeId, flat::Code, key};
use netpolicy_ebpf::{Lists, plain_port_v4, plain_port_v6, plain_source_v4, plain_source_v6};

use crate::{arena, frame::Frame, maps};

/// A source address, its lists in one slot, and its bypasses.
pub(crate) trait Source: Lists {
    /// Network order.
    type Address;

    /// A source that the LPM engine looks up in this slot of its lists.
    fn new(address: Self::Address, list_slot: u32) -> Self;

    /// Whether a bypass of this very scope is live at `now`, in nanoseconds since boot.
    fn bypass_lives(&self, scope: ScopeId, now: u64) -> bool;
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
    ($name:ident, $bytes:literal, $key:path, $aligned:ident, $flat:ident, $block:ident, $allow:ident, $bypass:ident) => {
        /// A source of this family.
        pub(crate) struct $name {
            list_slot: u32,
            address: [u8; $bytes],
        }

        impl $name {
            #[inline(always)]
            fn key(&self, scope: ScopeId) -> $aligned<Key<[u8; $bytes + 4]>> {
                $aligned::new(Key::new(SCOPE_BITS + 8 * $bytes, $key(scope, self.address)))
            }
        }

        impl Lists for $name {
            #[inline(always)]
            fn listed(
                &self,
                config: &ScopeConfig,
                scope: ScopeId,
                only: impl Fn() -> bool,
            ) -> Code {
                if maps::engine_is_flat() {
                    return $flat::from(self.address).listed(config, scope, only);
                }
                let key = self.key(scope);
                let holds =
                    |trie: &LpmTrie<_, u8, { maps::TRIE_ENTRIES }>| trie.get(&key.key).is_some();
                if maps::$block.get(self.list_slot).is_some_and(holds) {
                    Code::Blocked
                } else if only() && maps::$allow.get(self.list_slot).is_some_and(holds) {
                    Code::Allowed
                } else {
                    Code::Neither
                }
            }
        }

        impl Source for $name {
            type Address = [u8; $bytes];

            #[inline(always)]
            fn new(address: Self::Address, list_slot: u32) -> Self {
                Self { list_slot, address }
            }

            #[inline(always)]
            fn bypass_lives(&self, scope: ScopeId, now: u64) -> bool {
                maps::$bypass
                    .get(&self.key(scope).key)
                    .is_some_and(|expiry| now < u64::from_ne_bytes(*expiry))
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
    BYPASS_V4
);
source!(
    SourceV6,
    16,
    key::v6,
    AlignedV6,
    FlatV6,
    BLOCK_V6,
    ALLOW_V6,
    BYPASS_V6
);

/// A source in the flat engine, asked in two steps.
pub(crate) trait FlatLists: Lists + Sized {
    /// The source of a plain frame of the family.
    fn again(frame: &Frame) -> Option<Self>;

    /// The port of a plain frame of the family.
    fn port(frame: &Frame) -> Option<u16>;

    /// Whether it is among the hosts of a scope's block list.
    fn is_blocked_host(&self, config: &ScopeConfig) -> bool;

    /// What the lists say of it if it is not: [`Lists::listed`].
    fn otherwise(&self, config: &ScopeConfig, only: impl Fn() -> bool) -> Code;
}

/// An IPv4 address in the flat engine.
pub(crate) struct FlatV4(pub(crate) u32);

impl From<[u8; 4]> for FlatV4 {
    #[inline(always)]
    fn from(address: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(address))
    }
}

impl Lists for FlatV4 {
    #[inline(always)]
    fn listed(&self, config: &ScopeConfig, _: ScopeId, only: impl Fn() -> bool) -> Code {
        if self.is_blocked_host(config) {
            Code::Blocked
        } else {
            self.otherwise(config, only)
        }
    }
}

impl FlatLists for FlatV4 {
    #[inline(always)]
    fn again(frame: &Frame) -> Option<Self> {
        plain_source_v4(frame).map(Self)
    }

    #[inline(always)]
    fn port(frame: &Frame) -> Option<u16> {
        plain_port_v4(frame)
    }

    #[inline(always)]
    fn is_blocked_host(&self, config: &ScopeConfig) -> bool {
        arena::is_host_v4(&config.root_v4.block, self.0)
    }

    #[inline(always)]
    fn otherwise(&self, config: &ScopeConfig, only: impl Fn() -> bool) -> Code {
        let root = &config.root_v4;
        if only() && arena::is_host_v4(&root.allow, self.0) {
            Code::Allowed
        } else {
            arena::in_trie_v4(root, self.0)
        }
    }
}

/// An IPv6 address in the flat engine, by its halves.
pub(crate) struct FlatV6 {
    pub(crate) high: u64,
    pub(crate) low: u64,
}

impl From<[u8; 16]> for FlatV6 {
    #[inline(always)]
    fn from(address: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, low @ ..] = address;
        Self {
            high: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            low: u64::from_be_bytes(low),
        }
    }
}

impl Lists for FlatV6 {
    #[inline(always)]
    fn listed(&self, config: &ScopeConfig, _: ScopeId, only: impl Fn() -> bool) -> Code {
        if self.is_blocked_host(config) {
            Code::Blocked
        } else {
            self.otherwise(config, only)
        }
    }
}

impl FlatLists for FlatV6 {
    #[inline(always)]
    fn again(frame: &Frame) -> Option<Self> {
        plain_source_v6(frame).map(|(high, low)| Self { high, low })
    }

    #[inline(always)]
    fn port(frame: &Frame) -> Option<u16> {
        plain_port_v6(frame)
    }

    #[inline(always)]
    fn is_blocked_host(&self, config: &ScopeConfig) -> bool {
        arena::is_host_v6(&config.root_v6.block, self.high, self.low)
    }

    #[inline(always)]
    fn otherwise(&self, config: &ScopeConfig, only: impl Fn() -> bool) -> Code {
        let root = &config.root_v6;
        if only() && arena::is_host_v6(&root.allow, self.high, self.low) {
            Code::Allowed
        } else {
            arena::in_trie_v6(root, self.high, self.low)
        }
    }
}
