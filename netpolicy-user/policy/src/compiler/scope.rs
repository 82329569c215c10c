//! One scope's lists, compiled: whole, or from what they were before.

use std::sync::Arc;

use netpolicy_prefixes::{extend, intervals::Interval};

use super::index::{Index, Nets};
use super::{Prefix, Prefix4, Prefix6, PrefixSet, Prefixes, union};
use crate::model::{Counted, EntriesOf, ListKind, Name, RuleList};

/// Whose list it is that counts in a scope, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListOwner {
    /// Whether it allows or blocks.
    kind: ListKind,
    list: OwnedList,
}

/// A list that has a place in a state, whatever is on it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum OwnedList {
    /// Of this policy.
    Policy(Name, ListKind),
    /// The named one.
    Named(Name),
    /// What the named one has of length 0.
    Every(Name),
    /// What this policy blocks, less what it excepts.
    Reduced(Name),
}

impl ListOwner {
    pub(super) fn of(counted: &Counted<'_>) -> Self {
        let kind = counted.kind;
        let list = match counted.of {
            EntriesOf::Policy(name) => OwnedList::Policy(name.clone(), kind),
            EntriesOf::List(name) => OwnedList::Named(name.clone()),
            EntriesOf::Every(name) => OwnedList::Every(name.clone()),
        };
        Self { kind, list }
    }

    /// Of what a policy blocks, less what it excepts.
    pub(super) fn reduced(policy: &Name) -> Self {
        Self {
            kind: ListKind::Block,
            list: OwnedList::Reduced(policy.clone()),
        }
    }

    /// Whether it is what a policy blocks, less what it excepts.
    fn is_reduced(&self) -> bool {
        matches!(self.list, OwnedList::Reduced(_))
    }

    /// Whether both are one list, perhaps in two versions or on two sides.
    pub(super) fn is_same_list(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

/// A list that counts in a scope.
#[derive(Clone, Debug)]
pub(super) struct CountedList {
    /// Whose it is.
    pub(super) owner: ListOwner,
    /// The list; empty where several became one.
    pub(super) list: RuleList,
    /// Its networks.
    pub(super) index: Arc<Index>,
}

impl CountedList {
    fn kind(&self) -> ListKind {
        self.owner.kind
    }
}

/// So many rules are worth waking another thread for.
pub(super) const MANY: usize = 10_000;

/// Whether it is worth looking only at what changed, by the number of changed networks,
/// of lists, and of all networks.
pub(super) type IsWorth = fn(usize, usize, usize) -> bool;

/// For each change every list is searched some ten times, at some 100 ns; compiling
/// everything costs some 30 ns a network.
pub(super) fn is_worth(changed: usize, lists: usize, networks: usize) -> bool {
    changed * lists * 64 <= networks
}

/// The lists of a scope, and what they come to.
#[derive(Clone, Debug, Default)]
pub(super) struct ScopeSources {
    sources: Vec<CountedList>,
    v4: Sets<Prefix4>,
    v6: Sets<Prefix6>,
}

impl ScopeSources {
    /// Compiles other sources than these, with what is known of these ones.
    pub(super) fn changed_to(&self, sources: Vec<CountedList>, is_worth: IsWorth) -> Self {
        let (gone, new) = unmatched(&self.sources, &sources);
        if gone.is_empty() && new.is_empty() {
            return Self {
                sources,
                ..self.clone()
            };
        }
        let change = SourcesChange::new(gone, new, &sources, is_worth);
        let (v4, v6) = change.both(
            || self.v4.changed_by(&change, |index| &index.v4),
            || self.v6.changed_by(&change, |index| &index.v6),
        );
        Self { sources, v4, v6 }
    }

    /// All block lists together.
    pub(super) fn block(&self) -> PrefixSet {
        PrefixSet {
            v4: self.v4.block.clone(),
            v6: self.v6.block.clone(),
        }
    }

    /// All allow lists together, without what lies wholly inside [`Self::block`].
    pub(super) fn allow(&self) -> PrefixSet {
        PrefixSet {
            v4: self.v4.allow.clone(),
            v6: self.v6.allow.clone(),
        }
    }
}

/// What becomes of the lists of a scope, or of a policy with exceptions.
pub(super) struct SourcesChange<'a> {
    /// Lists that no longer count, or not in this version.
    gone: Vec<&'a CountedList>,
    /// Lists, or versions of lists, that did not count before.
    new: Vec<&'a CountedList>,
    /// All that count.
    sources: &'a [CountedList],
    is_worth: IsWorth,
}

/// The lists that only one side has, by the addresses of their networks in memory; the same list
/// may count several times.
pub(super) fn unmatched<'a>(
    old: &'a [CountedList],
    new: &'a [CountedList],
) -> (Vec<&'a CountedList>, Vec<&'a CountedList>) {
    let mut new: Vec<_> = new.iter().collect();
    let mut gone = Vec::new();
    for old in old {
        let same =
            |new: &&CountedList| new.kind() == old.kind() && Arc::ptr_eq(&new.index, &old.index);
        match new.iter().position(same) {
            Some(at) => drop(new.swap_remove(at)),
            None => gone.push(old),
        }
    }
    (gone, new)
}

/// One family.
#[derive(Clone, Debug)]
struct Sets<P: Prefix> {
    /// All block lists together.
    block: Prefixes<P>,
    /// All allow lists together, also where blocks win.
    offered: Prefixes<P>,
    /// All allow lists together, without what lies wholly inside `block`.
    allow: Prefixes<P>,
}

