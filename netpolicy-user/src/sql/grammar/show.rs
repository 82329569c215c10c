//! SHOW, DESC and COMMENT ON.

use super::super::error::Fault;
use super::super::lexer::{Token, TokenClass};
use super::super::{Dialect, Level, Verb};
use super::policy::LISTS;
use super::{Parsed, Parser};
use crate::model::error::Excerpt;

use Dialect::{Lakehouse, Materialize, Snowflake};

impl<'t> Parser<'t> {
    /// After SHOW.
    pub(super) fn show(&mut self, show: Token) -> Parsed<Verb<'t>> {
        const WHAT: [&str; 4] = ["NETWORK", "CREATE", "PARAMETERS", "NETWORK_POLICY"];
        let token = self.take()?;
        match self.which(token, &WHAT) {
            Some("NETWORK") => self.show_policies(show),
            Some("CREATE") => self.show_create(),
            Some("PARAMETERS") => {
                if self.dialect != Snowflake {
                    let instead = match self.dialect {
                        Materialize => "write SHOW network_policy",
                        _ => "write SHOW NETWORK POLICIES",
                    };
                    return self.foreign(show, "SHOW PARAMETERS", &[Snowflake], instead);
                }
                self.show_parameter()
            }
            Some(_) => {
                if self.dialect != Materialize {
                    let instead = match self.dialect {
                        Snowflake => "write SHOW PARAMETERS LIKE 'network_policy' IN ACCOUNT",
                        _ => "write SHOW NETWORK POLICIES",
                    };
                    return self.foreign(show, "SHOW network_policy", &[Materialize], instead);
                }
                Ok(Verb::ShowSetting)
            }
            None => Err(self.expected_word(
                token,
                match self.dialect {
                    Snowflake => &["NETWORK", "CREATE", "PARAMETERS"],
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
        Ok(Verb::ShowPolicies { like })
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

    fn show_parameter(&mut self) -> Parsed<Verb<'t>> {
        self.word("LIKE")?;
        let pattern = self.text("'network_policy'")?;
        if !pattern.text().eq_ignore_ascii_case("network_policy") {
            let found = Excerpt::new(&pattern.text());
            return Err(self.error(pattern.spot(), Fault::Parameter { found }));
        }
        self.one_of(&["IN", "FOR"])?;
        let (level, _) = self.one_of(&["ACCOUNT", "USER"])?;
        Ok(Verb::ShowParameter(if level == "USER" {
            Level::User(self.ident("a service's name")?)
        } else {
            Level::Account
        }))
    }

    /// After DESC or DESCRIBE.
    pub(super) fn describe(&mut self, desc: Token) -> Parsed<Verb<'t>> {
        if self.dialect == Materialize {
            let instead = "write SHOW NETWORK POLICIES";
            return self.foreign(desc, "DESC", &LISTS, instead);
        }
        if self.is_network_rule()? {
            return self.describe_rule();
        }
        self.policy_name().map(Verb::DescribePolicy)
    }

    /// After COMMENT.
    pub(super) fn comment_on(&mut self, comment: Token) -> Parsed<Verb<'t>> {
        if self.dialect != Materialize {
            let instead = match self.dialect {
                Snowflake => "write ALTER NETWORK POLICY n SET COMMENT = '…'",
                _ => "write COMMENT '…' in CREATE",
            };
            return self.foreign(comment, "COMMENT ON", &[Materialize], instead);
        }
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
        Ok(Verb::CommentOn { name, comment })
    }
}
