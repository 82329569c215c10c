//! Comparison of two versions of a sequence.

use std::ops::ControlFlow;

use super::sequence::IndexedChunk;
use super::{Prefix, Prefixes};
use crate::Address;

impl<P: Prefix> Prefixes<P> {
    /// The ranges of addresses in which this sequence and `new` have different prefixes
    /// (first and last address, inclusive), ascending and not adjacent to each other.
    /// They cover exactly the prefixes that only one of the two sequences has.
    ///
    /// Takes time proportional to the number of chunks, and of prefixes in the chunks that
    /// are not shared.
    #[must_use]
    pub fn changed(&self, new: &Self) -> Vec<(P::Address, P::Address)> {
        let mut changed: Vec<(P::Address, P::Address)> = Vec::new();
        self.differences(new, |prefix, _| extend(&mut changed, prefix));
        changed
    }

    /// Like [`Self::changed`]; `None` if more than `most` prefixes differ. Stops once that
    /// many are found.
    #[must_use]
    pub fn changed_at_most(
        &self,
        new: &Self,
        most: usize,
    ) -> Option<Vec<(P::Address, P::Address)>> {
        let mut changed: Vec<(P::Address, P::Address)> = Vec::new();
        let mut left = most;
        let within = self.try_differences(new, |prefix, _| {
            extend(&mut changed, prefix);
            match left.checked_sub(1) {
                Some(rest) => {
                    left = rest;
                    ControlFlow::Continue(())
                }
                None => ControlFlow::Break(()),
            }
        });
        within.is_continue().then_some(changed)
    }

    /// Visits every prefix that only this sequence has (`false`) or only `new` has
    /// (`true`), ascending. Takes the same time as [`Self::changed`].
    pub fn differences(&self, new: &Self, mut visit: impl FnMut(P, bool)) {
        let _ = self.try_differences(new, |prefix, is_new| {
            visit(prefix, is_new);
            ControlFlow::Continue(())
        });
    }

    /// Like [`Self::differences`], until `visit` breaks.
    fn try_differences(
        &self,
        new: &Self,
        mut visit: impl FnMut(P, bool) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if self.ptr_eq(new) {
            return ControlFlow::Continue(());
        }
        let (mut old, mut new) = (
            PrefixCursor::new(self.parts()),
            PrefixCursor::new(new.parts()),
        );
        loop {
            while let (Some(a), Some(b)) = (old.whole_chunk(), new.whole_chunk())
                && a.first == b.first
                && a.chunk.same(&b.chunk)
            {
                old.skip_chunk();
                new.skip_chunk();
            }
            match (old.peek(), new.peek()) {
                (None, None) => return ControlFlow::Continue(()),
                (Some(a), Some(b)) if a == b => {
                    old.step();
                    new.step();
                }
                (Some(a), b) if b.is_none_or(|b| a < b) => {
                    visit(a, false)?;
                    old.step();
                }
                (_, b) => {
                    if let Some(b) = b {
                        visit(b, true)?;
                    }
                    new.step();
                }
            }
        }
    }
}

/// Appends the addresses of a prefix to ascending ranges, none of which begins above
/// it. Extends the last range if it overlaps the prefix or is adjacent to it.
pub fn extend<P: Prefix>(ranges: &mut Vec<(P::Address, P::Address)>, prefix: P) {
    let (first, last) = (prefix.first(), prefix.last());
    match ranges.last_mut() {
        Some(range) if range.1.next().is_none_or(|next| first <= next) => {
            range.1 = range.1.max(last);
        }
        _ => ranges.push((first, last)),
    }
}

/// A position in a sequence.
struct PrefixCursor<'a, P: Prefix> {
    /// The chunk of the position, and those after it.
    parts: &'a [IndexedChunk<P>],
    /// The number of prefixes of the first chunk before the position.
    done: usize,
}

impl<'a, P: Prefix> PrefixCursor<'a, P> {
    fn new(parts: &'a [IndexedChunk<P>]) -> Self {
        Self { parts, done: 0 }
    }

    /// The chunk, if the position is at its start.
    fn whole_chunk(&self) -> Option<&'a IndexedChunk<P>> {
        self.parts.first().filter(|_| self.done == 0)
    }

    fn skip_chunk(&mut self) {
        self.parts = self.parts.get(1..).unwrap_or(&[]);
        self.done = 0;
    }

    fn peek(&self) -> Option<P> {
        let part = self.parts.first()?;
        part.chunk.prefixes().get(self.done).copied()
    }

    fn step(&mut self) {
        self.done += 1;
        let chunk = self.parts.first().map(|part| part.chunk.prefixes().len());
        if chunk.is_none_or(|len| self.done >= len) {
            self.skip_chunk();
        }
    }
}
