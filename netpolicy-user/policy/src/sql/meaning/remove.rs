//! DROP NETWORK POLICY.

use super::create::governs_host;
use super::name::{DEFAULT, PolicyOrDefault};
use super::refusal::Errors;
use super::{Action, Cx, Dialect, Refusal, Wrong, attached_to};
use crate::model::{Binding, Change, Policy};
use crate::sql::Ident;

impl Cx<'_, '_> {
    pub(super) fn remove(&self, names: &[Ident<'_>], if_exists: bool) -> Result<Action, Refusal> {
        let mut errors = Errors::new(self.statement);
        let mut found = Vec::new();
        let mut missing = Vec::new();
        for name in names {
            match self.policy_or_default(name) {
                Err(wrong) if if_exists && wrong.is_missing() => {
                    missing.push(name.folded(self.dialect()).into_owned());
                }
                policy => {
                    let policy = errors.take(name.spot(), policy);
                    let policy = policy.and_then(|policy| {
                        errors.take(name.spot(), self.may_drop(policy).map(|()| policy))
                    });
                    found.extend(policy);
                }
            }
        }
        errors.finish(Some(()))?;
        let mut made = Vec::new();
        for policy in found {
            let is_default = match policy {
                PolicyOrDefault::Default => true,
                PolicyOrDefault::Real(policy) => {
                    let drop = Change::DropPolicy {
                        name: policy.name.to_written().into_owned(),
                    };
                    if made.contains(&drop) {
                        continue;
                    }
                    made.push(drop);
                    self.dialect() == Dialect::Materialize && policy.name.as_str() == DEFAULT
                }
            };
            // Once altered and dropped it must not come back as it was at first.
            if is_default && !made.contains(&Change::DropDefault) {
                made.push(Change::DropDefault);
            }
        }
        let notices = missing
            .iter()
            .map(|name| format!("there is no network policy {name}"));
        let warnings = notices.collect();
        Ok(self.changes(made, self.dropped(names), warnings))
    }

    fn dropped(&self, names: &[Ident<'_>]) -> String {
        let dialect = self.dialect();
        let names = names.iter().map(|name| name.folded(dialect).into_owned());
        let names = names.collect::<Vec<_>>().join(", ");
        match dialect {
            Dialect::Snowflake => format!("{names} successfully dropped."),
            Dialect::Materialize => "DROP NETWORK POLICY".to_owned(),
            Dialect::Lakehouse => format!("Network policy {names} is dropped."),
        }
    }

    /// Snowflake and Materialize drop nothing that is in use.
    fn may_drop(&self, found: PolicyOrDefault<'_>) -> Result<(), Wrong> {
        match (self.dialect(), found) {
            (Dialect::Snowflake, PolicyOrDefault::Real(policy)) if policy.is_in_force() => {
                Err(Wrong::Attached {
                    operation: "Drop",
                    policy: policy.name.to_string(),
                    to: attached_to(policy),
                })
            }
            (Dialect::Materialize, PolicyOrDefault::Real(policy)) if policy.is_in_force() => {
                Err(Wrong::InUse {
                    policy: policy.name.to_string(),
                    scopes: scopes(policy),
                })
            }
            (Dialect::Materialize, PolicyOrDefault::Default)
                if !self.state().policies.iter().any(governs_host) =>
            {
                Err(Wrong::InUse {
                    policy: DEFAULT.to_owned(),
                    scopes: "the host".to_owned(),
                })
            }
            _ => Ok(()),
        }
    }
}

fn scopes(policy: &Policy) -> String {
    let scopes = policy.bindings.iter().map(|binding| match binding {
        Binding::Host => "the host".to_owned(),
        Binding::Service(name) => format!("service {name}"),
        Binding::User(user) => user.to_string(),
    });
    scopes.collect::<Vec<_>>().join(", ")
}
