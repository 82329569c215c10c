//! What becomes of the sources of a whole family where some policies govern.

use super::sweep::{Bits, Group, RuleEntry, holds};

/// See the module.
#[derive(Clone, Copy)]
pub(super) struct FamilySummary {
    /// Whether any passes.
    pub(super) passes: bool,
    /// Whether one block is all of it.
    pub(super) is_blocked_by_one: bool,
    /// What part of it is blocked.
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
    let blocked = group.ranges(entries, true);
    let allowed = group.ranges(entries, false);
    FamilySummary {
        passes: match only {
            true => allowed.iter().any(|range| !holds(&blocked, *range)),
            false => !holds(&blocked, all),
        },
        is_blocked_by_one: group.first(entries, true) == Some(all),
        blocked: blocked.iter().map(|range| A::share(range.0, range.1)).sum(),
        is_allowed_together: only
            && holds(&allowed, all)
            && group.first(entries, false) != Some(all),
    }
}

/// Policies that govern together, and whether who is on none of their allow lists is denied.
pub(super) type Governing<'a> = (&'a Group, bool);

/// Whether any source of this family passes both.
pub(super) fn passes_both<A: Bits>(
    entries: &[RuleEntry<A>],
    one: Governing<'_>,
    other: Governing<'_>,
) -> bool {
    let (one, other) = (passing(entries, one), passing(entries, other));
    let mut others = other.iter().peekable();
    for (first, last) in one {
        while others.next_if(|other| other.1 < first).is_some() {}
        if others.peek().is_some_and(|other| other.0 <= last) {
            return true;
        }
    }
    false
}

/// The ranges that pass, sorted and disjoint.
fn passing<A: Bits>(entries: &[RuleEntry<A>], (group, only): Governing<'_>) -> Vec<(A, A)> {
    let blocked = group.ranges(entries, true);
    let may = match only {
        true => group.ranges(entries, false),
        false => vec![(A::LOWEST, A::HIGHEST)],
    };
    let mut passing = Vec::new();
    let mut blocks = blocked.iter().peekable();
    for (mut first, last) in may {
        while blocks.next_if(|block| block.1 < first).is_some() {}
        let mut is_left = true;
        // One block may reach into the next range.
        while let Some(&&(from, to)) = blocks.peek()
            && from <= last
        {
            if let Some(before) = from.previous().filter(|_| from > first) {
                passing.push((first, before));
            }
            match to.next().filter(|_| to < last) {
                Some(after) => first = after,
                None => {
                    is_left = false;
                    break;
                }
            }
            blocks.next();
        }
        if is_left {
            passing.push((first, last));
        }
    }
    passing
}
