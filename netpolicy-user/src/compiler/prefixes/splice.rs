//! A new version of a sequence that shares what did not change.

use super::sequence::PrefixesBuilder;
use super::{Prefix, Prefixes};

impl<P: Prefix> Prefixes<P> {
    /// This sequence with other prefixes in some ranges of addresses.
    ///
    /// `ranges` (first and last address, both included) ascend and are disjoint. Every
    /// prefix here that has an address in one of them goes; `with`, sorted and disjoint
    /// from each other and from what stays, comes instead. Each of `with` begins in a
    /// range.
    ///
    /// Rebuilds the chunks that have to do with the ranges, and shares the rest.
    #[must_use]
    pub fn splice(&self, ranges: &[(P::Address, P::Address)], with: &[P]) -> Self {
        debug_assert!(
            ranges.iter().all(|range| range.0 <= range.1) && ranges.is_sorted_by(|a, b| a.1 < b.0),
            "ranges ascend and are disjoint"
        );
        let parts = self.parts();
        let mut builder = PrefixesBuilder::default();
        let (mut ranges, mut with) = (ranges, with);
        let mut at = 0;
        // Part `at` and its successors are still to be taken over.
        while at < parts.len() {
            if builder.is_at_end_of_chunk() {
                let untouched = match ranges.first() {
                    Some(range) => self.part_of(range.0).max(at),
                    None => parts.len(),
                };
                builder.share(&parts[at..untouched]);
                at = untouched;
            }
            let Some(part) = parts.get(at) else {
                break;
            };
            at += 1;
            // What begins below the next part belongs to this one.
            let next = parts.get(at).map(|part| part.first);
            let is_here = |address: P::Address| next.is_none_or(|next| address < next);
            let mut left = part.chunk.prefixes();
            let like = Some(&part.chunk);
            while let Some(&(first, last)) = ranges.first()
                && is_here(first)
            {
                let stays = left.partition_point(|prefix| prefix.last() < first);
                for prefix in &left[..stays] {
                    builder.push_like(*prefix, like);
                }
                left = &left[stays..];
                left = &left[left.partition_point(|prefix| prefix.first() <= last)..];
                let here = with.partition_point(|new| new.first() <= last && is_here(new.first()));
                for prefix in &with[..here] {
                    builder.push_like(*prefix, like);
                }
                with = &with[here..];
                if !is_here(last) {
                    // It goes on in the next part.
                    break;
                }
                ranges = &ranges[1..];
            }
            for prefix in left {
                builder.push_like(*prefix, like);
            }
        }
        // Only an empty sequence leaves something.
        for prefix in with {
            builder.push(*prefix);
        }
        builder.finish_like(parts.last().map(|part| &part.chunk))
    }
}
