//! Tokens to statements: what all families of statements share.
//!
//! One token of look-ahead, no recursion: a statement's depth is that of the grammar.
//! What belongs to another dialect is refused by name, so that the reader sees why a text
//! from elsewhere does not work.

mod catalog;
mod grant;
mod grant_object;
mod group;
mod name;
mod network_rule;
mod parameters;
mod policy;
mod references;
mod rules;
mod session;
mod setting;
mod show;
mod user;
mod variables;

use super::error::{Fault, Found, SqlError};
use super::lexer::{Lexer, Token, TokenClass};
use super::place::Spot;
use super::{Dialect, Literal, Literals, Statement, Verb};
use crate::model::error::{Excerpt, closest};

use variables::ScriptVariables;

type Parsed<T> = Result<T, SqlError>;

/// Reads statements.
#[derive(Clone, Debug)]
pub(super) struct Parser<'t> {
    lexer: Lexer<'t>,
    /// The next token, once it was looked at.
    peeked: Option<Token>,
    /// Behind the last token that was taken.
    end: u32,
    /// Of the statement; [`detect`](super::detect) makes sure that it is known where
    /// it matters.
    dialect: Dialect,
    /// What of the statement has no effect here.
    notes: Vec<String>,
    /// Snowflake's, as the statements so far set them.
    variables: ScriptVariables<'t>,
}

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t str, dialect: Option<Dialect>) -> Self {
        Self {
            lexer: Lexer::new(text, dialect),
            peeked: None,
            end: 0,
            // Nothing but SET dialect is read without one.
            dialect: dialect.unwrap_or(Dialect::Snowflake),
            notes: Vec::new(),
            variables: ScriptVariables::default(),
        }
    }

    /// Goes on from here.
    pub(super) fn start_at(&mut self, spot: Spot) {
        self.lexer.start_at(spot);
        self.peeked = None;
    }

    pub(super) fn set_dialect(&mut self, dialect: Dialect) {
        self.dialect = dialect;
        self.lexer.set_dialect(dialect);
    }

    /// The next statement; `None` at the end.
    pub(super) fn statement(&mut self) -> Parsed<Option<Statement<'t>>> {
        let first = loop {
            self.lexer.end_statement();
            let token = self.take()?;
            match token.kind {
                TokenClass::Semi => {}
                TokenClass::End => return Ok(None),
                _ => break token,
            }
        };
        let verb = self.verb(first)?;
        let end = self.end;
        // The semicolon stays for the next call: nothing behind it is read before.
        let token = self.peek()?;
        if !matches!(token.kind, TokenClass::Semi | TokenClass::End) {
            return Err(self.expected(token, "';' or the end of the statement"));
        }
        Ok(Some(Statement {
            script: self.lexer.text(),
            dialect: self.dialect,
            spot: first.spot,
            end,
            verb,
            notes: std::mem::take(&mut self.notes),
        }))
    }

    fn verb(&mut self, first: Token) -> Parsed<Verb<'t>> {
        const VERBS: [&str; 10] = [
            "CREATE", "ALTER", "DROP", "SHOW", "DESC", "DESCRIBE", "GRANT", "REVOKE", "COMMENT",
            "SET",
        ];
        self.notes.clear();
        match self.which(first, &VERBS) {
            Some("CREATE") => self.create(first),
            Some("ALTER") => self.alter(first),
            Some("DROP") => self.drop_policy(first),
            Some("SHOW") => self.show(first),
            Some("DESC" | "DESCRIBE") => self.describe(first),
            Some("GRANT") => self.grant(first),
            Some("REVOKE") => self.revoke(first),
            Some("COMMENT") => self.comment_on(first),
            Some("SET") => self.set(first),
            _ => match self.dialect_verb(first)? {
                Some(verb) => Ok(verb),
                None => Err(self.expected_word(first, &VERBS)),
            },
        }
    }

    /// `dialect = d`, after SET.
    fn set_dialect_statement(&mut self) -> Parsed<Verb<'t>> {
        self.word("DIALECT")?;
        self.expect(TokenClass::Eq, "'='")?;
        let token = self.take()?;
        Ok(Verb::SetDialect(self.dialect_name(token)?))
    }

    /// A dialect's name, as a word or a string.
    fn dialect_name(&self, token: Token) -> Parsed<Dialect> {
        let text = self.lexer.str(token);
        let name = match token.kind {
            TokenClass::Word => text,
            TokenClass::Str => text.trim_matches('\''),
            _ => return Err(self.expected(token, "snowflake, materialize or lakehouse")),
        };
        name.parse()
            .map_err(|unknown| self.error(token.spot, Fault::UnknownDialect(unknown)))
    }

    fn peek(&mut self) -> Parsed<Token> {
        match self.peeked {
            Some(token) => Ok(token),
            None => {
                let token = self.lexer.next()?;
                self.peeked = Some(token);
                Ok(token)
            }
        }
    }

    fn take(&mut self) -> Parsed<Token> {
        let token = self.peek()?;
        self.peeked = None;
        // Blank space, and the semicolon, are not the statement's.
        self.end = token.end();
        Ok(token)
    }

    /// Takes the next token if it is of this kind.
    fn take_if(&mut self, kind: TokenClass) -> Parsed<Option<Token>> {
        if self.peek()?.kind == kind {
            self.take().map(Some)
        } else {
            Ok(None)
        }
    }

    fn expect(&mut self, kind: TokenClass, expected: &str) -> Parsed<Token> {
        let token = self.take()?;
        if token.kind == kind {
            Ok(token)
        } else {
            Err(self.expected(token, expected))
        }
    }

    fn is(&self, token: Token, word: &str) -> bool {
        token.kind == TokenClass::Word && self.lexer.str(token).eq_ignore_ascii_case(word)
    }

    /// Which of some words a token is.
    fn which(&self, token: Token, words: &[&'static str]) -> Option<&'static str> {
        words.iter().copied().find(|word| self.is(token, word))
    }

    /// Takes the next token if it is this word.
    fn take_word(&mut self, word: &str) -> Parsed<Option<Token>> {
        let token = self.peek()?;
        if self.is(token, word) {
            self.take().map(Some)
        } else {
            Ok(None)
        }
    }

    /// This word, which must come.
    fn word(&mut self, word: &'static str) -> Parsed<Token> {
        let token = self.take()?;
        if self.is(token, word) {
            Ok(token)
        } else {
            Err(self.expected_word(token, &[word]))
        }
    }

    fn words(&mut self, words: &[&'static str]) -> Parsed<()> {
        words.iter().try_for_each(|word| self.word(word).map(drop))
    }

    /// One of some words, which must come.
    fn one_of(&mut self, words: &[&'static str]) -> Parsed<(&'static str, Token)> {
        let token = self.take()?;
        match self.which(token, words) {
            Some(word) => Ok((word, token)),
            None => Err(self.expected_word(token, words)),
        }
    }

    /// A string that is free text.
    fn text(&mut self, what: &str) -> Parsed<Literal<'t>> {
        let token = self.take()?;
        let literal = self.literal(token, what)?;
        if token.kind == TokenClass::Variable {
            return Ok(literal);
        }
        let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        let raw = unquoted(self.lexer.str(token));
        match raw.char_indices().find(|(_, c)| control(*c)) {
            Some((at, c)) => {
                Err(self.in_literal(token, at, |lexer, spot| lexer.character(spot, c)))
            }
            None => Ok(literal),
        }
    }

    /// A string that is to be an address: without control and non-ASCII characters,
    /// which no address has. What it says is for others to read.
    fn address(&self, token: Token) -> Parsed<Literal<'t>> {
        let raw = unquoted(self.lexer.str(token));
        if token.kind == TokenClass::Str
            && !token.has_backslash
            && !self.lexer.str(token).starts_with('$')
            && raw.bytes().all(|b| (0x20..0x7f).contains(&b))
        {
            return Ok(Literal::new(raw, self.dialect, token.spot));
        }
        let literal = self.literal(token, "an address in single quotes")?;
        let wrong = |c: char| !c.is_ascii() || c == '\0' || (c.is_control() && !c.is_whitespace());
        if token.kind == TokenClass::Variable {
            let text = literal.text();
            return match text.chars().find(|c| wrong(*c)) {
                Some(c) => Err(self.lexer.character(literal.spot(), c)),
                None => Ok(literal),
            };
        }
        match raw.char_indices().find(|(_, c)| wrong(*c)) {
            Some((at, c)) => {
                Err(self.in_literal(token, at, |lexer, spot| lexer.character(spot, c)))
            }
            None => Ok(literal),
        }
    }

    fn literal(&self, token: Token, what: &str) -> Parsed<Literal<'t>> {
        if token.kind == TokenClass::Variable {
            return self.variable_literal(token, what);
        }
        if token.kind != TokenClass::Str {
            let hint = match token.kind {
                TokenClass::Quoted => Some("write '…': double quotes are for names"),
                TokenClass::Word | TokenClass::Number | TokenClass::Other => {
                    Some("put single quotes around it")
                }
                _ => None,
            };
            return Err(self.expected_hint(token, what, hint.map(str::to_owned)));
        }
        if let Some(raw) = in_dollars(self.lexer.str(token)) {
            return Ok(Literal::in_dollars(raw, self.dialect, token.spot));
        }
        let raw = unquoted(self.lexer.str(token));
        let literal = Literal::new(raw, self.dialect, token.spot);
        match literal.unknown_escape() {
            Some((at, character)) => Err(self.in_literal(token, at, |lexer, spot| {
                lexer.error(spot, Fault::Escape { character })
            })),
            None => Ok(literal),
        }
    }

    /// An error this many bytes behind a string's opening quote.
    fn in_literal(
        &self,
        token: Token,
        at: usize,
        error: impl FnOnce(&Lexer<'t>, Spot) -> SqlError,
    ) -> SqlError {
        let text = self.lexer.str(token);
        let quote = if text.starts_with('$') { 2 } else { 1 };
        let before = text.get(..at.saturating_add(quote)).unwrap_or_default();
        error(&self.lexer, token.spot.after(before))
    }

    /// `( 'address', … )`, empty or not.
    fn addresses(&mut self) -> Parsed<Literals<'t>> {
        let open = self.expect(TokenClass::Open, "'(' before a list")?;
        let mut list = Literals::new(self.lexer.text(), self.dialect, open.spot);
        if self.take_if(TokenClass::Close)?.is_some() {
            return Ok(list);
        }
        loop {
            let token = self.take()?;
            if token.kind == TokenClass::Close {
                return Err(self.expected_hint(
                    token,
                    "an address in single quotes after a comma",
                    Some("remove the comma".to_owned()),
                ));
            }
            list.push(&self.address(token)?);
            let next = self.take()?;
            match next.kind {
                TokenClass::Comma => {}
                TokenClass::Close => return Ok(list),
                _ => {
                    let text = self.lexer.str(token);
                    // The string went on to where another was to begin.
                    let hint = text.contains([',', '\n']).then(|| {
                        format!("is a quote missing in {}?", Excerpt::new(unquoted(text)))
                    });
                    return Err(self.expected_hint(next, "a comma or ')' after an address", hint));
                }
            }
        }
    }

    fn error(&self, spot: Spot, fault: Fault) -> SqlError {
        self.lexer.error(spot, fault)
    }

    fn expected(&self, token: Token, expected: &str) -> SqlError {
        self.expected_hint(token, expected, None)
    }

    fn expected_hint(&self, token: Token, expected: &str, hint: Option<String>) -> SqlError {
        self.error(
            token.spot,
            Fault::Expected {
                expected: expected.to_owned(),
                found: self.lexer.found(token),
                hint,
            },
        )
    }

    /// None of the words that can stand here.
    fn expected_word(&self, token: Token, words: &[&'static str]) -> SqlError {
        self.expected_words(token, words, "")
    }

    /// The error where none of the words, nor what `or` adds to them, was found.
    fn expected_words(&self, token: Token, words: &[&'static str], or: &str) -> SqlError {
        let mut expected = match words {
            [] => String::new(),
            [word] => (*word).to_owned(),
            [first @ .., last] if or.is_empty() => format!("{} or {last}", first.join(", ")),
            words => words.join(", "),
        };
        if !or.is_empty() {
            expected.push_str(" or ");
            expected.push_str(or);
        }
        let hint = (token.kind == TokenClass::Word)
            .then(|| meant(self.lexer.str(token), words))
            .flatten()
            .map(|word| format!("did you mean {word}?"));
        self.expected_hint(token, &expected, hint)
    }

    /// Something that other dialects have and this one does not.
    fn foreign<T>(
        &self,
        token: Token,
        what: &str,
        of: &[Dialect],
        instead: &'static str,
    ) -> Parsed<T> {
        Err(self.error(
            token.spot,
            Fault::OtherDialect {
                what: what.to_owned(),
                of: of.to_vec(),
                this: self.dialect,
                instead,
            },
        ))
    }

    fn excerpt(&self, token: Token) -> Excerpt {
        match self.lexer.found(token) {
            Found::Text(text) => text,
            Found::End => Excerpt::new(""),
        }
    }
}

/// What stands between the quotes.
fn unquoted(text: &str) -> &str {
    if let Some(inside) = in_dollars(text) {
        return inside;
    }
    text.get(1..text.len().saturating_sub(1))
        .unwrap_or_default()
}

/// What stands between `$$`, if the text is such a string.
fn in_dollars(text: &str) -> Option<&str> {
    text.strip_prefix("$$")?.strip_suffix("$$")
}

/// The keyword that was meant by a word much like it.
fn meant(text: &str, words: &[&'static str]) -> Option<&'static str> {
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let found = closest(text, lower.iter().map(String::as_str))?;
    words
        .iter()
        .copied()
        .find(|word| word.eq_ignore_ascii_case(found))
}
