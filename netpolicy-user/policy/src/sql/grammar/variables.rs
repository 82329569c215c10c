//! Variables of a script: SET and UNSET, and what `$x` and `IDENTIFIER($x)` say.

use std::collections::BTreeMap;

use super::super::error::Fault;
use super::super::lexer::{Token, TokenClass};
use super::super::place::Spot;
use super::super::{Dialect, Ident, Literal, Variable, VariableValue, Verb};
use super::{Parsed, Parser};

/// The variables that were set so far, by their folded names.
#[derive(Clone, Debug, Default)]
pub(super) struct ScriptVariables<'t>(BTreeMap<String, VariableValue<'t>>);

impl<'t> Parser<'t> {
    /// After SET.
    pub(super) fn set(&mut self, set: Token) -> Parsed<Verb<'t>> {
        let token = self.peek()?;
        if self.is(token, "DIALECT") {
            return self.set_dialect_statement();
        }
        let is_word = token.kind == TokenClass::Word;
        match self.dialect {
            Dialect::Snowflake if is_word || token.kind == TokenClass::Open => self.set_variables(),
            Dialect::Materialize | Dialect::Lakehouse if is_word => self.set_of_session(set),
            _ => Err(self.expected_word(token, &["DIALECT"])),
        }
    }

    /// `name = value`, or `(name, …) = (value, …)`.
    fn set_variables(&mut self) -> Parsed<Verb<'t>> {
        let (names, is_list) = self.variable_names()?;
        let equals = self.expect(TokenClass::Eq, "'='")?;
        let mut values = Vec::new();
        if is_list {
            self.expect(TokenClass::Open, "'(' before the values")?;
            loop {
                values.push(self.variable_value()?);
                if self.take_if(TokenClass::Comma)?.is_none() {
                    break;
                }
            }
            self.expect(TokenClass::Close, "a comma or ')' after a value")?;
        } else {
            values.push(self.variable_value()?);
        }
        if values.len() != names.len() {
            let expected = format!("{} values", names.len());
            return Err(self.expected(equals, &expected));
        }
        let mut set = Vec::new();
        for (name, value) in names.into_iter().zip(values) {
            let folded = name.folded(Dialect::Snowflake).into_owned();
            self.variables.0.insert(folded, value.clone());
            let value = Some(value);
            set.push(Variable { name, value });
        }
        Ok(Verb::Variables(set))
    }

    /// After UNSET.
    pub(super) fn unset_variables(&mut self) -> Parsed<Verb<'t>> {
        let (names, _) = self.variable_names()?;
        let unset = names.into_iter().map(|name| {
            self.variables.0.remove(&*name.folded(Dialect::Snowflake));
            Variable { name, value: None }
        });
        Ok(Verb::Variables(unset.collect()))
    }

    /// One name, or several in parentheses; whether it is these.
    fn variable_names(&mut self) -> Parsed<(Vec<Ident<'t>>, bool)> {
        if self.take_if(TokenClass::Open)?.is_none() {
            return Ok((vec![self.ident("a variable's name")?], false));
        }
        let mut names = Vec::new();
        loop {
            names.push(self.ident("a variable's name")?);
            if self.take_if(TokenClass::Comma)?.is_none() {
                break;
            }
        }
        self.expect(TokenClass::Close, "a comma or ')' after a name")?;
        Ok((names, true))
    }

    /// A string, a number or a variable, or several of them that are put together by `||` or
    /// CONCAT.
    fn variable_value(&mut self) -> Parsed<VariableValue<'t>> {
        let mut value = self.variable_term()?;
        while self.is_sign("|")? {
            self.take()?;
            if !self.is_sign("|")? {
                let token = self.peek()?;
                return Err(self.expected(token, "'||'"));
            }
            self.take()?;
            let more = self.variable_term()?;
            value = VariableValue::Joined(format!("{}{}", value.text(), more.text()));
        }
        Ok(value)
    }

    fn is_sign(&mut self, sign: &str) -> Parsed<bool> {
        let token = self.peek()?;
        Ok(token.kind == TokenClass::Other && self.lexer.str(token) == sign)
    }

    fn variable_term(&mut self) -> Parsed<VariableValue<'t>> {
        const EXPECTED: &str = "a text in single quotes, a number or a variable";
        let token = self.peek()?;
        if token.kind == TokenClass::Str {
            return self.text(EXPECTED).map(VariableValue::Text);
        }
        self.take()?;
        match token.kind {
            TokenClass::Number => Ok(VariableValue::Number(self.lexer.str(token))),
            TokenClass::Word if self.which(token, &["TRUE", "FALSE"]).is_some() => {
                Ok(VariableValue::Number(self.lexer.str(token)))
            }
            TokenClass::Variable => self.variable(token).cloned(),
            TokenClass::Word if self.is(token, "CONCAT") => {
                self.expect(TokenClass::Open, "'('")?;
                let mut joined = String::new();
                loop {
                    joined.push_str(&self.variable_value()?.text());
                    if self.take_if(TokenClass::Comma)?.is_none() {
                        break;
                    }
                }
                self.expect(TokenClass::Close, "a comma or ')' after a value")?;
                Ok(VariableValue::Joined(joined))
            }
            _ => Err(self.expected(token, EXPECTED)),
        }
    }

    /// What `$x` says.
    pub(super) fn variable(&self, token: Token) -> Parsed<&VariableValue<'t>> {
        let name = self.lexer.str(token).trim_start_matches('$');
        let name = name.to_ascii_uppercase();
        let found = self.variables.0.get(&name);
        found.ok_or_else(|| self.error(token.spot, Fault::NoVariable { name }))
    }

    /// What `$x` says where a string of the script is wanted.
    pub(super) fn variable_literal(&self, token: Token, what: &str) -> Parsed<Literal<'t>> {
        match self.variable(token)? {
            VariableValue::Text(literal) => Ok(*literal),
            VariableValue::Number(_) => Err(self.expected(token, what)),
            VariableValue::Joined(_) => Err(self.no_counterpart(
                token,
                self.lexer.str(token),
                "it was put together from several texts, and only a network rule's name can be so \
                 here",
                Some("write the text in one piece"),
            )),
        }
    }

    /// What stands in `IDENTIFIER( … )` behind its first word, and where; `None`: no
    /// parenthesis follows, so that it is a name.
    pub(super) fn identifier_function(
        &mut self,
        word: Token,
    ) -> Parsed<Option<(VariableValue<'t>, Spot)>> {
        let is_function = self.dialect == Dialect::Snowflake && self.is(word, "IDENTIFIER");
        if !is_function || self.take_if(TokenClass::Open)?.is_none() {
            return Ok(None);
        }
        let token = self.peek()?;
        let value = match token.kind {
            TokenClass::Str | TokenClass::Variable => self.variable_term()?,
            _ => return Err(self.expected(token, "a name in single quotes or a variable")),
        };
        self.expect(TokenClass::Close, "')'")?;
        Ok(Some((value, token.spot)))
    }

    /// Materialize's and Lakehouse's settings of a session, which nothing here has.
    fn set_of_session(&mut self, set: Token) -> Parsed<Verb<'t>> {
        let name = self.take()?;
        if self.is(name, "NETWORK_POLICY") && self.dialect == Dialect::Materialize {
            return Err(self.no_counterpart(
                name,
                "SET network_policy",
                "a session cannot set it",
                Some("write ALTER SYSTEM SET network_policy = n"),
            ));
        }
        while self.take_dot()? {
            self.take()?;
        }
        match self.dialect {
            Dialect::Materialize => self.equals_or_to()?,
            _ => drop(self.expect(TokenClass::Eq, "'='")?),
        }
        self.skip_value()?;
        self.no_session("SET", set)
    }

    /// A statement about the session alone, up to what was taken last.
    pub(super) fn no_session(&mut self, what: &'static str, first: Token) -> Parsed<Verb<'t>> {
        self.notes.push(format!(
            "{what} has no effect here: statements have no session"
        ));
        let text = self.text_since(first);
        Ok(Verb::Session { what, text })
    }
}
