//! Network rules as canonical text.

use std::borrow::Cow;
use std::fmt::{self, Write};

use super::super::network_rule::{AlterRule, CreateRule, RuleName, RuleStatement, RulesIn};
use super::super::{Dialect, Literals};
use super::{WriteError, exists, string, text, texts, write_name};

/// Writes a CREATE statement of a network rule, without a semicolon. Its name comes in its
/// parts, then its type and mode.
///
/// # Errors
/// A name or the comment cannot be said; `out` fails.
pub fn create_rule(
    out: &mut impl Write,
    name: &[&str],
    (kind, mode): (&str, &str),
    values: &[String],
    comment: Option<&str>,
) -> Result<(), WriteError> {
    out.write_str("CREATE NETWORK RULE ")?;
    qualified(out, name)?;
    write!(out, "\n  TYPE = {kind}\n  MODE = {mode}")?;
    super::list(out, Dialect::Snowflake, "VALUE_LIST", values)?;
    if let Some(comment) = comment {
        out.write_str(super::comment_clause(Dialect::Snowflake))?;
        text(out, comment, Dialect::Snowflake)?;
    }
    Ok(())
}

/// A clause with names, each in its parts, on a line of its own.
pub(super) fn list(
    out: &mut impl Write,
    clause: &str,
    names: &[Vec<String>],
) -> Result<(), WriteError> {
    write!(out, "\n  {clause} = (")?;
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            out.write_str(", ")?;
        }
        let parts: Vec<&str> = name.iter().map(String::as_str).collect();
        let mut written = String::new();
        qualified(&mut written, &parts)?;
        string(out, &written, Dialect::Snowflake)?;
    }
    out.write_char(')')?;
    Ok(())
}

fn qualified(out: &mut impl Write, parts: &[&str]) -> Result<(), WriteError> {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.write_char('.')?;
        }
        write_name(out, part, Dialect::Snowflake)?;
    }
    Ok(())
}

impl fmt::Display for RuleName<'_> {
    /// As written: whether a part is quoted is part of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts().iter().enumerate() {
            if index > 0 {
                f.write_char('.')?;
            }
            match part.is_quoted {
                true => write!(f, "\"{}\"", part.text.replace('"', "\"\""))?,
                false => f.write_str(&part.text)?,
            }
        }
        Ok(())
    }
}

/// A list of names in strings.
pub(super) fn write_names(f: &mut fmt::Formatter<'_>, names: &[RuleName<'_>]) -> fmt::Result {
    f.write_char('(')?;
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        string(f, &name.to_string(), Dialect::Snowflake)?;
    }
    f.write_char(')')
}

pub(super) fn write_rule_statement(
    f: &mut fmt::Formatter<'_>,
    statement: &RuleStatement<'_>,
) -> fmt::Result {
    match statement {
        RuleStatement::Create(create) => write_create(f, create),
        RuleStatement::Alter {
            if_exists,
            name,
            change,
        } => {
            write!(f, "ALTER NETWORK RULE {}{name} ", exists(*if_exists))?;
            write_change(f, change)
        }
        RuleStatement::Drop { if_exists, name } => {
            write!(f, "DROP NETWORK RULE {}{name}", exists(*if_exists))
        }
        RuleStatement::Describe(name) => write!(f, "DESC NETWORK RULE {name}"),
        RuleStatement::ShowCreate(name) => write!(f, "SHOW CREATE NETWORK RULE {name}"),
        RuleStatement::Show(show) => {
            f.write_str("SHOW NETWORK RULES")?;
            if let Some(like) = &show.like {
                f.write_str(" LIKE ")?;
                string(f, &like.text(), Dialect::Snowflake)?;
            }
            match &show.within {
                None => {}
                Some(RulesIn::Account) => f.write_str(" IN ACCOUNT")?,
                Some(RulesIn::Database(name)) => write!(f, " IN DATABASE {name}")?,
                Some(RulesIn::Schema(name)) => write!(f, " IN SCHEMA {name}")?,
            }
            if let Some(start) = &show.starts_with {
                f.write_str(" STARTS WITH ")?;
                string(f, &start.text(), Dialect::Snowflake)?;
            }
            match show.limit {
                Some(limit) => write!(f, " LIMIT {limit}"),
                None => Ok(()),
            }
        }
    }
}

fn write_create(f: &mut fmt::Formatter<'_>, create: &CreateRule<'_>) -> fmt::Result {
    let replace = if create.or_replace { "OR REPLACE " } else { "" };
    let exists = match create.if_not_exists {
        true => "IF NOT EXISTS ",
        false => "",
    };
    write!(f, "CREATE {replace}NETWORK RULE {exists}{}", create.name)?;
    write!(f, "\n  TYPE = {}\n  MODE = {}", create.kind, create.mode)?;
    f.write_str("\n  VALUE_LIST = ")?;
    write_values(f, &create.values)?;
    if let Some(comment) = &create.comment {
        f.write_str("\n  COMMENT = ")?;
        string(f, &comment.text(), Dialect::Snowflake)?;
    }
    Ok(())
}

fn write_change(f: &mut fmt::Formatter<'_>, change: &AlterRule<'_>) -> fmt::Result {
    match change {
        AlterRule::Set { values, comment } => {
            f.write_str("SET")?;
            if let Some(values) = values {
                f.write_str(" VALUE_LIST = ")?;
                write_values(f, values)?;
            }
            if let Some(comment) = comment {
                f.write_str(" COMMENT = ")?;
                string(f, &comment.text(), Dialect::Snowflake)?;
            }
            Ok(())
        }
        AlterRule::Unset { values, comment } => f.write_str(match (values, comment) {
            (true, true) => "UNSET VALUE_LIST, COMMENT",
            (true, false) => "UNSET VALUE_LIST",
            (false, _) => "UNSET COMMENT",
        }),
    }
}

fn write_values(f: &mut fmt::Formatter<'_>, values: &Literals<'_>) -> fmt::Result {
    f.write_char('(')?;
    let all = texts(values).enumerate();
    for (index, value) in all {
        let value: Cow<'_, str> = value;
        if index > 0 {
            f.write_str(", ")?;
        }
        string(f, &value, Dialect::Snowflake)?;
    }
    f.write_char(')')
}
