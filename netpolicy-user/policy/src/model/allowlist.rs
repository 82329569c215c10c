//! The smallest allow list that covers sources.
//!
//! Sources that share a network of a given length become one entry: the narrowest network that holds
//! them, of IPv6 the whole one. Nothing else is joined, unless two entries are exactly the halves of
//! a network.

use ipnet::IpNet;
use jiff::Timestamp;

/// How far IPv6 sources are joined unless another length is given: hosts change their address
/// within a /64 (RFC 8981).
pub const JOINED_IPV6: u8 = 64;

/// A source that came: an address, or a network of which single addresses are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoveredSource {
    /// The address or network.
    pub net: IpNet,
    /// Its attempts.
    pub attempts: u64,
    /// When the last of them came.
    pub last_seen: Timestamp,
}

/// An entry of the list, and what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedNetwork {
    /// The entry.
    pub net: IpNet,
    /// Sources in it.
    pub sources: u64,
    /// Their attempts.
    pub attempts: u64,
    /// When the last of them came.
    pub last_seen: Timestamp,
}

/// Networks of what length become one entry at most: 32 and 128 join nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinLengths {
    /// Of IPv4 sources.
    pub v4: u8,
    /// Of IPv6 sources.
    pub v6: u8,
}

impl JoinLengths {
    fn of(self, net: &IpNet) -> u8 {
        match net {
            IpNet::V4(_) => self.v4,
            IpNet::V6(_) => self.v6,
        }
    }
}

/// The smallest list that covers all of `sources`, in the order of addresses, IPv4 first.
#[must_use]
pub fn smallest_list(sources: &[CoveredSource], join: JoinLengths) -> Vec<ListedNetwork> {
    let mut sources = sources.to_vec();
    for source in &mut sources {
        source.net = source.net.trunc();
    }
    sources.sort_unstable_by_key(|source| source.net);
    let mut listed: Vec<ListedNetwork> = Vec::new();
    for source in &sources {
        match listed.last_mut() {
            Some(last) if may_join(last, source, join) => last.take_in(source, join),
            _ => listed.push(ListedNetwork::of(source)),
        }
        merge_halves(&mut listed);
    }
    listed
}

/// Whether a source is in an entry, or in the same network of the length that is joined.
fn may_join(entry: &ListedNetwork, source: &CoveredSource, join: JoinLengths) -> bool {
    if entry.net.contains(&source.net) {
        return true;
    }
    let length = join.of(&entry.net);
    let joined = |net: &IpNet| match net.prefix_len() >= length {
        true => IpNet::new(net.addr(), length).ok().map(|net| net.trunc()),
        false => None,
    };
    joined(&entry.net).is_some() && joined(&entry.net) == joined(&source.net)
}

impl ListedNetwork {
    fn of(source: &CoveredSource) -> Self {
        Self {
            net: source.net,
            sources: 1,
            attempts: source.attempts,
            last_seen: source.last_seen,
        }
    }

    fn take_in(&mut self, source: &CoveredSource, join: JoinLengths) {
        let is_narrow = |net: &IpNet| matches!(net, IpNet::V6(_)) && net.prefix_len() > join.v6;
        let is_in = self.net.contains(&source.net);
        while !is_in && (!self.net.contains(&source.net) || is_narrow(&self.net)) {
            match self.net.supernet() {
                Some(wider) => self.net = wider,
                None => break,
            }
        }
        self.add(1, source.attempts, source.last_seen);
    }

    fn add(&mut self, sources: u64, attempts: u64, last_seen: Timestamp) {
        self.sources += sources;
        self.attempts = self.attempts.saturating_add(attempts);
        self.last_seen = self.last_seen.max(last_seen);
    }
}

/// Makes the last two entries one as long as they are the halves of a network. What is sorted and
/// disjoint stays so.
fn merge_halves(listed: &mut Vec<ListedNetwork>) {
    while let [.., one, other] = listed.as_slice() {
        let whole = one.net.supernet();
        let is_halved = one.net.prefix_len() == other.net.prefix_len()
            && one.net != other.net
            && whole.is_some()
            && whole == other.net.supernet();
        let (Some(net), true) = (whole, is_halved) else {
            return;
        };
        let other = *other;
        listed.pop();
        if let Some(last) = listed.last_mut() {
            last.net = net;
            last.add(other.sources, other.attempts, other.last_seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str], v4: u8, v6: u8) -> Vec<String> {
        let sources: Vec<_> = texts
            .iter()
            .map(|text| CoveredSource {
                net: crate::model::parse_source(text).unwrap(),
                attempts: 2,
                last_seen: Timestamp::UNIX_EPOCH,
            })
            .collect();
        let listed = smallest_list(&sources, JoinLengths { v4, v6 });
        let covered: u64 = listed.iter().map(|one| one.sources).sum();
        assert_eq!(covered, texts.len() as u64);
        let attempts: u64 = listed.iter().map(|one| one.attempts).sum();
        assert_eq!(attempts, 2 * texts.len() as u64);
        let canonical = |one: &ListedNetwork| crate::model::rule::canonical(&one.net);
        listed.iter().map(canonical).collect()
    }

    #[test]
    fn sources_of_one_network_become_the_narrowest_that_holds_them() {
        let sources = ["203.0.113.5", "203.0.113.6", "198.51.100.9", "203.0.114.1"];
        assert_eq!(
            list(&sources, 24, 128),
            ["198.51.100.9", "203.0.113.4/30", "203.0.114.1"]
        );
        assert_eq!(list(&sources, 32, 128).len(), 4);
        assert_eq!(list(&sources, 20, 128), ["198.51.100.9", "203.0.112.0/22"]);
    }

    #[test]
    fn exact_halves_become_one_entry_whatever_is_joined() {
        let sources = [
            "192.0.2.2",
            "192.0.2.0",
            "192.0.2.3",
            "192.0.2.1",
            "192.0.2.4",
        ];
        assert_eq!(list(&sources, 32, 128), ["192.0.2.0/30", "192.0.2.4"]);
    }

    #[test]
    fn addresses_in_a_network_that_came_are_in_it() {
        let sources = [
            "2001:db8::/64",
            "2001:db8::7",
            "2001:db8:0:2::1",
            "10.0.0.1",
        ];
        assert_eq!(
            list(&sources, 32, JOINED_IPV6),
            ["10.0.0.1", "2001:db8::/64", "2001:db8:0:2::1"]
        );
        let sources = ["2001:db8::7", "2001:db8::9"];
        assert_eq!(list(&sources, 32, JOINED_IPV6), ["2001:db8::/64"]);
        assert_eq!(list(&sources, 32, 128).len(), 2);
    }

    #[test]
    fn every_source_is_covered_by_exactly_one_entry() {
        let mut random = 7_u32;
        let mut next = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random
        };
        for join in [32, 28, 24, 16, 8] {
            let texts: Vec<String> = (0..300)
                .map(|_| {
                    let address = 0x0a00_0000 | (next() >> 14);
                    std::net::Ipv4Addr::from(address).to_string()
                })
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let listed = list(&texts, join, 128);
            for text in &texts {
                let source = crate::model::parse_source(text).unwrap();
                let covering = listed
                    .iter()
                    .filter(|entry| crate::model::parse_source(entry).unwrap().contains(&source));
                assert_eq!(covering.count(), 1, "{text} in {listed:?}");
            }
        }
    }
}