impl<P: Prefix> Default for Sets<P> {
    fn default() -> Self {
        Self {
            block: Prefixes::default(),
            offered: Prefixes::default(),
            allow: Prefixes::default(),
        }
    }
}

/// The networks of a family.
pub(super) type NetsOf<P> = fn(&Index) -> &Nets<P>;

/// A list's new version, and where it is different; `None`: compiled whole.
type ChangedUnion<P> = (Prefixes<P>, Option<Vec<Interval<<P as Prefix>::Address>>>);

impl<P: Prefix> Sets<P> {
    fn changed_by(&self, change: &SourcesChange<'_>, of: NetsOf<P>) -> Self {
        let ((block, block_changed), (offered, offered_changed)) = change.both(
            || change.union(&self.block, ListKind::Block, of),
            || change.union(&self.offered, ListKind::Allow, of),
        );
        let allow = match (block_changed, offered_changed) {
            (Some(blocks), Some(offers)) => {
                union::outside_changed(&self.allow, &offered, offers, &block, &blocks)
            }
            _ => union::outside(&offered, &block),
        };
        Self {
            block,
            offered,
            allow,
        }
    }
}

impl<'a> SourcesChange<'a> {
    pub(super) fn new(
        gone: Vec<&'a CountedList>,
        new: Vec<&'a CountedList>,
        sources: &'a [CountedList],
        is_worth: IsWorth,
    ) -> Self {
        Self {
            gone,
            new,
            sources,
            is_worth,
        }
    }

    pub(super) fn is_worth(&self) -> IsWorth {
        self.is_worth
    }

    /// The networks of all lists of a kind.
    pub(super) fn lists<P: Prefix>(&self, kind: ListKind, of: NetsOf<P>) -> Vec<&'a Nets<P>> {
        let lists = self.sources.iter().filter(|listed| listed.kind() == kind);
        lists.map(|listed| of(&listed.index)).collect()
    }

    /// Does two things; at the same time, if they are likely to take long.
    pub(super) fn both<A: Send, B: Send>(
        &self,
        a: impl FnOnce() -> A + Send,
        b: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        let lists = self.gone.iter().chain(&self.new);
        let rules: usize = lists.map(|listed| listed.index.len()).sum();
        if rules >= MANY {
            rayon::join(a, b)
        } else {
            (a(), b())
        }
    }

    /// What the lists of a kind cover together, where they covered `old` before.
    fn union<P: Prefix>(
        &self,
        old: &Prefixes<P>,
        kind: ListKind,
        of: NetsOf<P>,
    ) -> ChangedUnion<P> {
        let lists = self.lists(kind, of);
        let networks = lists.iter().map(|nets| nets.sorted.len()).sum();
        let is_worth = |changed| changed == 0 || (self.is_worth)(changed, lists.len(), networks);
        match self.touched(kind, of, is_worth) {
            Some(touched) if touched.is_empty() => (old.clone(), Some(touched)),
            Some(touched) => {
                let (new, ranges) = union::changed(old, &lists, &touched);
                (new, Some(ranges))
            }
            None => (
                self.joined(kind, of)
                    .unwrap_or_else(|| union::whole(&lists)),
                None,
            ),
        }
    }

    /// The only list of a kind, if it is the fewest prefixes already.
    fn joined<P: Prefix>(&self, kind: ListKind, of: NetsOf<P>) -> Option<Prefixes<P>> {
        // An empty list adds nothing.
        let adds = |listed: &&CountedList| !of(&listed.index).sorted.is_empty();
        let lists = self.sources.iter().filter(|listed| listed.kind() == kind);
        let mut lists = lists.filter(adds);
        match (lists.next(), lists.next()) {
            (Some(listed), None) if listed.owner.is_reduced() => {
                Some(of(&listed.index).sorted.clone())
            }
            _ => None,
        }
    }

    /// The addresses of all networks that came or went, as ranges that ascend and do
    /// not touch each other; `None` if there are too many.
    pub(super) fn touched<P: Prefix>(
        &self,
        kind: ListKind,
        of: NetsOf<P>,
        is_worth: impl Fn(usize) -> bool,
    ) -> Option<Vec<Interval<P::Address>>> {
        let of_kind = |listed: &&&CountedList| listed.kind() == kind;
        let mut new: Vec<&CountedList> = self.new.iter().filter(of_kind).copied().collect();
        let mut changed: Vec<P> = Vec::new();
        for gone in self.gone.iter().filter(of_kind) {
            // What is now in its place differs little.
            let place = new.iter().position(|new| new.owner == gone.owner);
            let nothing = Prefixes::default();
            let place = place.map(|at| new.swap_remove(at));
            let now = place.map_or(&nothing, |listed| &of(&listed.index).sorted);
            of(&gone.index)
                .sorted
                .differences(now, |net, _| changed.push(net));
            if !is_worth(changed.len()) {
                return None;
            }
        }
        for new in new {
            let nets = &of(&new.index).sorted;
            if !is_worth(changed.len() + nets.len()) {
                return None;
            }
            changed.extend(nets);
        }
        changed.sort_unstable();
        let mut touched = Vec::new();
        for net in changed {
            extend(&mut touched, net);
        }
        Some(touched)
    }
}
