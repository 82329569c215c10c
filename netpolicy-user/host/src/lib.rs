//! What netpolicy asks the host's network for, over netlink: [`netdev`], its interfaces, and
//! [`sockets`], its TCP connections.
//!
//! `netpolicy-user` re-exports both modules; its `lib.rs` is the map.

pub mod netdev;
pub mod sockets;
