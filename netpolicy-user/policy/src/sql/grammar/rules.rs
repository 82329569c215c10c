//! Materialize's rules.

use super::super::error::Fault;
use super::super::lexer::{Token, TokenClass};
use super::super::place::Spot;
use super::super::{Ident, Literal, PolicyBody, RuleText};
use super::{Parsed, Parser};
use crate::model::error::Excerpt;

const OPTIONS: [&str; 3] = ["ACTION", "DIRECTION", "ADDRESS"];

impl<'t> Parser<'t> {
    /// What stands after the name in CREATE.
    pub(super) fn materialize_body(&mut self) -> Parsed<PolicyBody<'t>> {
        self.rules_option().map(PolicyBody::Rules)
    }

    /// `( RULES [=] ( … ) )`
    pub(super) fn rules_option(&mut self) -> Parsed<Vec<RuleText<'t>>> {
        let token = self.take()?;
        if token.kind != TokenClass::Open {
            return Err(self.no_rules(token));
        }
        let token = self.take()?;
        if !self.is(token, "RULES") {
            return Err(self.no_rules(token));
        }
        self.take_if(TokenClass::Eq)?;
        self.expect(TokenClass::Open, "'(' before the rules")?;
        let mut rules = Vec::new();
        if self.take_if(TokenClass::Close)?.is_none() {
            loop {
                rules.push(self.rule()?);
                let next = self.take()?;
                match next.kind {
                    TokenClass::Comma => {}
                    TokenClass::Close => break,
                    _ => return Err(self.expected(next, "a comma or ')' after a rule")),
                }
            }
        }
        let close = self.take()?;
        if close.kind == TokenClass::Comma {
            let second = self.take()?;
            if self.is(second, "RULES") {
                return Err(self.twice(second, "RULES", token.spot));
            }
            return Err(self.expected(close, "')' after the rules"));
        }
        if close.kind != TokenClass::Close {
            return Err(self.expected(close, "')' after the rules"));
        }
        Ok(rules)
    }

    /// `name ( option [=] 'value', … )`
    fn rule(&mut self) -> Parsed<RuleText<'t>> {
        let name = self.ident("a rule's name")?;
        self.expect(TokenClass::Open, "'(' after a rule's name")?;
        let mut options: [Option<(Token, Literal<'t>)>; 3] = [None; 3];
        let close = loop {
            let option = self.take()?;
            let which = OPTIONS
                .into_iter()
                .zip(&mut options)
                .find(|(known, _)| self.is(option, known));
            let Some((what, slot)) = which else {
                let error = self.expected_word(option, &OPTIONS);
                return Err(match option.kind {
                    // `()`, or a comma too many.
                    TokenClass::Close => match lacking(&options) {
                        Some(missing) => self.lacks(option.spot, &name, missing),
                        None => error,
                    },
                    _ => error,
                });
            };
            if let Some((first, _)) = slot {
                return Err(self.twice(option, what, first.spot));
            }
            self.take_if(TokenClass::Eq)?;
            let value = self.take()?;
            let literal = match what {
                "ADDRESS" => self.address(value)?,
                // Option values may be written as words, too.
                _ if value.kind == TokenClass::Word => {
                    Literal::new(self.lexer.str(value), self.dialect, value.spot)
                }
                _ => self.literal(value, "a value in single quotes")?,
            };
            let only = match what {
                "ACTION" => Some("Allow"),
                "DIRECTION" => Some("Ingress"),
                _ => None,
            };
            if let Some(only) = only
                && !literal.text().eq_ignore_ascii_case(only)
            {
                return Err(self.error(value.spot, Fault::OnlyOption { only }));
            }
            *slot = Some((option, literal));
            let next = self.take()?;
            match next.kind {
                TokenClass::Comma => {}
                TokenClass::Close => break next,
                _ => return Err(self.expected(next, "a comma or ')' after an option's value")),
            }
        };
        match options {
            [Some((_, action)), Some((_, direction)), Some((_, address))] => Ok(RuleText {
                name,
                action: action.spot(),
                direction: direction.spot(),
                address,
            }),
            options => {
                let missing = lacking(&options).unwrap_or("ADDRESS");
                Err(self.lacks(close.spot, &name, missing))
            }
        }
    }

    fn lacks(&self, spot: Spot, rule: &Ident<'t>, missing: &'static str) -> super::SqlError {
        let rule = Excerpt::new(&rule.text());
        self.error(spot, Fault::RuleOption { rule, missing })
    }
}

/// The first option that is not there.
fn lacking<T>(options: &[Option<T>; 3]) -> Option<&'static str> {
    OPTIONS
        .into_iter()
        .zip(options)
        .find_map(|(name, option)| option.is_none().then_some(name))
}
