//! Reading memory back as the lists that it holds, when nothing says what they should be.

use netpolicy_common::Listing;
use netpolicy_prefixes::{
    Address, Part, Prefix4, Prefix6, PrefixSet, Prefixes,
    intervals::{Interval, aggregate},
};

use super::{
    arena::PageSource,
    hosts::addresses,
    lists::Family,
    presence,
    read::{Reading, Sink, Why, in_order, steps},
};
use crate::layout::{Root, Roots};

/// Places in tables of hosts in addition to those of the listed hosts: more is damage.
const SPARE_BUCKETS: u64 = 1 << 18;

/// The block and the allow list that a scope's memory holds, the latter without what is
/// blocked; `None` where it is damaged. `entries`: prefixes in all lists together, or more.
#[must_use]
pub fn lists_in(
    roots: &Roots,
    entries: u64,
    pages: PageSource<'_>,
) -> Option<(PrefixSet, PrefixSet)> {
    let (block_v4, allow_v4) = family::<Prefix4>(roots.v4, entries, pages)?;
    let (block_v6, allow_v6) = family::<Prefix6>(roots.v6, entries, pages)?;
    let block = PrefixSet {
        v4: block_v4,
        v6: block_v6,
    };
    let allow = PrefixSet {
        v4: allow_v4,
        v6: allow_v6,
    };
    Some((block, allow))
}

fn family<P: Family>(
    root: Root,
    entries: u64,
    pages: PageSource<'_>,
) -> Option<(Prefixes<P>, Prefixes<P>)> {
    let part = Part::all();
    let mut singles = Vec::new();
    for (hosts, code) in [
        (root.allow, Listing::Allowed),
        (root.block, Listing::Blocked),
    ] {
        if u64::from(hosts.buckets) > entries.saturating_add(SPARE_BUCKETS) {
            return None;
        }
        let standing = addresses::<P::Address>(hosts, &part, pages)?;
        singles.extend(standing.into_iter().map(|host| (host, code)));
    }
    in_order(&mut singles);
    let mut collected = Collected::default();
    let mut reading = Reading::<P> {
        pages,
        part,
        singles: singles.into_iter().peekable(),
        sink: &mut collected,
        budget: steps(usize::try_from(entries).unwrap_or(usize::MAX)),
    };
    reading.slot(root.start, 0, 0).ok()?;
    let block: Prefixes<P> = aggregate(collected.blocked);
    let allow: Prefixes<P> = aggregate(collected.allowed);
    // What is in no bitmap, the program does not look for.
    let is_present = |prefix: &P| presence::holds(root.presence, *prefix, pages) == Some(true);
    let all_are = block.iter().chain(allow.iter()).all(is_present);
    all_are.then_some((block, allow))
}

/// What is read, as it comes.
struct Collected<A> {
    blocked: Vec<Interval<A>>,
    allowed: Vec<Interval<A>>,
}

impl<A> Default for Collected<A> {
    fn default() -> Self {
        Self {
            blocked: Vec::new(),
            allowed: Vec::new(),
        }
    }
}

impl<A: Address> Sink<A> for Collected<A> {
    fn found(&mut self, first: A, last: A, code: Listing) -> Result<(), Why> {
        match code {
            Listing::Blocked => self.blocked.push((first, last)),
            _ => self.allowed.push((first, last)),
        }
        Ok(())
    }
}
