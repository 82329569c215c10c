//! Network rules, and policies' lists of them: Snowflake's alone.
//!
//! (<https://docs.snowflake.com/en/sql-reference/sql/create-network-rule>,
//! <https://docs.snowflake.com/en/sql-reference/sql/alter-network-rule>,
//! <https://docs.snowflake.com/en/sql-reference/sql/show-network-rules>)

use super::super::error::{Fault, SqlError};
use super::super::lexer::{Token, TokenClass};
use super::super::network_rule::{
    AlterRule, CreateRule, NamePart, RuleName, RuleStatement, RulesIn, ShowRules,
};
use super::super::place::Spot;
use super::super::{Dialect, Literals, Verb};
use super::{Parsed, Parser, unquoted};
use crate::model::error::Excerpt;

/// The types of network rules.
const TYPES: [&str; 8] = [
    "IPV4",
    "IPV6",
    "AWSVPCEID",
    "AZURELINKID",
    "GCPPSCID",
    "HOST_PORT",
    "PRIVATE_HOST_PORT",
    "COMPUTE_POOL",
];

/// The modes of network rules.
const MODES: [&str; 6] = [
    "INGRESS",
    "INTERNAL_STAGE",
    "EGRESS",
    "POSTGRES_INGRESS",
    "POSTGRES_EGRESS",
    "SNOWFLAKE_MANAGED_STORAGE_VOLUME",
];

const CLAUSES: [&str; 4] = ["TYPE", "MODE", "VALUE_LIST", "COMMENT"];

/// What another dialect has in place of network rules.
const INSTEAD: &str = "list addresses in the policy itself";

impl<'t> Parser<'t> {
    /// NETWORK RULE or NETWORK POLICY; whether it is the first.
    pub(super) fn is_network_rule(&mut self) -> Parsed<bool> {
        self.word("NETWORK")?;
        let token = self.take()?;
        match self.which(token, &["POLICY", "RULE"]) {
            Some("POLICY") => Ok(false),
            Some(_) => {
                self.check_rules(token, "NETWORK RULE")?;
                Ok(true)
            }
            None => {
                let words: &[&'static str] = match self.dialect {
                    Dialect::Snowflake => &["POLICY", "RULE"],
                    _ => &["POLICY"],
                };
                Err(self.expected_word(token, words))
            }
        }
    }

    /// Refuses what is about network rules in other dialects.
    pub(super) fn check_rules(&self, token: Token, what: &str) -> Parsed<()> {
        match self.dialect {
            Dialect::Snowflake => Ok(()),
            _ => self.foreign(token, what, &[Dialect::Snowflake], INSTEAD),
        }
    }

