//! What a caller may do: the OS user and groups against what was granted.

use super::caller::Caller;
use crate::agent::error::AgentError;
use crate::model::{Grant, Privilege, Rights, State};

/// The caller's rights.
#[must_use]
pub fn of(caller: Caller, grants: &[Grant]) -> Rights {
    // Only root's do not depend on grants and ownership.
    let groups = if caller.is_root() {
        Vec::new()
    } else {
        caller.groups()
    };
    Rights::of(&caller.name(), groups, caller.is_root(), grants)
}

/// Checks that the caller may change `old` into `new`.
///
/// # Errors
/// [`AgentError::NotAllowed`] with everything that the caller lacks.
pub fn check(caller: Caller, grants: &[Grant], old: &State, new: &State) -> Result<(), AgentError> {
    let lacks = of(caller, grants).lacks(old, new);
    if lacks.is_empty() {
        Ok(())
    } else {
        Err(AgentError::NotAllowed { lacks })
    }
}

/// Checks that the caller has a privilege.
///
/// # Errors
/// [`AgentError::NotAllowed`].
pub fn require(
    caller: Caller,
    grants: &[Grant],
    privilege: Privilege,
    what: &str,
) -> Result<(), AgentError> {
    if of(caller, grants).has(privilege) {
        return Ok(());
    }
    let who = caller.name();
    Err(AgentError::NotAllowed {
        lacks: vec![format!(
            "{who} may not {what}: that requires the privilege {privilege}"
        )],
    })
}
