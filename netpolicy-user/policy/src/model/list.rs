//! Lists of rules, shared between states, and between versions as far as they agree.

mod chunk;
mod compare;
mod earlier;
mod edit;
#[cfg(test)]
mod tests;

use std::ops::Index;
use std::sync::Arc;

use super::{Place, Rule};

pub(super) use chunk::Cutter;
pub use chunk::{CHUNK_BYTES, RuleChunk, most_bytes};
pub(super) use compare::{Segment, ascending};
pub(super) use earlier::Earlier;
pub use earlier::Sameness;

/// An allow or block list: rules in the order in which they were written. Cloning
/// shares it; a change copies the [chunk](RuleChunk)s that it touches.
#[derive(Clone, Debug, Default)]
pub struct RuleList(Arc<ListContent>);

#[derive(Debug, Default)]
struct ListContent {
    chunks: Vec<Arc<RuleChunk>>,
    len: usize,
    sources: Vec<Box<str>>,
}

impl RuleList {
    /// A list of these rules; their [`Rule::source`]s are indices into `sources`.
    #[must_use]
    pub fn from_parts(rules: Vec<Rule>, sources: Vec<Box<str>>) -> Self {
        let mut builder = ListBuilder::default();
        for rule in rules {
            builder.push(rule);
        }
        builder.finish(sources)
    }

    /// A list without places, which shares the chunks of an earlier version that are alike.
    #[must_use]
    pub fn renewed(earlier: &Self, rules: impl IntoIterator<Item = Rule>, source: &str) -> Self {
        let mut cutter = Cutter::sharing_with(Earlier::new(earlier, Sameness::Words));
        cutter.source(source);
        for rule in rules {
            cutter.push(rule);
        }
        cutter.into_list(vec![source.into()]).0
    }

    fn of(chunks: Vec<Arc<RuleChunk>>, sources: Vec<Box<str>>) -> Self {
        Self(Arc::new(ListContent {
            len: chunks.iter().map(|chunk| chunk.rules().len()).sum(),
            chunks,
            sources,
        }))
    }

    /// The rules, in the order in which they were written.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Rule> + Clone {
        self.0.chunks.iter().flat_map(|chunk| chunk.rules())
    }

    /// How many rules it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether it has no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// The rule at a place of the order, from 0.
    #[must_use]
    pub fn get(&self, mut index: usize) -> Option<&Rule> {
        for chunk in &self.0.chunks {
            match chunk.rules().get(index) {
                Some(rule) => return Some(rule),
                None => index -= chunk.rules().len(),
            }
        }
        None
    }

    /// The rules in pieces, of which versions of a list share those that are alike.
    #[must_use]
    pub fn chunks(&self) -> &[Arc<RuleChunk>] {
        &self.0.chunks
    }

    /// The files and options that the rules come from.
    #[must_use]
    pub fn sources(&self) -> &[Box<str>] {
        &self.0.sources
    }

    /// Whether both are one list in memory, without comparing rules.
    /// `false` says nothing.
    #[must_use]
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Where one of its rules was written.
    #[must_use]
    pub fn place(&self, rule: &Rule) -> Option<Place> {
        let source = self.0.sources.get(usize::from(rule.source))?;
        Some(Place {
            source: source.clone(),
            line: rule.line,
            column: 0,
        })
    }

    /// Whether both hold the same rules in the same words and order, wherever they
    /// were written.
    #[must_use]
    pub fn same_words(&self, other: &Self) -> bool {
        if self.len() != other.len() {
            return false;
        }
        let (ours, theirs) = self.differing_chunks(other);
        let pairs = rules_of(ours).zip(rules_of(theirs));
        let mut pairs = pairs.map(|(a, b)| a.same_words(b));
        pairs.all(|same| same)
    }

    /// The chunks of both lists without those that they share at their ends.
    #[must_use]
    pub fn differing_chunks<'a>(
        &'a self,
        other: &'a Self,
    ) -> (&'a [Arc<RuleChunk>], &'a [Arc<RuleChunk>]) {
        let (mut ours, mut theirs) = (self.chunks(), other.chunks());
        while let ([a, rest @ ..], [b, others @ ..]) = (ours, theirs)
            && Arc::ptr_eq(a, b)
        {
            (ours, theirs) = (rest, others);
        }
        while let ([rest @ .., a], [others @ .., b]) = (ours, theirs)
            && Arc::ptr_eq(a, b)
        {
            (ours, theirs) = (rest, others);
        }
        (ours, theirs)
    }
}

/// Makes a list rule by rule, or chunk by chunk.
#[derive(Debug, Default)]
pub struct ListBuilder(Cutter);

impl ListBuilder {
    /// Appends a rule.
    pub fn push(&mut self, rule: Rule) {
        self.0.push(rule);
    }

    /// Appends the rules of a chunk, which is shared where the list is cut alike.
    pub fn share(&mut self, chunk: &Arc<RuleChunk>) {
        self.0.share(chunk);
    }

    /// The list; its rules' [`Rule::source`]s are indices into `sources`.
    #[must_use]
    pub fn finish(self, sources: Vec<Box<str>>) -> RuleList {
        RuleList::of(self.0.finish(), sources)
    }
}

/// The rules of some chunks.
pub(super) fn rules_of(chunks: &[Arc<RuleChunk>]) -> impl Iterator<Item = &Rule> {
    chunks.iter().flat_map(|chunk| chunk.rules())
}

impl Index<usize> for RuleList {
    type Output = Rule;

    fn index(&self, index: usize) -> &Rule {
        match self.get(index) {
            Some(rule) => rule,
            None => panic!("rule {index} of a list of {}", self.len()),
        }
    }
}

impl PartialEq for RuleList {
    fn eq(&self, other: &Self) -> bool {
        if self.ptr_eq(other) {
            return true;
        }
        if self.len() != other.len() || self.sources() != other.sources() {
            return false;
        }
        let (ours, theirs) = self.differing_chunks(other);
        rules_of(ours).eq(rules_of(theirs))
    }
}

impl Eq for RuleList {}
