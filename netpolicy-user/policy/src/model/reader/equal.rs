//! Which rules of a list are for the same network.
//!
//! Sorts small keys, not rules: a list has millions. Rules that an earlier version of the
//! list has as well differ from each other already.

use ipnet::IpNet;

use crate::model::{Rule, RuleList};

/// Bits of a packed key that hold a rule's index.
const INDEX_BITS: u32 = 26;

/// Rules that are looked for among others at the most, as a share of all: one in this many.
const FEW: usize = 8;

/// Indices of rules with equal networks, ascending within each group. `shared`: for each
/// chunk of the list whether its rules are known to differ from those of the other shared
/// chunks; may be empty.
pub(super) fn equal_groups(list: &RuleList, shared: &[bool]) -> Vec<Vec<usize>> {
    // Lists that come sorted, as many do, have no duplicates to look for.
    if list.iter().is_sorted_by(|a, b| a.net < b.net) {
        return Vec::new();
    }
    let chunks = list.chunks().iter().zip(shared);
    let fresh = chunks.filter(|(_, shared)| !**shared);
    let fresh: Vec<&[Rule]> = fresh.map(|(chunk, _)| chunk.rules()).collect();
    let count: usize = fresh.iter().map(|rules| rules.len()).sum();
    if shared.len() < list.chunks().len() || count > list.len() / FEW {
        return groups_of(list.iter().enumerate());
    }
    let filter = Filter::of(count, fresh.into_iter().flatten());
    let perhaps = list.iter().enumerate();
    groups_of(perhaps.filter(|(_, rule)| filter.may_hold(&rule.net)))
}

fn groups_of<'r>(rules: impl Iterator<Item = (usize, &'r Rule)>) -> Vec<Vec<usize>> {
    let (mut packed, mut v4, mut v6) = (Vec::new(), Vec::new(), Vec::new());
    for (index, rule) in rules {
        match rule.net {
            IpNet::V4(net) => {
                let key = u64::from(net.addr().to_bits()) << 6 | u64::from(net.prefix_len());
                let place = index as u64;
                if place < 1 << INDEX_BITS {
                    packed.push(key << INDEX_BITS | place);
                } else {
                    v4.push((key, index));
                }
            }
            IpNet::V6(net) => v6.push(((net.addr().to_bits(), net.prefix_len()), index)),
        }
    }
    let mut groups = Vec::new();
    if v4.is_empty() {
        packed.sort_unstable();
        let equal = packed.chunk_by(|a, b| a >> INDEX_BITS == b >> INDEX_BITS);
        let equal = equal.filter(|group| group.len() > 1);
        groups.extend(equal.map(|group| group.iter().map(|word| place(*word)).collect()));
    } else {
        v4.extend(packed.iter().map(|word| (word >> INDEX_BITS, place(*word))));
        pairs(v4, &mut groups);
    }
    pairs(v6, &mut groups);
    groups
}

/// The index in a packed key.
fn place(word: u64) -> usize {
    // Has fewer bits than any `usize` of a system with XDP.
    usize::try_from(word & ((1 << INDEX_BITS) - 1)).unwrap_or(usize::MAX)
}

fn pairs<K: Ord>(mut keys: Vec<(K, usize)>, groups: &mut Vec<Vec<usize>>) {
    keys.sort_unstable();
    let equal = keys
        .chunk_by(|a, b| a.0 == b.0)
        .filter(|group| group.len() > 1);
    groups.extend(equal.map(|group| group.iter().map(|(_, index)| *index).collect()));
}

/// Some networks, with a quick check that another one is not among them.
struct Filter(Vec<u64>);

impl Filter {
    fn of<'r>(count: usize, rules: impl Iterator<Item = &'r Rule>) -> Self {
        let words = (count / 4).next_power_of_two();
        let mut filter = Self(vec![0; words]);
        for rule in rules {
            let (word, bit) = filter.bit(&rule.net);
            filter.0[word] |= bit;
        }
        filter
    }

    /// `false`: it is not among them.
    fn may_hold(&self, net: &IpNet) -> bool {
        let (word, bit) = self.bit(net);
        self.0[word] & bit != 0
    }

    /// The network's word and bit: of a hash.
    fn bit(&self, net: &IpNet) -> (usize, u64) {
        let address = match net {
            IpNet::V4(net) => u64::from(net.addr().to_bits()),
            IpNet::V6(net) => {
                let bits = net.addr().to_bits();
                (bits >> 64) as u64 ^ ((bits & 0xffff_ffff_ffff_ffff) as u64).rotate_left(29)
            }
        };
        let key = address ^ u64::from(net.prefix_len()) << 56;
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let word = (hash >> 6) as usize & (self.0.len() - 1);
        (word, 1 << (hash & 63))
    }
}
