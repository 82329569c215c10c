//! netpolicy: named network policies for database hosts, enforced at the NIC.

pub mod api;
pub mod client;
pub mod compiler;
pub mod config;
pub mod datapath;
pub mod model;
pub mod output;
