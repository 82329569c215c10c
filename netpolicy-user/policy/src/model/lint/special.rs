//! Ranges of addresses that no public source has.
//!
//! Source: the IANA IPv4 and IPv6 Special-Purpose Address Registries
//! (<https://www.iana.org/assignments/iana-ipv4-special-registry>,
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>), and the registries
//! of multicast addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

const V4: [([u8; 4], u8, &str); 14] = [
    ([0, 0, 0, 0], 8, "\"this network\" (RFC 791)"),
    ([10, 0, 0, 0], 8, "private (RFC 1918)"),
    (
        [100, 64, 0, 0],
        10,
        "shared between carrier and customer (RFC 6598)",
    ),
    ([127, 0, 0, 0], 8, "loopback (RFC 1122)"),
    ([169, 254, 0, 0], 16, "link-local (RFC 3927)"),
    ([172, 16, 0, 0], 12, "private (RFC 1918)"),
    ([192, 0, 0, 0], 24, "for protocols (RFC 6890)"),
    ([192, 0, 2, 0], 24, "for documentation (RFC 5737)"),
    ([192, 168, 0, 0], 16, "private (RFC 1918)"),
    ([198, 18, 0, 0], 15, "for benchmarks (RFC 2544)"),
    ([198, 51, 100, 0], 24, "for documentation (RFC 5737)"),
    ([203, 0, 113, 0], 24, "for documentation (RFC 5737)"),
    ([224, 0, 0, 0], 4, "multicast (RFC 1112)"),
    ([240, 0, 0, 0], 4, "reserved (RFC 1112)"),
];

const V6: [([u16; 8], u8, &str); 8] = [
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, "unspecified (RFC 4291)"),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback (RFC 4291)"),
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "discard-only (RFC 6666)"),
    (
        [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0],
        32,
        "for documentation (RFC 3849)",
    ),
    (
        [0x3fff, 0, 0, 0, 0, 0, 0, 0],
        20,
        "for documentation (RFC 9637)",
    ),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "unique local (RFC 4193)"),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local (RFC 4291)"),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast (RFC 4291)"),
];

/// Ranges from which the own machines of a host's operator come.
const LOCAL: [&str; 8] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
    "fe80::/10",
];

/// The shortest prefix in which local ranges are looked for: a wider one has the finding that it blocks
/// much of a family.
const SHORTEST: u8 = 4;

/// The longest prefix of a local range: no longer one holds a range whole.
const LONGEST: u8 = 16;

/// A range that is reported when blocks cover all of it.
pub(super) struct Local {
    /// The range.
    pub(super) net: IpNet,
    /// "10.0.0.0/8, private (RFC 1918)".
    pub(super) words: String,
}

/// The local ranges, then the networks of the host itself and the names of their interfaces.
pub(super) fn locals(own: &[(IpNet, String)]) -> Vec<Local> {
    let mut locals: Vec<Local> = Vec::new();
    for text in LOCAL {
        if let Ok(net) = text.parse()
            && let Some(purpose) = purpose(&net)
        {
            let words = format!("{text}, {purpose}");
            locals.push(Local { net, words });
        }
    }
    for (net, interface) in own {
        // Networks within another range are reached when that is; hosts are no networks.
        let is_known = locals.iter().any(|local| local.net == *net);
        if !is_known && net.prefix_len() > 0 && net.prefix_len() < net.max_prefix_len() {
            let words = format!("{net}, this host's own network on {interface}");
            locals.push(Local { net: *net, words });
        }
    }
    locals
}

/// The first local range that a network holds whole, and what that is for.
pub(super) fn whole_local(net: &IpNet) -> Option<(&'static str, &'static str)> {
    // Nearly all of millions of rules are longer.
    if !(SHORTEST..=LONGEST).contains(&net.prefix_len()) {
        return None;
    }
    LOCAL.iter().find_map(|&text| {
        let range: IpNet = text.parse().ok()?;
        let held = net.contains(&range);
        held.then_some(text).zip(purpose(&range))
    })
}

