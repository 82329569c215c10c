//! Materialize's SELECT from its catalog, in the plain form that its documents and tools
//! use.

use super::super::lexer::{Token, TokenClass};
use super::super::{CatalogQuery, Condition, Ident, Relation, Test, Verb};
use super::{Parsed, Parser};

const PLAIN: &str = "only plain queries are answered: SELECT columns FROM one relation WHERE \
                     column = 'text' AND … ORDER BY columns LIMIT n";

impl<'t> Parser<'t> {
    /// After SELECT. Which columns there are is known once the relation is: they are looked
    /// up then.
    pub(super) fn select_catalog(&mut self, select: Token) -> Parsed<Verb<'t>> {
        let mut wanted = Vec::new();
        loop {
            wanted.push(self.output()?);
            if self.take_if(TokenClass::Comma)?.is_none() {
                break;
            }
        }
        let from = self.take()?;
        if !self.is(from, "FROM") {
            return Err(self.not_plain(from, select));
        }
        let relation = self.relation()?;
        let alias = self.alias(&["WHERE", "ORDER", "LIMIT", "JOIN", "LEFT", "GROUP", "ON"])?;
        let prefixes = Prefixes { relation, alias };
        let mut query = CatalogQuery {
            relation,
            columns: Vec::new(),
            filters: Vec::new(),
            order: Vec::new(),
            limit: None,
        };
        let mut is_count = false;
        for output in wanted {
            match output {
                Output::Count => is_count = true,
                Output::All => query
                    .columns
                    .extend(relation.columns().iter().map(|column| (*column, None))),
                Output::Column {
                    prefix,
                    name,
                    label,
                } => {
                    let column = self.column_of(&prefixes, prefix, name)?;
                    query.columns.push((column, label));
                }
            }
        }
        if is_count && !query.columns.is_empty() {
            return Err(self.no_counterpart(select, "count(*) with columns", PLAIN, None));
        }
        self.conditions(&prefixes, &mut query)?;
        self.order(&prefixes, &mut query)?;
        if self.take_word("LIMIT")?.is_some() {
            let token = self.expect(TokenClass::Number, "a number of rows")?;
            let number = self.lexer.str(token).parse();
            query.limit = Some(number.map_err(|_| self.expected(token, "a number of rows"))?);
        }
        let next = self.peek()?;
        if !matches!(next.kind, TokenClass::Semi | TokenClass::End) {
            return Err(self.not_plain(next, select));
        }
        Ok(Verb::Select(query))
    }

    fn not_plain(&self, token: Token, select: Token) -> super::SqlError {
        if token.kind == TokenClass::Word {
            let what = self.lexer.str(token).to_ascii_uppercase();
            return self.no_counterpart(token, what, PLAIN, None);
        }
        match token.kind {
            TokenClass::Semi | TokenClass::End => self.expected_word(token, &["FROM"]),
            _ => self.no_counterpart(select, "SELECT", PLAIN, None),
        }
    }

    /// `*`, `count(*)`, or a column with what it is to be called.
    fn output(&mut self) -> Parsed<Output<'t>> {
        let token = self.take()?;
        if token.kind == TokenClass::Other && self.lexer.str(token) == "*" {
            return Ok(Output::All);
        }
        if !matches!(token.kind, TokenClass::Word | TokenClass::Quoted) {
            return Err(self.no_counterpart(token, self.found_text(token), PLAIN, None));
        }
        if self.peek()?.kind == TokenClass::Open {
            self.take()?;
            let star = self.take()?;
            let is_star = star.kind == TokenClass::Other && self.lexer.str(star) == "*";
            if !self.is(token, "COUNT") || !is_star {
                let what = format!("{}(…)", self.lexer.str(token));
                return Err(self.no_counterpart(token, what, PLAIN, None));
            }
            self.expect(TokenClass::Close, "')'")?;
            return Ok(Output::Count);
        }
        let (prefix, name) = self.column(token)?;
        if self.lexer.str(name) == "*" {
            return Ok(Output::All);
        }
        let label = match self.take_word("AS")? {
            Some(_) => Some(self.ident("a column's name")?),
            None => None,
        };
        Ok(Output::Column {
            prefix,
            name,
            label,
        })
    }

    fn found_text(&self, token: Token) -> String {
        match token.kind {
            TokenClass::End => "the end of the text".to_owned(),
            _ => self.lexer.str(token).to_owned(),
        }
    }

    /// The rest of `[relation.]column`, whose first part was taken.
    fn column(&mut self, first: Token) -> Parsed<(Option<Token>, Token)> {
        let (mut prefix, mut name) = (None, first);
        while self.take_dot()? {
            prefix = Some(name);
            name = self.take()?;
            let is_star = name.kind == TokenClass::Other && self.lexer.str(name) == "*";
            if !(matches!(name.kind, TokenClass::Word | TokenClass::Quoted) || is_star) {
                return Err(self.expected(name, "a column's name"));
            }
        }
        Ok((prefix, name))
    }

    /// Which column of the relation is meant.
    fn column_of(
        &self,
        prefixes: &Prefixes,
        prefix: Option<Token>,
        name: Token,
    ) -> Parsed<&'static str> {
        let bare = |token: Token| self.lexer.str(token).trim_matches('"');
        if let Some(prefix) = prefix {
            let known = [Some(prefixes.relation.name()), prefixes.alias.map(bare)];
            if !known
                .into_iter()
                .flatten()
                .any(|name| name.eq_ignore_ascii_case(bare(prefix)))
            {
                return Err(self.no_counterpart(prefix, bare(prefix), PLAIN, None));
            }
        }
        let columns = prefixes.relation.columns();
        let found = columns
            .iter()
            .find(|column| column.eq_ignore_ascii_case(bare(name)));
        match found {
            Some(column) => Ok(column),
            None => Err(self.expected_word(name, columns)),
        }
    }

    /// After FROM.
    fn relation(&mut self) -> Parsed<Relation> {
        let token = self.take()?;
        if token.kind == TokenClass::Open {
            self.words(&["SHOW", "NETWORK", "POLICIES"])?;
            self.expect(TokenClass::Close, "')'")?;
            return Ok(Relation::Shown);
        }
        let mut name = token;
        if self.is(token, "mz_internal") {
            if !self.take_dot()? {
                let next = self.peek()?;
                return Err(self.expected(next, "'.'"));
            }
            name = self.take()?;
        }
        let known = Relation::ALL
            .into_iter()
            .find(|relation| self.is(name, relation.name()));
        let Some(relation) = known else {
            let names = Relation::ALL.map(Relation::name);
            return Err(self.expected_word(name, &names));
        };
        Ok(relation)
    }

    /// `[AS] alias`, unless one of these words comes.
    fn alias(&mut self, words: &[&'static str]) -> Parsed<Option<Token>> {
        if self.take_word("AS")?.is_some() {
            return self.word_of_any("a name").map(Some);
        }
        let token = self.peek()?;
        if token.kind == TokenClass::Word && self.which(token, words).is_none() {
            return self.take().map(Some);
        }
        Ok(None)
    }

    fn conditions(&mut self, prefixes: &Prefixes, query: &mut CatalogQuery<'t>) -> Parsed<()> {
        if self.take_word("WHERE")?.is_none() {
            return Ok(());
        }
        loop {
            let first = self.take()?;
            if !matches!(first.kind, TokenClass::Word | TokenClass::Quoted) {
                return Err(self.expected_word(first, prefixes.relation.columns()));
            }
            let (prefix, name) = self.column(first)?;
            let column = self.column_of(prefixes, prefix, name)?;
            let test = self.test()?;
            let value = self.text("a text in single quotes")?;
            query.filters.push(Condition {
                column,
                test,
                value,
            });
            if self.take_word("AND")?.is_none() {
                return Ok(());
            }
        }
    }

    fn test(&mut self) -> Parsed<Test> {
        let token = self.take()?;
        if token.kind == TokenClass::Eq {
            return Ok(Test::Equal);
        }
        if self.is(token, "LIKE") {
            return Ok(Test::Like);
        }
        if self.is(token, "NOT") {
            self.word("LIKE")?;
            return Ok(Test::Unlike);
        }
        let is = |token: Token, sign: &str| {
            token.kind == TokenClass::Other && self.lexer.str(token) == sign
        };
        if is(token, "<") || is(token, "!") {
            let sign = if is(token, "<") { ">" } else { "=" };
            let next = self.take()?;
            if self.lexer.str(next) == sign {
                return Ok(Test::Unequal);
            }
        }
        Err(self.no_counterpart(token, self.found_text(token), PLAIN, None))
    }

    fn order(&mut self, prefixes: &Prefixes, query: &mut CatalogQuery<'t>) -> Parsed<()> {
        if self.take_word("ORDER")?.is_none() {
            return Ok(());
        }
        self.word("BY")?;
        loop {
            let first = self.take()?;
            let column = match first.kind {
                TokenClass::Number => {
                    let number = self.lexer.str(first).parse::<usize>().unwrap_or_default();
                    let column = query.columns.get(number.wrapping_sub(1));
                    match column {
                        Some((column, _)) => *column,
                        None => return Err(self.expected(first, "the number of a column")),
                    }
                }
                TokenClass::Word | TokenClass::Quoted => {
                    let (prefix, name) = self.column(first)?;
                    self.column_of(prefixes, prefix, name)?
                }
                _ => return Err(self.expected_word(first, prefixes.relation.columns())),
            };
            let descends = self.take_word("DESC")?.is_some();
            if !descends {
                self.take_word("ASC")?;
            }
            query.order.push((column, descends));
            if self.take_if(TokenClass::Comma)?.is_none() {
                return Ok(());
            }
        }
    }
}

/// What may stand before a column.
struct Prefixes {
    relation: Relation,
    alias: Option<Token>,
}

enum Output<'t> {
    All,
    Count,
    Column {
        prefix: Option<Token>,
        name: Token,
        label: Option<Ident<'t>>,
    },
}
