//! What is pinned in the kernel, [`datapath`], and what decides where: the configuration
//! ([`config`]), the interfaces that it selects ([`selection`]), the file that keeps agents from
//! attaching ([`detach_marker`]), and what is in force from boot ([`early`]).
//!
//! `netpolicy-user` re-exports all modules; its `lib.rs` is the map.

#[cfg(test)]
#[path = "../../policy/src/model/arbitrary.rs"]
#[allow(dead_code, reason = "the tests of `netpolicy-policy` use all of it")]
mod arbitrary;

pub mod arrival;
pub mod config;
pub mod datapath;
pub mod detach_marker;
pub mod early;
pub mod exposure;
pub mod selection;

use netpolicy_api::api;
use netpolicy_host::netdev;
use netpolicy_policy::{compiler, model};
use netpolicy_store::clock;
