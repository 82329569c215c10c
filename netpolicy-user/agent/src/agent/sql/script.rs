//! Scripts of SQL, statement by statement.
//!
//! What a statement means is `sql::meaning`'s; here it is made, by the same way as every
//! other change. The whole text is read before anything is done: an error in it anywhere
//! leaves everything as it was. Each statement that changes something makes a revision, and
//! the first that is refused ends the script: what came before stays. An atomic script makes
//! one revision or none, and a large one as few as it can (`batch.rs`).

mod batch;
mod pending;
mod unversioned;

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::failure::{self, ScriptFailure};
use super::rehearsal::rehearse;
use super::roles::System;
use crate::agent::access::Requester;
use crate::agent::change::{Carry, ChangeOptions, Proposal};
use crate::agent::error::AgentError;
use crate::agent::in_force::InForce;
use crate::agent::writer::Writer;
use crate::api::{Changed, Existing, SqlRequest, SqlResponse, SqlResult};
use crate::model::{Applied, State};
use crate::sql::meaning::{self, Action, Changes, Scene, only_asks, plan};
use crate::sql::{Statement, WholeScript};
use pending::{Batching, PendingChanges};

/// Bytes of a text above which statements are made as one where they can be: to compile and
/// to store a large state for each of them takes longer than all else.
const BULK: usize = 1 << 20;

/// What a text without a name is called.
const NAMELESS: &str = "sql";

/// What a script came to.
#[derive(Debug, Default)]
pub struct ScriptOutcome {
    /// What is answered; without the failure, whose status is not known here.
    pub response: SqlResponse,
    /// Why it stopped.
    pub failure: Option<ScriptFailure>,
}

/// Runs a script, or only tries it: then each statement is judged by what the ones
/// before it would leave. What is wrong with it is in the answer.
pub fn run(
    writer: &mut Writer,
    request: &SqlRequest,
    requester: Requester,
    options: ChangeOptions,
) -> ScriptOutcome {
    run_noting(writer, request, requester, options, &mut Vec::new())
}

/// Tries a script, and tells databases ahead what it needs of them.
///
/// # Errors
/// [`AgentError::Carrying`]: they are being told. What is wrong with the script says running it.
pub fn carry_ahead(
    writer: &mut Writer,
    request: &SqlRequest,
    requester: Requester,
    options: ChangeOptions,
    ticket: u64,
) -> Result<(), AgentError> {
    let options = ChangeOptions {
        dry_run: true,
        carry: Carry::Ahead(ticket),
        ..options
    };
    let mut stages = Vec::new();
    run_noting(writer, request, requester, options, &mut stages);
    writer.carry_ahead(ticket, &stages)
}

/// Runs a script, and notes what its statements would leave, where it is tried ahead.
fn run_noting(
    writer: &mut Writer,
    request: &SqlRequest,
    requester: Requester,
    options: ChangeOptions,
    stages: &mut Vec<InForce>,
) -> ScriptOutcome {
    writer.expect_text(request.text.len());
    let mut outcome = ScriptOutcome::default();
    let mut statements = match WholeScript::read(&request.text, request.dialect) {
        Ok(statements) => statements,
        Err(error) => {
            outcome.failure = Some(failure::unreadable(&error));
            outcome.response.dialect = request.dialect;
            return outcome;
        }
    };
    let name = match request.name.as_str() {
        "" => NAMELESS,
        name => name,
    };
    let mut refused = writer.must_match(options).err().map(|error| {
        let failure = failure::of_script(&error);
        (error, failure)
    });
    if refused.is_none() && options.confirm_within.is_some() && !request.atomic {
        refused = failure::several_revisions(request);
    }
    if let Some((error, failure)) = refused {
        if !options.dry_run {
            writer.audit_refusal(requester, &format!("sql: {}", name.escape_debug()), &error);
        }
        outcome.failure = Some(failure);
        outcome.response.dialect = statements.dialect();
        return outcome;
    }
    // The script as a whole was written for that revision, and its first statement may make
    // another.
    let options = ChangeOptions {
        if_revision: None,
        ..options
    };
    let stage = options.dry_run.then(|| writer.in_force().clone());
    let mut script = RunningScript {
        batch: match request.atomic {
            true => Batching::Atomic,
            // A confirmation covers one revision, which is the only one then.
            false if options.confirm_within.is_none() && request.text.len() > BULK => {
                Batching::Bulk
            }
            false => Batching::Off,
        },
        pending: None,
        is_batch: false,
        is_cut: false,
        writer,
        stage,
        stages,
        requester,
        options,
        name,
    };
    outcome.failure = script
        .run(&mut statements, &mut outcome.response.results)
        .err();
    // Once, of all statements together: each by itself would take as long.
    let mut results = outcome.response.results.iter_mut().rev();
    if let Some(stage) = &script.stage
        && let Some(last) = results.find_map(|result| result.changed.as_mut())
    {
        let in_force = script.writer.in_force();
        last.seen = script.writer.situation(in_force).rehearsed(stage);
        if options.carry == Carry::InTurn {
            let existing = options.existing.or(script.is_cut.then_some(Existing::Cut));
            let options = ChangeOptions {
                existing,
                ..options
            };
            last.databases = script.writer.database_effects(stage, options, false);
        }
    }
    script.writer.rest();
    outcome.response.dialect = statements.dialect();
    outcome
}

