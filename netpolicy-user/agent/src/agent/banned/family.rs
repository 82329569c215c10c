//! The bans of one scope and family, and what of them the kernel is to hold: networks, none of
//! which lies in another.

use netpolicy_prefixes::{Address as _, Prefix, Prefixes};

use super::chunked::ChunkedMap;
use super::entry::{BanEntry, PackedEntry, StagedBan, StagedFamily};

/// Lengths that a prefix may have.
const LENGTHS: usize = 129;

/// See the module.
#[derive(Debug)]
pub(in crate::agent) struct Family<P: Prefix> {
    entries: ChunkedMap<P, PackedEntry>,
    /// How many there are of each length.
    lengths: [u32; LENGTHS],
    /// Those that lie in no other, as of the last [`Self::take_settled`].
    outermost: Prefixes<P>,
    /// What came or went since.
    touched: Vec<P>,
}

impl<P: Prefix> Default for Family<P> {
    fn default() -> Self {
        Self {
            entries: ChunkedMap::default(),
            lengths: [0; LENGTHS],
            outermost: Prefixes::default(),
            touched: Vec::new(),
        }
    }
}

impl<P: Prefix> Family<P> {
    pub(in crate::agent) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(in crate::agent) fn get(&self, net: P) -> Option<BanEntry> {
        self.entries.get(&net).copied().map(BanEntry::from)
    }

    /// Sets or removes a ban, and returns what was there.
    pub(in crate::agent) fn set(&mut self, net: P, entry: Option<BanEntry>) -> Option<BanEntry> {
        let is_there = entry.is_some();
        let before = match entry {
            Some(entry) => self.entries.insert(net, entry.into()),
            None => self.entries.remove(&net),
        };
        if before.is_some() != is_there {
            let count = &mut self.lengths[usize::from(net.length()) % LENGTHS];
            *count = if is_there { *count + 1 } else { *count - 1 };
            self.touched.push(net);
        }
        before.map(BanEntry::from)
    }

    /// All bans from a network on, in order.
    pub(in crate::agent) fn from(&self, first: Option<P>) -> impl Iterator<Item = (P, BanEntry)> {
        let first = first.unwrap_or_else(|| P::new(P::Address::LOWEST, 0));
        let entries = self.entries.from(first);
        entries.map(|(net, entry)| (*net, (*entry).into()))
    }

    /// The bans that cover a network, the widest first.
    pub(in crate::agent) fn covering(&self, net: P) -> impl Iterator<Item = (P, BanEntry)> {
        (0..=net.length())
            .filter(|length| self.lengths[usize::from(*length) % LENGTHS] > 0)
            .filter_map(move |length| {
                let wider = shortened(net, length);
                self.get(wider).map(|entry| (wider, entry))
            })
    }

    /// Networks that lie in no other, once staged changes are made.
    pub(super) fn settled(&self, staged: &StagedFamily<P>) -> Prefixes<P> {
        let comes_or_goes = |(_, ban): &(&P, &StagedBan)| ban.before.is_some() != ban.now.is_some();
        let staged_nets = staged.iter().filter(comes_or_goes);
        let staged_nets = staged_nets.map(|(net, ban)| (*net, Some(ban.now.is_some())));
        // What was changed directly comes first: of it nothing is known but what there is.
        let direct = self.touched.iter().map(|net| (*net, None));
        let mut touched: Vec<(P, Option<bool>)> = direct.chain(staged_nets).collect();
        if touched.is_empty() {
            return self.outermost.clone();
        }
        touched.sort();
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        let mut seen: Option<P::Address> = None;
        for (part, comes) in touched {
            // What lies in a part that was looked at was looked at.
            if seen.is_some_and(|seen| part.first() <= seen) {
                continue;
            }
            seen = Some(part.last());
            // A wider ban that came or went was looked at before what lies in it, so one that
            // covered this part still does.
            let covering = self.outermost.covering(part.first());
            if covering.is_some_and(|wider| wider.length() < part.length()) {
                continue;
            }
            if part.first() == part.last()
                && let Some(comes) = comes
            {
                // An address, which nothing lies in: most bans are that.
                match comes {
                    true => new.push(part),
                    false => gone.push(part),
                }
                continue;
            }
            let held = self.outermost.range(part.first()..=part.last());
            gone.extend(held);
            if part.first() == part.last() {
                new.extend(self.has(staged, part).then_some(part));
                continue;
            }
            let mut end: Option<P::Address> = None;
            for net in self.within(staged, part) {
                if end.is_none_or(|end| net.first() > end) {
                    end = Some(net.last());
                    new.push(net);
                }
            }
        }
        self.outermost.edit(&gone, &new)
    }

    /// Takes what [`Self::settled`] found, of changes that are made by now.
    pub(super) fn take_settled(&mut self, outermost: Prefixes<P>) {
        self.outermost = outermost;
        // A start or a large request touches all of them: that room is not needed again.
        self.touched = Vec::new();
    }

