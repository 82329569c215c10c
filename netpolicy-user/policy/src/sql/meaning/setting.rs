//! The policy of the account, of the system, of a user, and what they are set to.

use super::alter::is_empty;
use super::create::MATERIALIZE_POLICIES;
use super::like::is_like;
use super::list::MATERIALIZE_RULES;
use super::name::{DEFAULT, PolicyOrDefault};
use super::refusal::Errors;
use super::target::Target;
use super::{Action, Cx, Dialect, Refusal, ResultTable, Wrong};
use crate::model::{Binding, Change, Combine, Policy};
use crate::sql::{AlterUser, Ident, Level, Literal, SystemParameter};

impl<'s> Cx<'s, '_> {
    /// ALTER ACCOUNT SET, ALTER SYSTEM SET
    pub(super) fn set_host_policy(&self, name: &Ident<'_>) -> Result<Action, Refusal> {
        let mut errors = Errors::new(self.statement);
        let found = errors.take(name.spot(), self.policy_or_default(name));
        let found = errors.finish(found)?;
        self.govern(name, found, None)
    }

    /// ALTER ACCOUNT UNSET, ALTER SYSTEM RESET
    pub(super) fn reset_host_policy(&self) -> Result<Action, Refusal> {
        // The setting goes back to `default`, where the dialect has one.
        let policy = match self.dialect() {
            Dialect::Materialize if !self.has_default() => {
                let Some(policy) = self.state().policy(DEFAULT) else {
                    let wrong = Wrong::UnknownPolicy(DEFAULT.to_owned());
                    return Err(Refusal::of(self.statement, self.statement.spot, wrong));
                };
                Some(policy.name.to_written().into_owned())
            }
            _ => None,
        };
        let kept = policy.as_deref();
        let warnings = self.displaced(&Binding::Host, kept);
        let change = Change::Govern {
            policy,
            service: None,
        };
        Ok(self.changes(vec![change], self.set_status(), warnings))
    }

    /// Which policies no longer govern a scope, or are no longer observed there, once only `kept`
    /// governs it.
    fn displaced(&self, scope: &Binding, kept: Option<&str>) -> Vec<String> {
        let bound = self.state().bound_to(scope);
        let names: Vec<_> = bound
            .filter(|policy| policy.is_enforced() || policy.is_observed())
            .filter(|policy| Some(&*policy.name.to_written()) != kept)
            .map(|policy| policy.name.as_str())
            .collect();
        if names.is_empty() {
            return Vec::new();
        }
        let names = names.join(", ");
        let scope = match scope {
            Binding::Host => "the host".to_owned(),
            Binding::Service(name) => format!("service {name}"),
            Binding::User(user) => user.to_string(),
        };
        vec![match kept {
            Some(_) => format!("replaces {names} on {scope}"),
            None => format!("takes {names} off {scope}"),
        }]
    }

    pub(super) fn set_status(&self) -> &'static str {
        match self.dialect() {
            Dialect::Materialize => "ALTER SYSTEM",
            Dialect::Lakehouse => "User altered.",
            _ => "Statement executed successfully.",
        }
    }

    /// One policy governs a scope from now on.
    pub(super) fn govern(
        &self,
        name: &Ident<'_>,
        found: PolicyOrDefault<'_>,
        target: Option<&Target<'_>>,
    ) -> Result<Action, Refusal> {
        let policy = match found {
            PolicyOrDefault::Default => None,
            PolicyOrDefault::Real(policy) => {
                if self.dialect() == Dialect::Snowflake && is_empty(self.state(), policy) {
                    let wrong = Wrong::Empty(policy.name.to_string());
                    return Err(Refusal::of(self.statement, name.spot(), wrong));
                }
                Some(policy.name.to_written().into_owned())
            }
        };
        let scope = target.map_or(Binding::Host, Target::scope);
        let mut warnings = self.displaced(&scope, policy.as_deref());
        let change = Change::Govern {
            policy,
            service: target.map(Target::written),
        };
        let service = target.and_then(Target::service);
        let combined = service.filter(|service| service.combine == Combine::And);
        warnings.extend(combined.map(|service| {
            format!(
                "service {} combines with the host (`and`): a source must pass the \
                 {} policy as well",
                service.name,
                match self.dialect() {
                    Dialect::Snowflake => "account's",
                    _ => "host's",
                }
            )
        }));
        Ok(self.changes(vec![change], self.set_status(), warnings))
    }

    /// ALTER USER and ALTER POSTGRES INSTANCE: of a service, or of a database's user.
    pub(super) fn alter_user(
        &self,
        name: &Ident<'_>,
        if_exists: bool,
        change: AlterUser<'_>,
    ) -> Result<Action, Refusal> {
        let mut errors = Errors::new(self.statement);
        let target = match self.target(name) {
            Err(wrong) if if_exists && wrong.is_missing() => {
                let name = name.folded(self.dialect());
                return Ok(Action::Nothing {
                    status: format!("There is no user {name}; nothing was altered."),
                });
            }
            target => errors.take(name.spot(), target),
        };
        match change {
            AlterUser::SetPolicy(policy) => {
                let found = errors.take(policy.spot(), self.policy(&policy));
                let (target, found) = errors.finish(target.zip(found))?;
                self.govern(&policy, PolicyOrDefault::Real(found), Some(&target))
            }
            AlterUser::UnsetPolicy => {
                let target = errors.finish(target)?;
                let warnings = self.displaced(&target.scope(), None);
                let change = Change::Govern {
                    policy: None,
                    service: Some(target.written()),
                };
                Ok(self.changes(vec![change], self.set_status(), warnings))
            }
            AlterUser::Bypass { minutes, .. } => {
                let target = errors.finish(target)?;
                let status = self.set_status().to_owned();
                Ok(match target {
                    Target::Service(service) => Action::Bypass {
                        service: service.name.clone(),
                        minutes,
                        status,
                    },
                    Target::User(user) => {
                        let change = Change::BypassUser {
                            user: user.to_string(),
                            minutes,
                        };
                        self.changes(vec![change], self.set_status(), Vec::new())
                    }
                })
            }
        }
    }

    /// Snowflake's SHOW PARAMETERS. A user without a policy of their own has the account's,
    /// which the level says
    /// (<https://docs.snowflake.com/en/sql-reference/sql/show-parameters>).
    pub(super) fn parameter(
        &self,
        level: &Level<'_>,
        pattern: Option<&Literal<'_>>,
    ) -> Result<Action, Refusal> {
        let mut errors = Errors::new(self.statement);
        let host = names(&self.on_host());
        let (value, level) = match level {
            Level::Account => (host, "ACCOUNT"),
            Level::User(name) => {
                let target = errors.take(name.spot(), self.target(name));
                let target = errors.finish(target)?;
                let own = self.governing(&target.scope());
                match names(&own) {
                    own if own.is_empty() => (host, "ACCOUNT"),
                    own => (own, "USER"),
                }
            }
        };
        let level = if value.is_empty() { "" } else { level };
        let description = "Network policy assigned for the given target.";
        let row = ["NETWORK_POLICY", &value, "", level, description];
        let columns = ["key", "value", "default", "level", "description"];
        let is_wanted = pattern.is_none_or(|pattern| is_like(row[0], &pattern.text(), true));
        let rows = is_wanted.then(|| row.map(|cell| Some(cell.to_owned())).into());
        let mut table = ResultTable::of(&columns, rows.into_iter().collect());
        if !is_wanted || pattern.is_none_or(|pattern| pattern.text().contains('%')) {
            table
                .warnings
                .push("NETWORK_POLICY is the only parameter here".to_owned());
        }
        Ok(Action::Table(table))
    }

    /// Materialize's SHOW of a setting.
    pub(super) fn setting(&self, setting: SystemParameter) -> Action {
        let fixed = match setting {
            SystemParameter::Policy => return self.policy_setting(),
            SystemParameter::Enabled => "on".to_owned(),
            SystemParameter::Policies => MATERIALIZE_POLICIES.to_string(),
            SystemParameter::Rules => MATERIALIZE_RULES.to_string(),
        };
        Action::Table(ResultTable::of(&[setting.name()], vec![vec![Some(fixed)]]))
    }

    fn policy_setting(&self) -> Action {
        let on_host = self.on_host();
        let mut warnings = Vec::new();
        let value = match &on_host[..] {
            [] if self.has_default() => Some(DEFAULT.to_owned()),
            [] => {
                warnings.push("no policy governs the host: every source may connect".to_owned());
                None
            }
            [_] => Some(names(&on_host)),
            _ => {
                warnings.push(
                    "several policies govern the host, merged; ALTER SYSTEM SET leaves one"
                        .to_owned(),
                );
                Some(names(&on_host))
            }
        };
        let mut table = ResultTable::of(&["network_policy"], vec![vec![value]]);
        table.warnings = warnings;
        Action::Table(table)
    }
}

fn names(policies: &[&Policy]) -> String {
    let names = policies.iter().map(|policy| policy.name.as_str());
    names.collect::<Vec<_>>().join(", ")
}
