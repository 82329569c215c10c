//! What blocks of several rules cover together.

use super::{Bits, Ranks, RuleEntry};

/// What blocks cover together, for each policy. Entries ask in their order, and it goes along.
pub(super) struct JoinedBlocks<A> {
    /// Which of `sets` is a policy's.
    by_rank: Vec<Option<usize>>,
    sets: Vec<JoinedSet<A>>,
}

/// What the blocks of some policies cover together: the same for policies of the same scopes.
struct JoinedSet<A> {
    /// By rank, whether its blocks are among them.
    ranks: Vec<bool>,
    /// The range that was reached.
    range: Option<(A, A)>,
    /// The first entry that was not looked at.
    next: usize,
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
        let Some(at) = known.map(|known| known.unwrap_or_else(|| self.add(entry, ranks))) else {
            return false;
        };
        let Some(set) = self.sets.get_mut(at) else {
            return false;
        };
        while set.range.is_none_or(|range| range.1 < entry.first) {
            if !set.advance(entries) {
                return false;
            }
        }
        set.range
            .is_some_and(|range| range.0 <= entry.first && entry.last() <= range.1)
    }

    /// The set of an entry's policy.
    fn add(&mut self, entry: &RuleEntry<A>, ranks: &Ranks) -> usize {
        let row = |row: &Vec<bool>| row.get(usize::from(entry.rank)) == Some(&true);
        let members: Vec<bool> = ranks.wherever.iter().map(row).collect();
        let known = self.sets.iter().position(|set| set.ranks == members);
        let at = known.unwrap_or_else(|| {
            self.sets.push(JoinedSet {
                ranks: members,
                range: None,
                next: 0,
            });
            self.sets.len() - 1
        });
        if let Some(of_rank) = self.by_rank.get_mut(usize::from(entry.rank)) {
            *of_rank = Some(at);
        }
        at
    }
}

impl<A: Bits> JoinedSet<A> {
    /// Goes on to the next range, as far as it is joined; `false`: there is none.
    fn advance(&mut self, entries: &[RuleEntry<A>]) -> bool {
        self.range = None;
        for entry in entries.get(self.next..).unwrap_or_default() {
            if entry.block && self.ranks.get(usize::from(entry.rank)) == Some(&true) {
                match &mut self.range {
                    Some(open) if open.1.next().is_some_and(|next| entry.first > next) => break,
                    Some(open) => open.1 = open.1.max(entry.last()),
                    None => self.range = Some((entry.first, entry.last())),
                }
            }
            self.next += 1;
        }
        self.range.is_some()
    }
}
