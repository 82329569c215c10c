//! What a user is in a statement: a service, or a user of a database on this host.

use super::{Cx, Wrong};
use crate::model::error::Excerpt;
use crate::model::{Binding, Database, DatabaseUser, Name, Policy, Service, UserKind};
use crate::sql::Ident;

/// How a service is written where a user of a database has the name as well.
const SERVICE: &str = "service:";

/// What a user's name stands for.
#[derive(Clone, Debug)]
pub(super) enum Target<'s> {
    /// A service: all who connect to it.
    Service(&'s Service),
    /// A user of a database.
    User(DatabaseUser),
}

impl Target<'_> {
    /// The scope that its policies are bound to.
    pub(super) fn scope(&self) -> Binding {
        match self {
            Self::Service(service) => Binding::Service(service.name.clone()),
            Self::User(user) => Binding::User(user.clone()),
        }
    }

    /// As it is written in a change.
    pub(super) fn written(&self) -> String {
        match self {
            Self::Service(service) => service.name.to_written_service().into_owned(),
            Self::User(user) => user.to_string(),
        }
    }

    /// The service itself.
    pub(super) fn service(&self) -> Option<&Service> {
        match self {
            Self::Service(service) => Some(service),
            Self::User(_) => None,
        }
    }
}

impl<'s> Cx<'s, '_> {
    /// What a user's name stands for: a service; else a user of the only database, or of the one
    /// in which a policy is bound to a user of that name. In double quotes also
    /// `user:alice@orders`, `role:analysts@orders` and `service:postgres`.
    pub(super) fn target(&self, name: &Ident<'_>) -> Result<Target<'s>, Wrong> {
        let text = name.text();
        if name.is_quoted() {
            let names = self.state().databases.iter().map(|one| &one.name);
            if let Some(user) = DatabaseUser::parse(&text, names) {
                return Ok(Target::User(user.map_err(|problem| {
                    Wrong::Model(crate::model::Problem::from(problem))
                })?));
            }
            if let Some(service) = text.strip_prefix(SERVICE) {
                let mut services = self.state().services.iter();
                let found = services.find(|one| one.name.matches(service));
                return found
                    .map(Target::Service)
                    .ok_or_else(|| Wrong::NoUser(service.to_owned()));
            }
        }
        // As PostgreSQL folds it.
        let folded = match name.is_quoted() {
            true => text.into_owned(),
            false => text.to_ascii_lowercase(),
        };
        let bound = self.users_called(&folded);
        match (self.service(name), &*bound) {
            (Ok(service), []) => Ok(Target::Service(service)),
            (Ok(service), [user, ..]) => Err(Wrong::ServiceOrUser {
                service: service.name.to_string(),
                user: user.to_string(),
            }),
            (Err(wrong), []) if wrong.is_missing() => match &*self.state().databases {
                [] => Err(wrong),
                [database] => of(database, &folded).map(Target::User),
                databases => Err(self.several(&folded, databases.iter().map(|one| &one.name))),
            },
            (Err(wrong), [user]) if wrong.is_missing() => Ok(Target::User(user.clone())),
            (Err(wrong), bound) if wrong.is_missing() => {
                Err(self.several(&folded, bound.iter().map(|user| &user.database)))
            }
            (Err(wrong), _) => Err(wrong),
        }
    }

    /// The users of that name that a policy is bound to, each once.
    fn users_called(&self, name: &str) -> Vec<DatabaseUser> {
        let bound = self.state().bound_users().into_iter();
        let mut users: Vec<_> = bound
            .map(|(user, _)| user)
            .filter(|user| user.kind == UserKind::User && user.name == name)
            .cloned()
            .collect();
        users.dedup();
        users
    }

    fn several<'n>(&self, name: &str, databases: impl Iterator<Item = &'n Name>) -> Wrong {
        let written = databases.map(|database| format!("\"user:{name}@{database}\""));
        Wrong::SeveralDatabases {
            name: Excerpt::new(name),
            written: written.collect::<Vec<_>>().join(" or "),
        }
    }

    /// The policies that govern what a user's name stands for.
    pub(super) fn governing(&self, scope: &Binding) -> Vec<&'s Policy> {
        let policies = self.state().policies.iter();
        policies
            .filter(|policy| policy.is_enforced() && policy.bindings.contains(scope))
            .collect()
    }
}

fn of(database: &Database, name: &str) -> Result<DatabaseUser, Wrong> {
    let text = format!("user:{name}@{}", database.name.to_written_service());
    match DatabaseUser::parse(&text, std::iter::once(&database.name)) {
        Some(Ok(user)) => Ok(user),
        Some(Err(problem)) => Err(Wrong::Model(crate::model::Problem::from(problem))),
        None => Err(Wrong::NoUser(name.to_owned())),
    }
}
