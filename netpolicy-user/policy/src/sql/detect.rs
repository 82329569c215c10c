//! Which dialect a text can be of, where none is named.
//!
//! Only words in the places that the grammars give them are looked at: names, strings
//! and comments do not count. Every such mark leaves the dialects that have it. One
//! left over is the text's; none is an error that names the two marks; several are an
//! error as well, since the same text means different things, unless none of them can
//! read it.

use super::Dialect;
use super::error::{Fault, SqlError};
use super::grammar::Parser;
use super::lexer::{Lexer, Token, TokenClass};
use super::place::{Spot, offset};
use crate::model::error::Excerpt;

use Dialect::{Lakehouse, Materialize, Snowflake};

/// Something that not every dialect has.
#[derive(Clone, Copy)]
struct Mark {
    what: &'static str,
    of: &'static [Dialect],
    spot: Spot,
}

/// Tokens of a statement that tell what it is.
const HEAD: usize = 24;

const LISTS: &[Dialect] = &[Snowflake, Lakehouse];
const GRANTS: &[Dialect] = &[Snowflake, Materialize];

/// The only dialect that a text can be of; `None`: it says itself, with `SET dialect`,
/// or has no statement. Constant memory, one pass.
///
/// # Errors
/// It could be of several dialects, or has marks of two.
pub(super) fn detect(text: &str) -> Result<Option<Dialect>, SqlError> {
    let mut lexer = Lexer::new(text, None);
    let mut marks = Marks::default();
    let mut statement = StatementHead::default();
    // Where an ambiguity is reported.
    let mut first: Option<Spot> = None;
    loop {
        let token = match lexer.next() {
            Ok(token) => token,
            // It is reported when the statement is read, which may be after others.
            // What was seen may do.
            Err(error) => return marks.only().map(Some).ok_or(error),
        };
        let text = lexer.str(token);
        match token.kind {
            TokenClass::Semi | TokenClass::End => {
                let is_last = token.kind == TokenClass::End || statement.is_set_dialect();
                if !statement.is_set_dialect() {
                    if let Some(spot) = statement.spot() {
                        first.get_or_insert(spot);
                    }
                    statement.marks(&mut |mark| marks.add(&lexer, mark))?;
                }
                if is_last {
                    // What follows SET dialect is of the dialect named there.
                    return first.map(|spot| marks.decide(&lexer, spot)).transpose();
                }
                statement.clear();
                lexer.end_statement();
            }
            TokenClass::Str if token.has_backslash && misleads(text) => {
                // `'it\'` is a string everywhere but in Snowflake, where it goes on.
                let spot = first.or(statement.spot()).unwrap_or(token.spot);
                statement.marks(&mut |mark| marks.add(&lexer, mark))?;
                return marks.decide(&lexer, spot).map(Some);
            }
            _ => statement.push(token, text),
        }
    }
}

