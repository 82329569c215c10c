//! Statements whose changes are made as one: all of an atomic script, and those of a large
//! script that can be.
//!
//! Where a large script's batch is refused, its statements are made one by one, so that what
//! came before the refused one stays, as it does in a small script. A statement that says
//! FORCE, or whose effect is no part of a revision, is made by itself.

#![expect(clippy::result_large_err, reason = "a script fails once")]

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::RunningScript;
use super::pending::{Batching, PendingChanges};
use crate::agent::error::AgentError;
use crate::agent::sql::failure::{self, ScriptFailure};
use crate::api::SqlResult;
use crate::model::{Applied, State};
use crate::sql::meaning::{makes_revisions, only_asks, says_force};
use crate::sql::{Statement, Verb, WholeScript};

impl<'t> RunningScript<'_, 't> {
    /// Runs all statements.
    pub(super) fn run(
        &mut self,
        statements: &mut WholeScript<'t>,
        results: &mut Vec<SqlResult>,
    ) -> Result<(), ScriptFailure> {
        if self.batch == Batching::Atomic {
            self.begin(0);
        }
        let ended = self.statements(statements, results);
        if ended.is_err() && self.batch == Batching::Atomic {
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
        statements: &mut WholeScript<'t>,
        results: &mut Vec<SqlResult>,
    ) -> Result<(), ScriptFailure> {
        for statement in statements {
            let statement = statement.map_err(|error| failure::unreadable(&error))?;
            match self.batch {
                Batching::Bulk => self.in_bulk(statement, results)?,
                _ => {
                    let result = self.statement(&statement)?;
                    self.took(statement, results.len());
                    results.push(result);
                }
            }
        }
        self.commit(results)
    }

    fn in_bulk(
        &mut self,
        statement: Statement<'t>,
        results: &mut Vec<SqlResult>,
    ) -> Result<(), ScriptFailure> {
        if !can_be_pending(&statement) {
            self.commit(results)?;
            results.push(self.statement(&statement)?);
            return Ok(());
        }
        // One revision closes the connections of all that it denies, or of none.
        let pending = self.pending.as_ref();
        if pending.is_some_and(|pending| pending.differs(&statement)) {
            self.commit(results)?;
        }
        if self.pending.is_none() {
            self.begin(results.len());
        }
        let Ok(result) = self.statement(&statement) else {
            // Once more, after what came before: refused by itself, and recorded so.
            self.commit(results)?;
            results.push(self.statement(&statement)?);
            return Ok(());
        };
        self.took(statement, results.len());
        results.push(result);
        Ok(())
    }

    /// Whether what is refused is recorded: not if it is only tried.
    pub(super) fn is_told(&self) -> bool {
        let is_tried = self.batch == Batching::Bulk && self.pending.is_some();
        !self.options.dry_run && !is_tried
    }

    fn begin(&mut self, start: usize) {
        self.pending = Some(PendingChanges {
            state: Arc::clone(&self.base().state),
            now: Timestamp::now(),
            changes: false,
            force: false,
            cut: false,
            start,
            statements: Vec::new(),
            last: None,
        });
    }

    /// Keeps a statement that was taken as this number.
    fn took(&mut self, statement: Statement<'t>, number: usize) {
        let is_atomic = self.batch == Batching::Atomic;
        let Some(pending) = &mut self.pending else {
            return;
        };
        let changes = makes_revisions(&statement.verb);
        if changes {
            pending.last = Some(number);
        }
        if is_atomic && changes {
            pending.statements.clear();
        }
        if changes || !is_atomic {
            pending.statements.push(statement);
        }
    }

    /// Makes what is pending, as one revision.
    fn commit(&mut self, results: &mut Vec<SqlResult>) -> Result<(), ScriptFailure> {
        let Some(pending) = self.pending.take() else {
            return Ok(());
        };
        let (Some(number), true) = (pending.last, pending.changes) else {
            return Ok(());
        };
        let error = match self.make_pending(&pending) {
            Ok(mut changed) => {
                if let Some(result) = results.get_mut(number) {
                    result.warnings.append(&mut changed.warnings);
                    result.changed = Some(changed);
                }
                return Ok(());
            }
            Err(error) => error,
        };
        if self.batch == Batching::Atomic {
            let last = pending.statements.last();
            return Err(match last {
                Some(last) => failure::failed(last, &error),
                None => failure::of_script(&error),
            });
        }
        results.truncate(pending.start);
        for statement in &pending.statements {
            results.push(self.statement(statement)?);
        }
        Ok(())
    }

    fn make_pending(
        &mut self,
        pending: &PendingChanges<'t>,
    ) -> Result<crate::api::Changed, AgentError> {
        let applied = Applied {
            state: State::clone(&pending.state),
            // The statements have warned themselves.
            warnings: Vec::new(),
        };
        let action = format!("sql: {} as one", self.name.escape_debug());
        self.is_batch = self.batch == Batching::Bulk;
        let made = self.make(applied, Instant::now(), &action, pending.force, pending.cut);
        self.is_batch = false;
        made
    }
}

/// Whether a statement can be made together with others.
fn can_be_pending(statement: &Statement<'_>) -> bool {
    let verb = &statement.verb;
    only_asks(verb) || (makes_revisions(verb) && !says_force(verb) && !revokes(verb))
}

/// Whether a statement revokes privileges, which are no part of a revision.
fn revokes(verb: &Verb<'_>) -> bool {
    matches!(verb, Verb::Grant(grant) if grant.current.is_some())
}
