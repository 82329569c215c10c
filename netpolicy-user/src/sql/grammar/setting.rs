//! ALTER of account, user and system: which policy is in force where.

use super::super::error::Fault;
use super::super::lexer::{Token, TokenClass};
use super::super::{AlterUser, Dialect, Ident, Quoting, Verb};
use super::{Parsed, Parser, unquoted};

use Dialect::{Lakehouse, Materialize, Snowflake};

const ACTIVATE: &str = "write ALTER NETWORK POLICY n ACTIVATE or INACTIVATE";

impl<'t> Parser<'t> {
    /// After ALTER.
    pub(super) fn alter(&mut self) -> Parsed<Verb<'t>> {
        let token = self.peek()?;
        match self.which(token, &["NETWORK", "ACCOUNT", "USER", "SYSTEM"]) {
            Some("ACCOUNT") => self.alter_account(token),
            Some("USER") => self.alter_user(token),
            Some("SYSTEM") => self.alter_system(token),
            Some(_) => {
                if self.is_network_rule()? {
                    return self.alter_rule();
                }
                self.alter_policy()
            }
            None => Err(self.expected_word(
                token,
                match self.dialect {
                    Snowflake => &["NETWORK", "ACCOUNT", "USER"],
                    Materialize => &["NETWORK", "SYSTEM"],
                    Lakehouse => &["NETWORK"],
                },
            )),
        }
    }

    fn alter_account(&mut self, token: Token) -> Parsed<Verb<'t>> {
        self.snowflake_only(token, "ALTER ACCOUNT")?;
        self.take()?;
        let (verb, _) = self.one_of(&["SET", "UNSET"])?;
        self.word("NETWORK_POLICY")?;
        if verb == "UNSET" {
            return Ok(Verb::ResetHostPolicy);
        }
        self.expect(TokenClass::Eq, "'='")?;
        self.policy_name().map(Verb::SetHostPolicy)
    }

    fn alter_user(&mut self, token: Token) -> Parsed<Verb<'t>> {
        self.snowflake_only(token, "ALTER USER")?;
        self.take()?;
        let if_exists = self.if_exists()?.is_some();
        let service = self.ident("a service's name")?;
        let (verb, _) = self.one_of(&["SET", "UNSET"])?;
        let change = if verb == "UNSET" {
            self.word("NETWORK_POLICY")?;
            AlterUser::UnsetPolicy
        } else {
            let (parameter, _) =
                self.one_of(&["NETWORK_POLICY", "MINS_TO_BYPASS_NETWORK_POLICY"])?;
            self.expect(TokenClass::Eq, "'='")?;
            match parameter {
                "NETWORK_POLICY" => AlterUser::SetPolicy(self.policy_name()?),
                _ => self.minutes()?,
            }
        };
        Ok(Verb::AlterUser {
            if_exists,
            service,
            change,
        })
    }

    fn minutes(&mut self) -> Parsed<AlterUser<'t>> {
        let token = self.expect(TokenClass::Number, "a number of minutes")?;
        let text = self.lexer.str(token);
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(self.expected(token, "a number of minutes"));
        }
        match text.parse() {
            Ok(minutes) => Ok(AlterUser::Bypass {
                minutes,
                spot: token.spot,
            }),
            Err(_) => {
                let found = self.excerpt(token);
                Err(self.error(token.spot, Fault::Number { found }))
            }
        }
    }

    fn alter_system(&mut self, token: Token) -> Parsed<Verb<'t>> {
        if self.dialect != Materialize {
            let instead = match self.dialect {
                Lakehouse => ACTIVATE,
                _ => "write ALTER ACCOUNT SET NETWORK_POLICY = n",
            };
            return self.foreign(token, "ALTER SYSTEM", &[Materialize], instead);
        }
        self.take()?;
        let (verb, _) = self.one_of(&["SET", "RESET"])?;
        self.word("NETWORK_POLICY")?;
        if verb == "RESET" {
            return Ok(Verb::ResetHostPolicy);
        }
        // Settings take TO as well as `=`, and strings as well as names.
        if self.take_word("TO")?.is_none() {
            self.expect(TokenClass::Eq, "'=' or TO")?;
        }
        let token = self.peek()?;
        if token.kind != TokenClass::Str {
            return self.policy_name().map(Verb::SetHostPolicy);
        }
        self.take()?;
        let name = Ident::new(unquoted(self.lexer.str(token)), Quoting::Single, token.spot);
        match name.fault(self.dialect) {
            Some(fault) => Err(self.error(token.spot, fault)),
            None => Ok(Verb::SetHostPolicy(name)),
        }
    }

    /// Refuses what only Snowflake has.
    pub(super) fn snowflake_only(&self, token: Token, what: &str) -> Parsed<()> {
        let instead = match self.dialect {
            Snowflake => return Ok(()),
            Materialize => "write ALTER SYSTEM SET network_policy = n",
            Lakehouse => ACTIVATE,
        };
        self.foreign(token, what, &[Snowflake], instead)
    }
}
