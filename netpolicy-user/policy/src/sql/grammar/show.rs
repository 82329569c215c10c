//! SHOW, DESC and COMMENT ON.

use super::super::lexer::{Token, TokenClass};
use super::super::network_rule::RuleStatement;
use super::super::{Dialect, GrantsOf, Level, SystemParameter, Verb};
use super::policy::LISTS;
use super::{Parsed, Parser, unquoted};

use Dialect::{Lakehouse, Materialize, Snowflake};

impl<'t> Parser<'t> {
    /// After SHOW.
    pub(super) fn show(&mut self, show: Token) -> Parsed<Verb<'t>> {
        const WHAT: [&str; 5] = [
            "NETWORK",
            "CREATE",
            "PARAMETERS",
            "NETWORK_POLICY",
            "GRANTS",
        ];
        if self.is_group("SHOW of groups")? {
            return self.show_groups(show);
        }
        let token = self.take()?;
        if self.dialect == Materialize
            && let Some(setting) = self.setting(token)
        {
            return Ok(Verb::ShowSetting(setting));
        }
        match self.which(token, &WHAT) {
            Some("NETWORK") => self.show_policies(show),
            Some("CREATE") => self.show_create(),
            Some("GRANTS") if self.dialect == Snowflake => self.show_grants(),
            Some("PARAMETERS") => {
                if self.dialect != Snowflake {
                    let instead = match self.dialect {
                        Materialize => "write SHOW network_policy",
                        _ => "write SHOW NETWORK POLICY",
                    };
                    return self.foreign(show, "SHOW PARAMETERS", &[Snowflake], instead);
                }
                self.show_parameter()
            }
            Some("NETWORK_POLICY") => {
                let instead = match self.dialect {
                    Snowflake => "write SHOW PARAMETERS LIKE 'network_policy' IN ACCOUNT",
                    _ => "write SHOW NETWORK POLICY",
                };
                self.foreign(show, "SHOW network_policy", &[Materialize], instead)
            }
            _ => Err(self.expected_word(
                token,
                match self.dialect {
                    Snowflake => &["NETWORK", "CREATE", "PARAMETERS", "GRANTS"],
                    Materialize => &["NETWORK", "CREATE", "NETWORK_POLICY"],
                    Lakehouse => &["NETWORK", "CREATE"],
                },
            )),
        }
    }

    fn show_policies(&mut self, show: Token) -> Parsed<Verb<'t>> {
        let token = self.take()?;
        match self.which(token, &["POLICIES", "POLICY", "RULES"]) {
            Some("POLICIES") => {}
            Some("RULES") => {
                self.check_rules(token, "SHOW NETWORK RULES")?;
                return self.show_rules();
            }
            Some(_) if self.dialect == Lakehouse => {}
            Some(_) => {
                let instead = "write SHOW NETWORK POLICIES";
                return self.foreign(show, "SHOW NETWORK POLICY", &[Lakehouse], instead);
            }
            None if self.dialect == Snowflake => {
                return Err(self.expected_word(token, &["POLICIES", "RULES"]));
            }
            None => return Err(self.expected_word(token, &["POLICIES"])),
        }
        let like = match self.take_word("LIKE")? {
            Some(token) if self.dialect == Lakehouse => {
                return self.foreign(token, "LIKE", &[Snowflake, Materialize], "leave it out");
            }
            Some(_) => Some(self.text("a pattern in single quotes")?),
            None => None,
        };
        let dialect = self.dialect;
        let named = match dialect {
            Materialize if like.is_none() && self.take_word("WHERE")?.is_some() => {
                self.word("NAME")?;
                self.expect(TokenClass::Eq, "'='")?;
                Some(self.text("a policy's name in single quotes")?)
            }
            Snowflake if self.take_word("IN")?.is_some() => {
                self.word("ACCOUNT")?;
                None
            }
            _ => None,
        };
        let mut starts_with = None;
        if dialect == Snowflake && self.take_word("STARTS")?.is_some() {
            self.word("WITH")?;
            starts_with = Some(self.text("a text in single quotes")?);
        }
        let limit = match dialect {
            Snowflake => self.limit()?,
            _ => None,
        };
        Ok(Verb::ShowPolicies {
            like,
            named,
            starts_with,
            limit,
        })
    }

    /// The setting of Materialize's system that a word, bare or quoted, names.
    pub(super) fn setting(&self, token: Token) -> Option<SystemParameter> {
        let text = match token.kind {
            TokenClass::Word => self.lexer.str(token),
            TokenClass::Quoted => unquoted(self.lexer.str(token)),
            _ => return None,
        };
        let mut all = SystemParameter::ALL.into_iter();
        all.find(|setting| setting.name().eq_ignore_ascii_case(text))
    }

    fn show_create(&mut self) -> Parsed<Verb<'t>> {
        if self.is_network_rule()? {
            return self.show_create_rule();
        }
        let name = self.policy_name()?;
        let dialect = match self.take_word("IN")? {
            Some(_) => {
                let token = self.take()?;
                Some(self.dialect_name(token)?)
            }
            None => None,
        };
        Ok(Verb::ShowCreate { name, dialect })
    }

    fn show_grants(&mut self) -> Parsed<Verb<'t>> {
        let (word, token) = self.one_of(&["ON", "TO", "OF"])?;
        if word == "OF" {
            return Err(self.no_counterpart(
                token,
                "SHOW GRANTS OF",
                "a role is an OS user or group here",
                Some("`getent group NAME` lists a group's users"),
            ));
        }
        if word == "TO" {
            let token = self.peek()?;
            if self.is(token, "USER") {
                return Err(self.no_counterpart(
                    token,
                    "SHOW GRANTS TO USER",
                    "a user is a service here, which has no privileges",
                    Some("write SHOW GRANTS TO ROLE and an OS user or group"),
                ));
            }
            self.take_word("ROLE")?;
            let role = self.ident("a role's name")?;
            return Ok(Verb::ShowGrants(GrantsOf::Role(role)));
        }
        let token = self.peek()?;
        if self.take_word("ACCOUNT")?.is_some() {
            return Ok(Verb::ShowGrants(GrantsOf::Account));
        }
        if !self.is(token, "NETWORK") {
            return Err(self.expected_word(token, &["NETWORK", "ACCOUNT"]));
        }
        if self.is_network_rule()? {
            let rule = self.rule_name()?;
            return Ok(Verb::NetworkRule(RuleStatement::ShowGrants(rule)));
        }
        let policy = self.policy_name()?;
        Ok(Verb::ShowGrants(GrantsOf::Policy(policy)))
    }

    fn show_parameter(&mut self) -> Parsed<Verb<'t>> {
        let pattern = match self.take_word("LIKE")? {
            Some(_) => Some(self.text("'network_policy'")?),
            None => None,
        };
        let token = self.peek()?;
        let level = match self.which(token, &["IN", "FOR"]) {
            None => Level::Account,
            Some(_) => {
                self.take()?;
                let (level, _) = self.one_of(&["ACCOUNT", "USER", "SESSION"])?;
                match level {
                    "USER" => Level::User(self.ident("a service's name")?),
                    _ => Level::Account,
                }
            }
        };
        Ok(Verb::ShowParameter { level, pattern })
    }

    /// After DESC or DESCRIBE.
    pub(super) fn describe(&mut self, desc: Token) -> Parsed<Verb<'t>> {
        if self.dialect == Materialize {
            let instead = "write SHOW NETWORK POLICIES";
            return self.foreign(desc, "DESC", &LISTS, instead);
        }
        if self.dialect == Snowflake && self.take_word("USER")?.is_some() {
            return self.ident("a user's name").map(Verb::DescribeUser);
        }
        if self.dialect == Snowflake && self.take_word("POSTGRES")?.is_some() {
            self.word("INSTANCE")?;
            return self.ident("an instance's name").map(Verb::DescribeUser);
        }
        if self.is_network_rule()? {
            return self.describe_rule();
        }
        self.policy_name().map(Verb::DescribePolicy)
    }

    /// After COMMENT.
    pub(super) fn comment_on(&mut self, comment: Token) -> Parsed<Verb<'t>> {
        if self.dialect == Lakehouse {
            let of = [Snowflake, Materialize];
            return self.foreign(comment, "COMMENT ON", &of, "write COMMENT '…' in CREATE");
        }
        let if_exists = self.dialect == Snowflake && self.if_exists()?.is_some();
        self.word("ON")?;
        self.network_policy()?;
        let name = self.policy_name()?;
        self.word("IS")?;
        let token = self.peek()?;
        let comment = match token.kind {
            TokenClass::Word if self.is(token, "NULL") => {
                self.take()?;
                None
            }
            _ => Some(self.text("a comment in single quotes or NULL")?),
        };
        Ok(Verb::CommentOn {
            if_exists,
            name,
            comment,
        })
    }
}
