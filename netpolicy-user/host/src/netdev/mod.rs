//! The interfaces of a network namespace, as `rtnetlink(7)` reports them.
//!
//! Owns the conversation with the kernel about links and addresses: what there is, which
//! XDP program each interface runs, what its driver and offloads are, which of them an
//! interface's packets pass first, by which the kernel sends to an address, and when anything of that
//! changes. Knows which hook suits
//! which driver. Works on the network namespace of the thread that opens a socket, and blocks.
//! It changes nothing of an interface but netpolicy's own filter at tc ingress, and knows no
//! policies.

mod clsact;
mod cover;
mod device;
mod drivers;
mod ethtool;
mod gateways;
mod netlink;
mod route;
mod watch;

pub use clsact::TcFilter;
pub use cover::{Cover, cover, covers, taking_all};
pub use device::{Device, Mode, Xdp};
pub use drivers::{DRIVERS, Driver, Native, native, sends_nothing};
pub use ethtool::{Offloads, Queues};
pub use gateways::default_gateways;
pub use netlink::Netdevs;
pub use route::Route;
pub use watch::Watch;
