//! Fleets with a real etcd and the real process, against agents that are stood in for: each checks
//! digests, signatures and counters as the real one does, and has no kernel.
//!
//! `NETPOLICY_TEST_LONG=1` adds faults of a cluster of three, and a thousand hosts.
#![cfg(feature = "fleet")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "fleet/agents.rs"]
mod agents;
#[path = "fleet/bad_input.rs"]
mod bad_input;
#[path = "fleet/cluster.rs"]
mod cluster;
#[path = "fleet/disk.rs"]
mod disk;
#[path = "fleet/faults.rs"]
mod faults;
#[path = "fleet/operating.rs"]
mod operating;
#[path = "fleet/operations.rs"]
mod operations;
#[path = "fleet/parting.rs"]
mod parting;
#[path = "fleet/scale.rs"]
mod scale;
#[path = "fleet/slow.rs"]
mod slow;
#[path = "fleet/users.rs"]
mod users;

/// Whether what takes minutes is run.
fn is_long() -> bool {
    std::env::var_os("NETPOLICY_TEST_LONG").is_some_and(|value| value != "0")
}
