//! Makes the whole state what a policy file says.

use super::service::{free_id, port_conflicts};
use super::{Problem, Worker};
use crate::model::change::SourceText;
use crate::model::file::{self, FilePolicy, FileService, PolicyFile};
use crate::model::state::MAX_SERVICES;
use crate::model::{AllowPart, Policy, Service, State};

impl Worker<'_> {
    pub(super) fn apply_file(
        &mut self,
        file: &SourceText,
        lists: &[SourceText],
        skip_invalid: bool,
    ) -> Option<()> {
        let read = file::read(file, lists, skip_invalid, self.cx.limits, self.report)?;
        let PolicyFile {
            host,
            services,
            policies,
        } = read;
        let known: Vec<_> = services
            .iter()
            .map(|service| (service.place.clone(), service.ports.is_some()))
            .collect();
        let mut state = State {
            host,
            services: Vec::new(),
            policies: Vec::new(),
        };
        self.number_services(&mut state, services)?;
        for (index, problem) in port_conflicts(&state.host, &state.services) {
            let (place, has_ports) = known[index].clone();
            if has_ports {
                self.report.error_at(Some(place), problem);
            }
        }
        state.policies = policies
            .into_iter()
            .map(|policy| self.join_policy(policy))
            .collect();
        if state.policies.is_empty() {
            self.report.warn(format!(
                "{} holds no policy: nothing will be denied",
                file.name
            ));
        }
        state.services.sort_by(|a, b| a.name.cmp(&b.name));
        *self.state = state;
        self.sort_policies();
        Some(())
    }

    /// Gives services their numbers: the ones that they have, or free ones.
    fn number_services(&mut self, state: &mut State, services: Vec<FileService>) -> Option<()> {
        if services.len() > MAX_SERVICES {
            return self.refuse(Problem::TooManyServices {
                limit: MAX_SERVICES,
            });
        }
        let known = |service: &FileService| self.state.service(service.name.as_str());
        // Services that are to go give their numbers back.
        let mut numbered: Vec<Service> = services
            .iter()
            .filter_map(|service| known(service).cloned())
            .collect();
        for service in services {
            let FileService {
                place: _,
                name,
                ports,
                combine,
                mode,
                comment,
            } = service;
            let old = self.state.service(name.as_str()).map(|old| old.id);
            let id = old.or_else(|| free_id(&numbered))?;
            let service = Service {
                name,
                id,
                ports: ports.unwrap_or_default(),
                combine,
                mode,
                comment,
            };
            if old.is_none() {
                numbered.push(service.clone());
            }
            state.services.push(service);
        }
        Some(())
    }

    /// A policy of the file, with what the policy of the same name has beside.
    fn join_policy(&self, new: FilePolicy) -> Policy {
        let FilePolicy {
            name,
            mut allow,
            mut block,
            comment,
            active,
            bindings,
        } = new;
        let old = self.state.policy(name.as_str());
        let mut unchanged = false;
        if let Some(old) = old {
            unchanged = old.comment == comment
                && old.active == active
                && old.bindings == bindings
                && old.block.same_words(&block)
                && match (&old.allow, &allow) {
                    (AllowPart::Any, AllowPart::Any) => true,
                    (AllowPart::Only(old), AllowPart::Only(new)) => old.same_words(new),
                    _ => false,
                };
            // Lists that did not change at all stay shared with the state before.
            if old.allow == allow {
                allow = old.allow.clone();
            }
            if old.block == block {
                block = old.block.clone();
            }
        }
        let (now, actor) = (self.cx.now, self.cx.actor);
        Policy {
            name,
            allow,
            block,
            comment,
            owner: old.map_or_else(|| actor.to_owned(), |old| old.owner.clone()),
            created: old.map_or(now, |old| old.created),
            altered: old.filter(|_| unchanged).map_or(now, |old| old.altered),
            active,
            bindings,
        }
    }
}
