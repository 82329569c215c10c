//! All networks of one family, sorted: which rules lie inside which, and what lists
//! cover together.

mod together;

use std::cmp::Ordering;
use std::iter::Peekable;

use ipnet::IpNet;
use rayon::prelude::*;

use self::together::JoinedBlocks;
use super::exceptions;
use crate::model::{ListKind, State};

/// An address as an integer in host order.
pub(super) trait Bits: Copy + Ord + Send + Sync {
    /// The first address of all.
    const LOWEST: Self;
    /// The last address of all.
    const HIGHEST: Self;
    /// A network of this family.
    fn of(net: &IpNet) -> Option<(Self, u8)>;
    /// The last address of the network of `length` that begins here.
    fn last(self, length: u8) -> Self;
    /// What part of all addresses a range is.
    fn share(first: Self, last: Self) -> f64;
    /// The address after this one; `None` after the highest.
    fn next(self) -> Option<Self>;
    /// The address before this one; `None` before the lowest.
    fn previous(self) -> Option<Self>;
}

macro_rules! bits {
    ($int:ty, $family:ident) => {
        impl Bits for $int {
            const LOWEST: Self = <$int>::MIN;
            const HIGHEST: Self = <$int>::MAX;

            fn of(net: &IpNet) -> Option<(Self, u8)> {
                match net {
                    IpNet::$family(net) => Some((net.network().into(), net.prefix_len())),
                    _ => None,
                }
            }

            fn last(self, length: u8) -> Self {
                self | <$int>::MAX.checked_shr(length.into()).unwrap_or(0)
            }

            // A share need not be exact.
            fn share(first: Self, last: Self) -> f64 {
                ((last - first) as f64 + 1.0) / (<$int>::MAX as f64 + 1.0)
            }

            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }

            fn previous(self) -> Option<Self> {
                self.checked_sub(1)
            }
        }
    };
}

bits!(u32, V4);
bits!(u128, V6);

/// A rule. Small, since there may be millions.
#[derive(Clone, Copy)]
pub(super) struct RuleEntry<A> {
    pub(super) first: A,
    /// Index of the rule in its list.
    pub(super) rule: u32,
    /// Place of its policy in [`Ranks`].
    rank: u16,
    /// Index of its list in [`State::counted`].
    pub(super) part: u16,
    length: u8,
    block: bool,
    /// Whether it is only what exceptions leave of its rule.
    is_left: bool,
}

impl<A: Bits> RuleEntry<A> {
    pub(super) fn last(&self) -> A {
        self.first.last(self.length)
    }

    pub(super) fn kind(&self) -> ListKind {
        if self.block {
            ListKind::Block
        } else {
            ListKind::Allow
        }
    }

    /// Its place among those that begin at the same address.
    fn order(&self) -> (u8, bool, u16, u16, u32) {
        (self.length, !self.block, self.rank, self.part, self.rule)
    }

    pub(super) fn policy(&self, ranks: &Ranks) -> usize {
        ranks
            .policies
            .get(usize::from(self.rank))
            .copied()
            .unwrap_or(0)
    }
}

/// Policies in an order in which those that govern more come first: of two equal rules,
/// the later never matters because of the earlier, if one does so.
pub(super) struct Ranks {
    policies: Vec<usize>,
    /// By rank of the one, then of the other: whether in every scope that the second
    /// governs the first does, too.
    wherever: Vec<Vec<bool>>,
}

impl Ranks {
    pub(super) fn of(state: &State) -> Self {
        let policies = &state.policies;
        let mut ranked: Vec<usize> = (0..policies.len()).collect();
        ranked.sort_by_key(|&at| {
            policies.get(at).map(|policy| {
                (
                    !policy.is_enforced(),
                    std::cmp::Reverse(policy.bindings.len()),
                    at,
                )
            })
        });
        let ordered: Vec<_> = ranked.iter().filter_map(|&at| policies.get(at)).collect();
        let wherever = ordered.iter().enumerate().map(|(at, one)| {
            let others = ordered.iter().enumerate().map(|(other_at, other)| {
                at == other_at
                    || one.is_enforced()
                        && other.is_enforced()
                        && !other.bindings.is_empty()
                        && one.bindings.is_superset(&other.bindings)
            });
            others.collect()
        });
        Self {
            wherever: wherever.collect(),
            policies: ranked,
        }
    }

