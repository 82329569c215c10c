//! What a filter switches off or on at the ends of a device.

use netpolicy_tests::{NetNs, host::NIC};
use netpolicy_user::netdev::{Netdevs, Offloads};

use super::site::Site;

/// The offloads of both ends, as they were.
pub(super) struct Ends([Offloads; 2]);

/// Names for the ends.
const ENDS: [&str; 2] = ["filtered end", "clients' end"];

impl Ends {
    /// Of the host's end and the clients'.
    pub(super) fn read(db: &NetNs, clients: &NetNs) -> Self {
        Self([db, clients].map(|ns| ns.run(read)))
    }

    /// What is different now: "tx-tcp-segmentation off at the clients' end".
    pub(super) fn changed(&self, site: &Site) -> Vec<String> {
        let now = Self::read(site.db(), site.clients());
        let ends = self.0.iter().zip(&now.0).zip(ENDS);
        let changes = ends.flat_map(|((before, now), end)| {
            [(true, "off"), (false, "on")].map(|(was_on, became)| {
                let names = before.changed(now, was_on);
                (!names.is_empty()).then(|| format!("{} {became} at the {end}", names.join(", ")))
            })
        });
        changes.flatten().collect()
    }
}

fn read() -> Offloads {
    let mut netdevs = Netdevs::open().expect("ask for interfaces");
    let device = netdevs.by_name(NIC).expect("ask for an interface");
    let device = device.expect("the device's end");
    netdevs.offloads(&device).expect("ask for offloads")
}
