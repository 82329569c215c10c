//! Tokens with their places, on top of squawk-lexer's, with every lexical error.
//!
//! squawk-lexer reads PostgreSQL's tokens, which all dialects share but for one thing:
//! Snowflake has backslash escapes in plain strings
//! (<https://docs.snowflake.com/en/sql-reference/data-types-text#escape-sequences-in-single-quoted-string-constants>),
//! so that `'it\'s'` is one string there. Such strings are read here, as are its strings
//! between `$$` and its comments behind `//`. Where the dialect is not known yet, see
//! `detect.rs`.
//!
//! A token is read when asked for, from where the last one ended: constant memory,
//! whatever the text.

use squawk_lexer::{LiteralKind, TokenKind, tokenize};

use super::Dialect;
use super::error::{Fault, Found, SqlError, is_typographic_quote};
use super::place::{Spot, line_breaks, offset, size};
use super::script::MAX_STATEMENT;
use crate::model::error::Excerpt;

/// What a token is. Space and comments are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenClass {
    /// A keyword or an unquoted name.
    Word,
    /// `"…"`.
    Quoted,
    /// `'…'`.
    Str,
    /// Begins with a digit.
    Number,
    Open,
    Close,
    Comma,
    Eq,
    Semi,
    /// The text's end.
    End,
    /// Any other character.
    Other,
}

/// A token and its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenClass,
    pub(super) spot: Spot,
    /// In bytes.
    pub(super) len: u32,
    /// Whether it is a string with a backslash.
    pub(super) has_backslash: bool,
}

impl Token {
    /// The offset after it.
    pub(super) fn end(self) -> u32 {
        self.spot.offset.saturating_add(self.len)
    }
}

/// Reads tokens.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    /// Where the next token, or space before it, begins.
    at: Spot,
    /// `None`: not known yet.
    dialect: Option<Dialect>,
    /// Where the statement begins, whose length is limited; `None`: between statements.
    statement: Option<u32>,
}

impl<'t> Lexer<'t> {
    /// Reads a text, which is no longer than `MAX_TEXT`.
    pub(super) fn new(text: &'t str, dialect: Option<Dialect>) -> Self {
        let bom = text.strip_prefix('\u{feff}').map_or(0, |_| 3);
        Self {
            text,
            at: Spot {
                offset: bom,
                line: 1,
            },
            dialect,
            statement: None,
        }
    }

    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    pub(super) fn set_dialect(&mut self, dialect: Dialect) {
        self.dialect = Some(dialect);
    }

    /// Goes on from here.
    pub(super) fn start_at(&mut self, spot: Spot) {
        self.at = spot;
        self.statement = None;
    }

    /// The statement ended; the next token begins another.
    pub(super) fn end_statement(&mut self) {
        self.statement = None;
    }