/// What is known of the statement that is being read.
#[derive(Default)]
struct StatementHead<'t> {
    tokens: Vec<(Token, &'t str)>,
    /// The token before.
    last: Option<(Token, &'t str)>,
    depth: u32,
    /// `( RULES`
    rules: Option<Spot>,
    /// `COMMENT =`
    comment: Option<Spot>,
    /// `COMMENT 's'`
    bare_comment: Option<Spot>,
    /// `ALLOWED_IP_LIST`, `BLOCKED_IP_LIST`
    lists: Option<Spot>,
    /// `ALLOWED_NETWORK_RULE_LIST`, `BLOCKED_NETWORK_RULE_LIST`
    rule_lists: Option<Spot>,
    /// A quoted name.
    quoted: Option<Spot>,
    /// A relation of Materialize's catalog.
    catalog: Option<Spot>,
    /// A string between `$$`.
    dollars: Option<Spot>,
}

impl<'t> StatementHead<'t> {
    fn clear(&mut self) {
        let mut tokens = std::mem::take(&mut self.tokens);
        tokens.clear();
        *self = Self {
            tokens,
            ..Self::default()
        };
    }

    fn spot(&self) -> Option<Spot> {
        self.tokens.first().map(|(token, _)| token.spot)
    }

    fn push(&mut self, token: Token, text: &'t str) {
        let last = self.last.replace((token, text));
        let after = |kind| last.is_some_and(|(last, _)| last.kind == kind);
        match token.kind {
            TokenClass::Open => self.depth = self.depth.saturating_add(1),
            TokenClass::Close => self.depth = self.depth.saturating_sub(1),
            TokenClass::Quoted if self.depth == 0 => {
                self.quoted.get_or_insert(token.spot);
            }
            TokenClass::Word if self.depth == 1 && after(TokenClass::Open) && is(text, "RULES") => {
                self.rules.get_or_insert(token.spot);
            }
            TokenClass::Eq if self.depth == 0 => {
                if let Some((word, text)) = last {
                    if is(text, "COMMENT") {
                        self.comment.get_or_insert(word.spot);
                    } else if is(text, "ALLOWED_IP_LIST") || is(text, "BLOCKED_IP_LIST") {
                        self.lists.get_or_insert(word.spot);
                    } else if is(text, "ALLOWED_NETWORK_RULE_LIST")
                        || is(text, "BLOCKED_NETWORK_RULE_LIST")
                    {
                        self.rule_lists.get_or_insert(word.spot);
                    }
                }
            }
            TokenClass::Word if text.get(..3).is_some_and(|start| is(start, "mz_")) => {
                self.catalog.get_or_insert(token.spot);
            }
            TokenClass::Str if text.starts_with('$') => {
                self.dollars.get_or_insert(token.spot);
            }
            TokenClass::Str if self.depth == 0 => {
                if let Some((word, text)) = last
                    && is(text, "COMMENT")
                {
                    self.bare_comment.get_or_insert(word.spot);
                }
            }
            _ => {}
        }
        if self.tokens.len() < HEAD {
            self.tokens.push((token, text));
        }
    }

    /// The word at an index among the first tokens; "" if there is none.
    fn word(&self, index: usize) -> &'t str {
        match self.tokens.get(index) {
            Some((token, text)) if token.kind == TokenClass::Word => text,
            _ => "",
        }
    }

    fn has(&self, from: usize, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(index, word)| is(self.word(from + index), word))
    }

    /// Whether a word stands somewhere among the first tokens.
    fn within(&self, word: &str) -> bool {
        (0..self.tokens.len()).any(|index| is(self.word(index), word))
    }

    fn is_set_dialect(&self) -> bool {
        self.has(0, &["SET", "DIALECT"])
    }

    /// All marks of the statement.
    fn marks(&self, add: &mut dyn FnMut(Mark) -> Result<(), SqlError>) -> Result<(), SqlError> {
        let mut at = |index: usize, what, of| match self.tokens.get(index) {
            Some((token, _)) => add(Mark {
                what,
                of,
                spot: token.spot,
            }),
            None => Ok(()),
        };
        let noun = if self.has(1, &["OR", "REPLACE"]) {
            3
        } else {
            1
        };
        if self.has(noun, &["NETWORK", "RULE"]) {
            at(noun + 1, "NETWORK RULE", &[Snowflake])?;
        }
        if self.has(0, &["CREATE"]) {
            let replaces = self.has(1, &["OR", "REPLACE"]);
            let alters = self.has(1, &["OR", "ALTER"]);
            if replaces {
                at(1, "OR REPLACE", LISTS)?;
            } else if alters {
                at(1, "OR ALTER", &[Snowflake])?;
            }
            let what = if replaces || alters { 3 } else { 1 };
            if self.has(what, &["USER"]) {
                at(what, "CREATE USER", &[Snowflake])?;
            } else if self.has(what + 2, &["IF", "NOT"]) {
                at(what + 2, "IF NOT EXISTS", LISTS)?;
            }
        } else if self.has(0, &["ALTER"]) {
            match () {
                () if self.has(1, &["ACCOUNT"]) => at(1, "ALTER ACCOUNT", &[Snowflake])?,
                () if self.has(1, &["USER"]) => at(1, "ALTER USER", LISTS)?,
                () if self.has(1, &["SESSION"]) => at(1, "ALTER SESSION", &[Snowflake])?,
                () if self.has(1, &["POSTGRES"]) => at(1, "POSTGRES INSTANCE", &[Snowflake])?,
                () if self.has(1, &["SYSTEM"]) => at(1, "ALTER SYSTEM", &[Materialize])?,
                () => {
                    let if_exists = self.has(3, &["IF", "EXISTS"]);
                    if if_exists {
                        at(3, "ALTER … IF EXISTS", LISTS)?;
                    }
                    let verb = if if_exists { 6 } else { 4 };
                    for (word, of) in [
                        ("RENAME", &[Snowflake]),
                        ("UNSET", &[Snowflake]),
                        ("OWNER", &[Materialize]),
                        ("ACTIVATE", &[Lakehouse]),
                        ("INACTIVATE", &[Lakehouse]),
                    ] {
                        if self.has(verb, &[word]) {
                            at(verb, word, of)?;
                        }
                    }
                }
            }
        } else if self.has(0, &["DROP"]) {
            let name = if self.has(3, &["IF", "EXISTS"]) { 5 } else { 3 };
            let next = self.tokens.get(name + 1);
            if next.is_some_and(|(token, _)| token.kind == TokenClass::Comma) {
                at(name + 1, "DROP of several policies", &[Materialize])?;
            }
            for word in ["CASCADE", "RESTRICT"] {
                if self.has(name + 1, &[word]) {
                    at(name + 1, word, &[Materialize])?;
                }
            }
        } else if self.has(0, &["DESC"]) || self.has(0, &["DESCRIBE"]) {
            at(0, "DESC", LISTS)?;
        } else if self.has(0, &["SHOW", "NETWORK", "RULES"]) {
            at(0, "SHOW NETWORK RULES", &[Snowflake])?;
        } else if self.has(0, &["SHOW", "NETWORK", "POLICY"]) {
            at(0, "SHOW NETWORK POLICY", &[Lakehouse])?;
        } else if self.has(0, &["SHOW", "NETWORK", "POLICIES", "LIKE"]) {
            at(3, "LIKE", GRANTS)?;
            if self.has(5, &["IN"]) {
                at(5, "IN ACCOUNT", &[Snowflake])?;
            }
        } else if self.has(0, &["SHOW", "NETWORK", "POLICIES", "WHERE"]) {
            at(3, "WHERE", &[Materialize])?;
        } else if self.has(0, &["SHOW", "NETWORK", "POLICIES", "IN"]) {
            at(3, "IN ACCOUNT", &[Snowflake])?;
        } else if self.has(0, &["SHOW", "GRANTS"]) {
            at(0, "SHOW GRANTS", &[Snowflake])?;
        } else if self.has(0, &["USE"]) {
            at(0, "USE", &[Snowflake])?;
        } else if self.has(0, &["SELECT", "CURRENT_IP_ADDRESS"]) {
            at(1, "CURRENT_IP_ADDRESS()", &[Snowflake])?;
        } else if self.has(0, &["SELECT"]) {
            if let Some(spot) = self.catalog {
                let (what, of) = ("mz_internal", &[Materialize][..]);
                add(Mark { what, of, spot })?;
            }
        } else if self.has(0, &["SHOW", "NETWORK_POLICY"]) {
            at(0, "SHOW network_policy", &[Materialize])?;
        } else if self.has(0, &["SHOW", "PARAMETERS"]) {
            at(0, "SHOW PARAMETERS", &[Snowflake])?;
        } else if self.has(0, &["COMMENT", "ON"]) {
            at(0, "COMMENT ON", GRANTS)?;
        } else if self.has(0, &["COMMENT", "IF"]) {
            at(1, "COMMENT IF EXISTS", &[Snowflake])?;
        } else if self.has(0, &["GRANT"]) || self.has(0, &["REVOKE"]) {
            match () {
                () if self.has(1, &["CREATENETWORKPOLICY"]) => {
                    at(1, "CREATENETWORKPOLICY", &[Materialize])?;
                }
                () if self.within("SYSTEM") => at(0, "ON SYSTEM", &[Materialize])?,
                () if self.within("POLICIES") => at(0, "ON ALL POLICIES", &[Materialize])?,
                () if self.within("ROLE") || !self.has(1, &["USAGE"]) => {
                    at(0, "GRANT … TO ROLE", &[Snowflake])?;
                }
                () => at(1, "USAGE", GRANTS)?,
            }
        }
        for (spot, what, of) in [
            (self.rules, "RULES", &[Materialize][..]),
            (self.lists, "ALLOWED_IP_LIST or BLOCKED_IP_LIST", LISTS),
            (self.rule_lists, "a list of network rules", &[Snowflake]),
            (self.comment, "COMMENT =", LISTS),
            // Lakehouse's alone, but in Snowflake's text the sign may just be missing. Were
            // that taken as Lakehouse's, its policies would be active at once.
            (self.bare_comment, "COMMENT", LISTS),
            (self.quoted, "a quoted name", GRANTS),
            (self.dollars, "$$ around a text", &[Snowflake]),
        ] {
            if let Some(spot) = spot {
                add(Mark { what, of, spot })?;
            }
        }
        Ok(())
    }
}

