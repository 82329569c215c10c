//! Asking the lists of a scope in functions of their own, where few packets come.
//!
//! Otherwise each function of the slow path would hold the look-up four times, and the kernel takes
//! longer for each instruction of a program the more there are. Global functions, which take and
//! return only numbers: the verifier walks each once.

use netpolicy_common::{HOST_SCOPE, Listing, MAX_SCOPES, ScopeId};

use crate::{
    flat::{FlatSource, FlatV4, FlatV6},
    maps,
};

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn listed_v4(slot: u32, asked: u32, address: u32) -> u32 {
    listed_in(&FlatV4(address), slot, asked)
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn listed_v6(slot: u32, asked: u32, high: u64, low: u64) -> u32 {
    listed_in(&FlatV6 { high, low }, slot, asked)
}

#[inline(always)]
fn listed_in<S: FlatSource>(source: &S, slot: u32, asked: u32) -> u32 {
    let Some(governance) = maps::GOVERNANCE.get(slot) else {
        return Listing::Neither as u32;
    };
    let config = &governance.scopes[(asked % MAX_SCOPES) as usize];
    source.listed(config, HOST_SCOPE, || asked & ONLY != 0) as u32
}

/// A scope, and whether an allow list is in force in it, in one number.
#[inline(always)]
pub(crate) fn scope_and(scope: ScopeId, only: bool) -> u32 {
    u32::from(scope) | if only { ONLY } else { 0 }
}

/// The bit above a scope's.
const ONLY: u32 = 1 << 16;
