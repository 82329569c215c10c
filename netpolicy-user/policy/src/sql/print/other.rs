//! Statements about privileges, sessions, users and the catalog, as text.

use std::fmt;

use super::super::{
    CatalogQuery, CurrentGrants, Dialect, GrantClause, GrantedRight, GrantsOf, Ident, Limit,
    Literal, RULE_NAME, Relation, Variable, VariableValue, Verb,
};
use super::string;

/// What `Statement` does not write itself.
pub(super) fn write_other(
    f: &mut fmt::Formatter<'_>,
    verb: &Verb<'_>,
    dialect: Dialect,
) -> fmt::Result {
    match verb {
        Verb::DescribeUser(service) => write!(f, "DESC USER {service}"),
        Verb::SelectRequester(asked) => {
            f.write_str("SELECT ")?;
            for (index, function) in asked.iter().enumerate() {
                write!(f, "{}{}()", comma(index), function.name())?;
            }
            Ok(())
        }
        Verb::PolicyReferences(name) => {
            let text = name.to_string();
            f.write_str(
                "SELECT * FROM TABLE(information_schema.policy_references(policy_name => ",
            )?;
            string(f, &text, dialect)?;
            f.write_str("))")
        }
        Verb::Variables(variables) => write_variables(f, variables),
        Verb::ShowSetting(setting) => write!(f, "SHOW {}", setting.name()),
        Verb::CreateRole {
            if_not_exists,
            role,
        } => {
            let exists = if *if_not_exists { "IF NOT EXISTS " } else { "" };
            write!(f, "CREATE ROLE {exists}{role}")
        }
        Verb::Session { text, .. } => f.write_str(text),
        Verb::Group(group) => f.write_str(group.text),
        Verb::Select(query) => write_query(f, query, dialect),
        Verb::ShowGrants(of) => match of {
            GrantsOf::Account => f.write_str("SHOW GRANTS ON ACCOUNT"),
            GrantsOf::Policy(name) => write!(f, "SHOW GRANTS ON NETWORK POLICY {name}"),
            GrantsOf::Role(role) => write!(f, "SHOW GRANTS TO ROLE {role}"),
        },
        Verb::CreateUser {
            or_replace,
            if_not_exists,
            service,
            policy,
        } => {
            let replace = super::or_what(*or_replace, false);
            let exists = if *if_not_exists { "IF NOT EXISTS " } else { "" };
            write!(f, "CREATE {replace}USER {exists}{service}")?;
            match policy {
                Some(policy) => write!(f, " NETWORK_POLICY = {policy}"),
                None => Ok(()),
            }
        }
        // Written by the caller.
        _ => Ok(()),
    }
}

fn write_variables(f: &mut fmt::Formatter<'_>, variables: &[Variable<'_>]) -> fmt::Result {
    let is_set = variables.iter().all(|variable| variable.value.is_some());
    let (open, close) = match variables {
        [_] => ("", ""),
        _ => ("(", ")"),
    };
    write!(f, "{} {open}", if is_set { "SET" } else { "UNSET" })?;
    for (index, variable) in variables.iter().enumerate() {
        write!(f, "{}{}", comma(index), variable.name)?;
    }
    f.write_str(close)?;
    if !is_set {
        return Ok(());
    }
    write!(f, " = {open}")?;
    let values = variables
        .iter()
        .filter_map(|variable| variable.value.as_ref());
    for (index, value) in values.enumerate() {
        f.write_str(comma(index))?;
        match value {
            VariableValue::Number(text) => f.write_str(text)?,
            value => string(f, &value.text(), Dialect::Snowflake)?,
        }
    }
    f.write_str(close)
}

