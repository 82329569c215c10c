//! The gateways of default routes, as `/proc/net` has them (proc_net(5)).

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `RTF_GATEWAY` of `linux/route.h`.
const GATEWAY: u32 = 2;

/// The gateways of default routes of the main table, with their interfaces. What cannot be read
/// is left out.
#[must_use]
pub fn default_gateways() -> Vec<(IpAddr, String)> {
    let mut found = Vec::new();
    for (path, read) in [
        ("/proc/net/route", gateway_v4 as fn(&str) -> _),
        ("/proc/net/ipv6_route", gateway_v6),
    ] {
        let Ok(file) = File::open(path) else { continue };
        let lines = BufReader::new(file).lines().map_while(Result::ok);
        found.extend(lines.filter_map(|line| read(&line)));
    }
    found.sort();
    found.dedup();
    found
}

/// The gateway of a line of `/proc/net/route`: interface, destination, gateway, flags, three
/// counts, mask; addresses as the host's integers in hexadecimal.
fn gateway_v4(line: &str) -> Option<(IpAddr, String)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [interface, destination, gateway, flags, _, _, _, mask, ..] = fields[..] else {
        return None;
    };
    let number = |text: &str| u32::from_str_radix(text, 16).ok();
    if number(destination)? != 0 || number(mask)? != 0 || number(flags)? & GATEWAY == 0 {
        return None;
    }
    let address = Ipv4Addr::from(number(gateway)?.to_ne_bytes());
    Some((address.into(), interface.to_owned()))
}

/// The gateway of a line of `/proc/net/ipv6_route`: destination and its length, source and its
/// length, next hop, metric, two counts, flags, interface; all in hexadecimal.
fn gateway_v6(line: &str) -> Option<(IpAddr, String)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, length, _, _, hop, _, _, _, flags, interface, ..] = fields[..] else {
        return None;
    };
    let flags = u32::from_str_radix(flags, 16).ok()?;
    if length != "00" || flags & GATEWAY == 0 {
        return None;
    }
    let address = Ipv6Addr::from(u128::from_str_radix(hop, 16).ok()?);
    Some((address.into(), interface.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_those_of_default_routes() {
        #[cfg(target_endian = "little")]
        assert_eq!(
            gateway_v4("eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0"),
            Some(("192.168.1.1".parse().unwrap(), "eth0".into()))
        );
        for other in [
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT",
            "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0",
            "eth0\t00000000\t00000000\t0001\t0\t0\t100\t00000000\t0\t0\t0",
            "",
        ] {
            assert_eq!(gateway_v4(other), None, "{other}");
        }
        let default = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                       fe80000000000000000000000000abcd 00000400 00000001 00000000 00000003     eth0";
        assert_eq!(
            gateway_v6(default),
            Some(("fe80::abcd".parse().unwrap(), "eth0".into()))
        );
        let local = default.replace("00000003 ", "00000001 ");
        assert_eq!(gateway_v6(&local), None);
    }
}
