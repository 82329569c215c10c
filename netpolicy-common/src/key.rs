//! Keys of the LPM tries.
//!
//! A key is the scope id, then the address, both in network order, so that one
//! trie serves all scopes: the scope's 32 bits always belong to the prefix. The
//! kernel wants a 32-bit prefix length in host order ahead of the data
//! (`struct bpf_lpm_trie_key_u8`); `aya`'s `Key` adds it.

use crate::ScopeId;

/// Bits of the scope id in a key: what a key's prefix length has over the CIDR's.
pub const SCOPE_BITS: u32 = 32;

/// Scope and IPv4 address.
pub type KeyV4 = [u8; 8];

/// Scope and IPv6 address.
pub type KeyV6 = [u8; 20];

/// The key data for an IPv4 address (network order) in a scope.
#[inline(always)]
#[must_use]
pub const fn v4(scope: ScopeId, address: [u8; 4]) -> KeyV4 {
    let s = scope.to_be_bytes();
    let a = address;
    [0, 0, s[0], s[1], a[0], a[1], a[2], a[3]]
}

/// The key data for an IPv6 address (network order) in a scope.
#[inline(always)]
#[must_use]
pub const fn v6(scope: ScopeId, address: [u8; 16]) -> KeyV6 {
    let s = scope.to_be_bytes();
    let mut key = [0; 20];
    key[2] = s[0];
    key[3] = s[1];
    let mut i = 0;
    while i < 16 {
        key[4 + i] = address[i];
        i += 1;
    }
    key
}
