//! Whether a change, or the end of a bypass, shuts the operator himself out.

use netpolicy_common::{FAILSAFE_SCOPE, Reason};

use super::clients::Judge;
use super::error::AgentError;
use super::request::Seat;
use crate::model::{AllowPart, explain};

/// Whether the operator's own address still gets in everywhere where it did.
///
/// One without an address has none to lose, and what comes over loopback is not filtered.
/// Takes two look-ups for each scope; only a refusal looks at every rule.
///
/// # Errors
/// [`AgentError::Lockout`], with the first scope that he loses.
pub(super) fn check_operator(judge: &Judge<'_>, seat: Seat) -> Result<(), AgentError> {
    let address = seat.address().filter(|address| !address.is_loopback());
    let Some(address) = address else {
        return Ok(());
    };
    let lost = |port: &u16| judge.denies_newly(address, *port);
    let Some(port) = judge.ports().into_iter().find(lost) else {
        return Ok(());
    };
    let new = judge.new;
    let explanation = explain(new.state, new.bypasses, judge.now, address, Some(port));
    let policies = || {
        let consulted = explanation.consulted.iter();
        consulted.filter_map(|&index| new.state.policies.get(index))
    };
    let policy = match (explanation.rule, explanation.reason) {
        (Some(rule), _) => new.state.policies.get(rule.policy),
        (None, Reason::NotAllowed) => {
            policies().find(|policy| matches!(policy.allow, AllowPart::Only(_)))
        }
        (None, _) => None,
    };
    let mut scope = judge.scope(port).1;
    let was = judge.old.rules.ports.get(usize::from(port));
    if was == Some(&FAILSAFE_SCOPE) {
        // Of all the scope's ports he loses this one alone, perhaps.
        scope += &format!(" (port {port}, no failsafe port any more)");
    }
    Err(AgentError::Lockout {
        address,
        scope,
        policy: policy.map(|policy| policy.name.to_string()),
        why: explanation.sentence(new.state),
    })
}
