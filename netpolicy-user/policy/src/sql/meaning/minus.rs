//! One list without another, as the fewest CIDRs: for Materialize, which blocks nothing.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

/// First and last address, both included.
type Interval = (u128, u128);

/// Addresses of both families, as intervals.
#[derive(Default)]
struct Families {
    v4: Vec<Interval>,
    v6: Vec<Interval>,
}

/// What is in `allow` and not in `block`: the fewest networks, ascending, IPv4 first.
/// Sorts both.
pub(super) fn minus(
    allow: impl Iterator<Item = IpNet>,
    block: impl Iterator<Item = IpNet>,
) -> Vec<IpNet> {
    let (allow, block) = (Families::of(allow), Families::of(block));
    let mut nets = Vec::new();
    for (first, last) in without(&allow.v4, &block.v4) {
        if let (Ok(first), Ok(last)) = (u32::try_from(first), u32::try_from(last)) {
            let (first, last) = (Ipv4Addr::from(first), Ipv4Addr::from(last));
            nets.extend(Ipv4Subnets::new(first, last, 0).map(IpNet::V4));
        }
    }
    for (first, last) in without(&allow.v6, &block.v6) {
        let (first, last) = (Ipv6Addr::from(first), Ipv6Addr::from(last));
        nets.extend(Ipv6Subnets::new(first, last, 0).map(IpNet::V6));
    }
    nets
}

impl Families {
    fn of(nets: impl Iterator<Item = IpNet>) -> Self {
        let mut families = Self::default();
        for net in nets {
            match net {
                IpNet::V4(net) => families.v4.push((
                    u32::from(net.network()).into(),
                    u32::from(net.broadcast()).into(),
                )),
                IpNet::V6(net) => families
                    .v6
                    .push((net.network().into(), net.broadcast().into())),
            }
        }
        merge(&mut families.v4);
        merge(&mut families.v6);
        families
    }
}

/// Sorts intervals and joins those that overlap or touch.
fn merge(intervals: &mut Vec<Interval>) {
    intervals.sort_unstable();
    intervals.dedup_by(|next, kept| {
        let joined = next.0 <= kept.1.saturating_add(1);
        if joined {
            kept.1 = kept.1.max(next.1);
        }
        joined
    });
}

/// Both are merged.
fn without(allow: &[Interval], block: &[Interval]) -> Vec<Interval> {
    let mut left = Vec::new();
    let mut blocks = block.iter().peekable();
    for &(first, last) in allow {
        let mut first = Some(first);
        while blocks
            .next_if(|(_, end)| first.is_some_and(|first| *end < first))
            .is_some()
        {}
        // The last one may reach into the next interval.
        while let (Some(from), Some(&&(start, end))) = (first, blocks.peek()) {
            if start > last {
                break;
            }
            if start > from {
                left.push((from, start - 1));
            }
            first = end.checked_add(1).filter(|next| *next <= last);
            if first.is_some() {
                blocks.next();
            }
        }
        left.extend(first.map(|first| (first, last)));
    }
    left
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nets(text: &str) -> Vec<IpNet> {
        text.split_whitespace()
            .map(|net| net.parse().unwrap())
            .collect()
    }

    fn check(allow: &str, block: &str, expected: &str) {
        let left = minus(nets(allow).into_iter(), nets(block).into_iter());
        assert_eq!(left, nets(expected), "{allow} minus {block}");
    }

    #[test]
    fn what_is_blocked_is_taken_out() {
        check("10.0.0.0/30", "10.0.0.1/32", "10.0.0.0/32 10.0.0.2/31");
        check("10.0.0.0/8", "10.0.0.0/8", "");
        check("10.0.0.0/8", "0.0.0.0/0", "");
        check("10.0.0.0/8 ::/0", "11.0.0.0/8", "10.0.0.0/8 ::/0");
        check("10.0.0.0/9 10.128.0.0/9", "", "10.0.0.0/8");
        check("::/0", "8000::/1", "::/1");
        check("0.0.0.0/0 ::/0", "0.0.0.0/0 ::/0", "");
        check(
            "255.255.255.254/31",
            "255.255.255.255/32",
            "255.255.255.254/32",
        );
        check("10.0.0.0/32 10.0.0.2/32", "10.0.0.0/30", "");
    }

    fn small() -> impl Strategy<Value = Vec<IpNet>> {
        let net = (0_u8..=255, 24_u8..=32).prop_map(|(last, length)| {
            let net = ipnet::Ipv4Net::new([10, 0, 0, last].into(), length).unwrap();
            IpNet::V4(net.trunc())
        });
        proptest::collection::vec(net, 0..8)
    }

    proptest! {
        #[test]
        fn an_address_is_left_if_it_is_allowed_and_not_blocked(allow in small(), block in small()) {
            let left = minus(allow.iter().copied(), block.iter().copied());
            for last in 0..=255 {
                let address = std::net::IpAddr::from([10, 0, 0, last]);
                let in_any = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&address));
                prop_assert_eq!(in_any(&left), in_any(&allow) && !in_any(&block));
            }
            prop_assert_eq!(IpNet::aggregate(&left).len(), left.len(), "the fewest");
        }
    }
}