    fn has(&self, staged: &StagedFamily<P>, net: P) -> bool {
        match staged.get(&net) {
            Some(ban) => ban.now.is_some(),
            None => self.entries.get(&net).is_some(),
        }
    }

    /// A network's ban and those that lie in it, in order, once staged changes are made.
    fn within(&self, staged: &StagedFamily<P>, net: P) -> impl Iterator<Item = P> {
        // No look at what is staged behind it: of many that end none is left to stop at.
        let last = P::new(net.last(), P::Address::WIDTH);
        let held = self.entries.from(net).map(|(net, _)| *net);
        let mut held = held.take_while(move |net| *net <= last).peekable();
        let mut staged = staged.range(net..=last).peekable();
        std::iter::from_fn(move || {
            loop {
                let next = staged.peek().map(|(net, _)| **net);
                if let Some(net) = held.peek().copied()
                    && next.is_none_or(|next| net < next)
                {
                    return held.next();
                }
                let (net, ban) = staged.next()?;
                held.next_if_eq(net);
                if ban.now.is_some() {
                    return Some(*net);
                }
            }
        })
    }
}

/// The network of fewer bits that a network lies in.
fn shortened<P: Prefix>(net: P, length: u8) -> P {
    P::new(net.first().floor(P::Address::WIDTH - length), length)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use netpolicy_prefixes::Prefix4;
    use proptest::prelude::*;

    use super::*;

    const ENTRY: BanEntry = BanEntry {
        until: 0,
        since: 0,
        by: 0,
        reason: 0,
    };

    /// Networks of a small space, so that they lie in each other.
    fn net() -> impl Strategy<Value = Prefix4> {
        (0..16_u32, 28..=32_u8)
            .prop_map(|(address, len)| Prefix4::new((0x0a00_0000 + address).floor(32 - len), len))
    }

    /// Networks and whether they are banned, step by step.
    fn steps() -> impl Strategy<Value = Vec<(bool, Vec<(Prefix4, bool)>)>> {
        let step = prop::collection::vec((net(), any::<bool>()), 0..6);
        prop::collection::vec((any::<bool>(), step), 0..12)
    }

    fn staged(family: &Family<Prefix4>, step: &[(Prefix4, bool)]) -> BTreeMap<Prefix4, StagedBan> {
        let ban = |(net, is_banned): &(Prefix4, bool)| {
            let before = family.get(*net);
            let now = is_banned.then_some(ENTRY);
            (*net, StagedBan { before, now })
        };
        step.iter().map(ban).collect()
    }

    /// With a look at all of them for each it would take minutes.
    #[test]
    fn many_networks_that_end_at_once_are_settled_in_one_pass() {
        let mut family = Family::default();
        let nets = (0..60_000).map(|at| Prefix4::new(at << 8, 24));
        let staged_ends = nets.map(|net| {
            family.set(net, Some(ENTRY));
            let (before, now) = (Some(ENTRY), None);
            (net, StagedBan { before, now })
        });
        let staged: BTreeMap<_, _> = staged_ends.collect();
        let settled = family.settled(&BTreeMap::new());
        assert_eq!(settled.len(), staged.len());
        family.take_settled(settled);
        let begin = std::time::Instant::now();
        assert!(family.settled(&staged).is_empty());
        assert!(begin.elapsed().as_secs() < 10);
    }

    proptest! {
        #[test]
        fn outermost_networks_are_those_that_lie_in_no_other(steps in steps()) {
            let mut family = Family::default();
            for (is_direct, step) in steps {
                let directly = if is_direct { step.len().div_ceil(2) } else { 0 };
                let (direct, rest) = step.split_at(directly);
                for (net, is_banned) in direct {
                    family.set(*net, is_banned.then_some(ENTRY));
                }
                let staged = staged(&family, rest);
                let settled = family.settled(&staged);
                for (net, ban) in staged {
                    family.set(net, ban.now);
                }
                let found: Vec<Prefix4> = settled.iter().copied().collect();
                family.take_settled(settled);
                let all: Vec<Prefix4> = family.from(None).map(|(net, _)| net).collect();
                let is_inside = |net: &&Prefix4| {
                    !all.iter().any(|other| other != *net
                        && other.first() <= net.first() && net.last() <= other.last())
                };
                let expected: Vec<Prefix4> = all.iter().filter(is_inside).copied().collect();
                prop_assert_eq!(found, expected);
                for net in &all {
                    let covering: Vec<Prefix4> =
                        family.covering(*net).map(|(net, _)| net).collect();
                    let expected: Vec<Prefix4> = all.iter().copied().filter(|other|
                        other.first() <= net.first() && net.last() <= other.last()).collect();
                    prop_assert_eq!(covering, expected);
                }
            }
        }
    }
}
