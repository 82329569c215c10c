//! netpolicy: named network policies for database hosts, enforced at the NIC.

pub mod compiler;
pub mod model;
