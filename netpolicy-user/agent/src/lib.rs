//! The long-running process, [`agent`].
//!
//! `netpolicy-user` re-exports it; its `lib.rs` is the map.

#[cfg(test)]
#[path = "../../policy/src/model/arbitrary.rs"]
#[allow(dead_code, reason = "the tests of `netpolicy-policy` use all of it")]
mod arbitrary;

pub mod agent;

use netpolicy_api::{api, metrics};
use netpolicy_datapath::{arrival, config, datapath, detach_marker, early, exposure, selection};
use netpolicy_host::{netdev, sockets};
use netpolicy_policy::{compiler, database, model, sql};
use netpolicy_store::{clock, store};
