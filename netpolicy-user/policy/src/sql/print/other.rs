//! Statements about privileges, sessions, users and the catalog, as text.

use std::fmt;

use super::super::{
    CatalogQuery, CurrentGrants, Dialect, GrantClause, GrantedRight, GrantsOf, Ident, Verb,
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
        Verb::RequesterAddress => f.write_str("SELECT CURRENT_IP_ADDRESS()"),
        Verb::Session { text, .. } => f.write_str(text),
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
        write!(f, "{}{column}", comma(index))?;
        if let Some(label) = label {
            write!(f, " AS {label}")?;
        }
    }
    write!(f, " FROM mz_internal.{}", query.relation.name())?;
    for (index, filter) in query.filters.iter().enumerate() {
        let and = if index == 0 { "WHERE" } else { "AND" };
        write!(f, " {and} {} {} ", filter.column, filter.test)?;
        string(f, &filter.value.text(), dialect)?;
    }
    for (index, (column, descends)) in query.order.iter().enumerate() {
        let by = if index == 0 { " ORDER BY " } else { ", " };
        write!(f, "{by}{column}{}", if *descends { " DESC" } else { "" })?;
    }
    match query.limit {
        Some(limit) => write!(f, " LIMIT {limit}"),
        None => Ok(()),
    }
}

fn comma(index: usize) -> &'static str {
    if index == 0 { "" } else { ", " }
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
    f.write_str(match grant.current {
        Some(CurrentGrants::Copy) => " COPY CURRENT GRANTS",
        Some(CurrentGrants::Revoke) => " REVOKE CURRENT GRANTS",
        None => "",
    })
}