/// What is wrong with a statement that could be of several dialects, where none of them
/// can read it: what none has is not ambiguous.
fn unreadable(lexer: &Lexer<'_>, spot: Spot, of: &[Dialect]) -> Option<SqlError> {
    let text = lexer.text();
    let mut furthest: Option<SqlError> = None;
    for dialect in of {
        let mut parser = Parser::new(text, Some(*dialect));
        parser.start_at(spot);
        let error = parser.statement().err()?;
        let place = |error: &SqlError| (error.line, error.column);
        if furthest
            .as_ref()
            .is_none_or(|old| place(old) < place(&error))
        {
            furthest = Some(error);
        }
    }
    let error = furthest?;
    let mut words = lexer.clone();
    words.start_at(spot);
    let first = words.next().ok()?;
    let second = words.next().ok()?;
    let place = lexer.error(second.spot, Fault::Backquote);
    if (error.line, error.column) > (place.line, place.column) {
        return Some(error);
    }
    let rest = text.get(offset(first.spot.offset)..).unwrap_or_default();
    let end = rest.find([';', '\n']).unwrap_or(rest.len());
    let found = Excerpt::new(rest.get(..end).unwrap_or_default().trim_end());
    Some(lexer.error(first.spot, Fault::UnknownStatement { found }))
}

