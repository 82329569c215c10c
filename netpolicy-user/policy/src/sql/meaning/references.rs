//! POLICY_REFERENCES and NETWORK_RULE_REFERENCES: what a policy governs, and which policies refer
//! to a network rule.

use super::network_rule::last_part;
use super::refusal::Errors;
use super::show::some;
use super::{Action, Cx, Refusal, ResultTable};
use crate::model::{Binding, ListKind};
use crate::sql::Ident;
use crate::sql::network_rule::RuleName;

impl Cx<'_, '_> {
    /// A row for each scope that the policy governs, under the columns that a policy without
    /// columns and tags has values for.
    pub(super) fn policy_references(&self, name: &Ident<'_>) -> Result<Action, Refusal> {
        const COLUMNS: [&str; 5] = [
            "POLICY_NAME",
            "POLICY_KIND",
            "REF_ENTITY_NAME",
            "REF_ENTITY_DOMAIN",
            "POLICY_STATUS",
        ];
        let mut errors = Errors::new(self.statement);
        let policy = errors.take(name.spot(), self.policy(name));
        let policy = errors.finish(policy)?;
        let bindings = policy.bindings.iter().filter(|_| policy.is_enforced());
        let row = |binding: &Binding| -> Vec<Option<String>> {
            let (entity, domain) = match binding {
                Binding::Host => ("ACCOUNT".to_owned(), "ACCOUNT"),
                Binding::Service(service) => (service.to_string(), "USER"),
                Binding::User(user) => (user.to_string(), "USER"),
            };
            let kind = "NETWORK_POLICY";
            [policy.name.as_str(), kind, &entity, domain, "ACTIVE"]
                .map(some)
                .into()
        };
        Ok(Action::Table(ResultTable::of(
            &COLUMNS,
            bindings.map(row).collect(),
        )))
    }

    /// A row for each reference.
    pub(super) fn rule_references(&self, name: &RuleName<'_>) -> Result<Action, Refusal> {
        const COLUMNS: [&str; 4] = [
            "NETWORK_RULE_NAME",
            "CONTAINER_NAME",
            "CONTAINER_TYPE",
            "ACTION_TYPE",
        ];
        let mut errors = Errors::new(self.statement);
        let list = errors.take(name.spot(), self.rule(name));
        let list = errors.finish(list)?;
        let mut rows = Vec::new();
        for policy in self.state().referring_to(&list.name) {
            for (kind, action) in [(ListKind::Allow, "ALLOW"), (ListKind::Block, "BLOCK")] {
                if policy.lists(kind).contains(&list.name) {
                    let row = [
                        last_part(list),
                        policy.name.as_str(),
                        "NETWORK_POLICY",
                        action,
                    ];
                    rows.push(row.map(some).into());
                }
            }
        }
        Ok(Action::Table(ResultTable::of(&COLUMNS, rows)))
    }
}
