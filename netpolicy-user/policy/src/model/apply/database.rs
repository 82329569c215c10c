//! Changes to databases.

use jiff::SignedDuration;

use super::{Noun, Problem, Worker, check_free, unknown};
use crate::model::bypass::MAX_MINUTES;
use crate::model::error::{DatabaseProblem, Excerpt};
use crate::model::evaluate::governed;
use crate::model::file::FileDatabase;
use crate::model::name::service_name;
use crate::model::{Database, DatabaseKind, DatabaseUser, State, UserBypass};

/// A database to be made.
pub(super) struct NewDatabase<'a> {
    pub(super) name: &'a str,
    pub(super) kind: DatabaseKind,
    pub(super) service: &'a str,
    pub(super) socket: Option<&'a str>,
    pub(super) hba_dir: Option<&'a str>,
    pub(super) hba_conf: Option<&'a str>,
    pub(super) comment: Option<&'a str>,
    pub(super) replace: bool,
}

impl Worker<'_> {
    pub(super) fn add_database(&mut self, new: &NewDatabase<'_>) -> Option<()> {
        let name = self.new_name(new.name, service_name);
        if let Some(name) = name.as_ref().filter(|_| new.replace) {
            self.state.databases.retain(|old| old.name != *name);
        }
        if let Some(name) = &name {
            let taken = self.state.databases.iter().map(|one| &one.name);
            if let Err(problem) = check_free(Noun::Database, name, taken) {
                self.report.push(problem.into());
            }
        }
        let service = self.service(new.service);
        let comment = self.comment(new.comment);
        let (name, service) = (name?, service?);
        let path = |path: Option<&str>| path.filter(|path| !path.is_empty()).map(ToOwned::to_owned);
        let database = Database {
            name,
            kind: new.kind,
            service: self.state.services[service].name.clone(),
            socket: path(new.socket),
            hba_dir: path(new.hba_dir),
            hba_conf: path(new.hba_conf),
            comment,
            bypasses: Vec::new(),
        };
        for problem in path_problems(&database) {
            self.report.push(Problem::from(problem).into());
        }
        self.state.databases.push(database);
        self.state.databases.sort_by(|a, b| a.name.cmp(&b.name));
        Some(())
    }

    pub(super) fn bypass_user(&mut self, user: &str, minutes: u32) -> Option<()> {
        let names = self.state.databases.iter().map(|one| &one.name);
        let user = match DatabaseUser::parse(user, names) {
            Some(user) => self.take(user.map_err(|problem| Problem::from(problem).into()))?,
            None => {
                let text = Excerpt::new(user);
                return self.refuse(DatabaseProblem::NoDatabaseNamed { text }.into());
            }
        };
        if minutes > MAX_MINUTES {
            let most = MAX_MINUTES;
            return self.refuse(Problem::BypassMinutes { minutes, most });
        }
        let now = self.cx.now;
        let is_bound = self
            .state
            .bound_users()
            .iter()
            .any(|(one, _)| **one == user);
        if !is_bound {
            self.report
                .warn(format!("no policy is bound to {user}: nothing to bypass"));
        }
        let at = self
            .state
            .databases
            .iter()
            .position(|one| one.name == user.database)?;
        let behind = self.state.databases.get(at)?.service.clone();
        let mut services = self.state.services.iter();
        let service = services.find(|one| one.name == behind);
        let is_closed = service.is_some_and(|one| governed(self.state, one).says_only(self.state));
        if minutes > 0 && is_bound && is_closed {
            self.report.warn(format!(
                "this takes lines out of the database and lets no other address through the packet \
                 filter: where no policy does, `netpolicy bypass grant ADDRESS --service {}` lets \
                 one through",
                behind.to_written_service()
            ));
        }
        let bypasses = &mut self.state.databases.get_mut(at)?.bypasses;
        bypasses.retain(|one| one.until > now && !(one.kind == user.kind && one.name == user.name));
        if minutes > 0 {
            bypasses.push(UserBypass {
                kind: user.kind,
                name: user.name,
                until: now + SignedDuration::from_mins(minutes.into()),
            });
            bypasses.sort();
        }
        Some(())
    }

    pub(super) fn remove_database(&mut self, name: &str) -> Option<()> {
        let databases = &self.state.databases;
        let Some(index) = databases.iter().position(|one| one.name.matches(name)) else {
            let names = databases.iter().map(|one| one.name.as_str());
            let problem = unknown(Noun::Database, name, names);
            return self.refuse(problem);
        };
        self.state.databases.remove(index);
        Some(())
    }

    /// The databases of the file, sorted; with those that there are, if others are kept.
    pub(super) fn join_databases(
        &mut self,
        databases: Vec<FileDatabase>,
        state: &State,
        keep_others: bool,
    ) -> Vec<Database> {
        let mut joined: Vec<Database> = Vec::new();
        for FileDatabase {
            mut database,
            service,
            place,
        } in databases
        {
            match state.service(&service) {
                Some(found) => {
                    database.service = found.name.clone();
                    let mut known = self.state.databases.iter();
                    if let Some(old) = known.find(|old| old.name.is_like(&database.name)) {
                        database.name = old.name.clone();
                        database.bypasses.clone_from(&old.bypasses);
                    }
                }
                None => {
                    let names = state.services.iter().map(|one| one.name.as_str());
                    let problem = unknown(Noun::Service, &service, names);
                    self.report.error_at(Some(place.clone()), problem);
                    continue;
                }
            }
            for problem in path_problems(&database) {
                self.report.error_at(Some(place.clone()), problem.into());
            }
            joined.push(database);
        }
        if keep_others {
            let is_new = |old: &&Database| joined.iter().all(|new| new.name != old.name);
            let kept: Vec<_> = self
                .state
                .databases
                .iter()
                .filter(is_new)
                .cloned()
                .collect();
            joined.extend(kept);
        }
        joined.sort_by(|a, b| a.name.cmp(&b.name));
        joined
    }

    /// Refuses databases without their service, and bindings to users that no database enforces.
    pub(super) fn check_databases(&mut self) {
        for problem in self.state.database_problems() {
            self.report.push(Problem::from(problem).into());
        }
    }
}

/// What is wrong with where a database's files are.
fn path_problems(database: &Database) -> Vec<DatabaseProblem> {
    let paths = [
        ("socket", &database.socket),
        ("hba_dir", &database.hba_dir),
        ("hba_conf", &database.hba_conf),
    ];
    let wrong = paths.into_iter().filter_map(|(key, path)| {
        let path = path.as_deref()?;
        let fits = path.starts_with('/') && !path.chars().any(char::is_control);
        (!fits).then(|| DatabaseProblem::Path {
            key,
            path: Excerpt::new(path),
        })
    });
    let mut problems: Vec<_> = wrong.collect();
    if database.hba_dir.is_some() && database.hba_conf.is_some() {
        let name = database.name.to_string();
        problems.push(DatabaseProblem::TwoPlaces { name });
    } else if database.hba_dir.is_some() && database.kind == DatabaseKind::PgBouncer {
        let name = database.name.to_string();
        problems.push(DatabaseProblem::PoolerDirectory { name });
    }
    problems
}
