//! What differs between two versions of lists, sorted by where it is held.

use super::{
    bits::Range,
    lists::{Family, HostTables, ListPair},
};

/// When so many prefixes differ, a rebuild is as quick.
const FEW: usize = 512;

/// What comes and goes.
pub(super) struct Difference<P: Family> {
    /// Hosts of the block list, which has a table.
    pub(super) block: Moves<P>,
    /// The same for the allow list.
    pub(super) allow: Moves<P>,
    /// Where the trie changes for other reasons.
    pub(super) touched: Vec<Range>,
    /// Prefixes that come into the trie for other reasons.
    pub(super) come: usize,
    /// Prefixes that go from it.
    pub(super) gone: usize,
    /// Hosts among those that come, for want of a table.
    pub(super) homeless: usize,
    /// All that comes.
    pub(super) new: Vec<P>,
    /// How many go.
    pub(super) old: usize,
}

/// Hosts that are taken out of a table and put into it.
pub(super) struct Moves<P: Family> {
    pub(super) out: Vec<P::Address>,
    pub(super) add: Vec<P::Address>,
}

impl<P: Family> Difference<P> {
    /// `None` if it is large.
    pub(super) fn between(
        old: &ListPair<P>,
        new: &ListPair<P>,
        tables: &HostTables,
    ) -> Option<Self> {
        let mut all = Self {
            block: Moves::none(),
            allow: Moves::none(),
            touched: Vec::new(),
            come: 0,
            gone: 0,
            homeless: 0,
            new: Vec::new(),
            old: 0,
        };
        let mut left = FEW.max(new.len() / 8);
        for (old, new, table, moves) in [
            (&old.block, &new.block, &tables.block, &mut all.block),
            (&old.allow, &new.allow, &tables.allow, &mut all.allow),
        ] {
            for (first, last) in old.changed(new) {
                let gone = old.range(first..=last).map(|prefix| (prefix, false));
                let come = new.range(first..=last).map(|prefix| (prefix, true));
                for (prefix, comes) in gone.chain(come) {
                    left = left.checked_sub(1)?;
                    if comes {
                        all.new.push(prefix);
                    } else {
                        all.old += 1;
                    }
                    if prefix.is_host() && table.is_some() {
                        let moved = if comes {
                            &mut moves.add
                        } else {
                            &mut moves.out
                        };
                        moved.push(prefix.first());
                        continue;
                    }
                    all.touched.push(prefix.range());
                    all.homeless += usize::from(prefix.is_host() && comes);
                    *if comes { &mut all.come } else { &mut all.gone } += 1;
                }
            }
        }
        Some(all)
    }
}

impl<P: Family> Moves<P> {
    fn none() -> Self {
        Self {
            out: Vec::new(),
            add: Vec::new(),
        }
    }
}
