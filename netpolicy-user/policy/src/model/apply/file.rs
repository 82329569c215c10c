//! Makes the whole state what a policy file says.

use super::service::{free_id, port_conflicts};
use super::{Excerpt, Noun, Problem, Worker, named::no_such_list, unknown};
use crate::model::change::SourceText;
use crate::model::error::ListProblem;
use crate::model::file::{
    self, EarlierState, FileList, FilePolicy, FileService, FileTest, PolicyFile,
};
use crate::model::reader::{Reference, Tolerance};
use crate::model::state::MAX_SERVICES;
use crate::model::{AllowPart, Binding, Name, NamedList, Policy, PolicyTest, Service, State};

impl Worker<'_> {
    pub(super) fn apply_file(
        &mut self,
        file: &SourceText,
        lists: &[SourceText],
        tolerance: Tolerance,
        keep_others: bool,
    ) -> Option<()> {
        let earlier = EarlierState {
            state: self.state,
            sameness: self.sameness,
        };
        let read = file::read(file, lists, tolerance, earlier, self.cx, self.report)?;
        let PolicyFile {
            mut host,
            has_host,
            mut services,
            mut lists,
            mut policies,
            databases,
            tests,
        } = read;
        host.compat = self.state.host.compat;
        if keep_others && !has_host {
            host = self.state.host.clone();
        }
        self.take_names(&mut services, &mut policies);
        self.take_list_names(&mut lists);
        let known: Vec<_> = services
            .iter()
            .map(|service| (service.place.clone(), service.ports.is_some()))
            .collect();
        let mut state = State {
            host,
            services: Vec::new(),
            lists: Vec::new(),
            policies: Vec::new(),
            databases: Vec::new(),
            tests: Vec::new(),
        };
        self.number_services(&mut state, services, keep_others)?;
        if keep_others {
            self.keep_services(&mut state);
        }
        let conflicts = port_conflicts(&state.host, &state.services);
        for (index, problem) in conflicts.into_iter().filter(|_| !keep_others) {
            let (place, has_ports) = known[index].clone();
            if has_ports {
                self.report.error_at(Some(place), problem);
            }
        }
        state.lists = lists.into_iter().map(|list| self.join_list(list)).collect();
        if keep_others {
            let is_new = |old: &&NamedList| state.lists.iter().all(|new| new.name != old.name);
            let kept: Vec<_> = self.state.lists.iter().filter(is_new).cloned().collect();
            state.lists.extend(kept);
        }
        let policies = policies.into_iter();
        state.policies = policies
            .map(|policy| self.join_policy(policy, &state))
            .collect();
        if keep_others {
            self.keep_policies(&mut state);
        }
        state.databases = self.join_databases(databases, &state, keep_others);
        state.tests = self.join_tests(tests, &state, keep_others);
        if state.policies.is_empty() {
            self.report.warn(format!(
                "{} holds no policy: nothing will be denied",
                file.name
            ));
        }
        state.services.sort_by(|a, b| a.name.cmp(&b.name));
        *self.state = state;
        self.sort_policies();
        self.sort_lists();
        Some(())
    }

    /// A name in the file that differs from a present one by case alone is that one.
    fn take_names(&self, services: &mut [FileService], policies: &mut [FilePolicy]) {
        let known = |name: &Name| {
            let like = |other: &&Name| other.is_like(name);
            let services = self.state.services.iter().map(|service| &service.name);
            services.clone().find(like).unwrap_or(name).clone()
        };
        for service in services {
            service.name = known(&service.name);
        }
        for policy in policies {
            if let Some(old) = self
                .state
                .policies
                .iter()
                .find(|old| old.name.is_like(&policy.name))
            {
                policy.name = old.name.clone();
            }
            let bindings = std::mem::take(&mut policy.bindings);
            policy.bindings = bindings
                .into_iter()
                .map(|binding| match binding {
                    Binding::Host => Binding::Host,
                    Binding::Service(name) => Binding::Service(known(&name)),
                    Binding::User(user) => Binding::User(user),
                })
                .collect();
        }
    }

    /// Keeps the services that the file does not name.
    fn keep_services(&mut self, state: &mut State) {
        for old in &self.state.services {
            if state.services.iter().all(|new| new.name != old.name) {
                state.services.push(old.clone());
            }
        }
        for (_, problem) in port_conflicts(&state.host, &state.services) {
            self.report.push(problem.into());
        }
    }

    /// Keeps the policies that the file does not name.
    fn keep_policies(&mut self, state: &mut State) {
        for old in &self.state.policies {
            if state.policies.iter().all(|new| new.name != old.name) {
                state.policies.push(old.clone());
            }
        }
        let (count, limit) = (state.policies.len(), self.cx.limits.policies);
        if count > limit {
            self.report
                .push(Problem::TooManyPolicies { count, limit }.into());
        }
    }

    /// Gives services their numbers: the ones that they have, or free ones.
    fn number_services(
        &mut self,
        state: &mut State,
        services: Vec<FileService>,
        keep_others: bool,
    ) -> Option<()> {
        if services.len() > MAX_SERVICES {
            return self.refuse(Problem::TooManyServices {
                limit: MAX_SERVICES,
            });
        }
        let stays = |old: &&Service| keep_others || services.iter().any(|new| new.name == old.name);
        // Services that are to go give their numbers back; all others keep theirs.
        let mut numbered: Vec<Service> =
            self.state.services.iter().filter(stays).cloned().collect();
        for service in services {
            let FileService {
                place: _,
                name,
                ports,
                combine,
                mode,
                on_deny,
                comment,
            } = service;
            let old = self.state.service(name.as_str()).map(|old| old.id);
            let Some(id) = old.or_else(|| free_id(&numbered)) else {
                return self.refuse(Problem::TooManyServices {
                    limit: MAX_SERVICES,
                });
            };
            let service = Service {
                name,
                id,
                ports: ports.unwrap_or_default(),
                combine,
                mode,
                on_deny,
                comment,
            };
            if old.is_none() {
                numbered.push(service.clone());
            }
            state.services.push(service);
        }
        Some(())
    }

    /// A name of a list in the file that differs from a present one by case alone is that one.
    fn take_list_names(&self, lists: &mut [FileList]) {
        for list in lists {
            let like = |old: &&NamedList| old.name.is_like(&list.name);
            if let Some(old) = self.state.lists.iter().find(like) {
                list.name = old.name.clone();
            }
        }
    }

    /// A list of the file, with what else the list of the same name has.
    fn join_list(&mut self, new: FileList) -> NamedList {
        let FileList {
            name,
            entries,
            rule,
            feed,
            max_shrink,
            comment,
        } = new;
        let old = self.state.lists.iter().find(|old| old.name == name);
        let old = old.cloned();
        let mut list = NamedList {
            name,
            // What stays the same stays shared with the state before.
            entries: old
                .as_ref()
                .map(|old| old.entries.clone())
                .unwrap_or_default(),
            every: old
                .as_ref()
                .map(|old| old.every.clone())
                .unwrap_or_default(),
            rule,
            feed,
            max_shrink,
            comment,
            owner: old
                .as_ref()
                .map_or_else(|| self.cx.actor.to_owned(), |old| old.owner.clone()),
            created: old.as_ref().map_or(self.cx.now, |old| old.created),
            altered: self.cx.now,
        };
        // A feed's content stays until other content comes.
        if list.feed.is_none() {
            self.check_type(&list, &entries);
            list.set_entries(entries);
        }
        if let Some(old) = old.filter(|old| old.same_words(&list)) {
            list.altered = old.altered;
        }
        list
    }

    /// The lists that a policy of the file refers to; each must be in `state`.
    fn join_references(&mut self, references: &[Reference], state: &State) -> Vec<Name> {
        let mut names: Vec<Name> = Vec::new();
        for reference in references {
            match state.list(&reference.name) {
                Some(list) if names.contains(&list.name) => {
                    let problem = ListProblem::ReferenceTwice {
                        name: Excerpt::new(&list.reference()),
                        first: None,
                    };
                    self.report
                        .error_at(Some(reference.place.clone()), problem.into());
                }
                Some(list) => names.push(list.name.clone()),
                None => self.report.push(no_such_list(state, reference)),
            }
        }
        names
    }

    /// The tests of the file, sorted; with those that there are, if others are kept.
    fn join_tests(
        &mut self,
        tests: Vec<FileTest>,
        state: &State,
        keep_others: bool,
    ) -> Vec<PolicyTest> {
        let mut joined: Vec<PolicyTest> = Vec::new();
        for FileTest { mut test, service } in tests {
            if let Some(name) = service {
                let Some(service) = state.service(&name) else {
                    let names = state.services.iter().map(|service| service.name.as_str());
                    let problem = unknown(Noun::Service, &name, names);
                    self.report.error_at(test.place, problem);
                    continue;
                };
                test.attempt.service = Some(service.name.clone());
            }
            if let Some(first) = joined.iter().find(|first| first.attempt == test.attempt) {
                let problem = Problem::TestRepeated {
                    attempt: test.attempt.to_string(),
                    first: first.place.clone(),
                };
                self.report.error_at(test.place, problem);
                continue;
            }
            joined.push(test);
        }
        if keep_others {
            let is_new = |old: &&PolicyTest| joined.iter().all(|new| new.attempt != old.attempt);
            let kept: Vec<_> = self.state.tests.iter().filter(is_new).cloned().collect();
            joined.extend(kept);
        }
        joined.sort_by(|a, b| a.attempt.cmp(&b.attempt));
        joined
    }

    /// A policy of the file, with what else the policy of the same name has.
    fn join_policy(&mut self, new: FilePolicy, state: &State) -> Policy {
        let FilePolicy {
            name,
            mut allow,
            mut block,
            mut except,
            allow_lists,
            block_lists,
            except_lists,
            compat,
            comment,
            active,
            mode,
            bindings,
        } = new;
        let allow_lists = self.join_references(&allow_lists, state);
        let block_lists = self.join_references(&block_lists, state);
        let except_lists = self.join_references(&except_lists, state);
        let old = self.state.policy(name.as_str());
        let mut unchanged = false;
        if let Some(old) = old {
            unchanged = old.comment == comment
                && old.active == active
                && old.mode == mode
                && old.bindings == bindings
                && old.compat == compat
                && old.allow_lists == allow_lists
                && old.block_lists == block_lists
                && old.except_lists == except_lists
                && old.block.same_words(&block)
                && old.except.same_words(&except)
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
            if old.except == except {
                except = old.except.clone();
            }
        }
        let (now, actor) = (self.cx.now, self.cx.actor);
        Policy {
            name,
            allow,
            block,
            except,
            allow_lists,
            block_lists,
            except_lists,
            compat,
            comment,
            owner: old.map_or_else(|| actor.to_owned(), |old| old.owner.clone()),
            created: old.map_or(now, |old| old.created),
            altered: old.filter(|_| unchanged).map_or(now, |old| old.altered),
            active,
            mode,
            bindings,
        }
    }
}
