//! netpolicy: named network policies for database hosts, enforced at the NIC.

pub mod agent {
    //! The long-running process.
    pub mod lock;
}
pub mod compiler;
pub mod model;
pub mod store;
