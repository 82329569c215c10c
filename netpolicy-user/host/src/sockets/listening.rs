//! The ports that are listened on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, StateFlags};

use super::diag::Diag;
use super::error::SocketsError;
use super::survey::everything;

/// For each TCP port of the calling thread's network namespace that a process listens on the
/// addresses; unspecified ones stand for all of the family. The kernel looks at its listeners
/// alone.
///
/// # Errors
/// The kernel does not list sockets, or cannot be asked.
pub fn listening() -> Result<BTreeMap<u16, BTreeSet<IpAddr>>, SocketsError> {
    let mut ports: BTreeMap<u16, BTreeSet<IpAddr>> = BTreeMap::new();
    for family in [AF_INET, AF_INET6] {
        let request = InetRequest {
            states: StateFlags::LISTEN,
            ..everything(family, ExtensionFlags::empty())
        };
        Diag::open()?.dump(request, |response| {
            let id = &response.header.socket_id;
            let addresses = ports.entry(id.source_port).or_default();
            addresses.insert(id.source_address.to_canonical());
        })?;
    }
    Ok(ports)
}
