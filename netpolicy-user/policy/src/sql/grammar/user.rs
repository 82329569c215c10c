//! CREATE USER, and other CREATEs of Snowflake that name a network policy.

use super::super::error::Fault;
use super::super::lexer::{Token, TokenClass};
use super::super::{Dialect, Verb};
use super::{Parsed, Parser};

impl<'t> Parser<'t> {
    /// What CREATE makes apart from policies; `None`: something else comes.
    pub(super) fn create_other(
        &mut self,
        create: Token,
        or_replace: bool,
        or_alter: bool,
    ) -> Parsed<Option<Verb<'t>>> {
        if self.dialect != Dialect::Snowflake {
            let token = self.peek()?;
            return match self.dialect == Dialect::Materialize && self.is(token, "ROLE") {
                true => self.create_role().map(Some),
                false => Ok(None),
            };
        }
        let token = self.peek()?;
        let kinds = ["USER", "SECURITY", "POSTGRES", "ROLE", "DATABASE", "SCHEMA"];
        match self.which(token, &kinds) {
            Some("USER") if !or_alter => {
                self.take()?;
                self.create_user(or_replace).map(Some)
            }
            Some("POSTGRES") if !or_alter => {
                self.take()?;
                self.word("INSTANCE")?;
                self.create_user(or_replace).map(Some)
            }
            Some(kind @ ("DATABASE" | "SCHEMA")) => self.create_container(create, kind).map(Some),
            Some("SECURITY") => Err(self.no_counterpart(
                token,
                "CREATE SECURITY INTEGRATION",
                "a host has no security integrations: a policy governs the host or a service",
                Some("write ALTER ACCOUNT or ALTER USER … SET NETWORK_POLICY = n"),
            )),
            Some("ROLE") => self.create_role().map(Some),
            _ => Ok(None),
        }
    }

    /// At ROLE, which both Snowflake and Materialize have.
    fn create_role(&mut self) -> Parsed<Verb<'t>> {
        self.take()?;
        let if_not_exists = self.take_word("IF")?.is_some();
        if if_not_exists {
            self.words(&["NOT", "EXISTS"])?;
        }
        let role = self.ident("a role's name")?;
        if !matches!(self.peek()?.kind, TokenClass::Semi | TokenClass::End) {
            self.skip_rest()?;
            self.notes
                .push("of CREATE ROLE only the name has an effect here".to_owned());
        }
        Ok(Verb::CreateRole {
            if_not_exists,
            role,
        })
    }

    /// At DATABASE or SCHEMA: where network rules are kept there.
    fn create_container(&mut self, create: Token, kind: &'static str) -> Parsed<Verb<'t>> {
        self.take()?;
        if self.take_word("IF")?.is_some() {
            self.words(&["NOT", "EXISTS"])?;
        }
        let name = self.take()?;
        self.name_of_any(name)?;
        while self.take_dot()? {
            let name = self.take()?;
            self.name_of_any(name)?;
        }
        self.skip_rest()?;
        let what = match kind {
            "DATABASE" => "CREATE DATABASE",
            _ => "CREATE SCHEMA",
        };
        self.notes.push(format!(
            "{what} has no effect here: a network rule keeps the names of its database and \
             schema, which need not exist"
        ));
        let text = self.text_since(create);
        Ok(Verb::Session { what, text })
    }

    /// Behind USER or POSTGRES INSTANCE.
    fn create_user(&mut self, or_replace: bool) -> Parsed<Verb<'t>> {
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
