//! Statements, and whole policies, as canonical text, which reads back as the same.

mod network_rule;

use std::borrow::Cow;
use std::fmt::{self, Write};

use super::ident::is_bare;
use super::{
    AlterPolicy, AlterUser, Clauses, CreatePolicy, Dialect, Ident, Level, Literals, PolicyBody,
    Quoting, RuleText, Statement, UnsetClauses, Verb,
};
use crate::model::ListKind;
use crate::model::error::Excerpt;
use other::{write_grant, write_other};

mod other;

pub use network_rule::create_rule;
use network_rule::{write_names, write_rule_statement};

/// What cannot be written in a dialect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A name that no statement of the dialect can have.
    #[error("{name} cannot be written in {}: it has no way to quote names", dialect.title())]
    Name {
        /// The name.
        name: Excerpt,
        /// The dialect.
        dialect: Dialect,
    },
    /// A text with control characters, or an empty name.
    #[error("{0} cannot be written in SQL: it is empty or holds control characters")]
    Text(Excerpt),
    /// Where it was to be written.
    #[error("the text cannot be written")]
    Output(#[from] fmt::Error),
}

/// What is in a policy of Snowflake or Lakehouse, to be written. `None`: left out.
#[derive(Debug)]
pub struct Lists<'a, A, B> {
    /// Addresses of ALLOWED_IP_LIST.
    pub allowed: Option<A>,
    /// Addresses of BLOCKED_IP_LIST.
    pub blocked: Option<B>,
    /// Names of ALLOWED_NETWORK_RULE_LIST, each in its parts.
    pub allowed_rules: &'a [Vec<String>],
    /// Names of BLOCKED_NETWORK_RULE_LIST, each in its parts.
    pub blocked_rules: &'a [Vec<String>],
    /// The comment.
    pub comment: Option<&'a str>,
}

/// Writes a CREATE statement of Snowflake or Lakehouse, without a semicolon.
///
/// # Errors
/// The dialect cannot say the name or the comment; `out` fails.
pub fn create_lists<'a>(
    out: &mut impl Write,
    dialect: Dialect,
    name: &str,
    lists: Lists<'a, impl IntoIterator<Item = &'a str>, impl IntoIterator<Item = &'a str>>,
) -> Result<(), WriteError> {
    out.write_str("CREATE NETWORK POLICY ")?;
    write_name(out, name, dialect)?;
    if let Some(allowed) = lists.allowed {
        list(out, dialect, "ALLOWED_IP_LIST", allowed)?;
    }
    if let Some(blocked) = lists.blocked {
        list(out, dialect, "BLOCKED_IP_LIST", blocked)?;
    }
    for (clause, names) in [
        ("ALLOWED_NETWORK_RULE_LIST", lists.allowed_rules),
        ("BLOCKED_NETWORK_RULE_LIST", lists.blocked_rules),
    ] {
        if !names.is_empty() {
            network_rule::list(out, clause, names)?;
        }
    }
    if let Some(comment) = lists.comment {
        out.write_str(comment_clause(dialect))?;
        text(out, comment, dialect)?;
    }
    Ok(())
}

/// Writes a CREATE statement of Materialize for rules of a name and an address each,
/// without a semicolon.
///
/// # Errors
/// A name cannot be said; `out` fails.
pub fn create_rules<'a>(
    out: &mut impl Write,
    name: &str,
    rules: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), WriteError> {
    out.write_str("CREATE NETWORK POLICY ")?;
    write_name(out, name, Dialect::Materialize)?;
    out.write_str(" (RULES (")?;
    for (index, (rule, address)) in rules.into_iter().enumerate() {
        out.write_str(if index == 0 { "\n  " } else { ",\n  " })?;
        write_name(out, rule, Dialect::Materialize)?;
        self::rule(out, address)?;
    }
    out.write_str("))")?;
    Ok(())
}

