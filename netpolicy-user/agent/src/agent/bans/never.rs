//! Addresses that are never banned: those of the configuration, the host's own, its gateways',
//! the operator's.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::datapath::BanLists;
use crate::netdev::{Device, default_gateways};

/// How long the host's addresses are taken for the same.
const FRESH: Duration = Duration::from_secs(5);

/// A network that is never banned, and why in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Protected {
    pub(super) net: IpNet,
    pub(super) why: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Never {
    configured: Vec<IpNet>,
    /// Of the host, as of the last look.
    host: Vec<Protected>,
    protected: Vec<Protected>,
    /// The same, to be searched.
    lists: BanLists,
    read: Option<Instant>,
}

impl Never {
    /// Goes on with another configuration.
    pub(super) fn configure(&mut self, configured: Vec<IpNet>) {
        self.configured = configured;
        self.protect();
        self.read = None;
    }

    /// Looks at the host's addresses, unless it did a moment ago. `devices` lists interfaces;
    /// where they cannot be listed, those of the last look count.
    pub(super) fn refresh(&mut self, devices: impl FnOnce() -> Option<Vec<Device>>) {
        if self.read.is_some_and(|read| read.elapsed() < FRESH) {
            return;
        }
        let Some(devices) = devices() else { return };
        self.host = host(&devices, &default_gateways());
        self.protect();
        self.read = Some(Instant::now());
    }

    fn protect(&mut self) {
        let configured = self.configured.iter().map(|net| Protected {
            net: *net,
            why: format!("{net} is never banned: `never` under [bans] in the configuration"),
        });
        self.protected = configured.chain(self.host.iter().cloned()).collect();
        let nets = self.protected.iter().map(|protected| (0, protected.net));
        self.lists = BanLists::of(nets);
    }

    /// Why a network is not banned, if it is not.
    pub(super) fn refusal(&self, net: &IpNet, operator: &[IpAddr]) -> Option<String> {
        if let Some(address) = operator.iter().find(|address| net.contains(*address)) {
            return Some(format!("{address} is your own address"));
        }
        if !self.meets(net) {
            return None;
        }
        let meets =
            |protected: &&Protected| protected.net.contains(net) || net.contains(&protected.net);
        self.protected
            .iter()
            .find(meets)
            .map(|protected| protected.why.clone())
    }

    fn meets(&self, net: &IpNet) -> bool {
        let Some(set) = self.lists.of_scope(0) else {
            return false;
        };
        match net {
            IpNet::V4(net) => {
                let range = net.network().into()..=net.broadcast().into();
                set.v4.range(range).next().is_some()
            }
            IpNet::V6(net) => {
                let range = net.network().into()..=net.broadcast().into();
                set.v6.range(range).next().is_some()
            }
        }
    }
}

/// The host's own addresses and its gateways.
fn host(devices: &[Device], gateways: &[(IpAddr, String)]) -> Vec<Protected> {
    let own = devices.iter().flat_map(|device| {
        device.addresses.iter().map(|address| Protected {
            net: IpNet::from(*address),
            why: format!("{address} is an address of this host ({})", device.name),
        })
    });
    let gateways = gateways.iter().map(|(address, interface)| Protected {
        net: IpNet::from(*address),
        why: format!("{address} is the default gateway on {interface}"),
    });
    own.chain(gateways).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never() -> Never {
        let mut never = Never::default();
        never.configure(vec!["10.0.0.0/8".parse().unwrap()]);
        never.host = vec![Protected {
            net: "192.0.2.7/32".parse().unwrap(),
            why: "192.0.2.7 is an address of this host (eth0)".into(),
        }];
        never.protect();
        never
    }

    #[test]
    fn configured_networks_count_where_interfaces_cannot_be_listed() {
        let mut never = never();
        never.configure(vec!["11.0.0.0/8".parse().unwrap()]);
        never.refresh(|| None);
        let is_refused = |net: &str| never.refusal(&net.parse().unwrap(), &[]).is_some();
        assert!(is_refused("11.0.0.1/32") && is_refused("192.0.2.7/32"));
        assert!(!is_refused("10.0.0.1/32"));
    }

    #[test]
    fn what_holds_or_lies_in_a_protected_network_is_not_banned() {
        let never = never();
        let refusal = |net: &str| never.refusal(&net.parse().unwrap(), &[]);
        for net in ["10.1.2.3/32", "10.0.0.0/8", "8.0.0.0/5", "0.0.0.0/0"] {
            assert!(refusal(net).unwrap().contains("[bans]"), "{net}");
        }
        assert!(refusal("192.0.2.0/24").unwrap().contains("eth0"));
        for net in ["192.0.2.8/32", "11.0.0.0/8", "2001:db8::/32", "::/0"] {
            assert_eq!(refusal(net), None, "{net}");
        }
    }

    #[test]
    fn own_address_of_the_operator_is_not_banned() {
        let operator = ["203.0.113.7".parse().unwrap()];
        let refusal = |net: &str| never().refusal(&net.parse().unwrap(), &operator);
        assert!(refusal("203.0.113.0/24").unwrap().contains("your own"));
        assert_eq!(refusal("203.0.113.8/32"), None);
    }
}