    /// Whether the policy of one entry governs wherever that of another does.
    fn holds_for<A>(&self, one: &RuleEntry<A>, other: &RuleEntry<A>) -> bool {
        let row = self.wherever.get(usize::from(one.rank));
        let holds = row.and_then(|row| row.get(usize::from(other.rank)));
        holds.copied().unwrap_or(false)
    }
}

/// All rules of a family by address; of those that begin alike, the widest first, and of
/// equal ones blocks first, then by rank.
pub(super) fn sorted<A: Bits>(state: &State, ranks: &Ranks) -> Vec<RuleEntry<A>> {
    let mut entries: Vec<RuleEntry<A>> = Vec::new();
    for (rank, &at) in (0..=u16::MAX).zip(&ranks.policies) {
        let Some(policy) = state.policies.get(at) else {
            continue;
        };
        let excepted = match policy.has_exceptions() {
            true => exceptions::ranges::<A>(state, policy, ListKind::Except),
            false => Vec::new(),
        };
        for (part, counted) in (0..=u16::MAX).zip(state.counted(policy)) {
            let block = match counted.kind {
                ListKind::Allow => false,
                ListKind::Block => true,
                // They count by what they leave of the blocks.
                ListKind::Except => continue,
            };
            for (rule, written) in (0..).zip(counted.entries.iter()) {
                let Some(net) = A::of(&written.net) else {
                    continue;
                };
                let mut push = |first, length| {
                    entries.push(RuleEntry {
                        first,
                        rule,
                        rank,
                        part,
                        length,
                        block,
                        is_left: (first, length) != net,
                    });
                };
                match block && !excepted.is_empty() {
                    true => exceptions::left(net, &excepted, &mut push),
                    false => push(net.0, net.1),
                }
            }
        }
    }
    entries.par_sort_unstable_by(|a, b| match a.first.cmp(&b.first) {
        Ordering::Equal => a.order().cmp(&b.order()),
        // Nearly always, and all that is compared then.
        other => other,
    });
    entries
}

/// Why a rule never matters.
pub(super) enum Covered<'a, A> {
    /// By a rule of the same kind.
    By(&'a RuleEntry<A>),
    /// An allow rule, inside this block.
    Blocked(&'a RuleEntry<A>),
    /// An allow rule, inside several blocks together.
    BlockedTogether,
}

/// Visits every rule that never matters wherever its policy governs.
///
/// `entries` are [`sorted`]. Takes time in proportion to them and to how deep they nest.
pub(super) fn covered<A: Bits>(
    entries: &[RuleEntry<A>],
    ranks: &Ranks,
    mut visit: impl FnMut(&RuleEntry<A>, Covered<'_, A>),
) {
    let mut around: Vec<&RuleEntry<A>> = Vec::new();
    let mut together = JoinedBlocks::new(ranks.policies.len());
    for entry in entries {
        while around
            .last()
            .is_some_and(|outer| outer.last() < entry.first)
        {
            around.pop();
        }
        let inside = |block: bool| {
            let own = |outer: &&&RuleEntry<A>| outer.rank == entry.rank;
            let holds =
                |outer: &&&RuleEntry<A>| outer.block == block && ranks.holds_for(outer, entry);
            let found = around.iter().rev().filter(holds).find(own);
            found.or_else(|| around.iter().rev().find(holds)).copied()
        };
        if entry.is_left {
            // The rest of its rule may matter.
        } else if !entry.block
            && let Some(block) = inside(true)
        {
            visit(entry, Covered::Blocked(block));
        } else if let Some(outer) = inside(entry.block) {
            visit(entry, Covered::By(outer));
        } else if !entry.block && together.hold(entry, entries, ranks) {
            visit(entry, Covered::BlockedTogether);
        }
        around.push(entry);
    }
}

/// Joins ranges that come sorted where they overlap or touch, one by one as they are needed.
pub(super) fn joined<A: Bits, I: Iterator<Item = (A, A)>>(ranges: I) -> Joined<I> {
    Joined(ranges.peekable())
}

/// See [`joined`].
pub(super) struct Joined<I: Iterator>(Peekable<I>);

impl<A: Bits, I: Iterator<Item = (A, A)>> Iterator for Joined<I> {
    type Item = (A, A);

    fn next(&mut self) -> Option<(A, A)> {
        let mut open = self.0.next()?;
        while let Some((_, last)) = self
            .0
            .next_if(|(first, _)| open.1.next().is_none_or(|next| *first <= next))
        {
            open.1 = open.1.max(last);
        }
        Some(open)
    }
}

/// Whether one of some sorted, disjoint ranges holds another range.
pub(super) fn holds<A: Bits>(ranges: &[(A, A)], (first, last): (A, A)) -> bool {
    let after = ranges.partition_point(|range| range.0 <= first);
    let before = after.checked_sub(1).and_then(|at| ranges.get(at));
    before.is_some_and(|range| last <= range.1)
}

/// Policies that are looked at together, by their ranks.
pub(super) struct Group(Vec<bool>);

impl Group {
    /// Of policies by their indices.
    pub(super) fn of(policies: &[usize], ranks: &Ranks) -> Self {
        let ranked = ranks.policies.iter();
        Self(ranked.map(|at| policies.contains(at)).collect())
    }

    fn has<A>(&self, entry: &RuleEntry<A>) -> bool {
        self.0.get(usize::from(entry.rank)) == Some(&true)
    }

    /// The ranges on their allow or block lists, joined.
    pub(super) fn ranges<'a, A: Bits>(
        &'a self,
        entries: &'a [RuleEntry<A>],
        block: bool,
    ) -> Joined<impl Iterator<Item = (A, A)> + 'a> {
        let of_group = entries.iter().filter(move |entry| entry.block == block);
        let of_group = of_group.filter(|entry| self.has(entry));
        joined(of_group.map(|entry| (entry.first, entry.last())))
    }

    /// Whether one rule of their allow or block lists is the whole family.
    pub(super) fn has_all<A: Bits>(&self, entries: &[RuleEntry<A>], block: bool) -> bool {
        let mut lowest = entries
            .iter()
            .take_while(|entry| entry.first == A::LOWEST && entry.last() == A::HIGHEST);
        lowest.any(|entry| entry.block == block && self.has(entry))
    }
}

