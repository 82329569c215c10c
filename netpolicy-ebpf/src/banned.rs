//! Whether a source is banned: bans are lists of the flat engine.

use netpolicy_common::{HOST_SCOPE, Listing, Overrides, ScopeConfig, ScopeId};

use crate::{
    flat::{FlatSource, FlatV4, FlatV6},
    ruleset::{ban_head, bans_of},
};

// Bans are asked for where most attempts do not come: also global functions, so that they
// neither grow the paths of others nor take of their stack.

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn is_banned_v4(overrides: u64, scope: u64, address: u64) -> u32 {
    is_banned(&FlatV4(address as u32), Overrides(overrides), scope)
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn is_banned_v6(overrides: u64, scope: u64, high: u64, low: u64) -> u32 {
    is_banned(&FlatV6 { high, low }, Overrides(overrides), scope)
}

#[inline(always)]
fn is_banned<S: FlatSource>(source: &S, overrides: Overrides, scope: u64) -> u32 {
    let holds =
        |bans: &ScopeConfig| matches!(source.listed(bans, HOST_SCOPE, || false), Listing::Blocked);
    if holds(&ban_head(overrides).host) {
        return 1;
    }
    let scope = scope as ScopeId;
    if scope == HOST_SCOPE {
        return 0;
    }
    u32::from(bans_of(overrides, scope).is_some_and(holds))
}

/// Whether an address of its own is among those that are banned on the whole host: what most of
/// a flood of banned sources needs to be asked.
#[inline(always)]
pub(crate) fn is_banned_host<S: FlatSource>(source: &S, overrides: Overrides) -> bool {
    source.is_host(&S::root(&ban_head(overrides).host).block)
}

/// Whether an address lies in a network that is banned on the whole host.
#[inline(always)]
pub(crate) fn is_in_banned_network<S: FlatSource>(source: &S, overrides: Overrides) -> bool {
    source.is_in_blocked_network(&ban_head(overrides).host)
}
