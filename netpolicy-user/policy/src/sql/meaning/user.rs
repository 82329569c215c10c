//! CREATE USER and DESC USER: a user is a service, whose ports SQL does not say.

use super::name::PolicyOrDefault;
use super::refusal::Errors;
use super::target::Target;
use super::{Action, Cx, Refusal, ResultTable, Wrong};
use crate::model::Binding;
use crate::sql::Ident;

impl Cx<'_, '_> {
    /// CREATE USER, as far as a service can carry it: one that is there keeps its ports,
    /// and gets the policy where it is replaced.
    pub(super) fn create_user(
        &self,
        name: &Ident<'_>,
        policy: Option<&Ident<'_>>,
        or_replace: bool,
        if_not_exists: bool,
    ) -> Result<Action, Refusal> {
        let mut errors = Errors::new(self.statement);
        let folded = name.folded(self.dialect()).into_owned();
        let found = policy.map(|policy| {
            let found = errors.take(policy.spot(), self.policy(policy));
            (policy, found)
        });
        let service = match self.service(name) {
            Err(wrong) if wrong.is_missing() => {
                errors.push(name.spot(), Wrong::NewUser(folded));
                return errors.finish(None);
            }
            service => errors.take(name.spot(), service),
        };
        let Some(service) = service else {
            return errors.finish(None);
        };
        if if_not_exists {
            return errors.finish(Some(Action::Nothing {
                status: format!("{} already exists, statement succeeded.", service.name),
            }));
        }
        if !or_replace {
            errors.push(name.spot(), Wrong::ObjectExists(service.name.to_string()));
            return errors.finish(None);
        }
        match found {
            None => {
                let scope = Binding::Service(service.name.clone());
                if self.state().governing(&scope).next().is_some() {
                    errors.push(name.spot(), Wrong::ReplacedUser(folded));
                }
                errors.finish(Some(Action::Nothing {
                    status: self.set_status().to_owned(),
                }))
            }
            Some((policy, found)) => {
                let found = errors.finish(found)?;
                self.govern(
                    policy,
                    PolicyOrDefault::Real(found),
                    Some(&Target::Service(service)),
                )
            }
        }
    }

    /// CREATE ROLE: of an OS user or group that is there.
    pub(super) fn create_role(
        &self,
        role: &Ident<'_>,
        if_not_exists: bool,
    ) -> Result<Action, Refusal> {
        let folded = role.folded(self.dialect()).into_owned();
        let wrong = match self.role(role) {
            Ok(_) if if_not_exists => {
                return Ok(Action::Nothing {
                    status: format!("{folded} already exists, statement succeeded."),
                });
            }
            Ok(_) => Wrong::ObjectExists(folded),
            Err(wrong) if wrong.is_missing() => Wrong::NewRole(folded),
            Err(wrong) => wrong,
        };
        Err(Refusal::of(self.statement, role.spot(), wrong))
    }

    /// DESC USER
    pub(super) fn describe_user(&self, name: &Ident<'_>) -> Result<Action, Refusal> {
        let mut errors = Errors::new(self.statement);
        let target = errors.take(name.spot(), self.target(name));
        let target = errors.finish(target)?;
        let policies = self.governing(&target.scope());
        let names: Vec<_> = policies.iter().map(|policy| policy.name.as_str()).collect();
        let row = |property: &str, value: &str, description: &str| {
            let value = match value {
                "" => None,
                value => Some(value.to_owned()),
            };
            let text = |text: &str| Some(text.to_owned());
            vec![text(property), value, None, text(description)]
        };
        let (name, comment, whose) = match &target {
            Target::Service(service) => (
                service.name.to_string(),
                service.comment.clone(),
                "Network policy of the service",
            ),
            Target::User(user) => (
                user.name.clone(),
                None,
                "Network policy of the database's user",
            ),
        };
        let mut rows = vec![
            row("NAME", &name, "Name"),
            row(
                "COMMENT",
                &comment.unwrap_or_default(),
                "user comment associated to the user",
            ),
            row("NETWORK_POLICY", &names.join(", "), whose),
        ];
        if let Target::User(user) = &target {
            let bypass = self.state().user_bypass(user);
            let until = bypass.map(|until| until.to_string()).unwrap_or_default();
            rows.push(row("DATABASE", user.database.as_str(), "Its database"));
            rows.push(row(
                "BYPASS_NETWORK_POLICY_UNTIL",
                &until,
                "Until when the policy does not hold",
            ));
        }
        Ok(Action::Table(ResultTable::of(
            &["property", "value", "default", "description"],
            rows,
        )))
    }
}
