//! Edits of lists: the new version shares the unchanged chunks.

use jiff::Timestamp;

use super::chunk::Cutter;
use super::{RuleChunk, RuleList};
use crate::model::Rule;

impl RuleList {
    /// Takes away the rules that `keep` does not want.
    pub(in crate::model) fn retain(&mut self, mut keep: impl FnMut(&Rule) -> bool) {
        let mut cutter = Cutter::default();
        for chunk in self.chunks() {
            let rules = chunk.rules();
            let kept: Vec<bool> = rules.iter().map(&mut keep).collect();
            if kept.iter().all(|kept| *kept) {
                cutter.share(chunk);
                continue;
            }
            let kept = rules.iter().zip(kept).filter(|(_, kept)| *kept);
            for (rule, _) in kept {
                cutter.push(rule.clone());
            }
        }
        *self = Self::of(cutter.finish(), self.sources().to_vec()).without_unused_sources();
    }

    /// The ends of its rules.
    pub(in crate::model) fn ends(&self) -> impl Iterator<Item = Timestamp> {
        self.ending().filter_map(Rule::expires)
    }

    /// The rules that end.
    pub(in crate::model) fn ending(&self) -> impl Iterator<Item = &Rule> {
        let chunks = self.chunks().iter();
        let with_ends = chunks.filter(|chunk| chunk.first_end().is_some());
        let rules = with_ends.flat_map(|chunk| chunk.rules());
        rules.filter(|rule| rule.expires().is_some())
    }

    /// Takes away the rules whose end is over, and gives them.
    pub(in crate::model) fn take_ended(
        &mut self,
        is_over: &dyn Fn(Timestamp) -> bool,
    ) -> Vec<Rule> {
        // Not by the first end alone: a wall clock that is set between two rules may have a later
        // end over before an earlier one.
        let due = |chunk: &RuleChunk| {
            let mut ends = chunk.rules().iter().filter_map(Rule::expires);
            chunk.first_end().is_some() && ends.any(is_over)
        };
        let mut ended = Vec::new();
        if !self.chunks().iter().any(|chunk| due(chunk)) {
            return ended;
        }
        let mut cutter = Cutter::default();
        for chunk in self.chunks() {
            if !due(chunk) {
                cutter.share(chunk);
                continue;
            }
            for rule in chunk.rules() {
                match rule.expires().is_some_and(is_over) {
                    true => ended.push(rule.clone()),
                    false => cutter.push(rule.clone()),
                }
            }
        }
        *self = Self::of(cutter.finish(), self.sources().to_vec()).without_unused_sources();
        ended
    }

    /// Puts rules in place of those for the same networks.
    pub(in crate::model) fn note(&mut self, mut rules: Vec<Rule>) {
        if rules.is_empty() {
            return;
        }
        rules.sort_by_key(|rule| rule.net);
        let new = |rule: &Rule| {
            let at = rules.binary_search_by(|new| new.net.cmp(&rule.net)).ok()?;
            rules.get(at)
        };
        let mut cutter = Cutter::default();
        for chunk in self.chunks() {
            if !chunk.rules().iter().any(|rule| new(rule).is_some()) {
                cutter.share(chunk);
                continue;
            }
            for rule in chunk.rules() {
                cutter.push(new(rule).unwrap_or(rule).clone());
            }
        }
        *self = Self::of(cutter.finish(), self.sources().to_vec());
    }

    /// Appends the rules of another list. `false`, and nothing done, if the two
    /// have more sources than rules can distinguish.
    pub(in crate::model) fn append(&mut self, other: &Self) -> bool {
        let mut sources = self.sources().to_vec();
        let mut moved = Vec::with_capacity(other.sources().len());
        for name in other.sources() {
            let index = sources
                .iter()
                .position(|known| known == name)
                .unwrap_or_else(|| {
                    sources.push(name.clone());
                    sources.len() - 1
                });
            let Ok(index) = u16::try_from(index) else {
                return false;
            };
            moved.push(index);
        }
        let mut cutter = Cutter::default();
        for chunk in self.chunks() {
            cutter.share(chunk);
        }
        for rule in other.iter() {
            cutter.push(with_source(rule, &moved));
        }
        *self = Self::of(cutter.finish(), sources);
        true
    }

    /// Keeps a list that is edited often from remembering every option ever used.
    fn without_unused_sources(self) -> Self {
        let mut used = vec![false; self.sources().len()];
        for source in self.chunks().iter().flat_map(|chunk| chunk.sources()) {
            if let Some(used) = used.get_mut(usize::from(*source)) {
                *used = true;
            }
        }
        if used.iter().all(|used| *used) {
            return self;
        }
        let mut kept = 0_u16;
        let moved: Vec<_> = used
            .iter()
            .map(|used| {
                let index = kept;
                kept += u16::from(*used);
                index
            })
            .collect();
        let names = self.sources().iter().zip(&used);
        let sources = names.filter(|(_, used)| **used).map(|(name, _)| name);
        let sources = sources.cloned().collect();
        let is_same = |chunk: &RuleChunk| {
            let mut same = chunk.sources().iter();
            same.all(|source| moved.get(usize::from(*source)) == Some(source))
        };
        let mut cutter = Cutter::default();
        for chunk in self.chunks() {
            if is_same(chunk) {
                cutter.share(chunk);
                continue;
            }
            for rule in chunk.rules() {
                cutter.push(with_source(rule, &moved));
            }
        }
        Self::of(cutter.finish(), sources)
    }
}

/// The rule with its source's new number.
fn with_source(rule: &Rule, moved: &[u16]) -> Rule {
    let source = moved.get(usize::from(rule.source));
    Rule {
        source: source.copied().unwrap_or(u16::MAX),
        ..rule.clone()
    }
}
