//! The filters side by side.

use super::device::Device;
use crate::choice::Choice;

/// The name of [`Filter::UnfilteredAgain`].
pub(crate) const UNFILTERED_AGAIN: &str = "unfiltered, again";

/// A filter, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    /// What all others are compared with.
    Unfiltered,
    /// The same once more: how far it differs is the measurement's noise.
    UnfilteredAgain,
    /// A program that drops all: no filter drops more packets a second.
    Bare,
    /// The same in the generic hook: no filter there drops more.
    BareGeneric,
    /// The same at tcx: no filter there drops more.
    BareTcx,
    Netpolicy(Hook),
    /// At the device's ingress, in the family `netdev`.
    Nftables,
    /// Matched in iptables' raw table.
    Ipset,
}

/// Where netpolicy's program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    Tcx,
    Native,
    Generic,
}

impl Filter {
    /// All that the device and this machine have.
    pub(super) fn of(device: Device, has: impl Fn(Choice) -> bool) -> Vec<Self> {
        let mut all = vec![Self::Unfiltered, Self::UnfilteredAgain];
        let hooks = Hook::ALL.into_iter().filter(|hook| hook.fits(device));
        all.extend(hooks.map(Self::Netpolicy));
        if has(Choice::Nftables) {
            all.push(Self::Nftables);
        }
        if has(Choice::Ipset) {
            all.push(Self::Ipset);
        }
        all
    }

    /// Whether it is what is installed on such devices by default, from which something was
    /// asked.
    pub(super) fn is_asked(self) -> bool {
        self == Self::Netpolicy(Hook::Tcx)
    }

    /// Whether it drops anything.
    pub(super) fn drops(self) -> bool {
        !matches!(self, Self::Unfiltered | Self::UnfilteredAgain)
    }

    /// As tables have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unfiltered => "unfiltered",
            Self::UnfilteredAgain => UNFILTERED_AGAIN,
            Self::Bare => "bare XDP_DROP",
            Self::BareGeneric => "bare XDP_DROP, generic XDP",
            Self::BareTcx => "bare TC_ACT_SHOT, tcx",
            Self::Netpolicy(hook) => hook.name(),
            Self::Nftables => "nftables, netdev ingress",
            Self::Ipset => "ipset, iptables raw",
        }
    }
}

impl Hook {
    pub(super) const ALL: [Self; 3] = [Self::Tcx, Self::Native, Self::Generic];

    fn name(self) -> &'static str {
        match self {
            Self::Tcx => "netpolicy, tcx",
            Self::Native => "netpolicy, native XDP",
            Self::Generic => "netpolicy, generic XDP",
        }
    }

    /// What the agent's configuration calls it, and its status.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    /// Devices that carry IP packets have no native XDP.
    fn fits(self, device: Device) -> bool {
        self != Self::Native || device != Device::Tun
    }
}
