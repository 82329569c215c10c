//! Databases on the host, and the users of theirs that policies are bound to.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use super::error::{DatabaseProblem, Excerpt};
use super::{Binding, Combine, Name, Policy, Privilege, Rights, Service, State};

/// Bytes that a database user's name has at most: PostgreSQL cuts longer ones.
const LONGEST_USER: usize = 63;

/// A database server on this host, behind a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Its name.
    pub name: Name,
    /// What it is.
    pub kind: DatabaseKind,
    /// The service on whose port it listens.
    pub service: Name,
    /// The directory of its unix socket; `None`: where the server is usually found.
    pub socket: Option<String>,
    /// The directory that its `pg_hba.conf` includes; `None`: the server is asked for it.
    pub hba_dir: Option<String>,
    /// Its `pg_hba.conf`, where the lines stand in the file itself; `None`: the server is asked.
    pub hba_conf: Option<String>,
    /// Description.
    pub comment: Option<String>,
    /// Users whose policies do not hold for a time, sorted.
    pub bypasses: Vec<UserBypass>,
}

/// A user or role whose policies do not hold until an instant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UserBypass {
    /// Which of both it is.
    pub kind: UserKind,
    /// Its name.
    pub name: String,
    /// Until when.
    pub until: Timestamp,
}

/// The databases that know which address a user may come from, and can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum DatabaseKind {
    /// PostgreSQL, by lines of `pg_hba.conf`.
    #[default]
    PostgreSql,
    /// A PgBouncer before one, by lines of its own hba file, which knows neither roles nor regular
    /// expressions.
    PgBouncer,
}

/// Whether a policy is bound to a user or to the members of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserKind {
    /// The user of this name.
    User,
    /// Every member of the role of this name.
    Role,
}

/// A user, or the members of a role, of a database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DatabaseUser {
    /// The database.
    pub database: Name,
    /// Which of both it is.
    pub kind: UserKind,
    /// The name as the database has it: it knows case.
    pub name: String,
}

impl DatabaseUser {
    /// What `user:alice@orders` or `role:analysts@orders` stands for, where the database is one
    /// of `names`; `None`: the text has neither form.
    ///
    /// # Errors
    /// There is no such database, or no user can have that name.
    pub fn parse<'n>(
        text: &str,
        mut names: impl Iterator<Item = &'n Name>,
    ) -> Option<Result<Self, DatabaseProblem>> {
        let (kind, rest) = match text.split_once(':')? {
            ("user", rest) => (UserKind::User, rest),
            ("role", rest) => (UserKind::Role, rest),
            _ => return None,
        };
        let Some((name, database)) = rest.rsplit_once('@') else {
            return Some(Err(DatabaseProblem::NoDatabaseNamed {
                text: Excerpt::new(text),
            }));
        };
        let Some(database) = names.find(|known| known.matches(database)) else {
            return Some(Err(DatabaseProblem::UnknownDatabase {
                name: Excerpt::new(database),
            }));
        };
        Some(check_user(name).map(|()| Self {
            database: database.clone(),
            kind,
            name: name.to_owned(),
        }))
    }
}

/// Refuses a name that cannot be said in a line of `pg_hba.conf`, or that no user can have.
fn check_user(name: &str) -> Result<(), DatabaseProblem> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > LONGEST_USER {
        "it is longer than 63 bytes, and PostgreSQL cuts names there"
    } else if name.contains('"') || name.chars().any(char::is_control) {
        "a line of pg_hba.conf cannot hold double quotes and control characters"
    } else if name.starts_with('+') {
        "pg_hba.conf reads what begins with a plus sign as a role"
    } else if name.starts_with('/') {
        "pg_hba.conf reads what begins with a slash as a regular expression"
    } else {
        return Ok(());
    };
    Err(DatabaseProblem::User {
        name: Excerpt::new(name),
        why,
    })
}

impl fmt::Display for DatabaseUser {
    /// "user:alice@orders", as [`Self::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.database.to_written_service();
        write!(f, "{}:{}@{database}", self.kind, self.name)
    }
}

impl fmt::Display for UserKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Role => "role",
        })
    }
}

impl fmt::Display for DatabaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PostgreSql => "postgresql",
            Self::PgBouncer => "pgbouncer",
        })
    }
}

impl State {
    /// The database of this name, whatever its case.
    #[must_use]
    pub fn database(&self, name: &str) -> Option<&Database> {
        self.databases.iter().find(|one| one.name.matches(name))
    }

    /// The databases behind a service.
    pub fn databases_of<'a>(&'a self, service: &'a Name) -> impl Iterator<Item = &'a Database> {
        self.databases
            .iter()
            .filter(move |database| database.service == *service)
    }

    /// Until when the policies of a user or role do not hold, also if that is over.
    #[must_use]
    pub fn user_bypass(&self, user: &DatabaseUser) -> Option<Timestamp> {
        let database = self
            .databases
            .iter()
            .find(|one| one.name == user.database)?;
        let mut bypasses = database.bypasses.iter();
        let is_of = |one: &&UserBypass| one.kind == user.kind && one.name == user.name;
        bypasses.find(is_of).map(|one| one.until)
    }

