//! GRANT and REVOKE.

use super::super::error::Fault;
use super::super::lexer::Token;
use super::super::{Dialect, GrantClause, GrantedRight, Verb};
use super::{Parsed, Parser};

use Dialect::{Lakehouse, Materialize, Snowflake};

impl<'t> Parser<'t> {
    /// After GRANT.
    pub(super) fn grant(&mut self, verb: Token) -> Parsed<Verb<'t>> {
        self.grant_or_revoke(verb, "TO").map(Verb::Grant)
    }

    /// After REVOKE.
    pub(super) fn revoke(&mut self, verb: Token) -> Parsed<Verb<'t>> {
        self.grant_or_revoke(verb, "FROM").map(Verb::Revoke)
    }

    fn grant_or_revoke(
        &mut self,
        verb: Token,
        preposition: &'static str,
    ) -> Parsed<GrantClause<'t>> {
        let is_grant = preposition == "TO";
        let privilege = match self.dialect {
            Snowflake => self.snowflake_privilege(is_grant)?,
            Materialize => self.materialize_privilege()?,
            Lakehouse => {
                let what = if is_grant { "GRANT" } else { "REVOKE" };
                let of = [Snowflake, Materialize];
                let instead = "use `netpolicy grant` and `netpolicy revoke`";
                return self.foreign(verb, what, &of, instead);
            }
        };
        self.word(preposition)?;
        if self.dialect == Snowflake {
            self.word("ROLE")?;
        }
        let role = self.ident("a role's name")?;
        Ok(GrantClause { privilege, role })
    }

    fn snowflake_privilege(&mut self, is_grant: bool) -> Parsed<GrantedRight<'t>> {
        let token = self.take()?;
        const OWN: [&str; 3] = ["CREATE", "ATTACH", "OWNERSHIP"];
        if let Some(what) = self.which(token, &["CREATENETWORKPOLICY", "USAGE"]) {
            let instead = "grant CREATE NETWORK POLICY or ATTACH POLICY ON ACCOUNT";
            return self.foreign(token, what, &[Materialize], instead);
        }
        match self.which(token, &OWN) {
            Some("CREATE") => {
                self.words(&["NETWORK", "POLICY", "ON", "ACCOUNT"])?;
                Ok(GrantedRight::CreatePolicy)
            }
            Some("ATTACH") => {
                self.words(&["POLICY", "ON", "ACCOUNT"])?;
                Ok(GrantedRight::AttachPolicy)
            }
            Some(_) if is_grant => {
                self.words(&["ON", "NETWORK", "POLICY"])?;
                self.policy_name().map(GrantedRight::Ownership)
            }
            Some(_) => Err(self.error(token.spot, Fault::RevokeOwnership)),
            None if is_grant => Err(self.expected_word(token, &OWN)),
            None => Err(self.expected_word(token, &["CREATE", "ATTACH"])),
        }
    }

    fn materialize_privilege(&mut self) -> Parsed<GrantedRight<'t>> {
        let token = self.take()?;
        if let Some(what) = self.which(token, &["CREATE", "ATTACH", "OWNERSHIP"]) {
            let instead = match what {
                "OWNERSHIP" => "write ALTER NETWORK POLICY n OWNER TO r",
                _ => "grant CREATENETWORKPOLICY ON SYSTEM or USAGE ON NETWORK POLICY n",
            };
            return self.foreign(token, what, &[Snowflake], instead);
        }
        match self.which(token, &["CREATENETWORKPOLICY", "USAGE"]) {
            Some("CREATENETWORKPOLICY") => {
                self.words(&["ON", "SYSTEM"])?;
                Ok(GrantedRight::CreatePolicy)
            }
            Some(_) => {
                self.word("ON")?;
                let (on, _) = self.one_of(&["NETWORK", "ALL"])?;
                if on == "ALL" {
                    self.take_word("NETWORK")?;
                    self.word("POLICIES")?;
                    return Ok(GrantedRight::UsageOnAll);
                }
                self.word("POLICY")?;
                self.policy_name().map(GrantedRight::Usage)
            }
            None => Err(self.expected_word(token, &["CREATENETWORKPOLICY", "USAGE"])),
        }
    }
}
