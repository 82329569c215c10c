//! What travels between the agent and its clients: [`api`]; and [`metrics`], families of metrics
//! as Prometheus reads them.
//!
//! `netpolicy-user` re-exports both modules; its `lib.rs` is the map.

pub mod api;
pub mod metrics;

use netpolicy_policy::model;
