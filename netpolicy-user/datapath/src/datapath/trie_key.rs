//! Keys of LPM tries: of the LPM engine's lists, and of bypasses in either engine.

use aya::maps::lpm_trie::Key;
use netpolicy_common::{KeyV4, KeyV6, SCOPE_BITS, ScopeId, key};

use crate::compiler::{Prefix4, Prefix6};

/// The key of a prefix in a scope.
pub(super) fn key_v4(scope: ScopeId, prefix: Prefix4) -> Key<KeyV4> {
    Key::new(
        SCOPE_BITS + u32::from(prefix.len),
        key::v4(scope, prefix.addr.to_be_bytes()),
    )
}

/// The key of a prefix in a scope.
pub(super) fn key_v6(scope: ScopeId, prefix: Prefix6) -> Key<KeyV6> {
    Key::new(
        SCOPE_BITS + u32::from(prefix.len),
        key::v6(scope, prefix.addr.to_be_bytes()),
    )
}

/// Scope and prefix of a key.
pub(super) fn of_key_v4(key: KeyV4, len: u32) -> (ScopeId, Prefix4) {
    let [_, _, s0, s1, a, b, c, d] = key;
    let addr = u32::from_be_bytes([a, b, c, d]);
    let len = cidr(len, 32);
    (ScopeId::from_be_bytes([s0, s1]), Prefix4 { addr, len })
}

/// Scope and prefix of a key.
pub(super) fn of_key_v6(key: KeyV6, len: u32) -> (ScopeId, Prefix6) {
    let mut address = [0; 16];
    address.copy_from_slice(&key[4..]);
    let addr = u128::from_be_bytes(address);
    let len = cidr(len, 128);
    (
        ScopeId::from_be_bytes([key[2], key[3]]),
        Prefix6 { addr, len },
    )
}

fn cidr(len: u32, most: u8) -> u8 {
    let len = u8::try_from(len.saturating_sub(SCOPE_BITS));
    len.map_or(most, |len| len.min(most))
}
