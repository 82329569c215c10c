//! What is in force: the generation, and what it says of ports and scopes.

use netpolicy_common::{
    BanHead, Control, FAILSAFE_SCOPE, MAX_SCOPES, Overrides, Reason, ScopeConfig, ScopeId,
    SlotHead, ban_slot_of, slot_of,
};

use crate::maps;

/// The scope of a port, and its configuration; or why nothing is judged there.
#[inline(always)]
pub(crate) fn govern<'a>(generation: u64, port: u16) -> Result<(ScopeId, &'a ScopeConfig), Reason> {
    let governance = maps::GOVERNANCE
        .get(slot_of(generation))
        .ok_or(Reason::NoPolicy)?;
    match governance.scope_of_port[bounded(port)] {
        FAILSAFE_SCOPE => Err(Reason::Failsafe),
        scope => {
            let config = &governance.scopes[usize::from(scope) % MAX_SCOPES as usize];
            Ok((scope, config))
        }
    }
}

/// An index of 16 bits, to the verifier too: before Linux 6.10 it knows nothing of a
/// number put together from bytes, but how large one is that was loaded from memory.
#[inline(always)]
fn bounded(index: u16) -> usize {
    // SAFETY: a local variable; volatile, since the compiler knows the bounds anyway.
    usize::from(unsafe { core::ptr::read_volatile(&raw const index) })
}

/// Read once: all that is said of a packet belongs to this generation.
#[inline(always)]
pub(crate) fn control() -> Control {
    let head = maps::head();
    // SAFETY: userspace stores each field as one word.
    unsafe {
        Control {
            generation: core::ptr::read_volatile(&raw const (*head).control.generation),
            overrides: core::ptr::read_volatile(&raw const (*head).control.overrides),
        }
    }
}

/// What most packets need of a generation's slot.
#[inline(always)]
pub(crate) fn slot_head<'a>(generation: u64) -> &'a SlotHead {
    // SAFETY: it lives as long as the program. Userspace does not write the slot in force.
    unsafe { &*(&raw const (*maps::head()).slots[slot_of(generation) as usize]) }
}

/// What the program is told of the set of bans in force.
#[inline(always)]
pub(crate) fn ban_head<'a>(overrides: Overrides) -> &'a BanHead {
    // SAFETY: it lives as long as the program. Userspace does not write the set in force.
    unsafe { &*(&raw const (*maps::head()).bans[ban_slot_of(overrides.ban_set()) as usize]) }
}

/// Where the bans of one service are, if it has any.
#[inline(always)]
pub(crate) fn bans_of<'a>(overrides: Overrides, scope: ScopeId) -> Option<&'a ScopeConfig> {
    let word = ban_head(overrides).services.words()[usize::from(scope / 64) % SCOPE_WORDS];
    if word >> (scope % 64) & 1 == 0 {
        return None;
    }
    let bans = maps::BANS.get(ban_slot_of(overrides.ban_set()))?;
    Some(&bans.0[usize::from(scope) % MAX_SCOPES as usize])
}

/// Words of a set of scopes.
const SCOPE_WORDS: usize = MAX_SCOPES as usize / 64;
