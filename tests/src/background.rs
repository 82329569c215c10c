//! Lists that grow and shrink around probes: their entries are the probes' neighbours
//! in every structure, and none of them is a probe.

use std::collections::BTreeSet;

use netpolicy_common::HOST_SCOPE;
use netpolicy_user::compiler::{Prefix, Prefix4, Prefix6, PrefixSet, Prefixes, Ruleset, compile};
use netpolicy_user::model::State;

use crate::rules::{policy, state};
use crate::shifting::{DB, changes, refs};

/// Entries around the probes, in the lists of the host and of one service.
#[derive(Clone, Debug, Default)]
pub struct Background {
    host_allow: PrefixSet,
    host_block: PrefixSet,
    db_block: PrefixSet,
}

impl Background {
    /// So many entries, chosen by `seed`.
    #[must_use]
    pub fn new(entries: usize, seed: u64) -> Self {
        let mut random = Random(seed);
        Self {
            host_block: some(entries / 2, &mut random, 0),
            db_block: some(entries / 4, &mut random, 0),
            // Where the allow lists have nothing else.
            host_allow: some(entries / 4, &mut random, 8),
        }
    }

    /// A step's state with this around its probes.
    ///
    /// # Panics
    /// When the model refuses it.
    #[must_use]
    pub fn state(&self, step: usize) -> State {
        fn texts(set: &PrefixSet) -> Vec<String> {
            set.nets().map(|net| net.to_string()).collect()
        }
        let [allow, block, db] = [&self.host_allow, &self.host_block, &self.db_block].map(texts);
        let mut changes = changes(step);
        changes.push(policy(
            "around_host",
            Some(&refs(&allow)),
            &refs(&block),
            &[],
        ));
        changes.push(policy("around_base", None, &refs(&db), &["base"]));
        state(&changes)
    }

    /// A step's ruleset with this around its probes: what the compiler makes of the
    /// step's policies, and this put into its lists, which takes no time to speak of.
    ///
    /// # Panics
    /// When the step has no such scopes.
    #[must_use]
    pub fn ruleset(&self, step: usize) -> Ruleset {
        let mut ruleset = compile(&state(&changes(step)));
        let db = ruleset.ports[usize::from(DB)];
        for scope in &mut ruleset.scopes {
            if scope.id == HOST_SCOPE {
                add(&mut scope.allow, &self.host_allow);
                add(&mut scope.block, &self.host_block);
            } else if scope.id == db {
                add(&mut scope.block, &self.db_block);
            }
        }
        ruleset
    }
}

/// Both lists hold nothing of each other.
fn add(list: &mut PrefixSet, more: &PrefixSet) {
    fn both<P: Prefix>(list: &Prefixes<P>, more: &Prefixes<P>) -> Prefixes<P> {
        let mut all: Vec<P> = list.iter().chain(more).copied().collect();
        all.sort();
        all.into_iter().collect()
    }
    list.v4 = both(&list.v4, &more.v4);
    list.v6 = both(&list.v6, &more.v6);
}

/// So many entries, half of them of each family and one in eight a network, none
/// beside another (so that nothing could be merged), none of them a probe or a
/// network around one. `shift` moves them elsewhere.
fn some(entries: usize, random: &mut Random, shift: u8) -> PrefixSet {
    let nets = (entries / 16).min(1 << 10);
    let hosts = entries / 2 - nets;
    let shift = u32::from(shift);
    // Every fourth host of 10.0.0.0/12 and in fd00::/28; networks in every other /24 of
    // 172.16.0.0/12 and every other /48 of fd10::/32. `shift` makes it 18.0.0.0/12 …
    let slots = random.distinct(hosts, 18);
    let v4_hosts = slots.map(|slot| Prefix4 {
        addr: (10 + shift) << 24 | slot << 2,
        len: 32,
    });
    let slots = random.distinct(nets, 11);
    let v4_nets = slots.map(|slot| Prefix4 {
        addr: (172 + shift) << 24 | 16 << 16 | slot << 9,
        len: 24 + (slot % 5) as u8,
    });
    let slots = random.distinct(hosts, 18);
    let v6_hosts = slots.map(|slot| Prefix6 {
        addr: (0xfd00 + u128::from(shift)) << 112
            | u128::from(slot >> 14) << 96
            | u128::from(slot >> 6 & 0xff) << 80
            | u128::from(slot & 63) << 2,
        len: 128,
    });
    let slots = random.distinct(nets, 11);
    let v6_nets = slots.map(|slot| Prefix6 {
        addr: (0xfd10 + u128::from(shift)) << 112 | u128::from(slot) << 81,
        len: 48 + (slot % 17) as u8,
    });
    PrefixSet {
        v4: v4_hosts.chain(v4_nets).collect(),
        v6: v6_hosts.chain(v6_nets).collect(),
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// So many different numbers of so many bits, ascending.
    fn distinct(&mut self, count: usize, bits: u32) -> impl Iterator<Item = u32> + use<> {
        assert!(count <= 1 << (bits - 1), "so many would take long to find");
        let mut numbers = BTreeSet::new();
        while numbers.len() < count {
            let number = self.next() >> (64 - bits);
            numbers.insert(u32::try_from(number).expect("less than 32 bits"));
        }
        numbers.into_iter()
    }
}
