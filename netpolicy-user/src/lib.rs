//! netpolicy: named network policies for database hosts, enforced at the NIC.

pub mod agent;
pub mod api;
pub mod cli;
pub mod client;
pub mod compiler;
pub mod config;
pub mod datapath;
pub mod local;
pub mod model;
pub mod output;
pub mod store;
