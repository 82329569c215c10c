//! Edits of a sequence: the new version shares the unchanged chunks.

use super::sequence::PrefixesBuilder;
use super::{Prefix, Prefixes};

impl<P: Prefix> Prefixes<P> {
    /// Replaces the prefixes in some ranges of addresses. The prefixes must be disjoint.
    ///
    /// `ranges` (first and last address, inclusive) must ascend and be disjoint. Every
    /// prefix with an address in one of them is removed; `with`, sorted and disjoint
    /// from each other and from the remaining prefixes, is added.
    ///
    /// Rebuilds the chunks that overlap the ranges, and shares the rest.
    #[must_use]
    pub fn splice(&self, ranges: &[(P::Address, P::Address)], with: &[P]) -> Self {
        debug_assert!(
            ranges.iter().all(|range| range.0 <= range.1) && ranges.is_sorted_by(|a, b| a.1 < b.0),
            "ranges ascend and are disjoint"
        );
        let mut gone: Vec<P> = Vec::new();
        for &(first, last) in ranges {
            // A prefix may reach from one range into the next.
            let known = gone.last().copied();
            gone.extend(self.range(first..=last).skip_while(|p| Some(*p) == known));
        }
        self.edit(&gone, with)
    }

    /// Removes `gone` and adds `new`, both sorted and distinct; a prefix in both stays.
    ///
    /// Rebuilds the chunks that they fall into, and shares the rest.
    #[must_use]
    pub fn edit(&self, gone: &[P], new: &[P]) -> Self {
        let parts = self.parts();
        let mut builder = PrefixesBuilder::default();
        let mut edits = Edits { gone, new };
        let mut at = 0;
        // Chunk `at` and its successors are still to be copied.
        while at < parts.len() {
            if builder.is_at_end_of_chunk() {
                let untouched = match edits.next_place() {
                    Some(place) => self.last_part(|first| *first <= place).max(at),
                    None => parts.len(),
                };
                builder.share(&parts[at..untouched]);
                at = untouched;
            }
            let Some(part) = parts.get(at) else {
                break;
            };
            at += 1;
            let like = Some(&part.chunk);
            for prefix in part.chunk.prefixes() {
                edits.new_before(Some(*prefix), |new| builder.push_like(new, like));
                if edits.keeps(*prefix) {
                    builder.push_like(*prefix, like);
                }
            }
            // New prefixes before the next chunk belong to this one.
            let next = parts.get(at).map(|part| part.first);
            edits.new_before(next, |new| builder.push_like(new, like));
        }
        // Only for an empty sequence there are prefixes left.
        edits.new_before(None, |new| builder.push(new));
        builder.finish_like(parts.last().map(|part| &part.chunk))
    }
}

/// The remaining edits.
struct Edits<'a, P> {
    gone: &'a [P],
    new: &'a [P],
}

impl<P: Prefix> Edits<'_, P> {
    /// The prefix of the next edit.
    fn next_place(&self) -> Option<P> {
        match (self.gone.first(), self.new.first()) {
            (Some(a), Some(b)) => Some(*a.min(b)),
            (a, b) => a.or(b).copied(),
        }
    }

    /// Passes on the new prefixes before `before`, or all.
    fn new_before(&mut self, before: Option<P>, mut take: impl FnMut(P)) {
        while let [new, rest @ ..] = self.new
            && before.is_none_or(|before| *new < before)
        {
            take(*new);
            self.new = rest;
        }
    }

    /// Whether an existing prefix stays. Must be called with ascending prefixes.
    fn keeps(&mut self, prefix: P) -> bool {
        let mut keeps = true;
        while let [gone, rest @ ..] = self.gone
            && *gone <= prefix
        {
            keeps = *gone != prefix;
            self.gone = rest;
        }
        if let [new, rest @ ..] = self.new
            && *new == prefix
        {
            self.new = rest;
            keeps = true;
        }
        keeps
    }
}