fn is(text: &str, word: &str) -> bool {
    text.eq_ignore_ascii_case(word)
}

/// Whether a string's end is one in Snowflake, too.
fn misleads(string: &str) -> bool {
    let inside = string.strip_suffix('\'').unwrap_or(string);
    inside
        .split("''")
        .any(|part| part.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1)
}

/// What is known so far.
#[derive(Default)]
struct Marks {
    /// Each left fewer dialects than were there before.
    found: Vec<Mark>,
}

impl Marks {
    fn add(&mut self, lexer: &Lexer<'_>, mark: Mark) -> Result<(), SqlError> {
        let left = self.left();
        let narrowed = left.iter().filter(|d| mark.of.contains(d)).count();
        if narrowed == 0 {
            let earlier = self
                .found
                .iter()
                .find(|earlier| !earlier.of.iter().any(|d| mark.of.contains(d)))
                .or(self.found.first());
            if let Some(first) = earlier {
                return Err(lexer.error(
                    mark.spot,
                    Fault::Mixed {
                        first: first.what,
                        first_of: first.of.to_vec(),
                        line: first.spot.line,
                        column: first.spot.column(lexer.text()),
                        second: mark.what,
                        second_of: mark.of.to_vec(),
                    },
                ));
            }
        }
        if narrowed < left.len() {
            self.found.push(mark);
        }
        Ok(())
    }

    /// Dialects that have all marks.
    fn left(&self) -> Vec<Dialect> {
        Dialect::ALL
            .into_iter()
            .filter(|d| self.found.iter().all(|mark| mark.of.contains(d)))
            .collect()
    }

    fn only(&self) -> Option<Dialect> {
        match self.left().as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }

    fn decide(&self, lexer: &Lexer<'_>, spot: Spot) -> Result<Dialect, SqlError> {
        self.only().ok_or_else(|| self.ambiguous(lexer, spot))
    }

    fn ambiguous(&self, lexer: &Lexer<'_>, spot: Spot) -> SqlError {
        let of = self.left();
        unreadable(lexer, spot, &of).unwrap_or_else(|| lexer.error(spot, Fault::Ambiguous { of }))
    }
}
