//! Parameters that SET and UNSET name, one or many: those of network policies, and all
//! others, which are passed over.

use super::super::Ident;
use super::super::error::Fault;
use super::super::lexer::{Token, TokenClass};
use super::super::place::Spot;
use super::{Parsed, Parser, meant};

const POLICY: &str = "NETWORK_POLICY";
const MINUTES: &str = "MINS_TO_BYPASS_NETWORK_POLICY";

/// Other parameters that a note names.
const NAMED: usize = 5;

/// What a SET or UNSET says of network policies.
#[derive(Default)]
pub(super) struct Parameters<'t> {
    /// `NETWORK_POLICY`: a policy, or `None` for NULL and UNSET.
    pub(super) policy: Option<Option<Ident<'t>>>,
    /// `MINS_TO_BYPASS_NETWORK_POLICY`, and where it stands; 0 for UNSET.
    pub(super) minutes: Option<(u32, Spot)>,
    /// All others.
    pub(super) others: Vec<&'t str>,
    /// Of the first parameter.
    first: Option<Token>,
    policy_spot: Option<Spot>,
}

impl<'t> Parser<'t> {
    /// `name = value …`, with or without commas between them, up to a token that is no
    /// name.
    pub(super) fn set_parameters(&mut self) -> Parsed<Parameters<'t>> {
        self.parameters(true)
    }

    /// `name, …`
    pub(super) fn unset_parameters(&mut self) -> Parsed<Parameters<'t>> {
        self.parameters(false)
    }

    fn parameters(&mut self, is_set: bool) -> Parsed<Parameters<'t>> {
        let mut found = Parameters::default();
        loop {
            let token = self.take()?;
            if token.kind != TokenClass::Word {
                return Err(self.expected_word(token, &[POLICY, MINUTES]));
            }
            found.first.get_or_insert(token);
            let name = self.lexer.str(token);
            let own = self.which(token, &[POLICY, MINUTES]);
            if own.is_none() && meant(name, &[POLICY, MINUTES]).is_some() {
                return Err(self.expected_word(token, &[POLICY, MINUTES]));
            }
            if is_set {
                self.expect(TokenClass::Eq, "'='")?;
            }
            match own {
                Some(POLICY) => {
                    if let Some(first) = found.policy_spot {
                        return Err(self.twice(token, POLICY, first));
                    }
                    found.policy_spot = Some(token.spot);
                    found.policy = Some(match is_set {
                        true => self.policy_value()?,
                        false => None,
                    });
                }
                Some(_) => {
                    if let Some((_, first)) = found.minutes {
                        return Err(self.twice(token, MINUTES, first));
                    }
                    found.minutes = Some(match is_set {
                        true => self.minutes()?,
                        false => (0, token.spot),
                    });
                }
                None => {
                    found.others.push(name);
                    if is_set {
                        self.skip_value()?;
                    }
                }
            }
            let next = self.peek()?;
            let goes_on = match next.kind {
                TokenClass::Comma => {
                    self.take()?;
                    true
                }
                TokenClass::Word => is_set && self.which(next, &["APPLY"]).is_none(),
                _ => false,
            };
            if !goes_on {
                return Ok(found);
            }
        }
    }

    /// A number of minutes, and where it stands.
    fn minutes(&mut self) -> Parsed<(u32, Spot)> {
        let token = self.expect(TokenClass::Number, "a number of minutes")?;
        let text = self.lexer.str(token);
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(self.expected(token, "a number of minutes"));
        }
        match text.parse() {
            Ok(minutes) => Ok((minutes, token.spot)),
            Err(_) => {
                let found = self.excerpt(token);
                Err(self.error(token.spot, Fault::Number { found }))
            }
        }
    }

    /// A value that has no meaning here: a word, a string, a number, or what is in
    /// parentheses.
    pub(super) fn skip_value(&mut self) -> Parsed<()> {
        let mut token = self.take()?;
        // A sign before a number.
        if token.kind == TokenClass::Other && self.peek()?.kind == TokenClass::Number {
            token = self.take()?;
        }
        match token.kind {
            TokenClass::Open => {
                let mut depth = 1_u32;
                while depth > 0 {
                    let token = self.take()?;
                    match token.kind {
                        TokenClass::Open => depth = depth.saturating_add(1),
                        TokenClass::Close => depth = depth.saturating_sub(1),
                        TokenClass::Semi | TokenClass::End => {
                            return Err(self.expected(token, "')'"));
                        }
                        _ => {}
                    }
                }
                Ok(())
            }
            TokenClass::Word | TokenClass::Quoted | TokenClass::Str | TokenClass::Number => {
                while self.take_dot()? {
                    self.take()?;
                }
                Ok(())
            }
            _ => Err(self.expected(token, "a value")),
        }
    }

    /// Refuses what sets no parameter of network policies, and notes what else is set.
    pub(super) fn note_others(&mut self, what: &str, parameters: &Parameters<'t>) -> Parsed<()> {
        let (shown, more) = match parameters.others.split_at_checked(NAMED) {
            Some((shown, more)) => (shown, more.len()),
            None => (&parameters.others[..], 0),
        };
        let mut names = shown.join(", ").to_ascii_uppercase();
        if more > 0 {
            names.push_str(&format!(" and {more} more"));
        }
        if let (None, None, Some(first)) =
            (&parameters.policy, parameters.minutes, parameters.first)
        {
            return Err(self.no_counterpart(
                first,
                format!("{what} {names}"),
                "a host has no such parameter; only network policies have a meaning here",
                None,
            ));
        }
        if !parameters.others.is_empty() {
            let has = if parameters.others.len() == 1 {
                "has"
            } else {
                "have"
            };
            self.notes.push(format!("{names} {has} no effect here"));
        }
        Ok(())
    }

    /// The error about a statement that its product has and that means nothing here.
    pub(super) fn no_counterpart(
        &self,
        token: Token,
        what: impl Into<String>,
        why: &'static str,
        instead: Option<&'static str>,
    ) -> super::SqlError {
        self.error(
            token.spot,
            Fault::NoCounterpart {
                what: what.into(),
                why,
                instead,
            },
        )
    }

    /// Takes all up to the statement's end.
    pub(super) fn skip_rest(&mut self) -> Parsed<()> {
        while !matches!(self.peek()?.kind, TokenClass::Semi | TokenClass::End) {
            self.take()?;
        }
        Ok(())
    }

    /// The text from a token on up to what was taken last.
    pub(super) fn text_since(&self, first: Token) -> &'t str {
        let index = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
        self.lexer
            .text()
            .get(index(first.spot.offset)..index(self.end))
            .unwrap_or_default()
    }
}
