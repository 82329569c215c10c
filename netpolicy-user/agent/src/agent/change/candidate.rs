//! From a state that is proposed to a change that may be made: authorised, compiled, and
//! checked for what it denies and opens.

use std::time::Instant;

use jiff::Timestamp;

use super::options::ChangeOptions;
use super::preflight::would_be;
use super::situation::{Candidate, Situation};
use super::warnings;
use crate::agent::access::grants::must_exist;
use crate::agent::access::{Requester, rights};
use crate::agent::error::AgentError;
use crate::api::{Changed, Phase, Timing};
use crate::compiler::{Effects, effects};
use crate::model::{Applied, Change, ChangeContext, Principal, State, plan};

#[cfg(test)]
thread_local! {
    /// How many changes this thread has applied.
    pub(in crate::agent) static APPLIED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl Situation<'_> {
    /// Checks a change. What the caller sent is dropped here: it may hold
    /// tens of megabytes of text that the model has by then.
    ///
    /// # Errors
    /// It is wrong in itself, or does not go with what is there.
    pub(in crate::agent) fn applied(
        &self,
        change: Change,
        action: &str,
        requester: Requester,
        options: ChangeOptions,
        now: Timestamp,
    ) -> Result<Applied, AgentError> {
        let changes = std::slice::from_ref(&change);
        let applied = self.apply(&self.in_force.state, changes, requester, options.force, now);
        drop(change);
        applied.inspect_err(|error| {
            if let AgentError::Model(errors) = error {
                let (actor, errors) = (requester.caller.name(), errors.total());
                tracing::info!(actor, action, errors, "change refused");
            }
        })
    }

    /// What changes to a state lead to.
    ///
    /// # Errors
    /// All that is wrong with the first one that is wrong.
    pub(in crate::agent) fn apply(
        &self,
        state: &State,
        changes: &[Change],
        requester: Requester,
        force: bool,
        now: Timestamp,
    ) -> Result<Applied, AgentError> {
        for change in changes {
            if let Change::SetOwner { owner, .. } = change {
                must_exist(&Principal::of_owner(owner))?;
            }
        }
        let cx = ChangeContext {
            now,
            actor: &requester.caller.name(),
            limits: self.limits,
            force,
        };
        #[cfg(test)]
        APPLIED.set(APPLIED.get() + changes.len());
        Ok(state.apply_all(changes, &cx)?)
    }

    /// Authorises and compiles what was applied since `started`, and checks its impact.
    /// `requester`: none if the agent itself rolls back.
    ///
    /// # Errors
    /// It is refused.
    pub(in crate::agent) fn candidate(
        &self,
        applied: Applied,
        started: Instant,
        requester: Option<Requester>,
        options: ChangeOptions,
    ) -> Result<Candidate, AgentError> {
        let Applied { state, warnings } = applied;
        let plan = plan(&self.in_force.state, &state);
        let mut changed = Changed {
            revision: self.in_force.revision,
            generation: self.in_force.generation,
            entries: self.in_force.entries,
            changed: !plan.is_empty(),
            plan,
            effects: Vec::new(),
            clients: None,
            databases: Vec::new(),
            seen: None,
            operator: None,
            opens: None,
            pending: None,
            warnings,
            dry_run: options.dry_run,
            timing: Timing::default(),
        };
        if let Some(requester) = requester {
            let may = rights::check(requester.caller, self.grants, &self.unended, &state);
            match may {
                Err(error) if options.dry_run => changed.warnings.push(would_be(&error)),
                may => may?,
            }
        }
        changed.timing.check_ms = millis(started);

        let started = Instant::now();
        let compiled = self.in_force.compiled.next(&state, &mut |done, total| {
            self.progress.report(Phase::Compiling, done, total);
        });
        let digest = compiled.ruleset().digest();
        let effects = match digest == self.in_force.digest {
            true => Effects::default(),
            false => effects(&self.in_force.ruleset, compiled.ruleset()),
        };
        let said = warnings::of(&state, &effects, &self.published);
        changed.warnings.extend(said);
        let mut candidate = Candidate {
            state,
            compiled,
            digest,
            may_deny: effects.may_deny(),
            may_allow: effects.may_allow(),
            changed: Changed {
                effects: effects.found,
                ..changed
            },
        };
        candidate.changed.timing.compile_ms = millis(started);
        if let Some(requester) = requester {
            self.check_tests(&mut candidate, options)?;
            self.note_edits(&mut candidate);
            self.check_impact(&mut candidate, requester, options)?;
            self.check_opened(&mut candidate, options)?;
            if options.dry_run {
                self.rehearse(&mut candidate);
            }
        }
        Ok(candidate)
    }
}

/// Milliseconds since then.
pub(in crate::agent) fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
