//! Networks as requests have them, and as sets of prefixes do.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netpolicy_prefixes::{Prefix4, Prefix6};

pub(in crate::agent) fn prefix_v4(net: Ipv4Net) -> Prefix4 {
    Prefix4 {
        addr: net.network().into(),
        len: net.prefix_len(),
    }
}

pub(in crate::agent) fn prefix_v6(net: Ipv6Net) -> Prefix6 {
    Prefix6 {
        addr: net.network().into(),
        len: net.prefix_len(),
    }
}

pub(in crate::agent) fn net_v4(prefix: Prefix4) -> IpNet {
    let net = Ipv4Net::new(prefix.addr.into(), prefix.len);
    // A prefix has no more than 32 bits.
    IpNet::V4(net.unwrap_or_default())
}

pub(in crate::agent) fn net_v6(prefix: Prefix6) -> IpNet {
    let net = Ipv6Net::new(prefix.addr.into(), prefix.len);
    // A prefix has no more than 128 bits.
    IpNet::V6(net.unwrap_or_default())
}