/// What a network is for, if it lies in a range of special purpose.
pub(super) fn purpose(net: &IpNet) -> Option<&'static str> {
    match net {
        IpNet::V4(net) => {
            let address = u32::from(net.network());
            let inside = |first: [u8; 4], length: u8| {
                net.prefix_len() >= length
                    && (address ^ u32::from(Ipv4Addr::from(first))) >> (32 - length) == 0
            };
            let found = V4.iter().find(|(first, length, _)| inside(*first, *length));
            found.map(|(_, _, purpose)| *purpose)
        }
        IpNet::V6(net) => {
            let address = u128::from(net.network());
            let inside = |first: [u16; 8], length: u8| {
                net.prefix_len() >= length
                    && (address ^ u128::from(Ipv6Addr::from(first))) >> (128 - length) == 0
            };
            let found = V6.iter().find(|(first, length, _)| inside(*first, *length));
            found.map(|(_, _, purpose)| *purpose)
        }
    }
}

/// What a network is for, if it lies in a range of special purpose, or holds one.
#[must_use]
pub(in crate::model) fn special_purpose(net: &IpNet) -> Option<&'static str> {
    purpose(net).or_else(|| {
        let v4 = V4.iter().map(|(first, length, purpose)| {
            let first = IpAddr::from(Ipv4Addr::from(*first));
            (first, *length, *purpose)
        });
        let v6 = V6.iter().map(|(first, length, purpose)| {
            let first = IpAddr::from(Ipv6Addr::from(*first));
            (first, *length, *purpose)
        });
        let held = |(first, length, _): &(IpAddr, u8, _)| {
            net.prefix_len() <= *length && net.contains(first)
        };
        let found = v4.chain(v6).find(held);
        found.map(|(_, _, purpose)| purpose)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_local_range_is_known_whole_and_in_part_by_no_network() {
        for text in LOCAL {
            let range: IpNet = text.parse().unwrap();
            assert_eq!(range.trunc().to_string(), text);
            assert_eq!(whole_local(&range).unwrap().0, text);
            assert!(range.prefix_len() <= LONGEST, "{text}");
            let wider = IpNet::new(range.addr(), range.prefix_len() - 1).unwrap();
            assert!(whole_local(&wider.trunc()).is_some(), "{wider}");
            let part = IpNet::new(range.addr(), range.prefix_len() + 1).unwrap();
            assert_eq!(whole_local(&part), None, "{part}");
        }
        for other in [
            "0.0.0.0/0",
            "0.0.0.0/1",
            "::/0",
            "8000::/1",
            "8.8.8.0/24",
            "2001:db8::/32",
        ] {
            assert_eq!(whole_local(&other.parse().unwrap()), None, "{other}");
        }
    }

    #[test]
    fn ranges_of_special_purpose_are_known_and_others_are_not() {
        for (net, expected) in [
            ("10.1.2.3/32", Some("private (RFC 1918)")),
            ("172.31.255.0/24", Some("private (RFC 1918)")),
            ("172.32.0.0/16", None),
            (
                "100.64.0.0/10",
                Some("shared between carrier and customer (RFC 6598)"),
            ),
            ("100.0.0.0/8", None),
            ("127.0.0.1/32", Some("loopback (RFC 1122)")),
            ("224.0.0.0/3", None),
            ("224.0.0.0/4", Some("multicast (RFC 1112)")),
            ("255.255.255.255/32", Some("reserved (RFC 1112)")),
            ("8.8.8.8/32", None),
            ("0.0.0.0/0", None),
            ("::1/128", Some("loopback (RFC 4291)")),
            ("::2/128", None),
            ("fd00::/8", Some("unique local (RFC 4193)")),
            ("2001:db8:1::/48", Some("for documentation (RFC 3849)")),
            ("2a00::/12", None),
            ("::/0", None),
        ] {
            assert_eq!(purpose(&net.parse().unwrap()), expected, "{net}");
        }
    }
}
