//! Deferred work of a change, for which no caller has to wait.

use crate::agent::in_force::InForce;
use crate::agent::memory;
use crate::store::Store;

/// A change of so many rules, or with so many bytes of text, is large: the memory that
/// it took is given back at once.
const LARGE_RULES: u64 = 50_000;
const LARGE_TEXT: usize = 1 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// What the last change replaced: freeing it takes time.
    replaced: Option<InForce>,
    /// Whether the last change was large.
    was_large: bool,
}

impl Leftovers {
    /// A request had a text of so many bytes.
    pub(super) fn text(&mut self, bytes: usize) {
        self.was_large |= bytes >= LARGE_TEXT;
    }

    /// So many rules were changed, or compiled.
    pub(super) fn rules(&mut self, number: u64) {
        self.was_large |= number >= LARGE_RULES;
    }

    /// A change replaced this.
    pub(super) fn replaced(&mut self, old: InForce) {
        self.replaced = Some(old);
    }

    /// Frees it all.
    pub(super) fn tidy(&mut self, store: &mut dyn Store) {
        self.replaced = None;
        // Whatever was large is gone by now, except what readers still hold.
        if std::mem::take(&mut self.was_large) {
            store.settle();
            memory::give_back();
        }
    }
}
