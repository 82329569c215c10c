//! Databases whose users have policies: what each is to enforce, and what its helper says of it.
//!
//! The agent speaks to no database. A process that runs as the database's own user waits here for
//! orders, carries them in and reports; a change waits for that report where lines have to be in
//! force before the packet filter widens.

mod board;
mod explain;
mod order;

pub use board::{Attendance, Carried, NotCarried, OrderBoard};
pub use explain::explain;
pub use order::LinesOrder;

use jiff::Timestamp;

use crate::compiler::{Ruleset, compile};
use crate::database::{AddressSet, closed_plan};
use crate::model::{State, UserKind};

/// The orders of a state. Where the policies cannot be expressed, the lines reject more than they
/// say: see [`LinesOrder::problem`].
#[must_use]
pub fn orders(state: &State, ruleset: &Ruleset, now: Timestamp) -> Vec<LinesOrder> {
    let databases = state.databases.iter();
    databases
        .map(|database| {
            let (plan, problem) = closed_plan(state, ruleset, database, now);
            let service = state
                .services
                .iter()
                .find(|one| one.name == database.service);
            let port = service.and_then(|service| service.ports.iter().next());
            let named = |kind| {
                let users = plan.users.iter().filter(move |user| user.kind == kind);
                users.map(|user| user.name.clone()).collect()
            };
            LinesOrder {
                port: port.unwrap_or_default(),
                database: crate::model::Database {
                    bypasses: Vec::new(),
                    comment: None,
                    ..database.clone()
                },
                users: named(UserKind::User),
                roles: named(UserKind::Role),
                must_exist: Vec::new(),
                problem: problem.map(|problem| problem.to_string()),
                lines: plan.lines.iter().map(ToString::to_string).collect(),
                widened_by: plan.widened_by,
                until: plan.until,
                cut: false,
            }
        })
        .collect()
}

/// The orders of a state that was compiled to nothing yet.
#[must_use]
pub fn orders_of(state: &State, now: Timestamp) -> Vec<LinesOrder> {
    match state.databases.is_empty() {
        true => Vec::new(),
        false => orders(state, &compile(state), now),
    }
}

/// Both together: for each database of `new` the lines of either.
#[must_use]
pub fn joined(old: &[LinesOrder], new: &[LinesOrder]) -> Vec<LinesOrder> {
    let mut all: Vec<LinesOrder> = new.to_vec();
    for order in &mut all {
        let same = |old: &&LinesOrder| old.database.name == order.database.name;
        if let Some(old) = old.iter().find(same) {
            order.lines.extend(old.lines.iter().cloned());
        }
    }
    let is_gone = |old: &&LinesOrder| new.iter().all(|new| new.database.name != old.database.name);
    all.extend(old.iter().filter(is_gone).cloned());
    all
}

/// Whether more reaches a database behind any service than before.
#[must_use]
pub fn widens(state: &State, (old, new): (&Ruleset, &Ruleset)) -> bool {
    let services = state.services.iter();
    let mut behind = services.filter(|one| state.databases_of(&one.name).next().is_some());
    behind.any(|service| {
        let before = AddressSet::reaching(old, service.id);
        let after = AddressSet::reaching(new, service.id);
        !after.without(&before).is_empty()
    })
}
