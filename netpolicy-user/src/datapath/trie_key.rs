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
