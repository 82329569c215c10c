//! Names: of policies, services and roles.

use super::super::error::Fault;
use super::super::lexer::{Token, TokenClass};
use super::super::{Dialect, Ident, Quoting};
use super::{Parsed, Parser, unquoted};
use crate::model::error::Excerpt;

impl<'t> Parser<'t> {
    /// A name.
    pub(super) fn ident(&mut self, what: &str) -> Parsed<Ident<'t>> {
        let token = self.take()?;
        let text = self.lexer.str(token);
        let ident = match token.kind {
            TokenClass::Word => Ident::new(text, Quoting::Bare, token.spot),
            TokenClass::Quoted => Ident::new(unquoted(text), Quoting::Double, token.spot),
            _ => return Err(self.expected(token, what)),
        };
        self.checked(ident)
    }

    fn checked(&self, ident: Ident<'t>) -> Parsed<Ident<'t>> {
        match ident.fault(self.dialect) {
            Some(fault) => Err(self.error(ident.spot(), fault)),
            None => Ok(ident),
        }
    }

    /// A policy's name, which belongs to no schema. Lakehouse's may be written with one.
    pub(super) fn policy_name(&mut self) -> Parsed<Ident<'t>> {
        let first = self.ident("a policy's name")?;
        let mut name = first;
        while self.take_dot()? {
            let schema = name;
            name = self.ident("a policy's name after the schema")?;
            if self.dialect == Dialect::Lakehouse {
                self.notes.push(format!(
                    "the schema {schema} is ignored: network policies belong to no schema here"
                ));
            }
        }
        if name.spot() != first.spot() && self.dialect != Dialect::Lakehouse {
            let text = self.lexer.text();
            let start = usize::try_from(first.spot().offset).unwrap_or_default();
            let end = usize::try_from(self.end).unwrap_or_default();
            let found = Excerpt::new(text.get(start..end).unwrap_or_default());
            let last = name.to_string();
            return Err(self.error(first.spot(), Fault::Qualified { found, last }));
        }
        Ok(name)
    }

    /// Takes a dot between the parts of a name.
    pub(super) fn take_dot(&mut self) -> Parsed<bool> {
        let token = self.peek()?;
        let is_dot = token.kind == TokenClass::Other && self.lexer.str(token) == ".";
        if is_dot {
            self.take()?;
        }
        Ok(is_dot)
    }

    /// A policy as the value of a parameter; `None`: NULL. In Snowflake a string holds a
    /// name as it would be written outside of it, quotes and all.
    pub(super) fn policy_value(&mut self) -> Parsed<Option<Ident<'t>>> {
        let token = self.peek()?;
        if self.is(token, "NULL") && self.dialect == Dialect::Snowflake {
            self.take()?;
            return Ok(None);
        }
        if token.kind == TokenClass::Str && self.dialect == Dialect::Snowflake {
            self.take()?;
            return self.name_in_string(token).map(Some);
        }
        self.policy_name().map(Some)
    }

    fn name_in_string(&self, token: Token) -> Parsed<Ident<'t>> {
        let text = unquoted(self.lexer.str(token));
        let within = |quote: &str| {
            let inside = text.strip_prefix(quote)?.strip_suffix(quote)?;
            (!inside.contains(['"', '\\'])).then_some(inside)
        };
        let ident = match within("\\\"").or_else(|| within("\"")) {
            Some(inside) => Ident::new(inside, Quoting::Double, token.spot),
            None => Ident::new(text, Quoting::Bare, token.spot),
        };
        self.checked(ident)
    }
}
