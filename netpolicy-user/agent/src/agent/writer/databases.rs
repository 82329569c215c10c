//! The order of a change that concerns databases: lines that it adds are in force before the packet
//! filter widens, and lines that it removes go after it has narrowed.

use std::time::Duration;

use super::core::Writer;
use crate::agent::change::{Carry, ChangeOptions};
use crate::agent::databases::{self, Carried, LinesOrder, OrderBoard};
use crate::agent::error::AgentError;
use crate::agent::in_force::InForce;
use crate::api::DatabaseChange;
use crate::compiler::Ruleset;
use crate::model::State;

/// How long the writer itself waits for a database, where no caller can do that: for the end of a
/// rule, new content of a feed, a revision of a fleet.
const IN_TURN: Duration = Duration::from_secs(5);

impl Writer {
    /// The board on which helpers find their orders.
    #[must_use]
    pub fn databases(&self) -> OrderBoard {
        self.databases.clone()
    }

    /// What databases are to enforce after a change. Policies that they cannot be told are refused;
    /// of the agent's own changes, and where databases cannot be told what is in force either, they
    /// are not, and the database rejects more than they say.
    ///
    /// # Errors
    /// A database cannot be told.
    pub fn orders_of(
        &self,
        state: &State,
        ruleset: &Ruleset,
        is_agent: bool,
    ) -> Result<Vec<LinesOrder>, AgentError> {
        let now = self.settings.clock.wall();
        let orders = databases::orders(state, ruleset, now);
        let problem = orders.iter().find_map(|order| order.problem.as_ref());
        let Some(problem) = problem.filter(|_| !is_agent) else {
            return Ok(orders);
        };
        match self.kept().iter().any(|order| order.problem.is_some()) {
            true => Ok(orders),
            false => Err(AgentError::BadRequest(problem.clone())),
        }
    }

    /// Carries in what a change adds, together with what there is (`kept`). Without a database that
    /// answers it goes on if the options say so and the packet filter does not widen (`widens`),
    /// since the port would be open to all users until then. On an error the databases are to have
    /// what they had: see [`Self::follow_databases`].
    ///
    /// # Errors
    /// A database refuses, or does not answer; or [`AgentError::Carrying`].
    pub(super) fn carry_first(
        &mut self,
        (kept, new): (&[LinesOrder], &[LinesOrder]),
        widens: bool,
        options: ChangeOptions,
    ) -> Result<Option<String>, AgentError> {
        if new.iter().all(|order| order.lines.is_empty()) {
            return Ok(None);
        }
        if !widens && new.iter().all(|order| order.is_within(kept)) {
            return Ok(None);
        }
        let mut joined = databases::joined(kept, new);
        let mut new = new.to_vec();
        for order in joined.iter_mut().chain(&mut new) {
            order.require_new(kept);
        }
        if let Carry::Ahead(ticket) = options.carry {
            self.ahead.take(ticket);
        }
        self.databases.order(self.with_ahead(joined.clone()));
        let patience = match options.carry {
            Carry::InTurn => IN_TURN,
            Carry::Now => Duration::ZERO,
            Carry::Ahead(ticket) => {
                if self.databases.is_under_way(&new) {
                    self.ahead.put(ticket, joined);
                    return Err(AgentError::Carrying(new));
                }
                Duration::ZERO
            }
        };
        let defer = options.defer && !widens;
        match self.databases.wait(&new, defer, patience) {
            Ok(Carried::InForce) => Ok(None),
            Ok(Carried::Deferred(why)) => Ok(Some(format!(
                "{why}; the policies of its users hold as soon as it is told (--defer)"
            ))),
            Err(why) => {
                self.follow_databases();
                Err(AgentError::NotCarried(why))
            }
        }
    }

    /// Tells databases ahead what the states that a script would lead to one after the other need,
    /// as far as they can be told.
    ///
    /// # Errors
    /// [`AgentError::Carrying`]: they are being told.
    pub fn carry_ahead(&mut self, ticket: u64, stages: &[InForce]) -> Result<(), AgentError> {
        let now = self.settings.clock.wall();
        let kept = self.kept();
        let mut joined = kept.clone();
        for stage in stages {
            let orders = databases::orders(&stage.state, &stage.ruleset, now);
            joined = databases::joined(&joined, &orders);
        }
        if joined.iter().all(|order| order.is_within(&kept)) {
            return Ok(());
        }
        for order in &mut joined {
            order.require_new(&kept);
        }
        self.ahead.take(ticket);
        self.databases.order(self.with_ahead(joined.clone()));
        // Removed when the script has ended, whatever becomes of it.
        self.ahead.put(ticket, joined.clone());
        match self.databases.is_under_way(&joined) {
            true => Err(AgentError::Carrying(joined)),
            false => Ok(()),
        }
    }

    /// The change or script with this ticket waits no longer.
    pub fn leave_ahead(&mut self, ticket: u64) {
        if self.ahead.take(ticket) {
            self.follow_databases();
        }
    }

    /// Orders what is in force; while a change waits for its confirmation also what it would be
    /// rolled back to, so that nothing has to be carried in for that.
    pub(super) fn follow_databases(&mut self) {
        self.databases.order(self.with_ahead(self.kept()));
    }

    /// As [`Self::follow_databases`], and ends the sessions that the lines reject and those of
    /// `before` did not; with `None` all that they reject.
    pub(super) fn follow_databases_and_cut(&mut self, before: Option<&[LinesOrder]>) {
        let mut orders = self.kept();
        for order in &mut orders {
            order.cut_beyond(before);
        }
        self.databases.order(self.with_ahead(orders));
    }

    /// As [`Self::follow_databases`], if a bypass of a user has ended or a change that waited does
    /// not come again.
    pub(super) fn end_user_bypasses(&mut self) {
        let now = self.settings.clock.wall();
        let is_over = self.databases.next_end().is_some_and(|end| end <= now);
        if self.ahead.expire() || is_over {
            self.follow_databases();
        }
    }

    /// What becomes of databases by what would be in force; their helpers are asked. With `all` of
    /// all that the lines reject.
    #[must_use]
    pub fn database_effects(
        &self,
        stage: &InForce,
        options: ChangeOptions,
        all: bool,
    ) -> Vec<DatabaseChange> {
        let now = self.settings.clock.wall();
        let orders = databases::orders(&stage.state, &stage.ruleset, now);
        let existing = options.existing.unwrap_or_default();
        databases::effects(
            &self.kept(),
            &orders,
            (existing, all),
            Some(&self.databases),
        )
    }

    /// Orders together with those of changes that wait.
    fn with_ahead(&self, orders: Vec<LinesOrder>) -> Vec<LinesOrder> {
        let ahead = self.ahead.orders();
        ahead.fold(orders, |orders, ahead| databases::joined(ahead, &orders))
    }

    /// What databases are to have now.
    pub(super) fn kept(&self) -> Vec<LinesOrder> {
        let now = self.settings.clock.wall();
        let in_force = databases::orders(&self.in_force.state, &self.in_force.ruleset, now);
        match self.confirmation.base() {
            Some(base) => databases::joined(&databases::orders_of(base, now), &in_force),
            None => in_force,
        }
    }
}

#[cfg(test)]
mod tests;