fn write_query(
    f: &mut fmt::Formatter<'_>,
    query: &CatalogQuery<'_>,
    dialect: Dialect,
) -> fmt::Result {
    f.write_str("SELECT ")?;
    if query.columns.is_empty() {
        f.write_str("count(*)")?;
    }
    for (index, (column, label)) in query.columns.iter().enumerate() {
        write!(f, "{}{}", comma(index), named(query, column))?;
        if let Some(label) = label {
            write!(f, " AS {label}")?;
        }
    }
    match query.relation {
        Relation::Joined => f.write_str(
            " FROM mz_internal.mz_network_policy_rules r JOIN mz_internal.mz_network_policies p \
             ON r.policy_id = p.id",
        )?,
        relation => write!(f, " FROM mz_internal.{}", relation.name())?,
    }
    for (index, filter) in query.filters.iter().enumerate() {
        let and = if index == 0 { "WHERE" } else { "AND" };
        let column = named(query, filter.column);
        write!(f, " {and} {column} {} ", filter.test)?;
        string(f, &filter.value.text(), dialect)?;
    }
    for (index, (column, descends)) in query.order.iter().enumerate() {
        let by = if index == 0 { " ORDER BY " } else { ", " };
        let column = named(query, column);
        write!(f, "{by}{column}{}", if *descends { " DESC" } else { "" })?;
    }
    match query.limit {
        Some(limit) => write!(f, " LIMIT {limit}"),
        None => Ok(()),
    }
}

/// A column, with its relation where two have one of its name.
fn named<'c>(query: &CatalogQuery<'_>, column: &'c str) -> &'c str {
    match (query.relation, column) {
        (Relation::Joined, RULE_NAME) => "r.name",
        (Relation::Joined, "name") => "p.name",
        (_, column) => column,
    }
}

fn comma(index: usize) -> &'static str {
    if index == 0 { "" } else { ", " }
}

/// `STARTS WITH` and `LIMIT` of Snowflake's SHOW.
pub(super) fn write_page(
    f: &mut fmt::Formatter<'_>,
    starts_with: Option<&Literal<'_>>,
    limit: Option<&Limit<'_>>,
) -> fmt::Result {
    if let Some(start) = starts_with {
        f.write_str(" STARTS WITH ")?;
        string(f, &start.text(), Dialect::Snowflake)?;
    }
    let Some(limit) = limit else { return Ok(()) };
    write!(f, " LIMIT {}", limit.rows)?;
    if let Some(from) = &limit.from {
        f.write_str(" FROM ")?;
        string(f, &from.text(), Dialect::Snowflake)?;
    }
    Ok(())
}

/// `{COPY | REVOKE} CURRENT GRANTS` behind GRANT OWNERSHIP.
pub(super) fn current_grants(current: Option<CurrentGrants>) -> &'static str {
    match current {
        Some(CurrentGrants::Copy) => " COPY CURRENT GRANTS",
        Some(CurrentGrants::Revoke) => " REVOKE CURRENT GRANTS",
        None => "",
    }
}

pub(super) fn write_grant(
    f: &mut fmt::Formatter<'_>,
    grant: &GrantClause<'_>,
    dialect: Dialect,
    verb: &str,
    preposition: &str,
) -> fmt::Result {
    write!(f, "{verb} ")?;
    let whole = match dialect {
        Dialect::Materialize => "SYSTEM",
        _ => "ACCOUNT",
    };
    let mut object = whole.to_owned();
    for (index, privilege) in grant.privileges.iter().enumerate() {
        f.write_str(comma(index))?;
        let policy = |name: &Ident<'_>| format!("NETWORK POLICY {name}");
        f.write_str(match privilege {
            GrantedRight::CreatePolicy if dialect == Dialect::Materialize => "CREATENETWORKPOLICY",
            GrantedRight::CreatePolicy => "CREATE NETWORK POLICY",
            GrantedRight::AttachPolicy => "ATTACH POLICY",
            GrantedRight::Ownership(name) => {
                object = policy(name);
                "OWNERSHIP"
            }
            GrantedRight::Usage(name) => {
                object = policy(name);
                "USAGE"
            }
            GrantedRight::UsageOnAll => {
                "ALL POLICIES".clone_into(&mut object);
                "USAGE"
            }
        })?;
    }
    let role = match dialect {
        Dialect::Snowflake => "ROLE ",
        _ => "",
    };
    write!(f, " ON {object} {preposition} {role}")?;
    for (index, name) in grant.roles.iter().enumerate() {
        write!(f, "{}{name}", comma(index))?;
    }
    f.write_str(current_grants(grant.current))
}
