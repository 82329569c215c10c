//! Each row of the dialects' table, each error text, and policies moved between dialects.

use std::net::IpAddr;

use jiff::Timestamp;

use super::*;
use crate::model::{ChangeContext, ModelErrors, evaluate};
use crate::sql::Statements;

mod across;
mod corpus;
mod exceptions;
mod forms;
mod grants;
mod groups;
mod lakehouse;
mod materialize;
mod names;
mod network_rules;
mod rewriting;
mod rule_statements;
mod snowflake;
mod users;
mod variables;

/// The user alice, the group dba, and one that is both.
struct Few;

impl Roles for Few {
    fn has_user(&self, name: &str) -> bool {
        ["alice", "both"].contains(&name)
    }

    fn has_group(&self, name: &str) -> bool {
        ["dba", "both"].contains(&name)
    }
}

/// A state that statements are carried out on.
#[derive(Clone)]
struct World {
    state: State,
    /// Warnings of the last statement.
    warnings: Vec<String>,
    /// What was granted before.
    grants: Vec<Grant>,
    /// The fleet that the host follows.
    fleet: Option<FollowedFleet>,
}

impl World {
    /// With the services pg and web.
    fn new() -> Self {
        let mut world = Self {
            state: State::empty(),
            warnings: Vec::new(),
            grants: Vec::new(),
            fleet: None,
        };
        for (name, port) in [("pg", "5432"), ("web", "443")] {
            world.apply(&[Change::AddService {
                name: name.to_owned(),
                ports: vec![port.to_owned()],
                combine: Default::default(),
                mode: Default::default(),
                on_deny: Default::default(),
                comment: None,
            }]);
        }
        world
    }

    fn apply(&mut self, changes: &[Change]) {
        self.try_apply(changes).unwrap();
    }

    fn try_apply(&mut self, changes: &[Change]) -> Result<(), ModelErrors> {
        let cx = ChangeContext {
            now: Timestamp::UNIX_EPOCH,
            actor: "root",
            limits: Limits {
                policies: 100,
                ..Limits::default()
            },
            force: false,
        };
        let applied = self.state.apply_all(changes, &cx)?;
        self.state = applied.state;
        self.warnings.extend(applied.warnings);
        Ok(())
    }

    /// Carries out a script; what its last statement came to.
    fn run(&mut self, dialect: Dialect, text: &str) -> Result<Action, Refusal> {
        let mut last = None;
        for statement in Statements::new(text, Some(dialect)).unwrap() {
            let statement = statement.unwrap_or_else(|error| panic!("{text}: {error}"));
            let scene = Scene {
                state: &self.state,
                limits: Limits::default(),
                source: "office.sql",
                roles: &Few,
                grants: &self.grants,
                address: Some([192, 0, 2, 7].into()),
                user: "alice",
                fleet: self.fleet.as_ref(),
            };
            let action = plan(&statement, &scene)?;
            self.warnings.clear();
            if let Action::Changes(changes) = &action {
                self.warnings.clone_from(&changes.warnings);
                let made = changes.changes.clone();
                self.apply(&made);
            }
            last = Some(action);
        }
        Ok(last.expect("a statement"))
    }

    #[track_caller]
    fn ok(&mut self, dialect: Dialect, text: &str) -> Action {
        let result = self.run(dialect, text);
        result.unwrap_or_else(|refusal| panic!("{text}: {:?}", refusal.messages()))
    }

    /// The messages of a script that is refused, and its hint behind them.
    #[track_caller]
    fn refused(&mut self, dialect: Dialect, text: &str) -> Vec<String> {
        match self.run(dialect, text) {
            Ok(action) => panic!("{text}: {action:?}"),
            Err(refusal) => refusal.messages(),
        }
    }

    #[track_caller]
    fn status(&mut self, dialect: Dialect, text: &str) -> String {
        match self.ok(dialect, text) {
            Action::Changes(changes) => changes.status,
            Action::Nothing { status } => status,
            other => panic!("{text}: {other:?}"),
        }
    }

    /// The columns and rows of a question, cells joined by " | ".
    #[track_caller]
    fn table(&mut self, dialect: Dialect, text: &str) -> Vec<String> {
        let Action::Table(table) = self.ok(dialect, text) else {
            panic!("{text} gives no table");
        };
        self.warnings = table.warnings;
        let row = |row: &Vec<Option<String>>| {
            assert_eq!(row.len(), table.columns.len(), "{text}");
            let cells = row.iter().map(|cell| cell.as_deref().unwrap_or("NULL"));
            cells.collect::<Vec<_>>().join(" | ")
        };
        let header = table.columns.join(" | ");
        std::iter::once(header)
            .chain(table.rows.iter().map(row))
            .collect()
    }

    /// Whether a source gets in to the host, or to a service.
    fn admits(&self, service: Option<&str>, source: &str) -> bool {
        let service = service.map(|name| self.state.service(name).unwrap());
        let source: IpAddr = source.parse().unwrap();
        !evaluate(&self.state, service, source).reason.is_denial()
    }

    /// Fails unless just these sources get in to the host.
    #[track_caller]
    fn judges(&self, admitted: &[&str], denied: &[&str]) {
        for source in admitted {
            assert!(self.admits(None, source), "{source} is denied");
        }
        for source in denied {
            assert!(!self.admits(None, source), "{source} gets in");
        }
    }
}
