//! The names of removed services, whose scopes still have counters.

use std::collections::BTreeMap;

use netpolicy_common::ScopeId;

use crate::model::State;

/// Names of services that were removed since the agent started, by their scopes.
#[derive(Clone, Debug, Default)]
pub(super) struct Removed(BTreeMap<ScopeId, String>);

impl Removed {
    /// A state takes the place of another one.
    pub(super) fn replace(&mut self, old: &State, new: &State) {
        for service in &old.services {
            // Its counts stay until another service has its scope.
            self.0.insert(service.id, service.name.to_string());
        }
        self.0
            .retain(|id, _| new.services.iter().all(|service| service.id != *id));
    }

    /// The names.
    pub(super) fn names(&self) -> &BTreeMap<ScopeId, String> {
        &self.0
    }
}
