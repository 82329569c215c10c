//! What scripts of Snowflake begin with: statements about the session, and the question
//! for the own address.

use super::super::lexer::{Token, TokenClass};
use super::super::{Dialect, Verb};
use super::{Parsed, Parser};

use Dialect::{Lakehouse, Materialize, Snowflake};

impl<'t> Parser<'t> {
    /// A statement whose first word only one dialect has; `None`: none has it.
    pub(super) fn dialect_verb(&mut self, first: Token) -> Parsed<Option<Verb<'t>>> {
        let word = self.which(first, &["USE", "SELECT"]);
        Ok(match (word, self.dialect) {
            (Some("USE"), Snowflake) => Some(self.use_session(first)?),
            (Some("SELECT"), Snowflake) => self.select_address()?,
            (Some("SELECT"), Materialize) => Some(self.select_catalog(first)?),
            _ => None,
        })
    }

    /// After USE.
    fn use_session(&mut self, first: Token) -> Parsed<Verb<'t>> {
        let token = self.take()?;
        let kinds = ["ROLE", "WAREHOUSE", "DATABASE", "SCHEMA", "SECONDARY"];
        let (what, why) = match self.which(token, &kinds) {
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
    fn name_of_any(&mut self, token: Token) -> Parsed<()> {
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
        self.notes
            .push("ALTER SESSION has no effect here: statements have no session".to_owned());
        let what = "ALTER SESSION";
        let text = self.text_since(alter);
        Ok(Verb::Session { what, text })
    }

    pub(super) fn word_of_any(&mut self, expected: &str) -> Parsed<Token> {
        self.expect(TokenClass::Word, expected)
    }

    /// `CURRENT_IP_ADDRESS() [AS name]`, after SELECT; `None`: something else.
    fn select_address(&mut self) -> Parsed<Option<Verb<'t>>> {
        if self.take_word("CURRENT_IP_ADDRESS")?.is_none() {
            return Ok(None);
        }
        self.expect(TokenClass::Open, "'('")?;
        self.expect(TokenClass::Close, "')'")?;
        if self.take_word("AS")?.is_some() {
            self.ident("a column's name")?;
        }
        Ok(Some(Verb::RequesterAddress))
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
