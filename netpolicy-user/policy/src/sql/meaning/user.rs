//! CREATE USER and DESC USER: a user is a service, whose ports SQL does not say.

use super::name::PolicyOrDefault;
use super::wrong::Errors;
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
                self.govern(policy, PolicyOrDefault::Real(found), Some(service))
            }
        }
    }

    /// DESC USER
    pub(super) fn describe_user(&self, name: &Ident<'_>) -> Result<Action, Refusal> {
        let mut errors = Errors::new(self.statement);
        let service = errors.take(name.spot(), self.service(name));
        let service = errors.finish(service)?;
        let scope = Binding::Service(service.name.clone());
        let policies: Vec<_> = self.state().governing(&scope).collect();
        let names: Vec<_> = policies.iter().map(|policy| policy.name.as_str()).collect();
        let row = |property: &str, value: &str, description: &str| {
            let value = match value {
                "" => None,
                value => Some(value.to_owned()),
            };
            let text = |text: &str| Some(text.to_owned());
            vec![text(property), value, None, text(description)]
        };
        let comment = service.comment.as_deref().unwrap_or_default();
        Ok(Action::Table(ResultTable::of(
            &["property", "value", "default", "description"],
            vec![
                row("NAME", service.name.as_str(), "Name"),
                row("COMMENT", comment, "user comment associated to the user"),
                row(
                    "NETWORK_POLICY",
                    &names.join(", "),
                    "Network policy of the service",
                ),
            ],
        )))
    }
}
