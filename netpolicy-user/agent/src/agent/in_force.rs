//! What is, or should be, in force.

use std::sync::Arc;

use crate::compiler::{Compilation, Ruleset};
use crate::model::State;

/// Everything that changes with a revision, so that it is replaced in one assignment.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The desired state.
    pub state: Arc<State>,
    /// Its revision.
    pub revision: u64,
    /// What it was compiled to, to compile the next one from.
    pub compiled: Compilation,
    /// The compiled rules.
    pub ruleset: Arc<Ruleset>,
    /// Of the rules.
    pub digest: [u8; 32],
    /// Prefixes in the kernel's lists.
    pub entries: u64,
    /// The generation that the kernel has them in.
    pub generation: u64,
}

impl InForce {
    /// A state that was compiled.
    #[must_use]
    pub fn new(
        state: Arc<State>,
        revision: u64,
        compiled: Compilation,
        digest: [u8; 32],
        generation: u64,
    ) -> Self {
        let ruleset = Arc::clone(compiled.ruleset());
        Self {
            state,
            revision,
            compiled,
            digest,
            entries: ruleset.entries(),
            ruleset,
            generation,
        }
    }
}
