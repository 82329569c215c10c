//! The hooks of an interface at which the program can run, and which of them it gets.
//!
//! Pure. The table says of each driver what native XDP costs the packets that pass; the facts
//! behind it, with kernel files and versions, are in `docs/reference/drivers.md`.

use crate::{api::Attachment, config::HookChoice, netdev::Mode};

/// A hook of an interface's ingress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// XDP in the driver.
    Native,
    /// XDP in the kernel's generic hook.
    Generic,
    /// The tcx chain (Linux 6.6).
    Tcx,
}

impl Hook {
    /// Its name, in the configuration and in the names of pins.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tcx => "tcx",
        }
    }

    /// What people call it.
    pub(super) const fn in_words(self) -> &'static str {
        match self {
            Self::Native => "native XDP",
            Self::Generic => "generic XDP",
            Self::Tcx => "tcx",
        }
    }

    /// The hook of this name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let mut hooks = [Self::Native, Self::Generic, Self::Tcx].into_iter();
        hooks.find(|hook| hook.name() == name)
    }
}

impl From<Mode> for Hook {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Native => Self::Native,
            Mode::Generic => Self::Generic,
        }
    }
}

impl From<Hook> for Attachment {
    fn from(hook: Hook) -> Self {
        match hook {
            Hook::Native => Self::Native,
            Hook::Generic => Self::Generic,
            Hook::Tcx => Self::Tcx,
        }
    }
}

/// What native XDP does to the packets that pass a driver's interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Native {
    /// It keeps the receive offloads that the driver has by default.
    Keeps,
    /// It takes this from them.
    Takes(&'static str),
    /// The driver has none.
    Absent,
}

/// Of drivers, as ethtool names them, and of kinds of virtual devices.
const DRIVERS: [(&str, Native); 42] = [
    (
        "veth",
        Native::Takes("switches the peer's segmentation offload off"),
    ),
    (
        "virtio_net",
        Native::Takes("switches the guest's receive offloads off"),
    ),
    (
        "tun",
        Native::Takes("copies each packet, and tun devices without Ethernet headers have none"),
    ),
    ("vmxnet3", Native::Takes("switches LRO off")),
    (
        "hv_netvsc",
        Native::Takes("switches LRO off and copies each packet"),
    ),
    (
        "vif",
        Native::Takes("copies packets that do not begin a page"),
    ),
    (
        "bnxt_en",
        Native::Takes("switches LRO and hardware GRO off"),
    ),
    ("ixgbe", Native::Takes("switches LRO off")),
    (
        "bond",
        Native::Takes("is that of its ports, which lose what their drivers take"),
    ),
    ("bridge", Native::Absent),
    ("team", Native::Absent),
    ("macvlan", Native::Absent),
    ("macvtap", Native::Absent),
    ("ipvlan", Native::Absent),
    ("vlan", Native::Absent),
    ("vxlan", Native::Absent),
    ("geneve", Native::Absent),
    ("wireguard", Native::Absent),
    ("gre", Native::Absent),
    ("gretap", Native::Absent),
    ("ip6gre", Native::Absent),
    ("ip6gretap", Native::Absent),
    ("ipip", Native::Absent),
    ("sit", Native::Absent),
    ("ip6tnl", Native::Absent),
    ("vti", Native::Absent),
    ("xfrm", Native::Absent),
    ("ppp", Native::Absent),
    ("dummy", Native::Absent),
    ("ifb", Native::Absent),
    ("ena", Native::Keeps),
    ("gve", Native::Keeps),
    ("mana", Native::Keeps),
    ("i40e", Native::Keeps),
    ("ice", Native::Keeps),
    ("igb", Native::Keeps),
    ("igc", Native::Keeps),
    ("ixgbevf", Native::Keeps),
    ("mlx4_en", Native::Keeps),
    ("mlx5_core", Native::Keeps),
    ("nfp", Native::Keeps),
    ("sfc", Native::Keeps),
];

