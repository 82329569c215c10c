//! Fleets: what the process that reads etcd hands over, and what is known of them.

pub use netpolicy_fleet::Evidence;
pub use netpolicy_fleet::api::{
    FleetView, MissingObjects, ObjectNames, ObjectsTaken, ProbeRequest, Probed, ProbedVerdict,
    PutRevision,
};
