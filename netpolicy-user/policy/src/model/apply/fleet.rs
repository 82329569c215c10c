//! Makes a host's state what its fleet's state says, but for what stays the host's own.
//!
//! The fleet's: policies, named lists, services, tests, the host's mode and answer. The host's
//! own: failsafe ports, the content of feeds, databases, and its services where the fleet has none.

use std::collections::BTreeSet;

use super::Applied;
use super::service::{free_id, port_conflicts};
use crate::model::error::{ListProblem, Noun, Problem};
use crate::model::report::{ModelErrors, Report};
use crate::model::state::MAX_SERVICES;
use crate::model::{
    Binding, Host, Limits, ListKind, MAX_LISTS, Name, NamedList, Service, State, plan,
};

/// Who owns what comes from a fleet: a name that another machine wrote gives no user of this one
/// a right.
const OWNER: &str = "root";

impl State {
    /// This state with all that is the fleet's as `fleet` has it. The warnings say what of that
    /// this host cannot have, which is left out.
    ///
    /// # Errors
    /// What no host could have, or this one's limits do not permit.
    pub fn with_fleet(&self, fleet: &Self, limits: Limits) -> Result<Applied, ModelErrors> {
        let mut report = Report::default();
        let host = Host {
            failsafe_ports: self.host.failsafe_ports.clone(),
            ..fleet.host.clone()
        };
        let services = match fleet.services.is_empty() {
            true => self.services.clone(),
            false => self.take_services(fleet, &host, &mut report),
        };
        let mut state = Self {
            host,
            services,
            lists: fleet
                .lists
                .iter()
                .map(|list| self.take_list(list))
                .collect(),
            policies: fleet.policies.clone(),
            databases: self.databases.clone(),
            tests: fleet.tests.clone(),
        };
        state.leave_out_unknown(&mut report);
        for policy in &mut state.policies {
            OWNER.clone_into(&mut policy.owner);
        }
        state.services.sort_by(|a, b| a.name.cmp(&b.name));
        state.lists.sort_by(|a, b| a.name.cmp(&b.name));
        state.policies.sort_by(|a, b| a.name.cmp(&b.name));
        state.tests.sort_by(|a, b| a.attempt.cmp(&b.attempt));
        state.must_fit(limits, &mut report);
        // Without its service a database would enforce nothing, and no user would be told.
        for problem in state.database_problems() {
            report.push(Problem::from(problem).into());
        }
        let warnings = report.finish()?;
        Ok(Applied { state, warnings })
    }

    /// Whether `new` differs from this state in what is a fleet's, which has services of its own
    /// or leaves them to its hosts.
    #[must_use]
    pub fn alters_fleet(&self, new: &Self, with_services: bool) -> bool {
        let mut new = new.clone();
        new.host.failsafe_ports = self.host.failsafe_ports.clone();
        new.databases.clone_from(&self.databases);
        if !with_services {
            new.services.clone_from(&self.services);
        }
        !plan(self, &new).is_empty()
    }

    /// The fleet's services, with numbers of this host and without its failsafe ports.
    fn take_services(&self, fleet: &Self, host: &Host, report: &mut Report) -> Vec<Service> {
        let named = |name: &Name| fleet.services.iter().any(|service| service.name == *name);
        let mut numbered: Vec<Service> = self
            .services
            .iter()
            .filter(|service| named(&service.name))
            .cloned()
            .collect();
        let mut taken = Vec::new();
        for service in &fleet.services {
            let name = &service.name;
            let failsafe = service.ports.overlap(&host.failsafe_ports);
            let ports = service.ports.without(&host.failsafe_ports);
            if !failsafe.is_empty() {
                report.warn(format!(
                    "service '{name}' of the fleet is not judged on port {failsafe}, which is a \
                     failsafe port of this host"
                ));
                if ports.is_empty() {
                    continue;
                }
            }
            let own = numbered.iter().find(|own| own.name == *name);
            let Some(id) = own.map(|own| own.id).or_else(|| free_id(&numbered)) else {
                report.push(
                    Problem::TooManyServices {
                        limit: MAX_SERVICES,
                    }
                    .into(),
                );
                break;
            };
            let service = Service {
                id,
                ports,
                ..service.clone()
            };
            if numbered.iter().all(|own| own.id != id) {
                numbered.push(service.clone());
            }
            taken.push(service);
        }
        for (_, problem) in port_conflicts(host, &taken) {
            report.push(problem.into());
        }
        taken
    }

