//! The order of a change that concerns databases: lines that it adds are in force before the packet
//! filter widens, and lines that it removes go after it has narrowed.

use super::core::Writer;
use crate::agent::databases::{self, Carried, LinesOrder, OrderBoard};
use crate::agent::error::AgentError;
use crate::compiler::Ruleset;
use crate::model::State;

impl Writer {
    /// The board on which helpers find their orders.
    #[must_use]
    pub fn databases(&self) -> OrderBoard {
        self.databases.clone()
    }

    /// What databases are to enforce after a change.
    ///
    /// # Errors
    /// A database cannot be told.
    pub(super) fn orders_of(
        &self,
        state: &State,
        ruleset: &Ruleset,
    ) -> Result<Vec<LinesOrder>, AgentError> {
        let now = self.settings.clock.wall();
        databases::orders(state, ruleset, now)
            .map_err(|problem| AgentError::BadRequest(problem.to_string()))
    }

    /// Carries in what a change adds, together with what there is. Without a database that answers
    /// it goes on if `defer` says so and the packet filter does not widen (`widens`), since the port
    /// would be open to all users until then. On an error the databases are
    /// to have what they had: see [`Self::follow_databases`].
    ///
    /// # Errors
    /// A database refuses, or does not answer.
    pub(super) fn carry_first(
        &mut self,
        new: &[LinesOrder],
        widens: bool,
        defer: bool,
    ) -> Result<Option<String>, AgentError> {
        if new.iter().all(|order| order.lines.is_empty()) {
            return Ok(None);
        }
        let kept = self.kept();
        if !widens && new.iter().all(|order| order.is_within(&kept)) {
            return Ok(None);
        }
        self.databases.order(databases::joined(&kept, new));
        match self.databases.wait(new, defer && !widens) {
            Ok(Carried::InForce) => Ok(None),
            Ok(Carried::Deferred(why)) => Ok(Some(format!(
                "{why}; the policies of its users hold as soon as it is told (--defer)"
            ))),
            Err(why) => {
                self.follow_databases(false);
                Err(AgentError::NotCarried(why))
            }
        }
    }

    /// Orders what is in force; while a change waits for its confirmation also what it would be
    /// rolled back to, so that nothing has to be carried in for that.
    pub(super) fn follow_databases(&mut self, cut: bool) {
        let mut orders = self.kept();
        for order in &mut orders {
            order.cut = cut && !order.lines.is_empty();
        }
        self.databases.order(orders);
    }

    /// As [`Self::follow_databases`], if a bypass of a user has ended.
    pub(super) fn end_user_bypasses(&mut self) {
        let now = self.settings.clock.wall();
        if self.databases.next_end().is_some_and(|end| end <= now) {
            self.follow_databases(false);
        }
    }

    /// What databases are to have now.
    fn kept(&self) -> Vec<LinesOrder> {
        let now = self.settings.clock.wall();
        let in_force = databases::orders(&self.in_force.state, &self.in_force.ruleset, now);
        // What is in force was accepted; only time and feeds have passed.
        let in_force = in_force.unwrap_or_else(|error| {
            tracing::error!(%error, "databases keep what they have");
            Vec::new()
        });
        let base = self.confirmation.base();
        let base = base.and_then(|base| databases::orders_of(base, now).ok());
        match base {
            Some(base) => databases::joined(&base, &in_force),
            None => in_force,
        }
    }
}
