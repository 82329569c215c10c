//! What the two engines have in common: lists in two slots.

use std::sync::Arc;

use netpolicy_common::ScopeId;

use super::{DatapathError, maps::Maps};
use crate::compiler::{Ruleset, flat::Roots};

/// Told how many units of how many are done.
pub(super) type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// The structure in which the kernel holds lists.
pub(super) trait Lists: Send + Sync {
    /// What a slot is known to hold.
    fn content(&self, slot: u32) -> Option<&Arc<Ruleset>>;

    /// Forgets what a slot holds: the next fill writes everything.
    fn forget(&mut self, slot: u32);

    /// Waits until no program reads this slot any more, in which it may have begun
    /// before the last flip: to be called before anything of the slot is written,
    /// its ports and configurations included.
    ///
    /// The kernel waits for all running programs when an outer map is written
    /// (kernel/bpf/syscall.c, `maybe_wait_bpf_programs`), even if nothing changes by it.
    fn wait_for_readers(&self, maps: &mut Maps, slot: u32) -> Result<(), DatapathError>;

    /// Makes the idle slot number `slot` hold `target`. After an error its content is
    /// unknown.
    fn fill(
        &mut self,
        maps: &mut Maps,
        slot: u32,
        target: &Arc<Ruleset>,
        progress: Progress<'_>,
    ) -> Result<(), DatapathError>;

    /// Where a scope's tries begin in the slot filled last; for the flat engine.
    fn roots(&self, scope: ScopeId) -> Roots;

    /// Names the differences between a slot and `expected`.
    fn differences(
        &self,
        maps: &Maps,
        slot: u32,
        expected: &Ruleset,
        found: &mut Vec<String>,
    ) -> Result<(), DatapathError>;
}