    /// A list of the fleet; of a feed the content that this host has.
    fn take_list(&self, list: &NamedList) -> NamedList {
        let mut taken = list.clone();
        OWNER.clone_into(&mut taken.owner);
        let own = self.lists.iter().find(|own| own.name == list.name);
        if taken.feed.is_some()
            && let Some(own) = own.filter(|own| own.feed.is_some())
        {
            taken.entries = own.entries.clone();
        }
        taken
    }

    /// Leaves out what is about services that this host lacks.
    fn leave_out_unknown(&mut self, report: &mut Report) {
        let known: BTreeSet<Name> = self.services.iter().map(|s| s.name.clone()).collect();
        let databases: BTreeSet<Name> = self.databases.iter().map(|d| d.name.clone()).collect();
        for policy in &mut self.policies {
            let name = &policy.name;
            policy.bindings.retain(|binding| match binding {
                Binding::Service(service) if !known.contains(service) => {
                    report.warn(format!(
                        "policy '{name}' of the fleet is not bound to service '{service}', which \
                         this host lacks"
                    ));
                    false
                }
                Binding::User(user) if !databases.contains(&user.database) => {
                    report.warn(format!(
                        "policy '{name}' of the fleet is not bound to {user}: this host lacks the \
                         database"
                    ));
                    false
                }
                _ => true,
            });
        }
        self.tests.retain(|test| match &test.attempt.service {
            Some(service) if !known.contains(service) => {
                report.warn(format!(
                    "the test {} of the fleet is left out: this host lacks the service",
                    test.attempt
                ));
                false
            }
            _ => true,
        });
    }

    /// Refuses what no change could make.
    fn must_fit(&self, limits: Limits, report: &mut Report) {
        let mut once = |noun, names: &mut dyn Iterator<Item = &Name>| {
            let mut folded = BTreeSet::new();
            for name in names {
                if !folded.insert(name.as_str().to_lowercase()) {
                    let name = name.to_string();
                    let first = None;
                    report.push(Problem::NameRepeated { noun, name, first }.into());
                }
            }
        };
        once(Noun::Service, &mut self.services.iter().map(|s| &s.name));
        once(Noun::List, &mut self.lists.iter().map(|list| &list.name));
        once(Noun::Policy, &mut self.policies.iter().map(|p| &p.name));
        let (count, limit) = (self.policies.len(), limits.policies);
        if count > limit {
            report.push(Problem::TooManyPolicies { count, limit }.into());
        }
        let (count, limit) = (self.lists.len(), MAX_LISTS);
        if count > limit {
            report.push(ListProblem::TooManyLists { count, limit }.into());
        }
        let limit = limits.rules_per_list;
        for policy in &self.policies {
            for kind in ListKind::ALL {
                if policy.rules(kind).is_some_and(|rules| rules.len() > limit) {
                    report.push(Problem::ListTooLong { list: kind, limit }.into());
                }
            }
        }
        let too_long = |list: &&NamedList| list.feed.is_none() && list.len() > limit;
        for _ in self.lists.iter().filter(too_long) {
            report.push(ListProblem::NamedListTooLong { limit }.into());
        }
        let count: usize = self.lists.iter().map(NamedList::len).sum();
        let limit = limits.policies.saturating_mul(limit).saturating_mul(2);
        if count > limit {
            report.push(ListProblem::TooManyEntries { count, limit }.into());
        }
    }
}
