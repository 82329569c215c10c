//! Which dialect a text can be of, where none is named.
//!
//! Only words in the places that the grammars give them are looked at: names, strings
//! and comments do not count. Every such mark leaves the dialects that have it. One
//! left over is the text's; none is an error that names the two marks; several are an
//! error as well, since the same text means different things, unless none of them can
//! read it.

mod marks;

use super::error::SqlError;
use super::lexer::{Lexer, Token, TokenClass};
use super::place::Spot;
use super::{Dialect, SystemParameter};
use marks::{Mark, Marks};

use Dialect::{Lakehouse, Materialize, Snowflake};

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
    /// `$x`
    variable: Option<Spot>,
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
            TokenClass::Variable => {
                self.variable.get_or_insert(token.spot);
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

    /// `SHOW network_policy` and the like.
    fn is_show_of_setting(&self) -> bool {
        let mut settings = SystemParameter::ALL.iter();
        self.has(0, &["SHOW"]) && settings.any(|setting| is(self.word(1), setting.name()))
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
        let replaces = self.has(1, &["OR", "REPLACE"]);
        let noun = match replaces || self.has(1, &["OR", "ALTER"]) {
            true => 3,
            false => 1,
        };
        if self.has(noun, &["NETWORK", "RULE"]) {
            at(noun + 1, "NETWORK RULE", &[Snowflake])?;
        }
        for verb in ["CREATE", "ALTER", "DROP", "SHOW"] {
            let of_group = |kind| self.has(0, &[verb, kind]) && self.word(2).len() >= 5;
            if of_group("REPLICATION") || of_group("FAILOVER") {
                return at(1, "a group", &[Snowflake]);
            }
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
            } else if self.has(what, &["POSTGRES"]) {
                at(what, "POSTGRES INSTANCE", &[Snowflake])?;
            } else if self.has(what, &["ROLE"]) {
                at(what, "CREATE ROLE", GRANTS)?;
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
            let of_lakehouse = self.has(1, &["VCLUSTER"]) || self.has(1, &["WORKSPACE"]);
            let of: &[Dialect] = match of_lakehouse {
                true => &[Lakehouse],
                false if self.has(1, &["SCHEMA"]) => LISTS,
                false => &[Snowflake],
            };
            at(0, "USE", of)?;
        } else if self.has(0, &["UNSET"]) {
            at(0, "UNSET", &[Snowflake])?;
        } else if self.has(0, &["RESET"]) {
            at(0, "RESET", &[Materialize])?;
        } else if self.has(0, &["SELECT", "CURRENT_IP_ADDRESS"]) {
            at(1, "CURRENT_IP_ADDRESS()", &[Snowflake])?;
        } else if self.has(0, &["SELECT", "CURRENT_USER"])
            || self.has(0, &["SELECT", "CURRENT_ROLE"])
        {
            at(1, "CURRENT_USER() or CURRENT_ROLE()", &[Snowflake])?;
        } else if self.has(0, &["SELECT"]) && self.within("TABLE") {
            at(0, "SELECT FROM TABLE", &[Snowflake])?;
        } else if self.is_show_of_setting() {
            at(1, "SHOW of a setting", &[Materialize])?;
        } else if self.has(0, &["SELECT"]) {
            if let Some(spot) = self.catalog {
                let (what, of) = ("mz_internal", &[Materialize][..]);
                add(Mark { what, of, spot })?;
            }
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
            (self.variable, "a variable", &[Snowflake]),
        ] {
            if let Some(spot) = spot {
                add(Mark { what, of, spot })?;
            }
        }
        Ok(())
    }
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
