//! Networks without parts of them.

use ipnet::IpNet;

/// The parts of `net` that are in none of `holes`, in order.
pub(crate) fn without(net: IpNet, holes: &[IpNet]) -> Vec<IpNet> {
    let mut parts = Vec::new();
    split(net, holes, &mut parts);
    parts
}

fn split(net: IpNet, holes: &[IpNet], parts: &mut Vec<IpNet>) {
    if holes.iter().any(|hole| hole.contains(&net)) {
        return;
    }
    let inside: Vec<_> = holes
        .iter()
        .copied()
        .filter(|hole| net.contains(hole))
        .collect();
    if inside.is_empty() {
        parts.push(net);
        return;
    }
    // A net that holds another is no single address.
    if let Ok(halves) = net.subnets(net.prefix_len() + 1) {
        for half in halves {
            split(half, &inside, parts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn what_is_left_is_in_no_hole() {
        let net = "10.0.0.0/30".parse().unwrap();
        let left = |holes: &[&str]| without(net, &nets(holes));
        assert_eq!(left(&[]), nets(&["10.0.0.0/30"]));
        assert_eq!(
            left(&["10.0.0.2/32"]),
            nets(&["10.0.0.0/31", "10.0.0.3/32"])
        );
        assert_eq!(left(&["10.0.0.0/8"]), nets(&[]));
        assert_eq!(
            left(&["2001:db8::/32", "192.0.2.0/24"]),
            nets(&["10.0.0.0/30"])
        );
        assert_eq!(left(&["10.0.0.0/31", "10.0.0.2/31"]), nets(&[]));
    }
}