/// Writes Materialize's COMMENT ON; its CREATE has no comment.
///
/// # Errors
/// The name or the comment cannot be said; `out` fails.
pub fn comment_on(out: &mut impl Write, name: &str, comment: &str) -> Result<(), WriteError> {
    out.write_str("COMMENT ON NETWORK POLICY ")?;
    write_name(out, name, Dialect::Materialize)?;
    out.write_str(" IS ")?;
    text(out, comment, Dialect::Materialize)
}

/// Writes a name: bare if that means the same whatever its case, else quoted.
///
/// # Errors
/// The dialect has no way to write it; `out` fails.
pub fn write_name(out: &mut impl Write, name: &str, dialect: Dialect) -> Result<(), WriteError> {
    if is_bare(name, dialect) {
        out.write_str(name)?;
        return Ok(());
    }
    if dialect == Dialect::Lakehouse {
        let name = Excerpt::new(name);
        return Err(WriteError::Name { name, dialect });
    }
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(WriteError::Text(Excerpt::new(name)));
    }
    write!(out, "\"{}\"", name.replace('"', "\"\""))?;
    Ok(())
}

/// A string in quotes.
fn text(out: &mut impl Write, text: &str, dialect: Dialect) -> Result<(), WriteError> {
    let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    if !text.chars().all(is_plain) {
        return Err(WriteError::Text(Excerpt::new(text)));
    }
    string(out, text, dialect)?;
    Ok(())
}

fn string(out: &mut impl Write, text: &str, dialect: Dialect) -> fmt::Result {
    out.write_char('\'')?;
    let is_special = |c| c == '\'' || (c == '\\' && dialect == Dialect::Snowflake);
    for part in text.split_inclusive(is_special) {
        out.write_str(part)?;
        if let Some(special) = part.chars().next_back().filter(|c| is_special(*c)) {
            out.write_char(special)?;
        }
    }
    out.write_char('\'')
}

/// A clause with a list, on a line of its own.
fn list<T: AsRef<str>>(
    out: &mut impl Write,
    dialect: Dialect,
    clause: &str,
    addresses: impl IntoIterator<Item = T>,
) -> fmt::Result {
    write!(out, "\n  {clause} = (")?;
    for (index, address) in addresses.into_iter().enumerate() {
        if index > 0 {
            out.write_str(", ")?;
        }
        string(out, address.as_ref(), dialect)?;
    }
    out.write_char(')')
}

/// What stands before a policy's comment, on a line of its own.
fn comment_clause(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Lakehouse => "\n  COMMENT ",
        Dialect::Snowflake | Dialect::Materialize => "\n  COMMENT = ",
    }
}

/// What stands behind a rule's name.
fn rule(out: &mut impl Write, address: &str) -> fmt::Result {
    out.write_str(" (ACTION = 'allow', DIRECTION = 'ingress', ADDRESS = ")?;
    string(out, address, Dialect::Materialize)?;
    out.write_char(')')
}

impl fmt::Display for Ident<'_> {
    /// As written: whether it is quoted is part of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        match self.quoting() {
            Quoting::Bare => f.write_str(&text),
            Quoting::Double => write!(f, "\"{}\"", text.replace('"', "\"\"")),
            Quoting::Single => string(f, &text, Dialect::Materialize),
        }
    }
}

