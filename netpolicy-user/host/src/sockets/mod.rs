//! The TCP connections of a network namespace: who is connected, and ending some.
//!
//! Owns the conversation with the kernel's `sock_diag(7)` and connection tracking. It
//! works on the network namespace of the calling thread, and blocks. It knows no policies:
//! which connections are cut is for others to decide. It must not close anything but what
//! it is told to, and must not call closed what is not.
//!
//! ```text
//! survey      dump both families -> what listens, and the inbound connections
//! conntrack   what is forwarded, and what NAT changed
//! session     both together: all inbound sessions, as the filter sees their packets
//! listening   the ports that are listened on
//! activity    since when connections are idle
//! end         destroys sockets, and asks again
//! forwarded   the same in the network namespaces of containers
//! mptcp       subflows of one connection, and its end
//! route       which sources are behind a filtered interface, and to which namespaces
//!             packets to a server leave
//! netlink     the socket, requests, answers in several parts
//! rtnetlink   messages about links, routes and namespaces
//! ```
//!
//! What cannot be seen here:
//! - connections that are forwarded without connection tracking (bridges, or routers
//!   without NAT and stateful rules), and those of UDP and SCTP;
//! - an attempt that the kernel answered with a SYN cookie: it has no socket before the
//!   client's next segment, which the kernel takes for one to two minutes
//!   ([`syn_cookies_sent`]).
//!
//! Sources: `net/core/sock_diag.c`, `net/ipv4/inet_diag.c`, `net/ipv4/tcp_diag.c` and
//! `tcp_abort` in `net/ipv4/tcp.c` of the kernel.

mod activity;
mod connection;
mod conntrack;
mod cookies;
mod destroy;
mod diag;
mod end;
mod error;
mod forwarded;
mod left;
mod link;
mod listening;
mod mptcp;
mod namespaces;
mod netlink;
mod route;
mod rtnetlink;
mod session;
mod survey;

pub use activity::idle_times;
pub use connection::{Connection, TcpState};
pub use cookies::syn_cookies_sent;
pub use destroy::{Destroyed, can_destroy, destroy};
pub use end::{Ended, end};
pub use error::SocketsError;
pub use left::Left;
pub use listening::listening;
pub use session::{Forwarded, Session, SessionIdentity, arriving_by};
pub use survey::Survey;
