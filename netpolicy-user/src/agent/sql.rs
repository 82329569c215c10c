//! Scripts of SQL, statement by statement.
//!
//! What a statement means is `sql::meaning`'s; here it is made, by the same way as every
//! other change. Each statement that changes something makes a revision, and the first
//! that fails ends the script: what came before stays. An atomic script makes one revision
//! or none.

mod failure;
mod rehearsal;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use nix::unistd::{Group, User};

use super::change::Proposal;
use super::consent::{Consent, asks};
use super::enforcer::Enforcer;
use super::error::AgentError;
use super::request::{Asker, Options};
use super::rights;
use super::writer::{LARGE_TEXT, Writer};
use crate::api::{
    BypassRequest, Changed, Existing, GrantRequest, SqlFailure, SqlRequest, SqlResponse, SqlResult,
};
use crate::model::{Applied, Privilege, State};
use crate::sql::meaning::{
    self, Action, Changes, Privileged, Roles, Scene, makes_revisions, only_asks, plan,
};
use crate::sql::{Statement, Statements};

/// What a text without a name is called.
const NAMELESS: &str = "sql";

/// Everybody.
const EVERYBODY: [&str; 2] = ["0.0.0.0/0", "::/0"];

impl<E: Enforcer> Writer<E> {
    /// Runs a script, or only tries it: then each statement is judged by what the ones
    /// before it would leave. What is wrong with it is in the answer.
    pub fn sql(&mut self, request: &SqlRequest, asker: Asker, options: Options) -> SqlResponse {
        self.was_large |= request.text.len() >= LARGE_TEXT;
        let mut response = SqlResponse::default();
        let mut statements = match Statements::new(&request.text, request.dialect) {
            Ok(statements) => statements,
            Err(error) => {
                response.error = Some(failure::unreadable(&error));
                return response;
            }
        };
        if options.confirm_within.is_some() && !request.atomic {
            response.error = several_revisions(request);
            if response.error.is_some() {
                response.dialect = statements.dialect();
                return response;
            }
        }
        if let Err(error) = self.must_match(options) {
            self.audit_refusal(
                asker,
                &format!("sql: {}", request.name.escape_debug()),
                &error,
            );
            response.error = Some(failure::of_script(&error));
            response.dialect = statements.dialect();
            return response;
        }
        // Its first statement may change the revision, and it is the script that was written for one.
        let options = Options {
            if_revision: None,
            ..options
        };
        let before = options.dry_run.then(|| self.before());
        let mut script = Script {
            atomic: request.atomic.then(|| Atomic {
                state: Arc::clone(&self.state),
                now: Timestamp::now(),
                changes: false,
                force: false,
                cut: false,
                last: None,
            }),
            writer: self,
            asker,
            options,
            name: match request.name.as_str() {
                "" => NAMELESS,
                name => name,
            },
        };
        response.error = script.run(&mut statements, &mut response.results).err();
        response.dialect = statements.dialect();
        if let Some(before) = before {
            self.restore(before);
        }
        self.rest();
        response
    }
}

/// A script that is being run.
struct Script<'w, 't, E: Enforcer> {
    writer: &'w mut Writer<E>,
    asker: Asker,
    options: Options,
    name: &'w str,
    /// Its changes so far, if they are to be one.
    atomic: Option<Atomic<'t>>,
}

/// The changes of an atomic script.
struct Atomic<'t> {
    /// What they lead to.
    state: Arc<State>,
    /// When they are made: all at once.
    now: Timestamp,
    /// Whether there are any.
    changes: bool,
    /// Whether a statement says FORCE: one revision is forced as a whole.
    force: bool,
    /// Whether a statement cuts connections.
    cut: bool,
    /// The last statement that changes something, and its number.
    last: Option<(usize, Statement<'t>)>,
}

