//! The interfaces of a network namespace, as `rtnetlink(7)` reports them.
//!
//! Owns the conversation with the kernel about links and addresses: what there is, which
//! XDP program each interface runs, what its driver and offloads are, which of them an interface's packets pass first, and
//! when anything of that changes. Works on the network namespace of the thread that opens
//! a socket, and blocks. It must not change an interface, and knows no policies.

mod cover;
mod device;
mod ethtool;
mod netlink;
mod watch;

pub use cover::{Cover, covers};
pub use device::{Device, Mode, Xdp};
pub use ethtool::Offloads;
pub use netlink::Netdevs;
pub use watch::Watch;
