//! The filters that are measured side by side, each at the end of a wire of its own.

mod bare;
mod ipset;
mod netpolicy;
mod nftables;
mod programs;
mod xdp_filter;

use ipnet::IpNet;

pub(crate) use bare::{Bare, FEWEST, NEEDED, PARSE};
pub(crate) use ipset::{Ipset, drop_in_raw_table, iptables_version};
pub(crate) use netpolicy::Netpolicy;
pub(crate) use nftables::{Nftables, block_at_ingress};
pub(crate) use programs::{missing, timed, version};
pub(crate) use xdp_filter::{MOST_HOSTS, XdpFilter};

use crate::{frame::Packets, lists::Family, wire::Wire};

/// What becomes of sources on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sense {
    /// They are dropped, all others pass.
    Block,
    /// They pass, all others are dropped.
    Allow,
}

impl Sense {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Allow => "allow",
        }
    }
}

/// What a filter is to enforce.
#[derive(Clone, Copy)]
pub(crate) struct Content<'a> {
    pub(crate) family: Family,
    pub(crate) sense: Sense,
    /// Sorted, each once; networks may contain others.
    pub(crate) nets: &'a [IpNet],
    /// What is sent to it.
    pub(crate) packets: Packets,
}

impl Content<'_> {
    /// Whether rules must ask for attempts to connect before they ask for the source. A rule
    /// that only asks for the source drops the packets of open connections as well, which
    /// an operator who adds a block to a host in use cannot want. netpolicy always asks for attempts;
    /// others only where it matters, since it costs them something.
    pub(crate) fn asks_for_attempts(&self) -> bool {
        self.packets == Packets::Established
    }
}

/// A filter in force at the tested end of a wire.
pub(crate) trait Filter: Send {
    /// "nftables".
    fn name(&self) -> &'static str;

    /// netpolicy's engine; else nothing.
    fn engine(&self) -> &'static str {
        ""
    }

    fn wire(&self) -> &Wire;

    /// Whether it only sees packets that are addressed to the tested end.
    fn wants_own_packets(&self) -> bool {
        false
    }

    /// Packets that it let pass so far. They are dropped behind it as early as can be:
    /// what is not addressed to the tested end, as soon as the network stack has it.
    fn passed(&self) -> u64 {
        self.wire().for_others()
    }
}
