//! Snowflake's table functions about network policies and rules, in the form in which tools ask
//! them.
//!
//! (<https://docs.snowflake.com/en/sql-reference/functions/policy_references>,
//! <https://docs.snowflake.com/en/sql-reference/functions/network_rule_references>)

use super::super::lexer::{Token, TokenClass};
use super::super::network_rule::{RuleName, RuleStatement};
use super::super::{Ident, Verb};
use super::{Parsed, Parser};

const FUNCTIONS: [&str; 2] = ["POLICY_REFERENCES", "NETWORK_RULE_REFERENCES"];

impl<'t> Parser<'t> {
    /// `* FROM TABLE([db.]information_schema.function(name => 'x', …))`, after SELECT.
    pub(super) fn select_references(&mut self) -> Parsed<Verb<'t>> {
        self.take()?;
        self.words(&["FROM", "TABLE"])?;
        self.expect(TokenClass::Open, "'('")?;
        let mut name = self.take()?;
        while self.take_dot()? {
            name = self.take()?;
        }
        let Some(function) = self.which(name, &FUNCTIONS) else {
            return Err(self.expected_word(name, &FUNCTIONS));
        };
        self.expect(TokenClass::Open, "'('")?;
        let verb = match function {
            "POLICY_REFERENCES" => Verb::PolicyReferences(self.policy_argument()?),
            _ => Verb::NetworkRule(RuleStatement::References(self.rule_argument()?)),
        };
        self.expect(TokenClass::Close, "')'")?;
        self.expect(TokenClass::Close, "')'")?;
        Ok(verb)
    }

    /// `policy_name => 'x' [, policy_kind => 'NETWORK_POLICY']`
    fn policy_argument(&mut self) -> Parsed<Ident<'t>> {
        let token = self.argument("POLICY_NAME")?;
        let literal = self.literal(token, "a policy's name in single quotes")?;
        let policy = self.name_in_string(&literal, token.spot)?;
        if self.take_if(TokenClass::Comma)?.is_some() {
            let token = self.argument("POLICY_KIND")?;
            let kind = self.literal(token, "'NETWORK_POLICY'")?;
            if !kind.text().eq_ignore_ascii_case("NETWORK_POLICY") {
                return Err(self.expected(token, "'NETWORK_POLICY'"));
            }
        }
        Ok(policy)
    }

    /// `network_rule_name => 'x'`
    fn rule_argument(&mut self) -> Parsed<RuleName<'t>> {
        let token = self.argument("NETWORK_RULE_NAME")?;
        let literal = self.literal(token, "a network rule's name in single quotes")?;
        let name = RuleName::of_text(&literal.text(), token.spot);
        name.ok_or_else(|| self.no_rule_name(&literal.text(), token.spot))
    }

    /// The value behind `name =>`.
    fn argument(&mut self, name: &'static str) -> Parsed<Token> {
        self.word(name)?;
        self.expect(TokenClass::Eq, "'=>'")?;
        let arrow = self.take()?;
        if self.lexer.str(arrow) != ">" {
            return Err(self.expected(arrow, "'=>'"));
        }
        self.take()
    }
}