    /// All users and roles that policies are bound to, in force or not, with the policies.
    #[must_use]
    pub fn bound_users(&self) -> Vec<(&DatabaseUser, &Policy)> {
        let policies = self.policies.iter();
        let bound = policies.flat_map(|policy| {
            let users = policy.bindings.iter().filter_map(Binding::user);
            users.map(move |user| (user, policy))
        });
        let mut bound: Vec<_> = bound.collect();
        bound.sort_by_key(|(user, _)| *user);
        bound
    }

    /// Indices of the policies whose allow lists the packet filter has to let through to a
    /// service, since they are in force for a user of a database behind it. Those of roles are
    /// not: they can only narrow.
    pub(super) fn policies_of_users(&self, service: &Service) -> Vec<usize> {
        if self.databases.is_empty() || service.combine == Combine::And {
            return Vec::new();
        }
        let is_behind = |user: &DatabaseUser| {
            user.kind == UserKind::User
                && self
                    .databases_of(&service.name)
                    .any(|database| database.name == user.database)
        };
        let policies = self.policies.iter().enumerate();
        let of_users = policies.filter(|(_, policy)| {
            let mut users = policy.bindings.iter().filter_map(Binding::user);
            policy.is_enforced() && users.any(is_behind)
        });
        of_users.map(|(index, _)| index).collect()
    }

    /// Everything that keeps databases and bindings to users from being what they say.
    #[must_use]
    pub fn database_problems(&self) -> Vec<DatabaseProblem> {
        let mut problems = Vec::new();
        for database in &self.databases {
            let name = database.name.to_string();
            if self.services.iter().all(|one| one.name != database.service) {
                let service = database.service.to_string();
                problems.push(DatabaseProblem::ServiceGone { name, service });
            }
        }
        for (at, database) in self.databases.iter().enumerate() {
            let others = self.databases.iter().take(at);
            problems.extend(others.filter_map(|other| shared(other, database)));
        }
        let mut checked: Vec<&Name> = Vec::new();
        for (user, policy) in self.bound_users() {
            let database = self.databases.iter().find(|one| one.name == user.database);
            let Some(database) = database else {
                problems.push(DatabaseProblem::InUse {
                    name: user.database.to_string(),
                    policy: policy.name.to_string(),
                    user: user.to_string(),
                });
                continue;
            };
            if database.kind == DatabaseKind::PgBouncer && user.kind == UserKind::Role {
                problems.push(DatabaseProblem::PoolerRole {
                    name: database.name.to_string(),
                    role: user.to_string(),
                });
            }
            if checked.contains(&&database.name) {
                continue;
            }
            checked.push(&database.name);
            let service = self
                .services
                .iter()
                .find(|one| one.name == database.service);
            problems.extend(service.and_then(|service| unfit(database, service)));
        }
        problems
    }
}

/// What two databases share that belongs to one.
fn shared(one: &Database, two: &Database) -> Option<DatabaseProblem> {
    let same = |one: &Option<String>, two: &Option<String>| match (one, two) {
        (Some(one), Some(two)) => one.trim_end_matches('/') == two.trim_end_matches('/'),
        _ => false,
    };
    let what = if one.service == two.service {
        "service"
    } else if same(&one.hba_dir, &two.hba_dir) {
        "hba_dir"
    } else if same(&one.hba_conf, &two.hba_conf) {
        "hba_conf"
    } else {
        return None;
    };
    Some(DatabaseProblem::Shared {
        name: one.name.to_string(),
        other: two.name.to_string(),
        what,
    })
}

/// Whether the databases are the same, whichever users bypass their policies.
pub(super) fn same_databases(old: &State, new: &State) -> bool {
    let settings = |state: &State| -> Vec<Database> {
        let databases = state.databases.iter();
        let plain = databases.map(|database| Database {
            bypasses: Vec::new(),
            ..database.clone()
        });
        plain.collect()
    };
    settings(old) == settings(new)
}

/// The bypasses of users of all databases.
fn user_bypasses(state: &State) -> Vec<(&Name, &UserBypass)> {
    let databases = state.databases.iter();
    let bypasses = databases.flat_map(|one| one.bypasses.iter().map(|bypass| (&one.name, bypass)));
    bypasses.collect()
}

/// What a caller lacks to change them.
pub(super) fn lacks_bypass(rights: &Rights, old: &State, new: &State) -> Option<String> {
    let may = user_bypasses(old) == user_bypasses(new) || rights.has(Privilege::Bypass);
    (!may).then(|| {
        format!(
            "{} may not let a database user bypass its policies: that requires the privilege bypass",
            rights.user
        )
    })
}

/// Why users of a database behind this service can have no policies.
fn unfit(database: &Database, service: &Service) -> Option<DatabaseProblem> {
    let name = database.name.to_string();
    let named = service.name.to_string();
    if service.combine == Combine::And {
        return Some(DatabaseProblem::Combined {
            name,
            service: named,
        });
    }
    let ports: Vec<u16> = service.ports.iter().take(2).collect();
    (ports.len() > 1).then(|| DatabaseProblem::Ports {
        name,
        service: named,
        ports: service.ports.to_string(),
    })
}

impl Binding {
    /// The database user that it names.
    #[must_use]
    pub fn user(&self) -> Option<&DatabaseUser> {
        match self {
            Self::User(user) => Some(user),
            Self::Host | Self::Service(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
