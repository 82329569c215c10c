//! Queries of Materialize's catalog, answered from the state.

use super::like::is_like;
use super::name::DEFAULT;
use super::rewrite::rule_names;
use super::rule_list::flattened;
use super::show::OPEN;
use super::{Action, Cx, ResultTable};
use crate::model::AllowPart;
use crate::sql::{CatalogQuery, Condition, Relation, Test};

type CatalogRow = Vec<Option<String>>;

impl Cx<'_, '_> {
    pub(super) fn select(&self, query: &CatalogQuery<'_>) -> Action {
        let names = query.relation.columns();
        let place = |column: &str| names.iter().position(|name| *name == column);
        let mut rows = match query.relation {
            Relation::Policies => self.policy_rows(),
            Relation::Rules => self.rule_rows(),
            Relation::Shown => self.shown_rows(),
        };
        rows.retain(|row| {
            query.filters.iter().all(|filter| {
                let cell = place(filter.column).and_then(|at| row.get(at)?.as_deref());
                holds(filter, cell)
            })
        });
        for (column, descends) in query.order.iter().rev() {
            let Some(at) = place(column) else { continue };
            rows.sort_by(|a, b| {
                let order = a.get(at).cmp(&b.get(at));
                if *descends { order.reverse() } else { order }
            });
        }
        if query.columns.is_empty() {
            let count = vec![vec![Some(rows.len().to_string())]];
            return Action::Table(ResultTable::of(&["count"], count));
        }
        if let Some(limit) = query.limit {
            rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        let places: Vec<_> = query
            .columns
            .iter()
            .filter_map(|(column, _)| place(column))
            .collect();
        let rows = rows
            .into_iter()
            .map(|row| {
                places
                    .iter()
                    .map(|at| row.get(*at).cloned().flatten())
                    .collect()
            })
            .collect();
        let labels: Vec<_> = query
            .columns
            .iter()
            .map(|(column, label)| match label {
                Some(label) => label.folded(self.dialect()).into_owned(),
                None => (*column).to_owned(),
            })
            .collect();
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        let mut table = ResultTable::of(&labels, rows);
        let asks = |column: &str| query.columns.iter().any(|(asked, _)| *asked == column);
        if asks("id") || asks("policy_id") || asks("owner_id") {
            table
                .warnings
                .push("ids are names here: a policy's, and its owner's".to_owned());
        }
        Action::Table(table)
    }

    fn policy_rows(&self) -> Vec<CatalogRow> {
        let grants = self.scene.grants;
        let mut rows: Vec<CatalogRow> = self
            .state()
            .policies
            .iter()
            .map(|policy| {
                let name = policy.name.as_str();
                let mut privileges = vec![format!("{0}=U/{0}", policy.owner)];
                let own = grants
                    .iter()
                    .filter(|g| g.policy.as_ref() == Some(&policy.name));
                privileges.extend(own.map(|g| format!("{}=U/{}", g.to.to_owner(), g.granted_by)));
                vec![
                    some(name),
                    some(name),
                    some(&*policy.owner),
                    some(format!("{{{}}}", privileges.join(","))),
                    None,
                ]
            })
            .collect();
        if self.has_default() {
            let cells = [Some(DEFAULT), Some(DEFAULT), Some("root"), Some("{}"), None];
            rows.push(cells.map(|cell| cell.map(ToOwned::to_owned)).into());
        }
        rows.sort();
        rows
    }

    fn rule_rows(&self) -> Vec<CatalogRow> {
        let mut rows = Vec::new();
        let mut push = |policy: &str, name: &str, address: &str| {
            let cells = [name, policy, "allow", address, "ingress"];
            rows.push(cells.map(|cell| Some(cell.to_owned())).into());
        };
        for policy in &self.state().policies {
            let policy = flattened(self.state(), policy);
            let name = policy.name.as_str();
            match &policy.allow {
                AllowPart::Any => OPEN.iter().for_each(|(rule, net)| push(name, rule, net)),
                AllowPart::Only(list) => {
                    for (rule, named) in list.iter().zip(rule_names(list)) {
                        push(
                            name,
                            &named,
                            &with_length(&rule.text(), &rule.net.to_string()),
                        );
                    }
                }
            }
        }
        if self.has_default() {
            let (rule, net) = OPEN[0];
            push(DEFAULT, rule, net);
        }
        rows
    }

    fn shown_rows(&self) -> Vec<CatalogRow> {
        match self.policies(None, None) {
            Action::Table(table) => table.rows,
            _ => Vec::new(),
        }
    }
}

/// An address as written, unless it lacks the length that all have in Materialize.
fn with_length(text: &str, net: &str) -> String {
    if text.contains('/') { text } else { net }.to_owned()
}

/// Whether a condition holds for a cell; never for NULL.
fn holds(filter: &Condition<'_>, cell: Option<&str>) -> bool {
    let value = filter.value.text();
    cell.is_some_and(|cell| match filter.test {
        Test::Equal => cell == value,
        Test::Unequal => cell != value,
        Test::Like => is_like(cell, &value, false),
        Test::Unlike => !is_like(cell, &value, false),
    })
}

fn some(text: impl Into<String>) -> Option<String> {
    Some(text.into())
}
