//! Databases whose users have policies: what each is to enforce, and what its helper says of it.
//!
//! The agent speaks to no database. A process that runs as the database's own user waits here for
//! orders, carries them in and reports; a change waits for that report where lines have to be in
//! force before the packet filter widens.

mod board;
mod effect;
mod explain;
mod order;

use std::collections::BTreeSet;

pub use board::{Attendance, Carried, NotCarried, OrderBoard, PATIENCE};
pub use effect::{effects, sessions_as_clients};
pub use explain::explain;
use jiff::Timestamp;
pub use order::LinesOrder;

use crate::compiler::{Ruleset, compile};
use crate::database::{AddressSet, DatabasePlan, closed_plan};
use crate::model::{Database, State, UserKind};

/// Ends of bypasses that an order lists.
const LATER: usize = 16;

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
                database: Database {
                    bypasses: Vec::new(),
                    comment: None,
                    ..database.clone()
                },
                users: named(UserKind::User),
                roles: named(UserKind::Role),
                must_exist: Vec::new(),
                problem: problem.map(|problem| problem.to_string()),
                later: later(state, ruleset, database, &plan),
                lines: plan.lines.iter().map(ToString::to_string).collect(),
                widened_by: plan.widened_by,
                until: plan.until,
                cut: BTreeSet::new(),
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
            order.join(old);
        }
    }
    let is_gone = |old: &&LinesOrder| new.iter().all(|new| new.database.name != old.database.name);
    all.extend(old.iter().filter(is_gone).cloned());
    all
}

/// The lines that come back as bypasses end, each once. The last of many comes with the first that
/// is not listed.
fn later(
    state: &State,
    ruleset: &Ruleset,
    database: &Database,
    plan: &DatabasePlan,
) -> Vec<(Timestamp, BTreeSet<String>)> {
    let mut later: Vec<(Timestamp, BTreeSet<String>)> = Vec::new();
    let ends = || database.bypasses.iter().map(|bypass| bypass.until);
    let mut known: BTreeSet<String> = plan.lines.iter().map(ToString::to_string).collect();
    let mut next = plan.until;
    while let Some(at) = next {
        let is_last = later.len() + 1 == LATER;
        let judged = match is_last {
            true => ends().max().unwrap_or(at),
            false => at,
        };
        let (then, _) = closed_plan(state, ruleset, database, judged);
        let lines = then.lines.iter().map(ToString::to_string);
        let lines: BTreeSet<String> = lines.filter(|line| !known.contains(line)).collect();
        known.extend(lines.iter().cloned());
        later.push((at, lines));
        next = then.until.filter(|_| !is_last);
    }
    later
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
