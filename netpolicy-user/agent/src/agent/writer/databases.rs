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

    /// What databases are to enforce after a change. Policies that they cannot be told are refused;
    /// of the agent's own changes, and where databases cannot be told what is in force either, they
    /// are not, and the database rejects more than they say.
    ///
    /// # Errors
    /// A database cannot be told.
    pub(super) fn orders_of(
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
        let mut joined = databases::joined(&kept, new);
        for order in &mut joined {
            order.require_new(&kept);
        }
        self.databases.order(joined);
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
        match self.confirmation.base() {
            Some(base) => databases::joined(&databases::orders_of(base, now), &in_force),
            None => in_force,
        }
    }
}

#[cfg(test)]
mod tests;
