//! A database host behind a device, with one filter in force.

use std::{fmt::Write as _, net::SocketAddr};

use netpolicy_tests::{
    DatabaseHost, NetNs, Options, Outcome,
    host::NIC,
    packet::HOST_V4,
    traffic::{self, ALLOWED_WAIT, DENIED_WAIT},
};

use super::{
    blocked::{Blocked, LISTED},
    device::{self, Device},
    filter::{Filter, Hook},
    offloads::Ends,
    relay::Relay,
};
use crate::filters::{block_at_ingress, drop_in_raw_table};

/// Rules in one list: as many as are allowed by default.
const LIST: usize = 100_000;

/// A port of the host's echo server that no filter exempts.
const SERVED: u16 = 8080;

/// Host, clients, the device between them, and a filter there.
pub(crate) struct Site {
    pub(super) filter: Filter,
    device: Device,
    relay: Option<Relay>,
    host: DatabaseHost,
    /// Offloads that the filter changed.
    pub(super) offloads: Vec<String>,
}

impl Site {
    /// Sets everything up, and makes sure that the filter does its work.
    pub(super) fn new(device: Device, filter: Filter, blocked: &Blocked) -> Self {
        let config = match filter {
            Filter::Netpolicy(hook) => format!("hook = \"{}\"\n", hook.word()),
            _ => String::new(),
        };
        let host = DatabaseHost::with(&Options {
            config,
            agent: false,
        });
        let relay = device.wire(&host);
        let mut site = Self {
            filter,
            device,
            relay,
            host,
            offloads: Vec::new(),
        };
        let before = Ends::read(site.db(), site.clients());
        site.enforce(blocked);
        site.offloads = before.changed(&site);
        site.check(blocked);
        site
    }

    fn enforce(&mut self, blocked: &Blocked) {
        match self.filter {
            Filter::Unfiltered
            | Filter::UnfilteredAgain
            | Filter::Bare
            | Filter::BareGeneric
            | Filter::BareTcx => {}
            Filter::Netpolicy(hook) => {
                self.host
                    .write("policy.toml", policies(&self.host, blocked));
                self.host.start_agent();
                self.host.ok("apply -f policy.toml");
                self.check_hook(hook);
            }
            Filter::Nftables => block_at_ingress(self.host.db(), NIC, blocked.content()),
            Filter::Ipset => {
                let interface = self.device.interface_of_packets();
                drop_in_raw_table(self.host.db(), interface, blocked.content(), "");
            }
        }
    }

    /// Fails unless netpolicy is where the figures will say that it is.
    fn check_hook(&self, hook: Hook) {
        let status = self.host.status();
        let interfaces = &status["enforcement"]["interfaces"];
        let interfaces = interfaces.as_array().map_or(&[][..], Vec::as_slice);
        let nic = interfaces.iter().find(|interface| interface["name"] == NIC);
        let found = nic.and_then(|nic| nic["attachment"].as_str());
        assert_eq!(found, Some(hook.word()), "{NIC}: {status}");
    }

    /// Fails unless listed sources are denied, except where there is no filter, and others
    /// are not: figures of a filter that does anything else are worthless.
    pub(super) fn check(&self, blocked: &Blocked) {
        let to = SocketAddr::new(HOST_V4.parse().expect("an address"), SERVED);
        let attempt = |source, wait| traffic::attempt(self.clients(), source, to, wait);
        let denied = attempt(LISTED.into(), DENIED_WAIT);
        let expected = match self.filter {
            Filter::Unfiltered | Filter::UnfilteredAgain => Outcome::Connected,
            _ => Outcome::TimedOut,
        };
        let name = self.filter.name();
        assert_eq!(denied, expected, "{name}: an attempt from {LISTED}");
        let source = blocked.allowed(1)[0];
        let allowed = attempt(source.into(), ALLOWED_WAIT);
        assert_eq!(
            allowed,
            Outcome::Connected,
            "{name}: an attempt from {source}"
        );
    }

    /// The host's namespace.
    pub(super) fn db(&self) -> &NetNs {
        self.host.db()
    }

    /// The clients' namespace.
    pub(super) fn clients(&self) -> &NetNs {
        self.host.clients()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(relay) = self.relay.take() {
            device::unwire(&self.host, relay);
        }
    }
}

/// A policy file that blocks all of it, in as few lists as it takes.
fn policies(host: &DatabaseHost, blocked: &Blocked) -> String {
    let mut file = String::new();
    for (number, list) in blocked.nets.chunks(LIST).enumerate() {
        let name = format!("blocked-{number}.txt");
        let mut text = String::with_capacity(list.len() * 20);
        for net in list {
            let _ = writeln!(text, "{net}");
        }
        host.write(&name, text);
        let _ = writeln!(
            file,
            "[[policy]]\nname = \"passing_{number}\"\nblock_file = [\"{name}\"]"
        );
    }
    file
}
