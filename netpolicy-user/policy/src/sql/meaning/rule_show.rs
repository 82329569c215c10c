//! SHOW NETWORK RULES, DESC NETWORK RULE and SHOW CREATE NETWORK RULE.
//!
//! The columns are the manual's
//! (<https://docs.snowflake.com/en/sql-reference/sql/show-network-rules>).

use super::like::is_like;
use super::network_rule::{agrees, governs_nothing, last_part};
use super::show::{created_on, some};
use super::wrong::Errors;
use super::{Action, Cx, Refusal, ResultTable, Wrong};
use crate::model::NamedList;
use crate::sql::network_rule::{RuleName, RulesIn, ShowRules};
use crate::sql::{Literal, create_rule};

impl Cx<'_, '_> {
    /// SHOW NETWORK RULES
    pub(super) fn rules(&self, show: &ShowRules<'_>) -> Action {
        let like = show.like.as_ref().map(Literal::text);
        let starts = show.starts_with.as_ref().map(Literal::text);
        let wanted = |list: &&NamedList| {
            let name = last_part(list);
            like.as_deref().is_none_or(|like| is_like(name, like, true))
                && starts
                    .as_deref()
                    .is_none_or(|start| name.starts_with(start))
                && show
                    .within
                    .as_ref()
                    .is_none_or(|within| is_within(list, within))
        };
        let limit = show.limit.map_or(usize::MAX, |limit| limit as usize);
        let lists = self.state().lists.iter().filter(wanted).take(limit);
        let row = |list: &NamedList| {
            let mut row = head(list);
            let values = list.rule.as_ref().map_or(0, |rule| rule.values.len());
            row.push(some((list.len() + values).to_string()));
            row.push(some("ROLE"));
            row
        };
        let columns = [&HEAD[..], &["entries_in_valuelist", "owner_role_type"]].concat();
        Action::Table(ResultTable::of(&columns, lists.map(row).collect()))
    }

    /// DESC NETWORK RULE
    pub(super) fn describe_rule(&self, name: &RuleName<'_>) -> Result<Action, Refusal> {
        let mut errors = Errors::new(self.statement);
        let list = errors.take(name.spot(), self.rule(name));
        let list = errors.finish(list)?;
        let mut row = head(list);
        row.push(some(values(list).join(",")));
        let columns = [&HEAD[..], &["value_list"]].concat();
        let mut table = ResultTable::of(&columns, vec![row]);
        let rule = list.rule.as_ref();
        let nothing = rule.and_then(|rule| governs_nothing(list.name.as_str(), rule));
        table.warnings.extend(nothing);
        Ok(Action::Table(table))
    }

    /// SHOW CREATE NETWORK RULE
    pub(super) fn show_create_rule(&self, name: &RuleName<'_>) -> Result<Action, Refusal> {
        let mut errors = Errors::new(self.statement);
        let list = errors.take(name.spot(), self.rule(name));
        let list = errors.finish(list)?;
        let refuse = |wrong| Refusal::of(self.statement, name.spot(), wrong);
        let not_expressible = |why: String| Wrong::RuleNotExpressible {
            rule: list.name.to_string(),
            why,
        };
        let kind = kind(list);
        if kind.contains(',') {
            let why = "it has addresses of both families, and a rule has one type".to_owned();
            return Err(refuse(not_expressible(why)));
        }
        let rule = list.rule.as_ref();
        let path = rule.map(|rule| [rule.database.as_deref(), rule.schema.as_deref()]);
        let path = path.into_iter().flatten().flatten();
        let parts: Vec<&str> = path.chain([last_part(list)]).collect();
        let mut text = String::new();
        let mode = rule.map_or("INGRESS", |rule| rule.mode.as_str());
        let values = values(list);
        create_rule(
            &mut text,
            &parts,
            (&kind, mode),
            &values,
            list.comment.as_deref(),
        )
        .map_err(|error| refuse(not_expressible(error.to_string())))?;
        text.push(';');
        let row = vec![some(last_part(list)), Some(text)];
        Ok(Action::Table(ResultTable::of(
            &["name", "create_sql"],
            vec![row],
        )))
    }
}

fn is_within(list: &NamedList, within: &RulesIn<'_>) -> bool {
    match within {
        RulesIn::Account => true,
        RulesIn::Schema(name) => agrees(list, &name.folded(), true),
        RulesIn::Database(name) => {
            let own = list.rule.as_ref().and_then(|rule| rule.database.as_deref());
            own.is_some_and(|own| own.eq_ignore_ascii_case(&name.meant()))
        }
    }
}

/// The columns that SHOW and DESC have in common.
const HEAD: [&str; 8] = [
    "created_on",
    "name",
    "database_name",
    "schema_name",
    "owner",
    "comment",
    "type",
    "mode",
];

fn head(list: &NamedList) -> Vec<Option<String>> {
    let rule = list.rule.as_ref();
    let text = |text: Option<&String>| some(text.map_or("", String::as_str));
    vec![
        some(created_on(list.created)),
        some(last_part(list)),
        text(rule.and_then(|rule| rule.database.as_ref())),
        text(rule.and_then(|rule| rule.schema.as_ref())),
        some(list.owner.as_str()),
        some(list.comment.as_deref().unwrap_or_default()),
        some(kind(list)),
        some(rule.map_or("INGRESS", |rule| rule.mode.as_str())),
    ]
}

/// The rule's type; of a list that SQL did not make, the families that are on it.
fn kind(list: &NamedList) -> String {
    if let Some(rule) = &list.rule {
        return rule.kind.clone();
    }
    let has = |six: bool| {
        list.entries
            .iter()
            .any(|rule| rule.net.addr().is_ipv6() == six)
    };
    match (has(false), has(true)) {
        (true, true) => "IPV4,IPV6".to_owned(),
        (false, true) => "IPV6".to_owned(),
        _ => "IPV4".to_owned(),
    }
}

/// All values as written.
fn values(list: &NamedList) -> Vec<String> {
    let entries = list.iter().map(|(_, rule)| rule.text().into_owned());
    let other = list
        .rule
        .iter()
        .flat_map(|rule| rule.values.iter().cloned());
    entries.chain(other).collect()
}
