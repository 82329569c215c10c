//! What the configuration selects: looked at again at each look, for interfaces come, go, are
//! renamed and become ports of others.

use super::{ABSENT, Attacher};
use crate::agent::error::chain;
use crate::selection::Selection;

impl Attacher {
    /// Looks which interfaces the configuration selects. If that cannot be told, it is what it
    /// was: then why.
    pub(super) fn select(&mut self) -> Option<String> {
        let selection = match self.patterns.names() {
            Some(names) => Selection {
                names,
                ..Selection::default()
            },
            None => match self.links.devices() {
                Ok(devices) => self.patterns.select(&devices),
                Err(error) => {
                    return Some(format!(
                        "the interfaces cannot be listed, trying again: {}",
                        chain(&error)
                    ));
                }
            },
        };
        if selection == self.selection {
            return None;
        }
        for (name, by) in &selection.covered {
            if !self
                .selection
                .covered
                .iter()
                .any(|(known, _)| known == name)
            {
                tracing::info!(
                    interface = name,
                    "not filtered itself: {} is",
                    by.join(", ")
                );
            }
        }
        self.selection = selection;
        self.is_changed = true;
        let known = self.selection.configured();
        self.unfiltered.retain(|name, _| known.contains(name));
        self.attached.retain(|name, _| known.contains(name));
        None
    }

    /// Detaches from interfaces that a pattern selected until another that receives their
    /// packets was selected, once that is filtered.
    /// And from ports of excluded interfaces.
    pub(super) fn let_go_of_covered(&mut self, attached: &[(String, u32)]) {
        let is_judged = |(_, by): &&(String, Vec<String>)| {
            by.iter().all(|name| self.attached.contains_key(name))
        };
        let covered = self.selection.covered.iter().filter(is_judged);
        let covered = covered.map(|(name, by)| {
            let why = format!("its packets are judged at {}", by.join(", "));
            (name.clone(), why)
        });
        let excluded = self.selection.excluded.iter().map(|(name, master)| {
            let why = format!("it is a port of {master}, which is excluded");
            (name.clone(), why)
        });
        let all: Vec<_> = covered.chain(excluded).collect();
        for (name, why) in all {
            if !attached.iter().any(|(n, _)| *n == name) {
                continue;
            }
            match self.links.detach(&name) {
                Ok(_) => tracing::info!(interface = name, "detached: {why}"),
                Err(error) => tracing::warn!(
                    interface = name,
                    error = chain(&error),
                    "it could not be detached, though {why}"
                ),
            }
            self.is_changed = true;
        }
    }

    /// Why an interface is not there, or where it is now.
    pub(super) fn absent(
        &mut self,
        name: &str,
        before: Option<u32>,
        attached: &[(String, u32)],
    ) -> String {
        if let Some(index) = before {
            self.renamed.insert(name.to_owned(), index);
        }
        let index = self.renamed.get(name);
        let now = attached.iter().find(|(_, i)| Some(i) == index);
        match now {
            Some((now, _)) => format!(
                "it is called {now} now, and stays filtered by that name until the agent is \
                 restarted or reloaded; correct `interfaces`"
            ),
            None => ABSENT.to_owned(),
        }
    }
}
