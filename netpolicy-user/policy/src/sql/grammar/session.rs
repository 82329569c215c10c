//! What scripts of Snowflake begin with: statements about the session, and the question
//! for the own address.

use super::super::lexer::{Token, TokenClass};
use super::super::{Dialect, RequesterFunction, Verb};
use super::{Parsed, Parser};

use Dialect::{Lakehouse, Materialize, Snowflake};

impl<'t> Parser<'t> {
    /// A statement whose first word only one dialect has; `None`: none has it.
    pub(super) fn dialect_verb(&mut self, first: Token) -> Parsed<Option<Verb<'t>>> {
        let word = self.which(first, &["USE", "SELECT", "UNSET", "RESET"]);
        Ok(match (word, self.dialect) {
            (Some("USE"), Snowflake | Lakehouse) => Some(self.use_session(first)?),
            (Some("SELECT"), Snowflake) => self.select_requester()?,
            (Some("SELECT"), Materialize) => Some(self.select_catalog(first)?),
            (Some("UNSET"), Snowflake) => Some(self.unset_variables()?),
            (Some("RESET"), Materialize) => {
                self.word_of_any("a setting")?;
                Some(self.no_session("RESET", first)?)
            }
            _ => None,
        })
    }

    /// After USE.
    fn use_session(&mut self, first: Token) -> Parsed<Verb<'t>> {
        let token = self.take()?;
        let kinds: &[&'static str] = match self.dialect {
            Lakehouse => &["SCHEMA", "VCLUSTER", "WORKSPACE"],
            _ => &["ROLE", "WAREHOUSE", "DATABASE", "SCHEMA", "SECONDARY"],
        };
        let (what, why) = match self.which(token, kinds) {
            Some("VCLUSTER") => ("USE VCLUSTER", "statements here need none"),
            Some("WORKSPACE") => ("USE WORKSPACE", "network policies belong to none"),
            Some("ROLE") => ("USE ROLE", "rights are those of the OS user who asks"),
            Some("SECONDARY") => {
                self.word("ROLES")?;
                (
                    "USE SECONDARY ROLES",
                    "rights are those of the OS user who asks",
                )
            }
            Some("WAREHOUSE") => ("USE WAREHOUSE", "statements here need none"),
            Some("DATABASE") => ("USE DATABASE", "network policies belong to none"),
            Some(_) => ("USE SCHEMA", "network policies belong to none"),
            // USE name: a database.
            None => ("USE", "network policies belong to no database"),
        };
        if what == "USE" {
            self.name_of_any(token)?;
        } else {
            let name = self.take()?;
            self.name_of_any(name)?;
        }
        if what == "USE SECONDARY ROLES" {
            self.skip_rest()?;
        }
        while self.take_dot()? {
            let name = self.take()?;
            self.name_of_any(name)?;
        }
        self.notes.push(format!("{what} has no effect here: {why}"));
        let text = self.text_since(first);
        Ok(Verb::Session { what, text })
    }

    /// A name that nothing is looked up by.
    pub(super) fn name_of_any(&mut self, token: Token) -> Parsed<()> {
        match token.kind {
            TokenClass::Word | TokenClass::Quoted | TokenClass::Str => {
                if self.is(token, "IDENTIFIER") && self.take_if(TokenClass::Open)?.is_some() {
                    self.skip_value()?;
                    self.expect(TokenClass::Close, "')'")?;
                }
                Ok(())
            }
            _ => Err(self.expected(token, "a name")),
        }
    }

    /// After ALTER, where SESSION comes.
    pub(super) fn alter_session(&mut self, alter: Token) -> Parsed<Verb<'t>> {
        self.take()?;
        let (verb, _) = self.one_of(&["SET", "UNSET"])?;
        // Whatever they are called, they are the session's.
        loop {
            self.word_of_any("a parameter")?;
            if verb == "SET" {
                self.expect(TokenClass::Eq, "'='")?;
                self.skip_value()?;
            }
            if self.take_if(TokenClass::Comma)?.is_none() && self.peek()?.kind != TokenClass::Word {
                break;
            }
        }
        self.no_session("ALTER SESSION", alter)
    }

    pub(super) fn word_of_any(&mut self, expected: &str) -> Parsed<Token> {
        self.expect(TokenClass::Word, expected)
    }

    /// `CURRENT_IP_ADDRESS() [AS name], …` or a table function, after SELECT; `None`: something
    /// else.
    fn select_requester(&mut self) -> Parsed<Option<Verb<'t>>> {
        let star = self.peek()?;
        if star.kind == TokenClass::Other && self.lexer.str(star) == "*" {
            return self.select_references().map(Some);
        }
        let mut asked = Vec::new();
        loop {
            let token = self.peek()?;
            let mut all = RequesterFunction::ALL.into_iter();
            let Some(function) = all.find(|function| self.is(token, function.name())) else {
                if asked.is_empty() {
                    return Ok(None);
                }
                let names = RequesterFunction::ALL.map(RequesterFunction::name);
                return Err(self.expected_word(token, &names));
            };
            self.take()?;
            self.expect(TokenClass::Open, "'('")?;
            self.expect(TokenClass::Close, "')'")?;
            if self.take_word("AS")?.is_some() {
                self.ident("a column's name")?;
            }
            asked.push(function);
            if self.take_if(TokenClass::Comma)?.is_none() {
                return Ok(Some(Verb::SelectRequester(asked)));
            }
        }
    }

    /// Refuses `ALTER USER` where its product has none.
    pub(super) fn not_in_materialize(&self, token: Token, what: &str) -> Parsed<()> {
        if self.dialect != Materialize {
            return Ok(());
        }
        let of = [Snowflake, Lakehouse];
        self.foreign(
            token,
            what,
            &of,
            "write ALTER SYSTEM SET network_policy = n",
        )
    }
}