impl fmt::Display for Statement<'_> {
    /// The statement in its dialect, without a semicolon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dialect = self.dialect;
        match &self.verb {
            Verb::SetDialect(dialect) => write!(f, "SET dialect = {dialect}"),
            Verb::CreatePolicy(create) => write_create(f, create, dialect),
            Verb::AlterPolicy {
                if_exists,
                name,
                change,
                force,
            } => {
                let (if_exists, force) = (exists(*if_exists), forced(*force));
                write!(f, "ALTER NETWORK POLICY {if_exists}{name} ")?;
                write_change(f, change, dialect)?;
                f.write_str(force)
            }
            Verb::DropPolicy {
                if_exists,
                names,
                force,
            } => {
                write!(f, "DROP NETWORK POLICY {}", exists(*if_exists))?;
                for (index, name) in names.iter().enumerate() {
                    write!(f, "{}{name}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str(forced(*force))
            }
            Verb::DescribePolicy(name) => write!(f, "DESC NETWORK POLICY {name}"),
            Verb::ShowPolicies { .. } if dialect == Dialect::Lakehouse => {
                f.write_str("SHOW NETWORK POLICY")
            }
            Verb::ShowPolicies { like, named } => {
                f.write_str("SHOW NETWORK POLICIES")?;
                if let Some(like) = like {
                    f.write_str(" LIKE ")?;
                    string(f, &like.text(), dialect)?;
                }
                if let Some(name) = named {
                    f.write_str(" WHERE name = ")?;
                    string(f, &name.text(), dialect)?;
                }
                Ok(())
            }
            Verb::NetworkRule(statement) => write_rule_statement(f, statement),
            Verb::ShowCreate { name, dialect } => {
                write!(f, "SHOW CREATE NETWORK POLICY {name}")?;
                dialect.map_or(Ok(()), |dialect| write!(f, " IN {dialect}"))
            }
            Verb::SetHostPolicy(name) if dialect == Dialect::Materialize => {
                write!(f, "ALTER SYSTEM SET network_policy = {name}")
            }
            Verb::SetHostPolicy(name) => write!(f, "ALTER ACCOUNT SET NETWORK_POLICY = {name}"),
            Verb::ResetHostPolicy => f.write_str(match dialect {
                Dialect::Materialize => "ALTER SYSTEM RESET network_policy",
                _ => "ALTER ACCOUNT UNSET NETWORK_POLICY",
            }),
            Verb::AlterUser {
                if_exists,
                service,
                change,
            } => {
                write!(f, "ALTER USER {}{service} ", exists(*if_exists))?;
                match change {
                    AlterUser::SetPolicy(name) => write!(f, "SET NETWORK_POLICY = {name}"),
                    AlterUser::UnsetPolicy => f.write_str("UNSET NETWORK_POLICY"),
                    AlterUser::Bypass { minutes, .. } => {
                        write!(f, "SET MINS_TO_BYPASS_NETWORK_POLICY = {minutes}")
                    }
                }
            }
            Verb::ShowParameter { level, pattern } => {
                f.write_str("SHOW PARAMETERS")?;
                if let Some(pattern) = pattern {
                    f.write_str(" LIKE ")?;
                    string(f, &pattern.text().to_lowercase(), dialect)?;
                }
                f.write_str(" IN ")?;
                match level {
                    Level::Account => f.write_str("ACCOUNT"),
                    Level::User(service) => write!(f, "USER {service}"),
                }
            }
            Verb::ShowSetting => f.write_str("SHOW network_policy"),
            Verb::CommentOn {
                if_exists,
                name,
                comment,
            } => {
                let exists = exists(*if_exists);
                write!(f, "COMMENT {exists}ON NETWORK POLICY {name} IS ")?;
                match comment {
                    Some(comment) => string(f, &comment.text(), dialect),
                    None => f.write_str("NULL"),
                }
            }
            Verb::Grant(grant) => write_grant(f, grant, dialect, "GRANT", "TO"),
            Verb::Revoke(grant) => write_grant(f, grant, dialect, "REVOKE", "FROM"),
            other => write_other(f, other, dialect),
        }
    }
}

/// What stands behind CREATE.
pub(super) fn or_what(or_replace: bool, or_alter: bool) -> &'static str {
    match (or_replace, or_alter) {
        (true, _) => "OR REPLACE ",
        (_, true) => "OR ALTER ",
        _ => "",
    }
}

fn exists(if_exists: bool) -> &'static str {
    if if_exists { "IF EXISTS " } else { "" }
}

fn forced(force: bool) -> &'static str {
    if force { " FORCE" } else { "" }
}

