//! Which service each scope counts for and since when, also after the service was removed: in a
//! file next to the state, since counters outlive the agent.
//!
//! The kernel's counters stay until another service has the scope, and begin at zero then. The
//! file is no part of the state: without it counters have no name and no time, and count on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use jiff::Timestamp;
use netpolicy_common::ScopeId;
use serde::{Deserialize, Serialize};

use crate::model::{Service, State};

/// The file's name.
const FILE: &str = "counted.json";

/// A service that a scope counts for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CountedService {
    name: String,
    /// Since when; `None`: since before the agent knew of it.
    since: Option<Timestamp>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct CountedServices {
    services: BTreeMap<ScopeId, CountedService>,
    file: PathBuf,
}

impl CountedServices {
    /// What an earlier agent left in this directory, as far as it goes with the state.
    pub(super) fn load(directory: &Path, state: &State) -> Self {
        let file = directory.join(FILE);
        let services = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(file = %file.display(), %error, "removed services have no names");
                BTreeMap::new()
            }),
            Err(_) => BTreeMap::new(),
        };
        let mut counted = Self { services, file };
        for service in &state.services {
            let known = counted.services.get(&service.id);
            if known.is_none_or(|known| known.name != service.name.as_str()) {
                let name = service.name.to_string();
                let since = None;
                counted
                    .services
                    .insert(service.id, CountedService { name, since });
            }
        }
        counted
    }

    /// A state takes the place of another one: the scopes of services that it did not have count
    /// from now on.
    pub(super) fn replace(&mut self, old: &State, new: &State, now: Timestamp) {
        let mut is_changed = false;
        for service in &new.services {
            let had = |other: &Service| other.id == service.id && other.name == service.name;
            if old.services.iter().any(had) {
                continue;
            }
            let counted = CountedService {
                name: service.name.to_string(),
                since: Some(now),
            };
            self.services.insert(service.id, counted);
            is_changed = true;
        }
        if is_changed && let Err(error) = self.save() {
            let file = self.file.display();
            tracing::warn!(%file, %error, "since when services count is not kept");
        }
    }

    /// In one piece, or not at all. Without waiting for the disk: what is lost by a power cut is
    /// a name and a time.
    fn save(&self) -> io::Result<()> {
        if self.file.as_os_str().is_empty() {
            return Ok(());
        }
        let part = self.file.with_extension("part");
        fs::write(&part, serde_json::to_vec(&self.services)?)?;
        fs::rename(&part, &self.file)
    }

    /// The names of services that are no more, by the scopes that count for them still.
    pub(super) fn removed(&self, state: &State) -> BTreeMap<ScopeId, String> {
        let is_there = |id: ScopeId| state.services.iter().any(|service| service.id == id);
        let removed = self.services.iter().filter(|(id, _)| !is_there(**id));
        removed
            .map(|(id, counted)| (*id, counted.name.clone()))
            .collect()
    }

    /// Since when scopes count, of those whose service came while an agent looked.
    pub(super) fn since(&self) -> BTreeMap<ScopeId, Timestamp> {
        let dated = self.services.iter();
        dated
            .filter_map(|(id, counted)| Some((*id, counted.since?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Change, ChangeContext, Limits};

    fn with(state: &State, service: &str, port: &str) -> State {
        let cx = ChangeContext {
            now: Timestamp::UNIX_EPOCH,
            actor: "root",
            limits: Limits::default(),
            force: false,
        };
        let change = Change::AddService {
            name: service.to_owned(),
            ports: vec![port.to_owned()],
            combine: Default::default(),
            mode: Default::default(),
            on_deny: Default::default(),
            comment: None,
        };
        state.apply(&change, &cx).unwrap().state
    }

    #[test]
    fn name_and_time_of_a_removed_service_outlive_the_agent() {
        let dir = tempfile::tempdir().unwrap();
        let none = State::empty();
        let one = with(&none, "postgres", "5432");
        let id = one.services[0].id;
        let at = |second| Timestamp::from_second(second).unwrap();

        let mut counted = CountedServices::load(dir.path(), &none);
        counted.replace(&none, &one, at(100));
        counted.replace(&one, &one, at(150));
        counted.replace(&one, &none, at(200));
        assert_eq!(
            counted.removed(&none),
            BTreeMap::from([(id, "postgres".into())])
        );
        assert!(counted.removed(&one).is_empty());

        let next = CountedServices::load(dir.path(), &none);
        assert_eq!(
            next.removed(&none),
            BTreeMap::from([(id, "postgres".into())])
        );
        assert_eq!(next.since(), BTreeMap::from([(id, at(100))]));

        // Another service has the scope: it counts from then on, also after a restart.
        let other = with(&none, "mysql", "3306");
        assert_eq!(other.services[0].id, id);
        let mut next = next;
        next.replace(&none, &other, at(300));
        let last = CountedServices::load(dir.path(), &other);
        assert_eq!(last.since(), BTreeMap::from([(id, at(300))]));
        assert!(last.removed(&other).is_empty());
    }

    #[test]
    fn service_that_came_unseen_has_no_time_and_a_damaged_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "garbage").unwrap();
        let state = with(&State::empty(), "postgres", "5432");
        let counted = CountedServices::load(dir.path(), &state);
        assert!(counted.since().is_empty());
        assert_eq!(counted.removed(&State::empty()).len(), 1);
    }
}
