//! Reading a slot back and comparing it with what it should hold.

use super::{DatapathError, governance::head_of, maps::Maps};
use crate::compiler::Ruleset;

/// Differences between a slot and `expected`, in words; those of its lists are added by
/// `lists`.
pub(super) fn differences(
    maps: &Maps,
    slot: u32,
    expected: &Ruleset,
    lists: impl FnOnce(&mut Vec<String>) -> Result<(), DatapathError>,
) -> Result<Vec<String>, DatapathError> {
    let mut found = Vec::new();
    let Some(held) = maps.governance.get(slot as usize) else {
        return Ok(vec!["ports and scopes are missing".to_owned()]);
    };
    let pairs = held.scope_of_port.iter().zip(expected.ports.iter());
    let wrong = pairs.filter(|(a, b)| a != b).count();
    if wrong > 0 {
        found.push(format!("ports that belong to other scopes: {wrong}"));
    }
    let head = maps.control.slot(slot);
    if head != head_of(held) {
        found.push("the host's head differs from its ports and scopes".to_owned());
    }
    for (id, held) in held.scopes.iter().enumerate() {
        let mut scopes = expected.scopes.iter();
        let rules = scopes.find(|scope| usize::from(scope.id) == id);
        if held.flags != rules.map(|scope| scope.config.flags).unwrap_or_default() {
            found.push(format!("scope {id} is governed otherwise"));
        }
    }
    lists(&mut found)?;
    Ok(found)
}