fn write_create(
    f: &mut fmt::Formatter<'_>,
    create: &CreatePolicy<'_>,
    dialect: Dialect,
) -> fmt::Result {
    let replace = or_what(create.or_replace, create.or_alter);
    let exists = if create.if_not_exists {
        "IF NOT EXISTS "
    } else {
        ""
    };
    write!(f, "CREATE {replace}NETWORK POLICY {exists}{}", create.name)?;
    match &create.body {
        PolicyBody::Lists(clauses) => write_clauses(f, clauses, dialect)?,
        PolicyBody::Rules(rules) => write_rules(f, rules)?,
    }
    f.write_str(forced(create.force))
}

fn write_clauses(
    f: &mut fmt::Formatter<'_>,
    clauses: &Clauses<'_>,
    dialect: Dialect,
) -> fmt::Result {
    if let Some(allowed) = &clauses.allowed {
        list(f, dialect, "ALLOWED_IP_LIST", texts(allowed))?;
    }
    if let Some(blocked) = &clauses.blocked {
        list(f, dialect, "BLOCKED_IP_LIST", texts(blocked))?;
    }
    for (clause, names) in [
        ("ALLOWED_NETWORK_RULE_LIST", &clauses.allowed_rules),
        ("BLOCKED_NETWORK_RULE_LIST", &clauses.blocked_rules),
    ] {
        if let Some(names) = names {
            write!(f, "\n  {clause} = ")?;
            write_names(f, names)?;
        }
    }
    if let Some(comment) = &clauses.comment {
        f.write_str(comment_clause(dialect))?;
        string(f, &comment.text(), dialect)?;
    }
    Ok(())
}

/// One text at a time: the lists may be long.
fn texts<'a>(list: &'a Literals<'_>) -> impl Iterator<Item = Cow<'a, str>> {
    list.iter().map(|literal| literal.text())
}

fn write_rules(f: &mut fmt::Formatter<'_>, rules: &[RuleText<'_>]) -> fmt::Result {
    f.write_str(" (RULES (")?;
    for (index, text) in rules.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(f, "{comma}\n  {}", text.name)?;
        rule(f, &text.address.text())?;
    }
    f.write_str("))")
}

fn write_change(
    f: &mut fmt::Formatter<'_>,
    change: &AlterPolicy<'_>,
    dialect: Dialect,
) -> fmt::Result {
    match change {
        AlterPolicy::Set(clauses) => {
            f.write_str("SET")?;
            write_clauses(f, clauses, dialect)
        }
        AlterPolicy::Unset(clauses) => write_unset(f, *clauses),
        AlterPolicy::Rules { list, adds, names } => {
            let verb = if *adds { "ADD" } else { "REMOVE" };
            let list = match list {
                ListKind::Allow => "ALLOWED",
                ListKind::Block => "BLOCKED",
            };
            write!(f, "{verb} {list}_NETWORK_RULE_LIST = ")?;
            write_names(f, names)
        }
        AlterPolicy::Rename(name) => write!(f, "RENAME TO {name}"),
        AlterPolicy::SetRules(rules) => {
            f.write_str("SET")?;
            write_rules(f, rules)
        }
        AlterPolicy::Owner(role) => write!(f, "OWNER TO {role}"),
        AlterPolicy::Activate => f.write_str("ACTIVATE"),
        AlterPolicy::Inactivate => f.write_str("INACTIVATE"),
    }
}

fn write_unset(f: &mut fmt::Formatter<'_>, clauses: UnsetClauses) -> fmt::Result {
    let mut before = "UNSET ";
    for (is_there, clause) in [
        (clauses.allowed, "ALLOWED_IP_LIST"),
        (clauses.blocked, "BLOCKED_IP_LIST"),
        (clauses.allowed_rules, "ALLOWED_NETWORK_RULE_LIST"),
        (clauses.blocked_rules, "BLOCKED_NETWORK_RULE_LIST"),
        (clauses.comment, "COMMENT"),
    ] {
        if is_there {
            write!(f, "{before}{clause}")?;
            before = ", ";
        }
    }
    Ok(())
}
