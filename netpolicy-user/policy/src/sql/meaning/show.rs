//! SHOW NETWORK POLICIES and DESC NETWORK POLICY.

use jiff::Timestamp;

use super::like::is_like;
use super::name::DEFAULT;
use super::rewrite::rule_names;
use super::rule_list::{described, flattened};
use super::wrong::Errors;
use super::{Action, Cx, Dialect, Refusal, ResultTable};
use crate::model::{AllowPart, Policy, RuleList, State};
use crate::sql::{Ident, Literal};

/// Materialize's rule of `default`; also how a policy that allows all is shown there.
pub(super) const OPEN: [(&str, &str); 2] =
    [("open_ingress", "0.0.0.0/0"), ("open_ingress_v6", "::/0")];

impl ResultTable {
    pub(super) fn of(columns: &[&str], rows: Vec<Vec<Option<String>>>) -> Self {
        Self {
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows,
            warnings: Vec::new(),
        }
    }
}

impl Cx<'_, '_> {
    /// SHOW NETWORK POLICIES
    pub(super) fn policies(
        &self,
        like: Option<&Literal<'_>>,
        named: Option<&Literal<'_>>,
    ) -> Action {
        let named = named.map(Literal::text);
        let pattern = like.map(Literal::text);
        let ignore_case = self.dialect() == Dialect::Snowflake;
        let wanted = |name: &str| {
            let pattern = pattern.as_deref();
            pattern.is_none_or(|pattern| is_like(name, pattern, ignore_case))
                && named.as_deref().is_none_or(|named| named == name)
        };
        let policies = self.state().policies.iter();
        let policies = policies.filter(|policy| wanted(policy.name.as_str()));
        Action::Table(match self.dialect() {
            Dialect::Snowflake => ResultTable::of(
                &[
                    "created_on",
                    "name",
                    "comment",
                    "entries_in_allowed_ip_list",
                    "entries_in_blocked_ip_list",
                    "entries_in_allowed_network_rules",
                    "entries_in_blocked_network_rules",
                ],
                policies.map(snowflake_row).collect(),
            ),
            Dialect::Lakehouse => ResultTable::of(
                &["name", "creator", "created_time", "status"],
                policies.map(lakehouse_row).collect(),
            ),
            Dialect::Materialize => {
                let row = |policy| materialize_row(&flattened(self.state(), policy));
                let mut rows: Vec<_> = policies.map(row).collect();
                if self.has_default() && wanted(DEFAULT) {
                    let cells = [DEFAULT, OPEN[0].0, ""];
                    rows.push(cells.map(|cell| Some(cell.to_owned())).into());
                    rows.sort();
                }
                ResultTable::of(&["name", "rules", "comment"], rows)
            }
        })
    }

    /// DESC NETWORK POLICY
    pub(super) fn describe(&self, name: &Ident<'_>) -> Result<Action, Refusal> {
        let mut errors = Errors::new(self.statement);
        let policy = errors.take(name.spot(), self.policy(name));
        let policy = errors.finish(policy)?;
        Ok(Action::Table(match self.dialect() {
            Dialect::Snowflake => snowflake(self.state(), policy),
            // Materialize has no DESC.
            Dialect::Lakehouse | Dialect::Materialize => {
                lakehouse(&flattened(self.state(), policy))
            }
        }))
    }
}

pub(super) fn some(text: impl Into<String>) -> Option<String> {
    Some(text.into())
}

/// As Snowflake shows its TIMESTAMP_LTZ by default, in UTC.
pub(super) fn created_on(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S%.3f +0000").to_string()
}

fn comment(policy: &Policy) -> Option<String> {
    some(policy.comment.as_deref().unwrap_or_default())
}

fn snowflake_row(policy: &Policy) -> Vec<Option<String>> {
    let allowed = policy.allow_list().map_or(1, RuleList::len);
    let blocked = policy.block.len() + usize::from(policy.compat.blocked_rest().is_some());
    vec![
        some(created_on(policy.created)),
        some(policy.name.as_str()),
        comment(policy),
        some(allowed.to_string()),
        some(blocked.to_string()),
        some(policy.allow_lists.len().to_string()),
        some(policy.block_lists.len().to_string()),
    ]
}

fn lakehouse_row(policy: &Policy) -> Vec<Option<String>> {
    vec![
        some(policy.name.as_str()),
        some(policy.owner.as_str()),
        some(policy.created.strftime("%Y-%m-%d %H:%M:%S").to_string()),
        some(if policy.is_in_force() {
            "active"
        } else {
            "inactive"
        }),
    ]
}

fn materialize_row(policy: &Policy) -> Vec<Option<String>> {
    let rules = match &policy.allow {
        AllowPart::Any => OPEN.map(|(name, _)| name).join(","),
        AllowPart::Only(list) => {
            let mut names = rule_names(list);
            // As in the manual's examples.
            names.sort_unstable();
            names.join(",")
        }
    };
    vec![some(policy.name.as_str()), some(rules), comment(policy)]
}

fn join(list: &RuleList, rest: Option<&str>) -> String {
    let rules = list.iter().map(|rule| rule.text().into_owned());
    let rules = rules.chain(rest.map(ToOwned::to_owned));
    rules.collect::<Vec<_>>().join(",")
}

fn snowflake(state: &State, policy: &Policy) -> ResultTable {
    let mut table = ResultTable::of(&["name", "value"], Vec::new());
    let allowed = match &policy.allow {
        AllowPart::Any => {
            table.warnings.push(ANY_IS_MORE.to_owned());
            "0.0.0.0/0".to_owned()
        }
        AllowPart::Only(list) => join(list, None),
    };
    let blocked = join(&policy.block, policy.compat.blocked_rest());
    for (name, value) in [("ALLOWED_IP_LIST", allowed), ("BLOCKED_IP_LIST", blocked)] {
        if !value.is_empty() {
            table.rows.push(vec![some(name), Some(value)]);
        }
    }
    for (name, lists) in [
        ("ALLOWED_NETWORK_RULE_LIST", &policy.allow_lists),
        ("BLOCKED_NETWORK_RULE_LIST", &policy.block_lists),
    ] {
        if let Some(value) = described(state, lists) {
            table.rows.push(vec![some(name), Some(value)]);
        }
    }
    table
}

/// That a policy without an allow list is shown with one.
pub(super) const ANY_IS_MORE: &str = "the policy allows any address, IPv6 too, which Snowflake cannot express: 0.0.0.0/0 is \
     IPv4 alone";

fn lakehouse(policy: &Policy) -> ResultTable {
    let allowed = policy.allow_list().map(|list| join(list, None));
    let row = vec![
        some(policy.name.as_str()),
        some(allowed.clone().unwrap_or_default()),
        some(join(&policy.block, policy.compat.blocked_rest())),
    ];
    let columns = ["name", "allowed_ip_list", "blocked_ip_list"];
    let mut table = ResultTable::of(&columns, vec![row]);
    if allowed.is_some_and(|list| list.is_empty()) {
        table.warnings.push(format!(
            "policy {} allows no source; in Lakehouse an empty list would allow all",
            policy.name
        ));
    }
    table
}
