//! What is wrong with databases and with bindings to their users.

use super::{ErrorKind, Excerpt};

/// What is wrong with a database, or with a binding to a user of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseProblem {
    /// A user without the database that knows it.
    #[error("{text} names no database; expected user:NAME@DATABASE or role:NAME@DATABASE")]
    NoDatabaseNamed {
        /// What was written.
        text: Excerpt,
    },
    /// No database of this name.
    #[error("unknown database {name}; `netpolicy db list` shows all, `netpolicy db add` makes one")]
    UnknownDatabase {
        /// Its name.
        name: Excerpt,
    },
    /// A name that no line can hold.
    #[error("a policy cannot be bound to the user {name}: {why}; bind it to the service instead")]
    User {
        /// The name.
        name: Excerpt,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Its service is not there.
    #[error(
        "database '{name}' is behind service '{service}', which is not there; add the service, or remove the database first"
    )]
    ServiceGone {
        /// The database.
        name: String,
        /// The service.
        service: String,
    },
    /// A policy is bound to a user of a database that is not there.
    #[error(
        "database '{name}' is in use: policy '{policy}' is bound to {user}; unbind or drop it first"
    )]
    InUse {
        /// The database.
        name: String,
        /// The policy.
        policy: String,
        /// The binding.
        user: String,
    },
    /// The service's policies are joined with the host's.
    #[error(
        "users of database '{name}' can have no policies: service '{service}' combines with the host (\"and\"), and a user's policy replaces the service's and the host's; set combine = \"override\", or bind the policy to the service"
    )]
    Combined {
        /// The database.
        name: String,
        /// Its service.
        service: String,
    },
    /// The service has a pooler's port as well.
    #[error(
        "users of database '{name}' can have no policies: service '{service}' has the ports {ports}, and the database listens on one; sessions through a pooler come from the pooler's address, which says nothing of a user's: give each port a service of its own, and make a PgBouncer known as a database of kind \"pgbouncer\""
    )]
    Ports {
        /// The database.
        name: String,
        /// Its service.
        service: String,
        /// The service's ports.
        ports: String,
    },
    /// A role of a pooler.
    #[error(
        "a policy cannot be bound to {role}: PgBouncer's hba file, by which '{name}' knows users, has no roles; bind it to the users"
    )]
    PoolerRole {
        /// The pooler.
        name: String,
        /// The binding.
        role: String,
    },
    /// Two databases would write one server's lines.
    #[error(
        "databases '{name}' and '{other}' have the same {what}; each server is one database, whose lines stand in one place: remove one of them"
    )]
    Shared {
        /// A database.
        name: String,
        /// Another.
        other: String,
        /// What they share.
        what: &'static str,
    },
    /// A relative path, or one that cannot be written down.
    #[error("'{key}' is {path}; expected an absolute path without control characters")]
    Path {
        /// The key.
        key: &'static str,
        /// What was written.
        path: Excerpt,
    },
    /// A directory for a pooler.
    #[error(
        "database '{name}' has hba_dir, and PgBouncer's hba file includes no directory; leave it out, or name the file with hba_conf"
    )]
    PoolerDirectory {
        /// The pooler.
        name: String,
    },
    /// Both places for the lines.
    #[error(
        "database '{name}' has both hba_dir and hba_conf; the lines stand in one place: leave one out"
    )]
    TwoPlaces {
        /// The database.
        name: String,
    },
}

impl DatabaseProblem {
    /// The manner of the problem.
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownDatabase { .. } => ErrorKind::Unknown,
            Self::ServiceGone { .. }
            | Self::InUse { .. }
            | Self::Combined { .. }
            | Self::PoolerRole { .. }
            | Self::Shared { .. }
            | Self::Ports { .. } => ErrorKind::Conflict,
            _ => ErrorKind::Invalid,
        }
    }
}
