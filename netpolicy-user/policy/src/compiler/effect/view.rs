//! What decides on a source in one scope of one ruleset: its lists, in a form in which
//! two rulesets can be compared.

use netpolicy_common::{FAILSAFE_SCOPE, ScopeFlags, ScopeId};
use netpolicy_prefixes::intervals::{self, Interval};

use super::sweep::ListSet;
use crate::compiler::{Address, Prefix, PrefixSet, Prefixes, Ruleset};

/// One family's lists of a [`PrefixSet`].
pub(super) type FamilyOf<P> = fn(&PrefixSet) -> &Prefixes<P>;

/// By what attempts are dropped. Only what can make a difference is there: lists that
/// drop nothing, and come last, are left out. Nothing at all: everything passes.
pub(super) struct View<'a, P: Prefix> {
    own: Option<DecidingLists<'a, P>>,
    host: Option<DecidingLists<'a, P>>,
}

/// The lists of a scope.
struct DecidingLists<'a, P: Prefix> {
    block: &'a Prefixes<P>,
    /// `None`: every source that is not blocked passes.
    allow: Option<&'a Prefixes<P>>,
    /// Whether who is denied is dropped.
    enforce: bool,
}

impl<'a, P: Prefix> View<'a, P> {
    /// What decides in a scope; on failsafe ports, and where there is no such scope,
    /// nothing.
    pub(super) fn new(ruleset: &'a Ruleset, scope: ScopeId, of: FamilyOf<P>) -> Self {
        let mut view = Self {
            own: None,
            host: None,
        };
        let rules = ruleset.scope(scope).filter(|_| scope != FAILSAFE_SCOPE);
        let Some(rules) = rules else {
            return view;
        };
        let flags = rules.config.flags;
        if flags.has(ScopeFlags::OWN_LISTS) {
            view.own = Some(DecidingLists {
                block: of(&rules.block),
                allow: flags.has(ScopeFlags::OWN_ONLY).then(|| of(&rules.allow)),
                enforce: flags.has(ScopeFlags::OWN_ENFORCE),
            });
        }
        let host = ruleset.scopes.first();
        let host = host.filter(|_| flags.has(ScopeFlags::HOST_LISTS));
        view.host = host
            .filter(|_| flags.has(ScopeFlags::HOST_ENFORCE))
            .map(|host| DecidingLists {
                block: of(&host.block),
                allow: flags.has(ScopeFlags::HOST_ONLY).then(|| of(&host.allow)),
                enforce: true,
            });
        if view.host.is_none() {
            view.own = view.own.filter(|own| own.enforce);
        }
        view
    }

    /// Whether it drops nothing for want of lists.
    pub(super) fn is_nothing(&self) -> bool {
        self.own.is_none() && self.host.is_none()
    }

    /// Whether both decide by the same lists in memory.
    pub(super) fn same(&self, other: &Self) -> bool {
        DecidingLists::same(self.own.as_ref(), other.own.as_ref())
            && DecidingLists::same(self.host.as_ref(), other.host.as_ref())
    }

    /// The ranges of addresses outside of which both decide alike, ascending; one range
    /// of everything if more than `most` prefixes differ.
    pub(super) fn changed(&self, new: &Self, most: usize) -> Vec<Interval<P::Address>> {
        let everything = vec![(P::Address::LOWEST, P::Address::HIGHEST)];
        let mut changed = Vec::new();
        for (old, new) in [(&self.own, &new.own), (&self.host, &new.host)] {
            let lists = match (old, new) {
                (None, None) => continue,
                (Some(old), Some(new)) if old.enforce == new.enforce => {
                    [(Some(old.block), Some(new.block)), (old.allow, new.allow)]
                }
                _ => return everything,
            };
            for (old, new) in lists {
                let found = match (old, new) {
                    (None, None) => Some(Vec::new()),
                    (Some(old), Some(new)) => old.changed_at_most(new, most),
                    _ => None,
                };
                match found {
                    Some(found) => changed.extend(found),
                    None => return everything,
                }
            }
        }
        intervals::merge(&mut changed);
        changed
    }

    /// How it decides, by numbers of lists, which it adds to `lists` unless they are
    /// among them.
    pub(super) fn judge(&self, lists: &mut Vec<&'a Prefixes<P>>) -> ViewJudge {
        let mut number = |list: &'a Prefixes<P>| {
            let known = lists.iter().position(|known| known.ptr_eq(list));
            let number = known.unwrap_or_else(|| {
                lists.push(list);
                lists.len() - 1
            });
            1 << number
        };
        let mut numbers = |part: &Option<DecidingLists<'a, P>>| {
            part.as_ref().map(|part| Numbers {
                block: number(part.block),
                allow: part.allow.map(&mut number),
                enforce: part.enforce,
            })
        };
        ViewJudge {
            own: numbers(&self.own),
            host: numbers(&self.host),
        }
    }
}

impl<P: Prefix> DecidingLists<'_, P> {
    fn same(one: Option<&Self>, other: Option<&Self>) -> bool {
        let allow = |part: &Self, other: &Self| match (part.allow, other.allow) {
            (None, None) => true,
            (Some(one), Some(other)) => one.ptr_eq(other),
            _ => false,
        };
        match (one, other) {
            (None, None) => true,
            (Some(one), Some(other)) => {
                one.enforce == other.enforce && one.block.ptr_eq(other.block) && allow(one, other)
            }
            _ => false,
        }
    }
}

/// A [`View`] whose lists are bits: bit n stands for list n.
pub(super) struct ViewJudge {
    own: Option<Numbers>,
    host: Option<Numbers>,
}

struct Numbers {
    block: ListSet,
    allow: Option<ListSet>,
    enforce: bool,
}

impl ViewJudge {
    /// Whether a source is dropped that is on these lists.
    pub(super) fn drops(&self, on: ListSet) -> bool {
        let denying = [&self.own, &self.host]
            .into_iter()
            .flatten()
            .find(|part| on & part.block != 0 || part.allow.is_some_and(|allow| on & allow == 0));
        denying.is_some_and(|part| part.enforce)
    }
}
