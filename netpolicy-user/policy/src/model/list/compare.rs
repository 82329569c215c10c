//! Compares two versions of a list chunk by chunk; shared chunks are skipped.

use std::collections::HashMap;
use std::sync::Arc;

use super::{RuleChunk, RuleList};

/// A part of two versions of a list.
#[derive(Debug)]
pub(in crate::model) enum Segment<'a> {
    /// A chunk that both have.
    Shared(&'a RuleChunk),
    /// Chunks of the one and of the other, either of which may be none.
    Differing(&'a [Arc<RuleChunk>], &'a [Arc<RuleChunk>]),
}

impl RuleList {
    /// Both lists in segments, in order.
    pub(in crate::model) fn segments<'a>(&'a self, other: &'a Self) -> Vec<Segment<'a>> {
        let (ours, theirs) = (self.chunks(), other.chunks());
        let places: HashMap<_, _> = theirs.iter().map(Arc::as_ptr).zip(0..).collect();
        let pairs = ours.iter().enumerate().filter_map(|(at, chunk)| {
            let to: &usize = places.get(&Arc::as_ptr(chunk))?;
            Some((at, *to))
        });
        let pairs: Vec<(usize, usize)> = pairs.collect();
        let shared = ascending(&pairs);
        let mut segments = Vec::with_capacity(shared.len() + 1);
        let (mut i, mut j) = (0, 0);
        for (at, to) in shared.into_iter().chain([(ours.len(), theirs.len())]) {
            if i < at || j < to {
                segments.push(Segment::Differing(&ours[i..at], &theirs[j..to]));
            }
            segments.extend(ours.get(at).map(|chunk| Segment::Shared(chunk)));
            (i, j) = (at + 1, to + 1);
        }
        segments
    }
}

/// The longest part of some pairs whose second halves ascend. The first halves ascend.
pub(in crate::model) fn ascending(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // Patience sorting: of each length the sequence that ends lowest.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (index, (_, to)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|&end| pairs[end].1 < *to);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        if length == ends.len() {
            ends.push(index);
        } else {
            ends[length] = index;
        }
    }
    let mut longest = Vec::with_capacity(ends.len());
    let mut at = ends.last().copied();
    while let Some(index) = at {
        longest.push(pairs[index]);
        at = before[index];
    }
    longest.reverse();
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Rule;

    fn rules(range: std::ops::Range<u32>) -> Vec<Rule> {
        let rule = |i| Rule {
            net: ipnet::Ipv4Net::from(std::net::Ipv4Addr::from(0x0a00_0000 + i)).into(),
            source: 0,
            line: 0,
            note: None,
        };
        range.map(rule).collect()
    }

    #[test]
    fn segments_together_are_both_lists_and_separate_only_differing_chunks() {
        let old = RuleList::from_parts(rules(0..100_000), vec!["a".into()]);
        let mut new = old.clone();
        let gone = [rules(10_000..10_001), rules(90_000..90_001)].concat();
        new.retain(|rule| !gone.contains(rule));
        let (mut ours, mut theirs, mut apart) = (Vec::new(), Vec::new(), 0);
        for segment in old.segments(&new) {
            match segment {
                Segment::Shared(chunk) => {
                    ours.extend(chunk.rules());
                    theirs.extend(chunk.rules());
                }
                Segment::Differing(a, b) => {
                    apart += a.len();
                    ours.extend(a.iter().flat_map(|chunk| chunk.rules()));
                    theirs.extend(b.iter().flat_map(|chunk| chunk.rules()));
                }
            }
        }
        assert!(old.iter().eq(ours) && new.iter().eq(theirs));
        assert!(
            (2..=4).contains(&apart),
            "{apart} of {}",
            old.chunks().len()
        );
        assert!(
            RuleList::default()
                .segments(&RuleList::default())
                .is_empty()
        );
    }
}
