//! Statements about network rules, as data: Snowflake's alone.

use std::borrow::Cow;

use super::{Literal, Literals, Spot};

/// A statement about network rules.
#[derive(Clone, Debug)]
pub enum RuleStatement<'t> {
    /// `CREATE NETWORK RULE`
    Create(CreateRule<'t>),
    /// `ALTER NETWORK RULE`
    Alter {
        /// Not an error if there is none.
        if_exists: bool,
        /// Which.
        name: RuleName<'t>,
        /// What becomes of it.
        change: AlterRule<'t>,
    },
    /// `DROP NETWORK RULE`
    Drop {
        /// Not an error if there is none.
        if_exists: bool,
        /// Which.
        name: RuleName<'t>,
    },
    /// `DESC NETWORK RULE`
    Describe(RuleName<'t>),
    /// `SHOW NETWORK RULES`
    Show(ShowRules<'t>),
    /// `SHOW CREATE NETWORK RULE`
    ShowCreate(RuleName<'t>),
}

/// A new network rule.
#[derive(Clone, Debug)]
pub struct CreateRule<'t> {
    /// In place of one that is there.
    pub or_replace: bool,
    /// Not an error if there is one.
    pub if_not_exists: bool,
    /// Its name.
    pub name: RuleName<'t>,
    /// `TYPE`, in upper case.
    pub kind: &'static str,
    /// `MODE`, in upper case.
    pub mode: &'static str,
    /// `VALUE_LIST`
    pub values: Literals<'t>,
    /// `COMMENT`
    pub comment: Option<Literal<'t>>,
}

/// What ALTER NETWORK RULE does.
#[derive(Clone, Debug)]
pub enum AlterRule<'t> {
    /// `SET`; at least one is there.
    Set {
        /// `VALUE_LIST`
        values: Option<Literals<'t>>,
        /// `COMMENT`
        comment: Option<Literal<'t>>,
    },
    /// `UNSET`; at least one is.
    Unset {
        /// `VALUE_LIST`
        values: bool,
        /// `COMMENT`
        comment: bool,
    },
}

/// Which network rules are shown.
#[derive(Clone, Debug, Default)]
pub struct ShowRules<'t> {
    /// Only names like this.
    pub like: Option<Literal<'t>>,
    /// Only names that begin with this.
    pub starts_with: Option<Literal<'t>>,
    /// Only those of a database or schema.
    pub within: Option<RulesIn<'t>>,
    /// Only so many.
    pub limit: Option<u32>,
}

/// Where network rules are shown.
#[derive(Clone, Debug)]
pub enum RulesIn<'t> {
    /// `IN ACCOUNT`; also a database or schema without a name, as there is no current one.
    Account,
    /// `IN DATABASE d`
    Database(RuleName<'t>),
    /// `IN SCHEMA d.s`
    Schema(RuleName<'t>),
}

/// A name that may be qualified by a database and a schema. Stands bare or in a string.
#[derive(Clone, Debug)]
pub struct RuleName<'t> {
    parts: Vec<NamePart<'t>>,
    /// Of its first character or quote.
    spot: Spot,
}

/// A part of a name.
#[derive(Clone, Debug)]
pub(super) struct NamePart<'t> {
    /// Without quotes, not folded.
    pub(super) text: Cow<'t, str>,
    pub(super) is_quoted: bool,
}

impl NamePart<'_> {
    /// The name that it means: a bare one folds to upper case.
    pub(super) fn folded(&self) -> String {
        match self.is_quoted {
            true => self.text.clone().into_owned(),
            false => self.text.to_ascii_uppercase(),
        }
    }
}

impl<'t> RuleName<'t> {
    /// Of at least one part.
    pub(super) fn new(parts: Vec<NamePart<'t>>, spot: Spot) -> Self {
        Self { parts, spot }
    }

    /// The name in a text such as `DB.PUBLIC."my rule"`; `None`: it is none.
    pub(super) fn of_text(text: &str, spot: Spot) -> Option<RuleName<'static>> {
        let mut parts = Vec::new();
        let mut rest = text.trim();
        loop {
            let (part, after) = part(rest)?;
            parts.push(part);
            rest = after.trim_start();
            match rest.strip_prefix('.') {
                Some(next) => rest = next.trim_start(),
                None => break,
            }
        }
        let fits = rest.is_empty() && parts.len() <= 3;
        fits.then(|| RuleName::new(parts, spot))
    }

    /// Of its first character or quote.
    #[must_use]
    pub fn spot(&self) -> Spot {
        self.spot
    }

    /// Its parts as they are meant: bare ones folded to upper case.
    #[must_use]
    pub fn folded(&self) -> Vec<String> {
        self.parts.iter().map(NamePart::folded).collect()
    }

    /// The same as one text, for messages.
    #[must_use]
    pub fn meant(&self) -> String {
        self.folded().join(".")
    }

    /// Whether its last part is quoted.
    #[must_use]
    pub fn is_quoted(&self) -> bool {
        self.parts.last().is_some_and(|part| part.is_quoted)
    }

    pub(super) fn parts(&self) -> &[NamePart<'t>] {
        &self.parts
    }
}

/// The part of a name at a text's start, and what follows it.
fn part(text: &str) -> Option<(NamePart<'static>, &str)> {
    let Some(inner) = text.strip_prefix('"') else {
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$');
        let end = text.find(|c| !is_of_name(c)).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let part = NamePart {
            text: Cow::Owned(name.to_owned()),
            is_quoted: false,
        };
        return begins.then_some((part, rest));
    };
    let mut name = String::new();
    let mut characters = inner.char_indices();
    while let Some((at, c)) = characters.next() {
        if c != '"' {
            name.push(c);
            continue;
        }
        let after = inner.get(at + 1..)?;
        if !after.starts_with('"') {
            let part = NamePart {
                text: Cow::Owned(name),
                is_quoted: true,
            };
            return (!part.text.is_empty()).then_some((part, after));
        }
        name.push('"');
        characters.next();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_strings_are_read_with_their_database_and_schema() {
        let spot = Spot { offset: 0, line: 1 };
        let folded = |text: &str| RuleName::of_text(text, spot).map(|name| name.folded());
        for (text, expected) in [
            ("office", Some(&["OFFICE"][..])),
            (" db.public.office ", Some(&["DB", "PUBLIC", "OFFICE"])),
            ("\"db\".\"s.x\".\"a\"\"b\"", Some(&["db", "s.x", "a\"b"])),
            ("a . \"b\"", Some(&["A", "b"])),
            ("", None),
            ("a.b.c.d", None),
            ("a..b", None),
            ("1a", None),
            ("a b", None),
            ("\"a", None),
            ("\"\"", None),
        ] {
            let found = folded(text);
            assert_eq!(
                found.as_deref(),
                expected
                    .map(|parts| {
                        parts
                            .iter()
                            .map(|part| (*part).to_owned())
                            .collect::<Vec<_>>()
                    })
                    .as_deref(),
                "{text}"
            );
        }
    }
}