/// How far a range is covered from its first address on.
#[derive(Clone, Copy)]
enum Covering<A> {
    /// All before this address is.
    Until(A),
    Whole,
    /// An address in it is not.
    Gap,
}

/// Which of some ranges the blocks of each group cover whole, together. Ends where no range is
/// left that may be; groups count for blocks inside of a range only.
pub(super) fn covered_whole<A: Bits>(
    entries: &[RuleEntry<A>],
    groups: &[Group],
    ranges: &[Option<(A, A)>],
) -> Vec<Vec<bool>> {
    let start = |range: &Option<(A, A)>| match range {
        Some((first, _)) => Covering::Until(*first),
        // Of the other family.
        None => Covering::Gap,
    };
    let mut found: Vec<Vec<_>> = groups
        .iter()
        .map(|_| ranges.iter().map(start).collect())
        .collect();
    // Ranges that some group may yet cover: which, and how many groups.
    let mut open: Vec<_> = ranges
        .iter()
        .enumerate()
        .filter_map(|(at, range)| Some((at, (*range)?, groups.len())))
        .filter(|(_, _, undecided)| *undecided > 0)
        .collect();
    let begin = |open: &[(usize, (A, A), usize)]| open.iter().map(|(_, range, _)| range.0).min();
    let mut next_begin = begin(&open);
    for entry in entries.iter().filter(|entry| entry.block) {
        let (first, last) = (entry.first, entry.last());
        match next_begin {
            Some(begin) if last < begin => continue,
            Some(_) => {}
            None => break,
        }
        let before = open.len();
        open.retain_mut(|(at, range, undecided)| {
            if first > range.1 {
                return false;
            }
            if last < range.0 {
                return true;
            }
            for (group, found) in groups.iter().zip(&mut found) {
                if let Some(covering) = found.get_mut(*at)
                    && let Covering::Until(next) = *covering
                    && group.has(entry)
                {
                    *covering = match last.next() {
                        _ if first > next => Covering::Gap,
                        _ if last >= range.1 => Covering::Whole,
                        Some(after) => Covering::Until(next.max(after)),
                        None => Covering::Whole,
                    };
                    *undecided -= usize::from(!matches!(*covering, Covering::Until(_)));
                }
            }
            *undecided > 0
        });
        if open.len() < before {
            next_begin = begin(&open);
        }
    }
    let is_whole = |covering: Covering<A>| matches!(covering, Covering::Whole);
    found
        .into_iter()
        .map(|of_group| of_group.into_iter().map(is_whole).collect())
        .collect()
}