    /// What a token says.
    pub(super) fn str(&self, token: Token) -> &'t str {
        self.slice(token.spot.offset, token.end())
    }

    fn slice(&self, start: u32, end: u32) -> &'t str {
        self.text
            .get(offset(start)..offset(end))
            .unwrap_or_default()
    }

    fn rest(&self, from: u32) -> &'t str {
        self.text.get(offset(from)..).unwrap_or_default()
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Result<Token, SqlError> {
        loop {
            self.skip_blanks();
            let rest = self.rest(self.at.offset);
            if self.skip_slashes(rest) {
                continue;
            }
            // A byte order mark within the text, which the tokenizer would skip.
            if rest.starts_with('\u{feff}') {
                return Err(self.character(self.at, '\u{feff}'));
            }
            let Some(raw) = tokenize(rest).next() else {
                return Ok(Token {
                    kind: TokenClass::End,
                    spot: self.at,
                    len: 0,
                    has_backslash: false,
                });
            };
            let mut token = Token {
                kind: TokenClass::Other,
                spot: self.at,
                len: raw.len,
                has_backslash: false,
            };
            let is_space = match raw.kind {
                TokenKind::Whitespace | TokenKind::LineComment => true,
                TokenKind::BlockComment { terminated } => {
                    if !terminated {
                        return Err(self.unterminated(self.at, "this comment", "*/"));
                    }
                    true
                }
                _ => {
                    self.statement.get_or_insert(self.at.offset);
                    false
                }
            };
            if !is_space {
                token.kind = self.kind(raw.kind, &mut token)?;
            }
            self.limit(token)?;
            let text = self.str(token);
            self.at = Spot {
                offset: token.end(),
                // Most tokens are short and have no line breaks.
                line: match (token.kind, raw.kind) {
                    (TokenClass::Str | TokenClass::Quoted, _)
                    | (_, TokenKind::Whitespace | TokenKind::BlockComment { .. }) => {
                        self.at.line.saturating_add(line_breaks(text))
                    }
                    _ => self.at.line,
                },
            };
            if !is_space {
                return Ok(token);
            }
        }
    }

    /// Skips blanks and line breaks, of which long lists have many.
    fn skip_blanks(&mut self) {
        for byte in self.rest(self.at.offset).bytes() {
            match byte {
                b'\n' => self.at.line = self.at.line.saturating_add(1),
                b' ' | b'\t' | b'\r' => {}
                _ => break,
            }
            self.at.offset = self.at.offset.saturating_add(1);
        }
    }

    /// Skips a comment behind `//`, which Snowflake has. Where the dialect is not known
    /// it is one as well: no other has a statement with these signs.
    fn skip_slashes(&mut self, rest: &str) -> bool {
        if !rest.starts_with("//") || !matches!(self.dialect, None | Some(Dialect::Snowflake)) {
            return false;
        }
        let end = rest.find('\n').unwrap_or(rest.len());
        self.at.offset = self.at.offset.saturating_add(size(end));
        true
    }

    /// The kind of a token, whose length is put right where this dialect's differs.
    fn kind(&self, kind: TokenKind, token: &mut Token) -> Result<TokenClass, SqlError> {
        let string_form = |what| Err(self.error(token.spot, Fault::StringForm { what }));
        Ok(match kind {
            TokenKind::Ident => {
                self.check_word(*token)?;
                TokenClass::Word
            }
            TokenKind::Literal { kind } => match kind {
                LiteralKind::Str { terminated } => {
                    let mut terminated = terminated;
                    token.has_backslash = self.str(*token).bytes().any(|b| b == b'\\');
                    if token.has_backslash && self.dialect == Some(Dialect::Snowflake) {
                        let string = escaped_string(self.rest(token.spot.offset));
                        terminated = string.is_some();
                        token.len = string.map_or(token.len, size);
                    }
                    if !terminated {
                        return Err(self.unclosed_string(token.spot));
                    }
                    TokenClass::Str
                }
                LiteralKind::Int { .. } | LiteralKind::Numeric { .. } => TokenClass::Number,
                LiteralKind::NationalStr { .. } => return string_form("N'…' strings"),
                LiteralKind::ByteStr { .. } => return string_form("X'…' strings"),
                LiteralKind::BitStr { .. } => return string_form("B'…' strings"),
                LiteralKind::DollarQuotedString { .. } => {
                    let rest = self.rest(token.spot.offset);
                    let inside = rest.strip_prefix("$$");
                    let inside =
                        inside.filter(|_| matches!(self.dialect, None | Some(Dialect::Snowflake)));
                    let Some(inside) = inside else {
                        return string_form("dollar-quoted strings");
                    };
                    let Some(end) = inside.find("$$") else {
                        return Err(self.unterminated(token.spot, "this string", "$$"));
                    };
                    token.len = size(end.saturating_add(4));
                    TokenClass::Str
                }
                LiteralKind::UnicodeEscStr { .. } => return string_form("U&'…' strings"),
                LiteralKind::EscStr { .. } => return string_form("E'…' strings"),
            },
            TokenKind::QuotedIdent { uescape: true, .. } => return string_form("U&\"…\" names"),
            TokenKind::QuotedIdent { terminated, .. } => {
                if !terminated {
                    return Err(self.unterminated(token.spot, "this quoted name", "\""));
                }
                TokenClass::Quoted
            }
            TokenKind::OpenParen => TokenClass::Open,
            TokenKind::CloseParen => TokenClass::Close,
            TokenKind::Comma => TokenClass::Comma,
            TokenKind::Eq => TokenClass::Eq,
            TokenKind::Semi => TokenClass::Semi,
            TokenKind::Backtick => {
                return Err(self.error(token.spot, Fault::Backquote));
            }
            TokenKind::Unknown => {
                let character = self.str(*token).chars().next().unwrap_or_default();
                return Err(self.character(token.spot, character));
            }
            _ => TokenClass::Other,
        })
    }

    /// Finds what only looks like a letter to the tokenizer.
    fn check_word(&self, token: Token) -> Result<(), SqlError> {
        let text = self.str(token);
        if text.is_ascii() {
            return Ok(());
        }
        match text.char_indices().find(|(_, c)| {
            !(c.is_alphanumeric() || matches!(c, '_' | '$')) || is_typographic_quote(*c)
        }) {
            Some((at, character)) => {
                let before = text.get(..at).unwrap_or_default();
                Err(self.character(token.spot.after(before), character))
            }
            None => Ok(()),
        }
    }

    fn limit(&self, token: Token) -> Result<(), SqlError> {
        let Some(limit) = self
            .statement
            .map(|start| offset(start).saturating_add(MAX_STATEMENT))
        else {
            return Ok(());
        };
        if offset(token.end()) <= limit {
            return Ok(());
        }
        let limit = size(self.text.floor_char_boundary(limit));
        let spot = token.spot.after(self.slice(token.spot.offset, limit));
        Err(self.error(spot, Fault::StatementTooLarge))
    }

    /// A string that the text's end cuts off; maybe for a quote that is not one.
    fn unclosed_string(&self, spot: Spot) -> SqlError {
        let rest = self.rest(spot.offset);
        let lookalike = rest
            .lines()
            .next()
            .and_then(|line| line.char_indices().find(|(_, c)| is_typographic_quote(*c)));
        match lookalike {
            Some((at, character)) => {
                let before = rest.get(..at).unwrap_or_default();
                self.error(spot.after(before), Fault::TypographicQuote { character })
            }
            None => self.unterminated(spot, "this string", "'"),
        }
    }

    fn unterminated(&self, spot: Spot, what: &'static str, close: &'static str) -> SqlError {
        self.error(spot, Fault::Unterminated { what, close })
    }

    /// An error about one character.
    pub(super) fn character(&self, spot: Spot, character: char) -> SqlError {
        self.error(
            spot,
            if character == '`' {
                Fault::Backquote
            } else if is_typographic_quote(character) {
                Fault::TypographicQuote { character }
            } else {
                Fault::Character { character }
            },
        )
    }

    /// An error at a place.
    pub(super) fn error(&self, spot: Spot, fault: Fault) -> SqlError {
        SqlError {
            line: spot.line,
            column: spot.column(self.text),
            fault,
        }
    }

    /// What stands at a token, for messages: a string or a quoted name, or all up to
    /// the next delimiter.
    pub(super) fn found(&self, token: Token) -> Found {
        let text = match token.kind {
            TokenClass::End => return Found::End,
            TokenClass::Str | TokenClass::Quoted => self.str(token),
            TokenClass::Word | TokenClass::Number | TokenClass::Other => {
                let rest = self.rest(token.spot.offset);
                let end = rest.find(|c: char| c.is_whitespace() || ",;()='\"".contains(c));
                rest.get(..end.unwrap_or(rest.len()))
                    .filter(|text| !text.is_empty())
                    .unwrap_or_else(|| self.str(token))
            }
            _ => self.str(token),
        };
        Found::Text(Excerpt::new(text))
    }
}

/// The length of a string with backslash escapes at the text's start, both quotes
/// included; `None`: it has no end.
fn escaped_string(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate().skip(1).peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            // A second quote would make it one within the string.
            b'\'' if bytes.next_if(|(_, next)| *next == b'\'').is_none() => {
                return Some(at + 1);
            }
            _ => {}
        }
    }
    None
}
