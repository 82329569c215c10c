//! Databases as they are stored, and the users that policies are bound to.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::name;
use crate::model::{Binding, Database, DatabaseKind, DatabaseUser, UserBypass};

/// A database.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredDatabase {
    name: String,
    kind: DatabaseKind,
    service: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    socket: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hba_dir: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hba_conf: Option<String>,
    comment: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bypasses: Vec<UserBypass>,
}

impl StoredDatabase {
    pub(super) fn of(database: &Database) -> Self {
        let Database {
            name,
            kind,
            service,
            socket,
            hba_dir,
            hba_conf,
            comment,
            bypasses,
        } = database;
        Self {
            name: name.to_string(),
            kind: *kind,
            service: service.to_string(),
            socket: socket.clone(),
            hba_dir: hba_dir.clone(),
            hba_conf: hba_conf.clone(),
            comment: comment.clone(),
            bypasses: bypasses.clone(),
        }
    }

    pub(super) fn into_database(self) -> Result<Database, String> {
        Ok(Database {
            name: name(&self.name)?,
            kind: self.kind,
            service: name(&self.service)?,
            socket: self.socket,
            hba_dir: self.hba_dir,
            hba_conf: self.hba_conf,
            comment: self.comment,
            bypasses: self.bypasses,
        })
    }
}

/// The users among bindings.
pub(super) fn users(bindings: &BTreeSet<Binding>) -> Vec<String> {
    let users = bindings.iter().filter_map(Binding::user);
    users.map(ToString::to_string).collect()
}

/// The binding that a text of [`users`] stands for.
pub(super) fn user(text: &str, databases: &[Database]) -> Result<Binding, String> {
    let names = databases.iter().map(|database| &database.name);
    match DatabaseUser::parse(text, names) {
        Some(Ok(user)) => Ok(Binding::User(user)),
        Some(Err(problem)) => Err(problem.to_string()),
        None => Err(format!("'{text}' is no user of a database")),
    }
}