    /// After CREATE [OR REPLACE] NETWORK RULE.
    pub(super) fn create_rule(&mut self, or_replace: bool) -> Parsed<Verb<'t>> {
        let mut if_not_exists = false;
        if let Some(token) = self.take_word("IF")? {
            self.words(&["NOT", "EXISTS"])?;
            if or_replace {
                return Err(
                    self.error(token.spot, Fault::ReplaceIfNotExists { what: "OR REPLACE" })
                );
            }
            if_not_exists = true;
        }
        let name = self.rule_name()?;
        let (mut kind, mut mode, mut values, mut comment) = (None, None, None, None);
        let mut seen: [Option<Spot>; 4] = [None; 4];
        loop {
            let token = self.peek()?;
            if matches!(token.kind, TokenClass::Semi | TokenClass::End) {
                let missing = [("TYPE", kind.is_none()), ("VALUE_LIST", values.is_none())];
                let missing = missing.into_iter().find(|(_, is_missing)| *is_missing);
                if let Some((clause, _)) = missing {
                    return Err(self.expected_word(token, &[clause]));
                }
                break;
            }
            let clause = self.rule_clause(&CLAUSES, &mut seen, "the end of the statement")?;
            self.expect(TokenClass::Eq, "'='")?;
            match clause {
                "TYPE" => kind = Some(self.rule_word(&TYPES)?),
                "MODE" => mode = Some(self.rule_word(&MODES)?),
                "VALUE_LIST" => values = Some(self.values()?),
                _ => comment = Some(self.text("a comment in single quotes")?),
            }
        }
        let (Some(kind), Some(values)) = (kind, values) else {
            let token = self.peek()?;
            return Err(self.expected_word(token, &CLAUSES));
        };
        Ok(Verb::NetworkRule(RuleStatement::Create(CreateRule {
            or_replace,
            if_not_exists,
            name,
            kind,
            mode: mode.unwrap_or("INGRESS"),
            values,
            comment,
        })))
    }

    /// The next clause, which did not stand before.
    fn rule_clause(
        &mut self,
        clauses: &[&'static str],
        seen: &mut [Option<Spot>],
        or: &str,
    ) -> Parsed<&'static str> {
        let token = self.take()?;
        let Some(clause) = self.which(token, clauses) else {
            return Err(self.expected_words(token, clauses, or));
        };
        let at = clauses.iter().position(|known| *known == clause);
        if let Some(first) = at.and_then(|at| seen.get_mut(at)) {
            if let Some(first) = first {
                return Err(self.twice(token, clause, *first));
            }
            *first = Some(token.spot);
        }
        Ok(clause)
    }

    /// A word, bare or in quotes.
    fn rule_word(&mut self, words: &'static [&'static str]) -> Parsed<&'static str> {
        let token = self.take()?;
        let text = match token.kind {
            TokenClass::Str => unquoted(self.lexer.str(token)),
            _ => self.lexer.str(token),
        };
        let found = words.iter().find(|word| word.eq_ignore_ascii_case(text));
        found
            .copied()
            .ok_or_else(|| self.expected_word(token, words))
    }

    /// `( 'value', … )`, empty or not. A value need not be an address.
    fn values(&mut self) -> Parsed<Literals<'t>> {
        let open = self.expect(TokenClass::Open, "'(' before a list")?;
        let mut list = Literals::new(self.lexer.text(), self.dialect, open.spot);
        if self.take_if(TokenClass::Close)?.is_some() {
            return Ok(list);
        }
        loop {
            list.push(&self.text("a value in single quotes")?);
            let next = self.take()?;
            match next.kind {
                TokenClass::Comma => {}
                TokenClass::Close => return Ok(list),
                _ => return Err(self.expected(next, "a comma or ')' after a value")),
            }
        }
    }

    /// After ALTER NETWORK RULE.
    pub(super) fn alter_rule(&mut self) -> Parsed<Verb<'t>> {
        const CLAUSES: [&str; 2] = ["VALUE_LIST", "COMMENT"];
        let if_exists = self.if_exists()?.is_some();
        let name = self.rule_name()?;
        let (verb, _) = self.one_of(&["SET", "UNSET"])?;
        let mut seen: [Option<Spot>; 2] = [None; 2];
        let change = if verb == "SET" {
            let (mut values, mut comment) = (None, None);
            loop {
                let clause = self.rule_clause(&CLAUSES, &mut seen, "the end of the statement")?;
                self.expect(TokenClass::Eq, "'='")?;
                match clause {
                    "VALUE_LIST" => values = Some(self.values()?),
                    _ => comment = Some(self.text("a comment in single quotes")?),
                }
                // A comma between settings is taken, as in other SETs of Snowflake.
                self.take_if(TokenClass::Comma)?;
                let token = self.peek()?;
                if matches!(token.kind, TokenClass::Semi | TokenClass::End) {
                    break AlterRule::Set { values, comment };
                }
            }
        } else {
            let (mut values, mut comment) = (false, false);
            loop {
                match self.rule_clause(&CLAUSES, &mut seen, "")? {
                    "VALUE_LIST" => values = true,
                    _ => comment = true,
                }
                if self.take_if(TokenClass::Comma)?.is_none() {
                    break AlterRule::Unset { values, comment };
                }
            }
        };
        Ok(Verb::NetworkRule(RuleStatement::Alter {
            if_exists,
            name,
            change,
        }))
    }

    /// After DROP NETWORK RULE.
    pub(super) fn drop_rule(&mut self) -> Parsed<Verb<'t>> {
        let if_exists = self.if_exists()?.is_some();
        let name = self.rule_name()?;
        Ok(Verb::NetworkRule(RuleStatement::Drop { if_exists, name }))
    }

    /// After DESC NETWORK RULE.
    pub(super) fn describe_rule(&mut self) -> Parsed<Verb<'t>> {
        let name = self.rule_name()?;
        Ok(Verb::NetworkRule(RuleStatement::Describe(name)))
    }

    /// After SHOW CREATE NETWORK RULE.
    pub(super) fn show_create_rule(&mut self) -> Parsed<Verb<'t>> {
        let name = self.rule_name()?;
        Ok(Verb::NetworkRule(RuleStatement::ShowCreate(name)))
    }

    /// After SHOW NETWORK RULES.
    pub(super) fn show_rules(&mut self) -> Parsed<Verb<'t>> {
        let mut show = ShowRules::default();
        if self.take_word("LIKE")?.is_some() {
            show.like = Some(self.text("a pattern in single quotes")?);
        }
        if self.take_word("IN")?.is_some() {
            show.within = Some(self.rules_in()?);
        }
        if self.take_word("STARTS")?.is_some() {
            self.word("WITH")?;
            show.starts_with = Some(self.text("a text in single quotes")?);
        }
        if self.take_word("LIMIT")?.is_some() {
            let token = self.expect(TokenClass::Number, "a number")?;
            let limit = self.lexer.str(token).parse();
            show.limit = Some(limit.map_err(|_| self.expected(token, "a number of rows"))?);
        }
        Ok(Verb::NetworkRule(RuleStatement::Show(show)))
    }

    fn rules_in(&mut self) -> Parsed<RulesIn<'t>> {
        let token = self.peek()?;
        let level = self.which(token, &["ACCOUNT", "DATABASE", "SCHEMA"]);
        if level.is_some() {
            self.take()?;
        }
        let next = self.peek()?;
        let is_named = matches!(next.kind, TokenClass::Word | TokenClass::Quoted)
            && self.which(next, &["STARTS", "LIMIT"]).is_none();
        Ok(match level {
            Some("DATABASE") if is_named => RulesIn::Database(self.rule_name()?),
            Some("SCHEMA") | None if is_named => RulesIn::Schema(self.rule_name()?),
            None => return Err(self.expected_word(next, &["ACCOUNT", "DATABASE", "SCHEMA"])),
            _ => RulesIn::Account,
        })
    }

    /// A name that may be qualified.
    fn rule_name(&mut self) -> Parsed<RuleName<'t>> {
        let mut parts = Vec::new();
        let mut first: Option<Spot> = None;
        loop {
            let ident = self.ident("a network rule's name")?;
            first.get_or_insert(ident.spot());
            parts.push(NamePart {
                text: ident.text(),
                is_quoted: ident.is_quoted(),
            });
            let token = self.peek()?;
            if token.kind != TokenClass::Other || self.lexer.str(token) != "." {
                let spot = first.unwrap_or(token.spot);
                return Ok(RuleName::new(parts, spot));
            }
            if parts.len() == 3 {
                return Err(self.expected(token, "at most a database, a schema and a name"));
            }
            self.take()?;
        }
    }

    /// `( 'rule', … )`, empty or not. A name may also stand without quotes.
    pub(super) fn rule_names(&mut self) -> Parsed<Vec<RuleName<'t>>> {
        self.expect(TokenClass::Open, "'(' before a list")?;
        let mut names = Vec::new();
        if self.take_if(TokenClass::Close)?.is_some() {
            return Ok(names);
        }
        loop {
            let token = self.peek()?;
            names.push(match token.kind {
                TokenClass::Str => {
                    let text = self.text("a network rule's name")?;
                    let name = RuleName::of_text(&text.text(), token.spot);
                    name.ok_or_else(|| self.no_rule_name(token))?
                }
                _ => self.rule_name()?,
            });
            let next = self.take()?;
            match next.kind {
                TokenClass::Comma => {}
                TokenClass::Close => return Ok(names),
                _ => return Err(self.expected(next, "a comma or ')' after a network rule")),
            }
        }
    }

    fn no_rule_name(&self, token: Token) -> SqlError {
        let found = Excerpt::new(unquoted(self.lexer.str(token)));
        self.error(token.spot, Fault::RuleName { found })
    }
}
