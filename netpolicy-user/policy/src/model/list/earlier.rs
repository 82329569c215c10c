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
        self.same_sources
            .push(ours.is_some_and(|ours| **ours == *name));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::arbitrary::cx;
    use crate::model::{Change, SourceText, State};

    /// A policy file that blocks the hosts of these numbers, one a line.
    fn change(before: &str, hosts: impl IntoIterator<Item = u32>) -> Change {
        let hosts = hosts.into_iter().map(|i| {
            let address = std::net::Ipv4Addr::from(i.wrapping_mul(0x9e37_79b1) | 1 << 31);
            format!("\"{address}\",\n")
        });
        let hosts: String = hosts.collect();
        Change::Apply {
            file: SourceText {
                name: "p.toml".into(),
                text: format!("{before}[[policy]]\nname = \"many\"\nblock = [\n{hosts}]\n"),
            },
            lists: Vec::new(),
            skip_invalid: false,
            allow_empty: false,
            keep_others: false,
        }
    }

    /// Chunks of the new list that are not shared with the old one, and all.
    fn fresh(old: &State, new: &State) -> (usize, usize) {
        let (old, new) = (&old.policies[0].block, &new.policies[0].block);
        let is_shared =
            |chunk: &&Arc<RuleChunk>| old.chunks().iter().any(|c| Arc::ptr_eq(c, chunk));
        let count = new.chunks().len();
        (count - new.chunks().iter().filter(is_shared).count(), count)
    }

    #[test]
    fn edited_file_shares_the_chunks_that_stay() {
        let old = State::empty()
            .apply(&change("", 0..50_000), &cx())
            .unwrap()
            .state;
        let edited = (0..50_000).filter(|i| *i != 20_000);
        let new = old.apply(&change("", edited.clone()), &cx()).unwrap().state;
        let (fresh_chunks, all) = fresh(&old, &new);
        // Lines move behind what was removed.
        assert!(
            fresh_chunks < all && fresh_chunks > 1,
            "{fresh_chunks} of {all}"
        );
        assert_eq!(new.policies[0].block.len(), 49_999);

        let new = old
            .try_out(&change("# moved\n", edited), &cx())
            .unwrap()
            .state;
        let (fresh_chunks, _) = fresh(&old, &new);
        assert_eq!(fresh_chunks, 1);
        let same = old.try_out(&change("# moved\n", 0..50_000), &cx()).unwrap();
        assert_eq!(fresh(&old, &same.state).0, 0);
        let moved = old.apply(&change("# moved\n", 0..50_000), &cx()).unwrap();
        assert_eq!(fresh(&old, &moved.state), (all, all));
    }

    #[test]
    fn chunks_of_another_file_are_not_shared() {
        let old = State::empty()
            .apply(&change("", 0..10_000), &cx())
            .unwrap()
            .state;
        let Change::Apply {
            mut file, lists, ..
        } = change("", 0..10_000)
        else {
            unreachable!()
        };
        file.name = "q.toml".into();
        let renamed = Change::Apply {
            file,
            lists,
            skip_invalid: false,
            allow_empty: false,
            keep_others: false,
        };
        let new = old.apply(&renamed, &cx()).unwrap().state;
        let (fresh, all) = fresh(&old, &new);
        assert_eq!(fresh, all);
        let block = &new.policies[0].block;
        assert_eq!(block.place(&block[0]).unwrap().to_string(), "q.toml:4");
    }

    #[test]
    fn new_rule_that_repeats_a_shared_one_is_reported() {
        let old = State::empty()
            .apply(&change("", 0..50_000), &cx())
            .unwrap()
            .state;
        for repeated in [3, 25_000, 49_998] {
            let hosts = (0..50_000).chain([repeated]);
            let errors = old.apply(&change("", hosts), &cx()).unwrap_err();
            let messages = errors.messages();
            assert_eq!(messages.len(), 1, "{messages:?}");
            let first = format!("(p.toml:{})", repeated + 4);
            assert!(
                messages[0].starts_with("p.toml:50004: ") && messages[0].contains(&first),
                "{messages:?}"
            );
        }
        // A whole chunk twice.
        let twice = (0..50_000).chain(0..50_000);
        assert_eq!(
            old.apply(&change("", twice), &cx()).unwrap_err().total(),
            50_000
        );
    }
}
