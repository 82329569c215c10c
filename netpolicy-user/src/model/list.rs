//! Lists of rules, shared between states.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Place, Rule};

/// An allow or block list. Cloning shares it; changing a shared one copies it first.
#[derive(Clone, Debug, Default, Eq, Serialize, Deserialize)]
pub struct RuleList(Arc<Parts>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Parts {
    rules: Vec<Rule>,
    sources: Vec<Box<str>>,
}

impl RuleList {
    /// A list of these rules; their [`Rule::source`]s are indices into `sources`.
    #[must_use]
    pub fn from_parts(rules: Vec<Rule>, sources: Vec<Box<str>>) -> Self {
        Self(Arc::new(Parts { rules, sources }))
    }

    /// The rules, in the order in which they were written.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.0.rules
    }

    /// The files and options that the rules come from.
    #[must_use]
    pub fn sources(&self) -> &[Box<str>] {
        &self.0.sources
    }

    /// Whether both are one list in memory, which takes no comparing of rules.
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
        Arc::ptr_eq(&self.0, &other.0)
            || self.len() == other.len()
                && self.iter().zip(other.iter()).all(|(a, b)| a.same_words(b))
    }

    /// Takes away the rules that `keep` does not want.
    pub(super) fn retain(&mut self, keep: impl FnMut(&Rule) -> bool) {
        Arc::make_mut(&mut self.0).rules.retain(keep);
        self.drop_unused_sources();
    }

    /// Appends the rules of another list. `false`, and nothing done, if the two
    /// have more sources than rules can tell apart.
    pub(super) fn append(&mut self, other: &Self) -> bool {
        let parts = Arc::make_mut(&mut self.0);
        let mut sources = parts.sources.clone();
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
        parts.sources = sources;
        parts.rules.extend(other.iter().map(|rule| {
            let source = moved
                .get(usize::from(rule.source))
                .copied()
                .unwrap_or(u16::MAX);
            Rule {
                source,
                ..rule.clone()
            }
        }));
        true
    }

    /// Keeps a list that is edited often from remembering every option ever used.
    fn drop_unused_sources(&mut self) {
        let parts = Arc::make_mut(&mut self.0);
        let mut used = vec![false; parts.sources.len()];
        for rule in &parts.rules {
            if let Some(used) = used.get_mut(usize::from(rule.source)) {
                *used = true;
            }
        }
        if used.iter().all(|used| *used) {
            return;
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
        let mut flags = used.iter();
        parts
            .sources
            .retain(|_| flags.next().copied().unwrap_or(false));
        for rule in &mut parts.rules {
            rule.source = moved
                .get(usize::from(rule.source))
                .copied()
                .unwrap_or(u16::MAX);
        }
    }
}

impl Deref for RuleList {
    type Target = [Rule];

    fn deref(&self) -> &[Rule] {
        &self.0.rules
    }
}

impl PartialEq for RuleList {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(rules: &[(&str, u16)], sources: &[&str]) -> RuleList {
        let rules = rules.iter().map(|&(net, source)| Rule {
            net: net.parse().unwrap(),
            source,
            line: 0,
            note: None,
        });
        RuleList::from_parts(
            rules.collect(),
            sources.iter().map(|&name| name.into()).collect(),
        )
    }

    #[test]
    fn joined_lists_share_sources_and_forget_unused_ones() {
        let mut joined = list(&[("10.0.0.0/8", 0), ("11.0.0.0/8", 1)], &["a", "b"]);
        let before = joined.clone();
        assert!(joined.append(&list(&[("12.0.0.0/8", 0), ("13.0.0.0/8", 1)], &["b", "c"])));
        assert_eq!(joined.sources().len(), 3);
        let places: Vec<_> = joined
            .iter()
            .map(|rule| joined.place(rule).unwrap().to_string())
            .collect();
        assert_eq!(places, ["a", "b", "b", "c"]);

        joined.retain(|rule| rule.net.to_string() != "10.0.0.0/8");
        assert_eq!(joined.sources().len(), 2);
        let places: Vec<_> = joined
            .iter()
            .map(|rule| joined.place(rule).unwrap().to_string())
            .collect();
        assert_eq!(places, ["b", "b", "c"]);
        assert_eq!(before.len(), 2, "a shared list stays as it was");
    }

    #[test]
    fn too_many_sources_are_refused() {
        let names: Vec<String> = (0..=usize::from(u16::MAX)).map(|i| i.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut full = list(&[], &names);
        assert!(!full.append(&list(&[("10.0.0.0/8", 0)], &["one more"])));
        assert!(full.is_empty());
    }

    #[test]
    fn places_do_not_change_the_words() {
        let a = list(&[("10.0.0.0/8", 0)], &["a"]);
        let b = list(&[("10.0.0.0/8", 0)], &["b"]);
        assert!(a.same_words(&b));
        assert_ne!(a, b);
        assert_eq!(a, a.clone());
    }
}
