//! What netpolicy keeps on disk: [`store`], and [`clock`], by which its deadlines end.
//!
//! `netpolicy-user` re-exports both modules; its `lib.rs` is the map.

// Of the rest, what sends states elsewhere uses their objects.
#![cfg_attr(
    not(feature = "sqlite"),
    allow(dead_code, reason = "what keeps a store uses it")
)]

#[cfg(test)]
#[path = "../../policy/src/model/arbitrary.rs"]
#[allow(dead_code, reason = "the tests of `netpolicy-policy` use all of it")]
mod arbitrary;

pub mod clock;
pub mod store;

use netpolicy_policy::model;
