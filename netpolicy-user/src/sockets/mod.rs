//! The TCP connections of a network namespace: who is connected, and ending some.
//!
//! Owns the conversation with the kernel's `sock_diag(7)`. It works on the network
//! namespace of the calling thread, and blocks. It knows no policies: who is to be cut
//! is for others to decide. It must not close anything but what it is told to.
//!
//! ```text
//! survey    dump both families -> what listens, and the inbound connections
//! destroy   one request and one answer for each connection
//! netlink   the socket, requests, answers in several parts
//! ```
//!
//! What cannot be seen here:
//! - connections that are forwarded to another namespace (containers), and those of
//!   UDP and SCTP;
//! - an attempt that the kernel answered with a SYN cookie: it has no socket before the
//!   client's next segment. So whoever cuts after a change looks again a little later;
//! - the port that a packet had before NAT: what is told is the socket's own.
//!
//! Sources: `net/core/sock_diag.c`, `net/ipv4/inet_diag.c`, `net/ipv4/tcp_diag.c` and
//! `tcp_abort` in `net/ipv4/tcp.c` of the kernel.

mod connection;
mod destroy;
mod error;
mod netlink;
mod survey;

pub use connection::{Connection, State};
pub use destroy::{Destroyed, can_destroy, destroy};
pub use error::SocketsError;
pub use survey::Survey;
