//! A host that forwards sessions to a container.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::host::NIC;
use crate::netns::{End, join};
use crate::packet::HOST_V4;
use crate::server::EchoServer;
use crate::{DatabaseHost, NetNs};

/// The port at the host's address, which DNAT takes to the container's.
pub const PUBLISHED: u16 = 9000;
/// The container's port.
pub const INNER: u16 = 5432;
/// The container's addresses.
pub const CONTAINER: &str = "172.17.0.2";
/// IPv6.
pub const CONTAINER6: &str = "fd17::2";

/// A host, and a container behind it with a server.
pub struct Forwarding {
    // In the order in which they have to go.
    _server: EchoServer,
    container: NetNs,
    host: DatabaseHost,
}

impl Forwarding {
    /// With these rules of nftables in the host.
    #[must_use]
    pub fn start(rules: &str) -> Self {
        Self::behind(DatabaseHost::start(), rules)
    }

    /// With a host of one's own.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn behind(host: DatabaseHost, rules: &str) -> Self {
        let container = NetNs::new();
        let end = |ns, interface, mac| End { ns, interface, mac };
        join(
            end(host.db(), "ct0", "02:00:00:00:01:01"),
            end(&container, "eth0", "02:00:00:00:01:02"),
        );
        for (ns, interface, last) in [(host.db(), "ct0", 1), (&container, "eth0", 2)] {
            ns.add_address(interface, &format!("172.17.0.{last}/24"));
            ns.add_address(interface, &format!("fd17::{last}/64"));
        }
        container.ip(&["route", "add", "default", "via", "172.17.0.1"]);
        container.ip(&["-6", "route", "add", "default", "via", "fd17::1"]);
        host.clients()
            .ip(&["route", "add", "172.17.0.0/24", "via", HOST_V4]);
        host.db().run(|| {
            for (file, value) in [("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")] {
                std::fs::write(format!("/proc/sys/net/{file}"), value)
                    .expect("let the host forward");
            }
        });
        // Forwarding takes the default route of IPv6 for one that was learned.
        host.db()
            .ip(&["-6", "route", "replace", "default", "via", "2001:db8:ff::2"]);
        nft(host.db(), rules);
        Self {
            _server: EchoServer::start(&container, &[INNER, 6432]),
            container,
            host,
        }
    }

    /// With DNAT from [`PUBLISHED`] to [`INNER`], and more rules after the routing.
    #[must_use]
    pub fn dnat(more: &str) -> Self {
        Self::start(&Self::rules(more))
    }

    /// The rules of [`Self::dnat`].
    #[must_use]
    pub fn rules(more: &str) -> String {
        format!(
            "table inet nat {{
                chain pre {{
                    type nat hook prerouting priority dstnat;
                    iifname {NIC} meta nfproto ipv4 tcp dport {PUBLISHED} dnat ip to {CONTAINER}:{INNER}
                    iifname {NIC} meta nfproto ipv6 tcp dport {PUBLISHED} dnat ip6 to [{CONTAINER6}]:{INNER}
                }}
                chain post {{
                    type nat hook postrouting priority srcnat;
                    {more}
                }}
            }}"
        )
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &DatabaseHost {
        &self.host
    }

    /// The host, to change it.
    pub fn host_mut(&mut self) -> &mut DatabaseHost {
        &mut self.host
    }

    /// The container.
    #[must_use]
    pub fn container(&self) -> &NetNs {
        &self.container
    }

    /// As where the server is on another host: the container's socket has other ends than
    /// what the host forwards.
    pub fn hide_server(&self) {
        nft(
            &self.container,
            "table ip nat { chain pre { type nat hook prerouting priority dstnat; \
             tcp dport 5432 redirect to :6432; }; }",
        );
    }

    /// The container's TCP sockets that are connected.
    ///
    /// # Panics
    /// When `ss` does not say.
    #[must_use]
    pub fn inside(&self) -> usize {
        let mut ss = self.container.command("ss");
        let out = ss
            .args(["-Htn", "state", "connected"])
            .output()
            .expect("run a command");
        String::from_utf8(out.stdout).expect("text").lines().count()
    }
}

/// Loads rules of nftables.
///
/// # Panics
/// When they are refused.
pub fn nft(ns: &NetNs, rules: &str) {
    let out = ns
        .command("nft")
        .arg(rules)
        .output()
        .expect("run a command");
    let error = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{error}");
}

/// Whether the other end of a session answers; not if it was reset.
///
/// # Panics
/// When it does neither.
pub fn lives(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 4];
    let result = stream
        .write_all(b"ping")
        .and_then(|()| stream.read_exact(&mut answer));
    match result {
        Ok(()) => answer == *b"ping",
        Err(error) => {
            let ended = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
            assert!(ended.contains(&error.kind()), "{error}");
            false
        }
    }
}
