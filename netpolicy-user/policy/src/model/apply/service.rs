//! Changes to services and to the host's settings.

use super::{Noun, Problem, Worker, check_free};
use crate::model::name::service_name;
use crate::model::state::MAX_SERVICES;
use crate::model::{
    Binding, Combine, Host, Mode, Name, OnDeny, PolicyTest, PortSet, Service, counted,
};

impl Worker<'_> {
    pub(super) fn add_service(
        &mut self,
        name: &str,
        ports: &[String],
        combine: Combine,
        mode: Mode,
        on_deny: OnDeny,
        comment: Option<&str>,
    ) -> Option<()> {
        let name = self.new_name(name, service_name);
        if let Some(name) = &name {
            let taken = self.state.services.iter().map(|service| &service.name);
            if let Err(problem) = check_free(Noun::Service, name, taken) {
                self.report.push(problem.into());
            }
        }
        let ports = self.ports(ports);
        let comment = self.comment(comment);
        let (name, ports) = (name?, ports?);
        let Some(id) = free_id(&self.state.services) else {
            return self.refuse(Problem::TooManyServices {
                limit: MAX_SERVICES,
            });
        };
        self.state.services.push(Service {
            name,
            id,
            ports,
            combine,
            mode,
            on_deny,
            comment,
        });
        let added = self
            .state
            .services
            .last()
            .map(|service| service.name.clone());
        self.state.services.sort_by(|a, b| a.name.cmp(&b.name));
        self.check_ports(added.as_ref());
        Some(())
    }

    pub(super) fn alter_service(
        &mut self,
        name: &str,
        ports: Option<&[String]>,
        combine: Option<Combine>,
        mode: Option<Mode>,
        on_deny: Option<OnDeny>,
        comment: Option<&str>,
    ) -> Option<()> {
        let index = self.service(name)?;
        let mut service = self.state.services[index].clone();
        if let Some(ports) = ports {
            service.ports = self.ports(ports)?;
        }
        service.combine = combine.unwrap_or(service.combine);
        service.mode = mode.unwrap_or(service.mode);
        service.on_deny = on_deny.unwrap_or(service.on_deny);
        if comment.is_some() {
            service.comment = self.comment(comment);
        }
        let altered = service.name.clone();
        self.state.services[index] = service;
        self.check_ports(Some(&altered));
        Some(())
    }

    pub(super) fn remove_service(&mut self, name: &str) -> Option<()> {
        let index = self.service(name)?;
        let name = self.state.services[index].name.clone();
        let service = name.to_string();
        let scope = Binding::Service(name.clone());
        let bound = self.state.bound_to(&scope);
        let policies: Vec<_> = bound.map(|policy| policy.name.to_string()).collect();
        if !policies.is_empty() {
            return self.refuse(Problem::ServiceInUse { service, policies });
        }
        self.state.services.remove(index);
        let before = self.state.tests.len();
        let of_service = |test: &PolicyTest| test.attempt.service.as_ref() == Some(&name);
        self.state.tests.retain(|test| !of_service(test));
        let removed = before - self.state.tests.len();
        if removed > 0 {
            let tests = counted(removed, "policy test", "policy tests");
            self.report
                .warn(format!("{tests} of service '{name}' removed with it"));
        }
        Some(())
    }

    pub(super) fn set_host(
        &mut self,
        mode: Option<Mode>,
        on_deny: Option<OnDeny>,
        failsafe_ports: Option<&[String]>,
    ) -> Option<()> {
        let old = self.state.host.clone();
        let mode = mode.unwrap_or(old.mode);
        let failsafe_ports = match failsafe_ports {
            None => old.failsafe_ports,
            Some(items) => self.ports(items)?,
        };
        self.state.host = Host {
            mode,
            on_deny: on_deny.unwrap_or(old.on_deny),
            failsafe_ports,
            compat: old.compat,
        };
        self.check_ports(None);
        Some(())
    }

    fn ports(&mut self, items: &[String]) -> Option<PortSet> {
        let problems = match PortSet::parse(items) {
            Ok(ports) => return Some(ports),
            Err(problems) => problems,
        };
        for problem in problems {
            self.report.push(problem.into());
        }
        None
    }

    /// Reports services without ports, and ports with more than one meaning.
    /// `changed`: the service that is added or altered.
    fn check_ports(&mut self, changed: Option<&Name>) {
        for (_, problem) in port_conflicts(&self.state.host, &self.state.services) {
            self.report.push(blaming(changed, problem).into());
        }
    }
}

/// Of two services with the same port, the one that is changed claims what the other has.
fn blaming(changed: Option<&Name>, problem: Problem) -> Problem {
    match problem {
        Problem::PortsOverlap {
            ports,
            service,
            other,
        } if changed.is_some_and(|name| name.as_str() == other) => Problem::PortsOverlap {
            ports,
            service: other,
            other: service,
        },
        problem => problem,
    }
}

/// Services without ports and ports with more than one meaning, each with the index
/// of the service to blame (of two, the later).
pub(super) fn port_conflicts(host: &Host, services: &[Service]) -> Vec<(usize, Problem)> {
    let mut problems = Vec::new();
    for (index, service) in services.iter().enumerate() {
        let name = service.name.to_string();
        if service.ports.is_empty() {
            problems.push((
                index,
                Problem::NoPorts {
                    service: name.clone(),
                },
            ));
        }
        let failsafe = service.ports.overlap(&host.failsafe_ports);
        if !failsafe.is_empty() {
            let ports = failsafe.to_string();
            problems.push((
                index,
                Problem::PortsFailsafe {
                    ports,
                    service: name.clone(),
                },
            ));
        }
        for other in &services[..index] {
            let common = service.ports.overlap(&other.ports);
            if !common.is_empty() {
                let (ports, other) = (common.to_string(), other.name.to_string());
                let service = name.clone();
                problems.push((
                    index,
                    Problem::PortsOverlap {
                        ports,
                        service,
                        other,
                    },
                ));
            }
        }
    }
    problems
}

/// The smallest number that no service has.
pub(super) fn free_id(services: &[Service]) -> Option<u16> {
    let most = u16::try_from(MAX_SERVICES).unwrap_or(u16::MAX);
    (1..=most).find(|id| services.iter().all(|service| service.id != *id))
}