fn native(driver: &str) -> Option<Native> {
    let found = DRIVERS.iter().find(|(name, _)| *name == driver);
    found.map(|(_, native)| *native)
}

/// The hooks to try, in this order, on interfaces of a driver.
///
/// A driver that is not in the table is not tried natively: attaching may reset the NIC, take
/// queues or offloads from it, and nobody has looked. The generic hook is the last: it copies
/// most packets.
pub(super) fn candidates(choice: HookChoice, driver: &str) -> &'static [Hook] {
    match choice {
        HookChoice::Native => &[Hook::Native],
        HookChoice::Generic => &[Hook::Generic],
        HookChoice::Tcx => &[Hook::Tcx],
        HookChoice::Auto if native(driver) == Some(Native::Keeps) => {
            &[Hook::Native, Hook::Tcx, Hook::Generic]
        }
        HookChoice::Auto => &[Hook::Tcx, Hook::Generic],
    }
}

/// Why an interface of a driver is filtered at this hook; `choice`: as far as it is known.
/// `refused`: why the driver's own hook was not to be had, where that was tried.
pub(super) fn reason(
    choice: Option<HookChoice>,
    driver: &str,
    hook: Hook,
    refused: Option<&str>,
) -> String {
    if choice.is_some_and(|choice| choice != HookChoice::Auto) {
        return "as configured".to_owned();
    }
    if let Some(why) = refused {
        return why.to_owned();
    }
    match (hook, native(driver)) {
        (Hook::Native, Some(Native::Keeps)) => {
            format!("{driver} keeps its receive offloads under native XDP")
        }
        (Hook::Native, Some(Native::Takes(what))) => {
            format!("but {driver}'s native XDP {what}")
        }
        (Hook::Tcx, Some(Native::Keeps)) => format!("{driver} has native XDP, which is not in use"),
        (Hook::Tcx, Some(Native::Takes(what))) => format!("{driver}'s native XDP {what}"),
        (Hook::Tcx, Some(Native::Absent)) => format!("{driver} has no native XDP"),
        (Hook::Tcx, None) if driver.is_empty() => "its driver is not known".to_owned(),
        (Hook::Tcx, None) => {
            format!("what native XDP costs on {driver} is not known")
        }
        (Hook::Native, _) => format!("{driver} has native XDP"),
        (Hook::Generic, _) => "slower than native XDP and tcx".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_never_takes_receive_offloads() {
        for (driver, native) in DRIVERS {
            let first = candidates(HookChoice::Auto, driver)[0];
            assert_eq!(first == Hook::Native, native == Native::Keeps, "{driver}");
        }
        assert_eq!(candidates(HookChoice::Auto, "new_nic")[0], Hook::Tcx);
        assert_eq!(candidates(HookChoice::Auto, "")[0], Hook::Tcx);
    }

    #[test]
    fn forced_hook_is_the_only_one_tried() {
        for (choice, hook) in [
            (HookChoice::Native, Hook::Native),
            (HookChoice::Generic, Hook::Generic),
            (HookChoice::Tcx, Hook::Tcx),
        ] {
            assert_eq!(candidates(choice, "ena"), [hook]);
            assert_eq!(Hook::from_name(hook.name()), Some(hook));
        }
    }

    #[test]
    fn each_driver_is_in_the_table_once() {
        for (driver, _) in DRIVERS {
            assert_eq!(
                DRIVERS.iter().filter(|(d, _)| *d == driver).count(),
                1,
                "{driver}"
            );
        }
    }

    #[test]
    fn reason_names_the_driver_and_what_it_would_lose() {
        let auto = Some(HookChoice::Auto);
        assert_eq!(
            reason(auto, "veth", Hook::Tcx, None),
            "veth's native XDP switches the peer's segmentation offload off"
        );
        assert_eq!(
            reason(
                auto,
                "ena",
                Hook::Tcx,
                Some("another XDP program is attached")
            ),
            "another XDP program is attached"
        );
        assert_eq!(
            reason(Some(HookChoice::Tcx), "ena", Hook::Tcx, None),
            "as configured"
        );
    }
}
