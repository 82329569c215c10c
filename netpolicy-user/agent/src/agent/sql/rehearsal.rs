//! Statements that are only tried: judged by what the ones before them would leave. Nothing
//! of it is published, stored or put into the kernel.

use std::sync::Arc;
use std::time::Instant;

use crate::agent::access::Requester;
use crate::agent::change::consent::asks;
use crate::agent::change::{Candidate, ChangeOptions, Consent};
use crate::agent::error::AgentError;
use crate::agent::in_force::InForce;
use crate::agent::writer::Writer;
use crate::api::{Changed, Phase};
use crate::model::Applied;

/// What [`Writer::change`] would come to if `stage` were in force, refusals included;
/// `applied` since `started`. From then on the stage is what it would leave.
///
/// # Errors
/// It would be refused.
pub(super) fn rehearse(
    writer: &Writer,
    stage: &mut InForce,
    mut applied: Applied,
    started: Instant,
    requester: Requester,
    options: ChangeOptions,
) -> Result<Changed, AgentError> {
    writer.must_not_wait()?;
    // Refused is what would be refused, not only warned of; consent is yet to be asked
    // for.
    let consent = options.consent;
    let options = ChangeOptions {
        dry_run: false,
        consent: Consent::Any,
        ..options
    };
    writer.phase(Phase::Checking);
    writer.check_local("a statement", &mut applied, requester, options)?;
    let situation = writer.situation(stage);
    let candidate = situation.candidate(applied, started, Some(requester), options)?;
    let Candidate {
        state,
        compiled,
        digest,
        mut changed,
        ..
    } = candidate;
    // What cannot be expressed in a database is refused before any of it is carried in.
    writer.orders_of(&state, compiled.ruleset(), false)?;
    *stage = InForce {
        state: Arc::new(state),
        ruleset: Arc::clone(compiled.ruleset()),
        compiled,
        digest,
        ..*stage
    };
    changed.dry_run = true;
    let opens = changed.opens.as_ref();
    if let Some(opens) = opens.filter(|opens| !consent.covers(opens)) {
        asks(&mut changed.warnings, opens);
    }
    Ok(changed)
}
