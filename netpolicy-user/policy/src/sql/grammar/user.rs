//! CREATE USER, and other CREATEs of Snowflake that name a network policy.

use super::super::error::Fault;
use super::super::lexer::{Token, TokenClass};
use super::super::{Dialect, Verb};
use super::{Parsed, Parser};

impl<'t> Parser<'t> {
    /// What CREATE makes apart from policies; `None`: something else comes.
    pub(super) fn create_other(
        &mut self,
        or_replace: bool,
        or_alter: bool,
    ) -> Parsed<Option<Verb<'t>>> {
        if self.dialect != Dialect::Snowflake {
            return Ok(None);
        }
        let token = self.peek()?;
        match self.which(token, &["USER", "SECURITY", "POSTGRES", "ROLE"]) {
            Some("USER") if !or_alter => self.create_user(or_replace).map(Some),
            Some("POSTGRES") => Err(self.no_counterpart(
                token,
                "CREATE POSTGRES INSTANCE",
                "an instance is a service here, and SQL does not say its ports",
                Some("`netpolicy service add NAME --port PORT` makes one"),
            )),
            Some("SECURITY") => Err(self.no_counterpart(
                token,
                "CREATE SECURITY INTEGRATION",
                "a host has no security integrations: a policy governs the host or a service",
                Some("write ALTER ACCOUNT or ALTER USER … SET NETWORK_POLICY = n"),
            )),
            Some("ROLE") => Err(self.no_counterpart(
                token,
                "CREATE ROLE",
                "a role is an OS user or group here",
                Some("`groupadd` makes a group"),
            )),
            _ => Ok(None),
        }
    }

    fn create_user(&mut self, or_replace: bool) -> Parsed<Verb<'t>> {
        self.take()?;
        let if_not_exists = match self.take_word("IF")? {
            Some(token) => {
                self.words(&["NOT", "EXISTS"])?;
                if or_replace {
                    return Err(
                        self.error(token.spot, Fault::ReplaceIfNotExists { what: "OR REPLACE" })
                    );
                }
                true
            }
            None => false,
        };
        let service = self.ident("a user's name")?;
        let mut policy = None;
        if self.peek()?.kind == TokenClass::Word {
            let parameters = self.set_parameters()?;
            policy = parameters.policy.flatten();
            if let Some((_, spot)) = parameters.minutes {
                let token = Token {
                    spot,
                    ..self.peek()?
                };
                return Err(self.no_counterpart(
                    token,
                    "MINS_TO_BYPASS_NETWORK_POLICY in CREATE USER",
                    "a bypass is no part of a service",
                    Some("write ALTER USER u SET MINS_TO_BYPASS_NETWORK_POLICY = m"),
                ));
            }
            if !parameters.others.is_empty() {
                self.notes.push(
                    "a user is a service here: of CREATE USER only NETWORK_POLICY has an effect"
                        .to_owned(),
                );
            }
        }
        Ok(Verb::CreateUser {
            or_replace,
            if_not_exists,
            service,
            policy,
        })
    }
}
