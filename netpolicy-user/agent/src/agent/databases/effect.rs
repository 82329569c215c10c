//! What a change does to databases: lines that come and go, and sessions that these reject.

use std::collections::BTreeMap;

use super::board::OrderBoard;
use super::order::LinesOrder;
use crate::api::{ClientsView, DatabaseChange, DeniedClient, Existing};
use crate::model::State;

/// What becomes of databases by a change from `old` orders to `new` ones, one entry for each that
/// is told anything else; with `all`, for each that has lines. Of a dry run (`board`) their helpers
/// are asked what the database would say.
#[must_use]
pub fn effects(
    old: &[LinesOrder],
    new: &[LinesOrder],
    (existing, all): (Existing, bool),
    board: Option<&OrderBoard>,
) -> Vec<DatabaseChange> {
    let mut effects = Vec::new();
    for order in new {
        let same = |old: &&LinesOrder| old.database.name == order.database.name;
        let before = old.iter().find(same);
        let is_in = |lines: Option<&LinesOrder>, line: &String| {
            lines.is_some_and(|order| order.lines.contains(line))
        };
        let mut asked = order.clone();
        asked.lines.retain(|line| all || !is_in(before, line));
        let gone = before.into_iter().flat_map(|before| &before.lines);
        let removed = gone.filter(|line| !order.lines.contains(*line)).count();
        if asked.lines.is_empty() && removed == 0 {
            continue;
        }
        asked.require_new(old);
        let number = board.filter(|_| !asked.lines.is_empty());
        let number = number.map(|board| board.ask(&asked));
        effects.push(DatabaseChange {
            database: order.database.name.to_string(),
            added: match all {
                true => 0,
                false => asked.lines.len(),
            },
            removed,
            sessions: None,
            ended: None,
            problem: match number {
                Some(None) => {
                    Some("no helper runs that could say what the database makes of it".to_owned())
                }
                _ => None,
            },
            existing,
            asked: number.flatten(),
            is_tried: board.is_some(),
        });
    }
    effects
}

/// Open sessions that changes of databases would reject, as clients of their services; `None`:
/// there are none.
#[must_use]
pub fn sessions_as_clients(state: &State, changes: &[DatabaseChange]) -> Option<ClientsView> {
    let mut denied: BTreeMap<_, usize> = BTreeMap::new();
    for change in changes {
        let database = state.database(&change.database);
        let scope = database.map_or_else(String::new, |one| one.service.to_string());
        for session in change.sessions.iter().flatten() {
            let count = usize::try_from(session.count).unwrap_or(usize::MAX);
            *denied.entry((session.source, scope.clone())).or_default() += count;
        }
    }
    (!denied.is_empty()).then(|| ClientsView {
        connected: denied.len(),
        denied: denied
            .into_iter()
            .map(|((source, scope), connections)| DeniedClient {
                source,
                scope,
                connections,
                forwarded: 0,
            })
            .collect(),
        ..ClientsView::default()
    })
}