impl<'t, E: Enforcer> Script<'_, 't, E> {
    fn run(
        &mut self,
        statements: &mut Statements<'t>,
        results: &mut Vec<SqlResult>,
    ) -> Result<(), SqlFailure> {
        let ended = self.statements(statements, results);
        let ended = ended.and_then(|()| self.commit(results));
        if ended.is_err() && self.atomic.is_some() {
            // Nothing of the script was made.
            let told = results
                .iter_mut()
                .filter(|result| result.columns.is_empty());
            told.for_each(|result| result.status = None);
        }
        ended
    }

    fn statements(
        &mut self,
        statements: &mut Statements<'t>,
        results: &mut Vec<SqlResult>,
    ) -> Result<(), SqlFailure> {
        for statement in statements {
            let statement = statement.map_err(|error| failure::unreadable(&error))?;
            results.push(self.statement(&statement)?);
            if let Some(atomic) = &mut self.atomic
                && makes_revisions(&statement.verb)
            {
                atomic.last = Some((results.len() - 1, statement));
            }
        }
        Ok(())
    }

    fn statement(&mut self, statement: &Statement<'t>) -> Result<SqlResult, SqlFailure> {
        let title = meaning::title(statement);
        let action = format!("sql: {title}");
        let state = match &self.atomic {
            Some(atomic) => Arc::clone(&atomic.state),
            None => Arc::clone(&self.writer.state),
        };
        let scene = Scene {
            state: &state,
            limits: self.writer.settings.limits,
            source: self.name,
            roles: &System,
        };
        let mut result = SqlResult {
            line: statement.spot.line,
            statement: title,
            ..SqlResult::default()
        };
        let planned = plan(statement, &scene).map_err(|refusal| {
            let failure = failure::refused(&refusal);
            if !only_asks(&statement.verb) && !self.options.dry_run {
                let error = AgentError::Sql {
                    message: failure.errors.join("; "),
                    hint: failure.hint.clone(),
                };
                self.writer.audit_refusal(self.asker, &action, &error);
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
            Action::Grant(grant) => self.grant(grant, true).map(Some),
            Action::Revoke(grant) => self.grant(grant, false).map(Some),
            Action::Bypass {
                service,
                minutes,
                status,
            } => self
                .bypass(&service.to_written_service(), minutes, &action, &mut result)
                .map(|()| Some(self.tried(status))),
        };
        result.status = done.map_err(|error| failure::failed(statement, &error))?;
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
            warnings,
            force,
            cut,
        } = planned;
        result.warnings = warnings;
        if changes.is_empty() {
            return Ok(Some(status));
        }
        let force = self.options.force || force;
        let now = match &self.atomic {
            Some(atomic) => atomic.now,
            None => Timestamp::now(),
        };
        let applied = self.writer.apply(state, &changes, self.asker, force, now);
        let applied = applied.inspect_err(|error| {
            if !self.options.dry_run {
                self.writer.audit_refusal(self.asker, action, error);
            }
        })?;
        let cut = cut && applied.state != **state;
        if let Some(atomic) = &mut self.atomic {
            result.warnings.extend(applied.warnings);
            atomic.state = Arc::new(applied.state);
            atomic.changes = true;
            atomic.force |= force;
            atomic.cut |= cut;
            return Ok(Some(status));
        }
        let mut changed = self.make(applied, action, force, cut)?;
        result.warnings.append(&mut changed.warnings);
        result.changed = Some(changed);
        Ok(Some(status))
    }

    /// Makes applied changes as one, or tries them.
    fn make(
        &mut self,
        applied: Applied,
        action: &str,
        force: bool,
        cut: bool,
    ) -> Result<Changed, AgentError> {
        let options = Options {
            force,
            existing: self.options.existing.or(cut.then_some(Existing::Cut)),
            ..self.options
        };
        let proposal = Proposal::Applied {
            applied,
            action: action.to_owned(),
        };
        if options.dry_run {
            return self.writer.rehearse(proposal, action, self.asker, options);
        }
        self.writer.change(proposal, self.asker, options)
    }

    /// Makes the one revision of an atomic script.
    fn commit(&mut self, results: &mut [SqlResult]) -> Result<(), SqlFailure> {
        let Some(atomic) = self.atomic.as_mut() else {
            return Ok(());
        };
        let Some((number, last)) = atomic.last.take() else {
            return Ok(());
        };
        let (force, cut) = (atomic.force, atomic.cut);
        if !atomic.changes {
            return Ok(());
        }
        let applied = Applied {
            state: State::clone(&atomic.state),
            // The statements have warned themselves.
            warnings: Vec::new(),
        };
        let action = format!("sql: {} as one", self.name.escape_debug());
        let mut changed = self
            .make(applied, &action, force, cut)
            .map_err(|error| failure::failed(&last, &error))?;
        if let Some(result) = results.get_mut(number) {
            result.warnings.append(&mut changed.warnings);
            result.changed = Some(changed);
        }
        Ok(())
    }

    fn grant(&mut self, grant: Privileged, is_grant: bool) -> Result<String, AgentError> {
        let verb = if is_grant { "grant" } else { "revoke" };
        self.beside_revisions(if is_grant { "GRANT" } else { "REVOKE" })?;
        let request = GrantRequest {
            privilege: grant.privilege,
            to: grant.to,
            policy: grant.policy.map(|name| name.to_written().into_owned()),
        };
        let writer = &mut *self.writer;
        if self.options.dry_run {
            rights::require(self.asker.caller, &writer.grants, Privilege::Admin, verb)?;
        } else if is_grant {
            writer.grant(&request, self.asker)?;
        } else {
            writer.revoke(&request, self.asker)?;
        }
        Ok(self.tried(grant.status))
    }

    /// Lets everybody in to a service for a time; for no time: no longer.
    fn bypass(
        &mut self,
        service: &str,
        minutes: u32,
        action: &str,
        result: &mut SqlResult,
    ) -> Result<(), AgentError> {
        self.beside_revisions("a bypass")?;
        let writer = &mut *self.writer;
        if self.options.dry_run || minutes == 0 {
            let what = "grant or revoke a bypass";
            rights::require(self.asker.caller, &writer.grants, Privilege::Bypass, what)?;
        }
        if minutes > 0 {
            // Both families are one question.
            let requests = EVERYBODY.map(|source| BypassRequest {
                source: source.to_owned(),
                minutes,
                service: Some(service.to_owned()),
            });
            let opens = writer.bypasses_open(&requests, self.asker)?;
            let consented = self.options.consent.require("the bypass", opens.as_ref());
            match (consented, self.options.dry_run) {
                (Err(AgentError::Opens { opens, .. }), true) => asks(&mut result.warnings, &opens),
                (Err(error), _) => {
                    writer.audit_refusal(self.asker, action, &error);
                    return Err(error);
                }
                (Ok(()), true) => {}
                (Ok(()), false) => {
                    for request in &requests {
                        writer.grant_bypass(request, self.asker, Consent::Any)?;
                    }
                }
            }
        }
        if self.options.dry_run || minutes > 0 {
            return Ok(());
        }
        for source in EVERYBODY {
            let force = self.options.force;
            match writer.revoke_bypass(source, Some(service), self.asker, force) {
                // None was there, or it has lapsed.
                Ok(_) | Err(AgentError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Refuses in an atomic script what no revision holds.
    fn beside_revisions(&self, what: &str) -> Result<(), AgentError> {
        if self.atomic.is_none() {
            return Ok(());
        }
        Err(AgentError::Sql {
            message: format!(
                "{what} is not part of a revision, so an atomic script cannot contain it"
            ),
            hint: Some("run it by itself".to_owned()),
        })
    }

    fn tried(&self, status: String) -> String {
        if self.options.dry_run {
            format!("{status} (dry run: not made)")
        } else {
            status
        }
    }
}

/// The failure of a script that makes several revisions, of which only the last could be
/// taken back for want of a confirmation.
fn several_revisions(request: &SqlRequest) -> Option<SqlFailure> {
    let statements = Statements::new(&request.text, request.dialect).ok()?;
    let statements = statements.map_while(Result::ok);
    let mut changing = statements.filter(|statement| makes_revisions(&statement.verb));
    let second = changing.nth(1)?;
    let error = AgentError::Sql {
        message: "a confirmation covers one revision, and this script makes several".to_owned(),
        hint: Some("make it atomic, or run its statements one by one".to_owned()),
    };
    Some(failure::failed(&second, &error))
}

/// The host's users and groups.
struct System;

impl Roles for System {
    fn has_user(&self, name: &str) -> bool {
        matches!(User::from_name(name), Ok(Some(_)))
    }

    fn has_group(&self, name: &str) -> bool {
        matches!(Group::from_name(name), Ok(Some(_)))
    }
}
