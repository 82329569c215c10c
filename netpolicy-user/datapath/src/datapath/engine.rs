//! What the two engines have in common.

use std::{collections::BTreeMap, sync::Arc};

use netpolicy_common::{EngineWords, ScopeId};

use super::{DatapathError, maps::Maps};
use crate::compiler::{Extent, PrefixSet, Ruleset};

/// Told how many units of how many are done.
pub(super) type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// The block and the allow list of each scope, as they are read back.
pub(super) type ScopeContents = BTreeMap<ScopeId, (PrefixSet, PrefixSet)>;

/// The structure in which the kernel holds lists. Slots are told as `slot_of` does.
pub(super) trait ListEngine: Send + Sync {
    /// Forgets what a slot holds: the next fill writes everything.
    fn forget(&mut self, slot: u32);

    /// Waits until no program reads this slot any more, in which it may have begun
    /// before it was given up: to be called before anything of the slot is written,
    /// its ports and configurations included.
    fn wait_for_readers(&mut self, maps: &mut Maps, slot: u32) -> Result<(), DatapathError>;

    /// Makes a slot that is not in force hold `target`. After an error its content is
    /// unknown.
    fn fill(
        &mut self,
        maps: &mut Maps,
        slot: u32,
        target: &Arc<Ruleset>,
        progress: Progress<'_>,
    ) -> Result<(), DatapathError>;

    /// What was filled last is in force now, instead of what the slot `before` holds.
    fn committed(&mut self, before: u32);

    /// What the program is told of a scope's lists in what was filled last.
    fn words(&self, scope: ScopeId) -> EngineWords;

    /// What the slot's information is to hold for the engine, of what was filled last.
    fn slot_word(&self) -> u64;

    /// Names the differences between a slot and `expected`, as far as the extent goes.
    fn differences(
        &self,
        maps: &Maps,
        slot: u32,
        expected: &Ruleset,
        extent: Extent,
        found: &mut Vec<String>,
    ) -> Result<(), DatapathError>;
}
