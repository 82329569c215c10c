//! What blocks of several rules cover together.

use super::{Bits, Ranks, RuleEntry, joined};

/// What blocks cover together, for each policy; computed on first use. Entries ask in their order.
pub(super) struct JoinedBlocks<A> {
    /// Which of `sets` is a policy's.
    by_rank: Vec<Option<usize>>,
    sets: Vec<JoinedSet<A>>,
}

/// What the blocks of some policies cover together: the same for policies of the same scopes.
struct JoinedSet<A> {
    /// By rank, whether its blocks are among them.
    ranks: Vec<bool>,
    ranges: Vec<(A, A)>,
    /// How many ranges begin at the last entry that asked, or before it.
    passed: usize,
}

impl<A: Bits> JoinedBlocks<A> {
    pub(super) fn new(policies: usize) -> Self {
        Self {
            by_rank: vec![None; policies],
            sets: Vec::new(),
        }
    }

    /// Whether the blocks that hold for an entry's policy hold it together.
    pub(super) fn hold(
        &mut self,
        entry: &RuleEntry<A>,
        entries: &[RuleEntry<A>],
        ranks: &Ranks,
    ) -> bool {
        let known = self.by_rank.get(usize::from(entry.rank)).copied();
        let Some(at) = known.map(|known| known.unwrap_or_else(|| self.add(entry, entries, ranks)))
        else {
            return false;
        };
        let Some(set) = self.sets.get_mut(at) else {
            return false;
        };
        let begins = |range: &(A, A)| range.0 <= entry.first;
        while set.ranges.get(set.passed).is_some_and(begins) {
            set.passed += 1;
        }
        let before = set.passed.checked_sub(1).and_then(|at| set.ranges.get(at));
        before.is_some_and(|range| entry.last() <= range.1)
    }

    /// The set of an entry's policy.
    fn add(&mut self, entry: &RuleEntry<A>, entries: &[RuleEntry<A>], ranks: &Ranks) -> usize {
        let row = |row: &Vec<bool>| row.get(usize::from(entry.rank)) == Some(&true);
        let members: Vec<bool> = ranks.wherever.iter().map(row).collect();
        let known = self.sets.iter().position(|set| set.ranks == members);
        let at = known.unwrap_or_else(|| {
            let is_member = |one: &&RuleEntry<A>| {
                one.block && members.get(usize::from(one.rank)) == Some(&true)
            };
            let blocks = entries.iter().filter(is_member);
            let ranges = joined(blocks.map(|block| (block.first, block.last())));
            self.sets.push(JoinedSet {
                ranks: members,
                ranges,
                passed: 0,
            });
            self.sets.len() - 1
        });
        if let Some(of_rank) = self.by_rank.get_mut(usize::from(entry.rank)) {
            *of_rank = Some(at);
        }
        at
    }
}