/// A script that is being run.
struct RunningScript<'w, 't> {
    writer: &'w mut Writer,
    /// What the statements so far would leave, if they are only tried.
    stage: Option<InForce>,
    /// What each of them would leave, if they are tried ahead.
    stages: &'w mut Vec<InForce>,
    requester: Requester,
    options: ChangeOptions,
    name: &'w str,
    /// Which statements are made as one.
    batch: Batching,
    /// The changes so far that are to be made as one.
    pending: Option<PendingChanges<'t>>,
    /// Whether a batch of a large script is being made.
    is_batch: bool,
    /// Whether any of them cuts connections.
    is_cut: bool,
}

impl<'t> RunningScript<'_, 't> {
    #[expect(clippy::result_large_err, reason = "a script fails once")]
    fn statement(&mut self, statement: &Statement<'t>) -> Result<SqlResult, ScriptFailure> {
        let title = meaning::title(statement);
        let action = format!("sql: {title}");
        let state = match &self.pending {
            Some(pending) => Arc::clone(&pending.state),
            None => Arc::clone(&self.base().state),
        };
        let user = self.requester.caller.name();
        let fleet = self.writer.followed_fleet();
        let scene = Scene {
            state: &state,
            limits: self.writer.limits(),
            source: self.name,
            roles: &System,
            grants: self.writer.grants(),
            address: self.requester.origin.addresses()[0],
            user: &user,
            fleet: fleet.as_ref(),
        };
        let mut result = SqlResult {
            line: statement.spot.line,
            statement: title,
            ..SqlResult::default()
        };
        let planned = plan(statement, &scene).map_err(|refusal| {
            let failure = failure::refused(&refusal);
            if !only_asks(&statement.verb) && self.is_told() {
                let error = AgentError::Sql {
                    message: failure.errors.join("; "),
                    hint: failure.hint.clone(),
                };
                self.writer.audit_refusal(self.requester, &action, &error);
            }
            failure
        })?;
        let done = match planned {
            Action::Table(table) => {
                result.columns = table.columns;
                result.rows = table.rows;
                result.warnings = table.warnings;
                Ok(None)
            }
            Action::Nothing { status } => Ok(Some(status)),
            Action::Changes(changes) => self.changes(&state, changes, &action, &mut result),
            Action::Grant(grants) => self.grants(grants, true, &action).map(Some),
            Action::Revoke(grants) => self.grants(grants, false, &action).map(Some),
            Action::Bypass {
                service,
                minutes,
                status,
            } => self
                .bypass(&service.to_written_service(), minutes, &action, &mut result)
                .map(|()| Some(self.tried(status))),
        };
        result.status = done.map_err(|error| failure::failed(statement, &error))?;
        result
            .warnings
            .splice(0..0, statement.notes.iter().cloned());
        Ok(result)
    }

    fn changes(
        &mut self,
        state: &Arc<State>,
        planned: Changes,
        action: &str,
        result: &mut SqlResult,
    ) -> Result<Option<String>, AgentError> {
        let Changes {
            changes,
            status,
            revokes,
            warnings,
            force,
            cut,
        } = planned;
        result.warnings = warnings;
        if changes.is_empty() {
            return Ok(Some(status));
        }
        if !revokes.is_empty() {
            self.refuse_if_atomic("REVOKE CURRENT GRANTS", action)?;
            // Before the owner changes: the one is not done without the other.
            self.must_be_allowed_to_revoke(action)?;
        }
        let force = self.options.force || force;
        let now = match &self.pending {
            Some(pending) => pending.now,
            None => Timestamp::now(),
        };
        let started = Instant::now();
        let situation = self.writer.situation(self.writer.in_force());
        let applied = situation.apply(state, &changes, self.requester, force, now);
        drop(situation);
        let applied = applied.inspect_err(|error| {
            if self.is_told() {
                self.writer.audit_refusal(self.requester, action, error);
            }
        })?;
        let cut = cut && applied.state != **state;
        if let Some(pending) = &mut self.pending {
            result.warnings.extend(applied.warnings);
            pending.state = Arc::new(applied.state);
            pending.changes = true;
            pending.force |= force;
            pending.cut |= cut;
            return Ok(Some(status));
        }
        let mut changed = self.make(applied, started, action, force, cut)?;
        result.warnings.append(&mut changed.warnings);
        result.changed = Some(changed);
        if !revokes.is_empty() {
            self.grants(revokes, false, action)?;
        }
        Ok(Some(status))
    }

    /// Makes as one what was applied since `started`, or tries it.
    fn make(
        &mut self,
        applied: Applied,
        started: Instant,
        action: &str,
        force: bool,
        cut: bool,
    ) -> Result<Changed, AgentError> {
        let options = ChangeOptions {
            force,
            existing: self.options.existing.or(cut.then_some(Existing::Cut)),
            ..self.options
        };
        self.is_cut |= cut;
        if let Some(stage) = &mut self.stage {
            let requester = self.requester;
            let tried = rehearse(self.writer, stage, applied, started, requester, options)?;
            if options.carry != Carry::InTurn {
                self.stages.push(stage.clone());
            }
            return Ok(tried);
        }
        let proposal = Proposal::Applied {
            applied,
            action: action.to_owned(),
        };
        if self.is_batch {
            // Its statements are made one by one then, and that records the refused one.
            return self.writer.attempt(proposal, self.requester, options);
        }
        self.writer.change(proposal, self.requester, options)
    }

    /// What the next statement begins from.
    fn base(&self) -> &InForce {
        match &self.stage {
            Some(stage) => stage,
            None => self.writer.in_force(),
        }
    }

    fn tried(&self, status: String) -> String {
        if self.options.dry_run {
            format!("{status} (dry run: not made)")
        } else {
            status
        }
    }
}

#[cfg(test)]
mod tests;
