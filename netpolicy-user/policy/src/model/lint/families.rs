//! What becomes of the sources of a whole family where some policies govern.

use super::sweep::{Bits, Group, RuleEntry};

/// See the module.
#[derive(Clone, Copy)]
pub(super) struct FamilySummary {
    /// Whether any passes.
    pub(super) passes: bool,
    /// Whether one block is all of it.
    pub(super) is_blocked_by_one: bool,
    /// What part of it is blocked; 0 where allow lists decide.
    pub(super) blocked: f64,
    /// Whether allow rules are all of it together, and none alone.
    pub(super) is_allowed_together: bool,
}

/// What becomes of this family where a group governs. `only`: who is on none of its allow
/// lists is denied.
pub(super) fn family<A: Bits>(
    entries: &[RuleEntry<A>],
    group: &Group,
    only: bool,
) -> FamilySummary {
    let all = (A::LOWEST, A::HIGHEST);
    let blocked = || group.ranges(entries, true);
    let allowed = || group.ranges(entries, false);
    FamilySummary {
        // The first source that passes settles it, among millions of rules too.
        passes: match only {
            true => is_outside(allowed(), blocked()),
            false => blocked().next() != Some(all),
        },
        is_blocked_by_one: group.has_all(entries, true),
        blocked: match only {
            true => 0.0,
            false => blocked().map(|range| A::share(range.0, range.1)).sum(),
        },
        is_allowed_together: only
            && allowed().next() == Some(all)
            && !group.has_all(entries, false),
    }
}

/// Whether one of some ranges is not held by others; both are sorted and disjoint.
fn is_outside<A: Bits>(
    mut ranges: impl Iterator<Item = (A, A)>,
    others: impl Iterator<Item = (A, A)>,
) -> bool {
    let mut others = others.peekable();
    ranges.any(|(first, last)| {
        while others.next_if(|other| other.1 < first).is_some() {}
        !others
            .peek()
            .is_some_and(|other| other.0 <= first && last <= other.1)
    })
}

/// Policies that govern together, and whether who is on none of their allow lists is denied.
pub(super) type Governing<'a> = (&'a Group, bool);

/// Whether any source of this family passes both.
pub(super) fn passes_both<A: Bits>(
    entries: &[RuleEntry<A>],
    one: Governing<'_>,
    other: Governing<'_>,
) -> bool {
    let mut others = passing(entries, other).peekable();
    passing(entries, one).any(|(first, last)| {
        while others.next_if(|other| other.1 < first).is_some() {}
        others.peek().is_some_and(|other| other.0 <= last)
    })
}

/// The ranges that pass, sorted and disjoint, one by one as they are needed.
fn passing<'a, A: Bits>(
    entries: &'a [RuleEntry<A>],
    (group, only): Governing<'a>,
) -> impl Iterator<Item = (A, A)> + 'a {
    let mut blocks = group.ranges(entries, true).peekable();
    let allowed = only.then(|| group.ranges(entries, false));
    let all = (!only).then_some((A::LOWEST, A::HIGHEST));
    let mut may = allowed.into_iter().flatten().chain(all);
    // What follows a block in the range that it is in.
    let mut rest = None;
    std::iter::from_fn(move || {
        loop {
            let (first, last) = rest.take().or_else(|| may.next())?;
            while blocks.next_if(|block| block.1 < first).is_some() {}
            let Some(&(from, to)) = blocks.peek().filter(|block| block.0 <= last) else {
                return Some((first, last));
            };
            // One block may reach into the next range.
            let after = to.next().filter(|_| to < last);
            rest = after.map(|after| (after, last));
            if let Some(before) = from.previous().filter(|_| from > first) {
                return Some((first, before));
            }
        }
    })
}
