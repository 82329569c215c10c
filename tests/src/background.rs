//! Lists that grow and shrink around probes: their entries are the probes' neighbours
//! in every structure, and none of them is a probe.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netpolicy_user::compiler::{Compilation, Prefix, PrefixSet, Prefixes, Ruleset};
use netpolicy_user::model::change::{Change, ListInput};
use netpolicy_user::model::{ListEdit, Rule, RuleList, State};

use crate::rules::{self, policy};
use crate::shifting::{alterations, changes, edit};

/// The policies that hold the entries around the probes, and their lists.
const HOST: &str = "around_host";
const BASE: &str = "around_base";

/// Entries around the probes, in the lists of the host and of one service.
#[derive(Clone, Debug, Default)]
pub struct Background {
    host_allow: RuleList,
    host_block: RuleList,
    db_block: RuleList,
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
        let mut changes = changes(step);
        changes.push(policy(HOST, Some(&[]), &[], &[]));
        changes.push(policy(BASE, None, &[], &["base"]));
        changes.extend(self.set());
        rules::state(&changes)
    }

    /// The changes that put this around the probes, instead of what was there.
    fn set(&self) -> [Change; 2] {
        let set = |list: &RuleList| ListEdit::Set {
            list: ListInput::of(list.clone()),
        };
        [
            rules::alter(HOST, set(&self.host_allow), set(&self.host_block)),
            rules::alter(BASE, ListEdit::Keep, set(&self.db_block)),
        ]
    }

    /// The changes that put the entries back that are away since a step, and take others
    /// away.
    fn turn(&self, since: Option<usize>, step: usize) -> [Change; 2] {
        let turn = |list: &RuleList| {
            let back = since.map_or(Vec::new(), |step| away(list, step));
            edit(&away(list, step), &back)
        };
        [
            rules::alter(HOST, turn(&self.host_allow), turn(&self.host_block)),
            rules::alter(BASE, ListEdit::Keep, turn(&self.db_block)),
        ]
    }
}

/// Some entries of a list, of both families, other ones in each step. Short lists keep
/// all of theirs.
fn away(list: &RuleList, step: usize) -> Vec<String> {
    const AWAY: usize = 4;
    let length = list.len();
    if length < 50 {
        return Vec::new();
    }
    let at = |part| (part * length / AWAY + step * 3) % length;
    let entry = |part| list[at(part)].text().into_owned();
    (0..AWAY).map(entry).collect()
}

/// What is desired: a state that goes from step to step as an agent's does, by changes,
/// and is compiled from what it was compiled to before.
pub struct Desired {
    state: State,
    compiled: Compilation,
    around: Arc<Background>,
    step: usize,
    /// In which step of these surroundings entries were taken away last.
    turned: Option<usize>,
    spliced: usize,
}

impl Desired {
    /// Step 0.
    #[must_use]
    pub fn new(around: &Arc<Background>) -> Self {
        let state = around.state(0);
        Self {
            compiled: Compilation::new(&state),
            state,
            around: Arc::clone(around),
            step: 0,
            turned: None,
            spliced: 0,
        }
    }

    /// Goes to another step, with this around its probes but for some entries.
    ///
    /// # Panics
    /// When the model refuses it.
    pub fn go(&mut self, step: usize, around: &Arc<Background>) -> Arc<Ruleset> {
        let mut changes = alterations(self.step, step);
        if !Arc::ptr_eq(&self.around, around) {
            self.around = Arc::clone(around);
            self.turned = None;
            changes.extend(around.set());
        }
        changes.extend(around.turn(self.turned, step));
        self.turned = Some(step);
        self.step = step;
        self.state = rules::changed(&self.state, &changes);
        let compiled = self.compiled.next(&self.state, &mut |_, _| {});
        let [old, new] = [&self.compiled, &compiled].map(|c| &c.ruleset().scopes[0].block);
        self.spliced += usize::from(is_spliced(old, new));
        self.compiled = compiled;
        Arc::clone(self.compiled.ruleset())
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The ruleset.
    #[must_use]
    pub fn ruleset(&self) -> &Arc<Ruleset> {
        self.compiled.ruleset()
    }

    /// In how many steps it could be seen that of the host's block list only what changed
    /// was compiled, in both families.
    #[must_use]
    pub fn spliced(&self) -> usize {
        self.spliced
    }
}

/// Whether a list changed, and shares memory with what it was: one that is compiled whole
/// does not.
fn is_spliced(old: &PrefixSet, new: &PrefixSet) -> bool {
    fn is<P: Prefix>(old: &Prefixes<P>, new: &Prefixes<P>) -> bool {
        let is_old = |chunk| old.chunks().any(|old| Arc::ptr_eq(old, chunk));
        old != new && new.chunks().any(is_old)
    }
    is(&old.v4, &new.v4) && is(&old.v6, &new.v6)
}

/// So many entries, half of them of each family and one in eight a network, none
/// next to another (so that nothing could be merged), none of them a probe or a
/// network around one. `shift` moves them elsewhere.
fn some(entries: usize, random: &mut Random, shift: u8) -> RuleList {
    let nets = (entries / 16).min(1 << 10);
    let hosts = entries / 2 - nets;
    let shift = u32::from(shift);
    // Every fourth host of 10.0.0.0/12 and in fd00::/28; networks in every other /24 of
    // 172.16.0.0/12 and every other /48 of fd10::/32. `shift` makes it 18.0.0.0/12 …
    let v4 = |bits: u32, length| IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from(bits), length));
    let v6 = |bits: u128, length| IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from(bits), length));
    let slots = random.distinct(hosts, 18);
    let v4_hosts = slots.map(|slot| v4((10 + shift) << 24 | slot << 2, 32));
    let slots = random.distinct(nets, 11);
    let v4_nets = slots.map(|slot| {
        let bits = (172 + shift) << 24 | 16 << 16 | slot << 9;
        v4(bits, 24 + (slot % 5) as u8)
    });
    let slots = random.distinct(hosts, 18);
    let v6_hosts = slots.map(|slot| {
        let bits = (0xfd00 + u128::from(shift)) << 112
            | u128::from(slot >> 14) << 96
            | u128::from(slot >> 6 & 0xff) << 80
            | u128::from(slot & 63) << 2;
        v6(bits, 128)
    });
    let slots = random.distinct(nets, 11);
    let v6_nets = slots.map(|slot| {
        let bits = (0xfd10 + u128::from(shift)) << 112 | u128::from(slot) << 81;
        v6(bits, 48 + (slot % 17) as u8)
    });
    let nets = v4_hosts.chain(v4_nets).chain(v6_hosts).chain(v6_nets);
    let rules = nets.map(|net| Rule {
        net,
        source: 0,
        line: 0,
        note: None,
    });
    RuleList::from_parts(rules.collect(), vec!["around".into()])
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
