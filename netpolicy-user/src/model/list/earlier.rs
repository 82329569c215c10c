//! An earlier version of a list that is being read, whose chunks the new one shares.

use std::collections::HashMap;
use std::sync::Arc;

use ipnet::IpNet;

use super::{RuleChunk, RuleList};
use crate::model::Rule;

/// What makes two rules the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sameness {
    /// The same words at the same place.
    Place,
    /// The same words, wherever they were written: for a list that is only compared.
    Words,
}

/// An earlier version of a list. Each of its chunks is shared once at the most, so that
/// shared rules repeat each other only if they did before.
#[derive(Debug)]
pub(in crate::model) struct Earlier {
    list: RuleList,
    sameness: Sameness,
    /// The chunks that are not shared yet, by their first rule.
    chunks: HashMap<IpNet, Arc<RuleChunk>>,
    /// For each source of the new version, whether it has the same name in this one.
    same_sources: Vec<bool>,
}

impl Earlier {
    /// For a new version of `list`.
    pub(in crate::model) fn new(list: &RuleList, sameness: Sameness) -> Self {
        let first = |chunk: &Arc<RuleChunk>| Some((chunk.rules().first()?.net, Arc::clone(chunk)));
        Self {
            chunks: list.chunks().iter().filter_map(first).collect(),
            list: list.clone(),
            sameness,
            same_sources: Vec::new(),
        }
    }

    /// Registers the next source of the new version.
    pub(in crate::model) fn source(&mut self, name: &str) {
        let ours = self.list.sources().get(self.same_sources.len());
        self.same_sources.push(ours.is_some_and(|ours| **ours == *name));
    }

    /// The chunk of these rules, if there is one.
    pub(super) fn take(&mut self, rules: &[Rule]) -> Option<Arc<RuleChunk>> {
        let first = rules.first()?.net;
        let chunk = self.chunks.get(&first)?;
        let is_same = match self.sameness {
            Sameness::Words => {
                let pairs = rules.iter().zip(chunk.rules());
                rules.len() == chunk.rules().len() && { pairs }.all(|(a, b)| a.same_words(b))
            }
            Sameness::Place => {
                let same = |source: &u16| self.same_sources.get(usize::from(*source));
                *rules == *chunk.rules() && chunk.sources().iter().all(|s| same(s) == Some(&true))
            }
        };
        is_same.then(|| self.chunks.remove(&first)).flatten()
    }
}
