//! What privileges are granted on: of GRANT and REVOKE, from ON on.

use super::super::network_rule::RuleName;
use super::super::{Dialect, GrantedRight, Ident};
use super::grant::Phrases;
use super::{Parsed, Parser};

use Dialect::Snowflake;

/// What stands behind ON.
pub(super) enum Object<'t> {
    /// The account, or the system.
    Whole,
    Policy(Ident<'t>),
    Rule(RuleName<'t>),
    AllPolicies,
    /// What a host does not have.
    Other,
}

/// Kinds of objects that the products have privileges for and a host has none of.
const OBJECTS: [&str; 31] = [
    "DATABASE",
    "SCHEMA",
    "WAREHOUSE",
    "TABLE",
    "VIEW",
    "INTEGRATION",
    "STAGE",
    "FUNCTION",
    "PROCEDURE",
    "SECRET",
    "COMPUTE",
    "FUTURE",
    "ALL",
    "CLUSTER",
    "CONNECTION",
    "TYPE",
    "SOURCE",
    "SINK",
    "TASK",
    "STREAM",
    "SEQUENCE",
    "PIPE",
    "FILE",
    "EXTERNAL",
    "MATERIALIZED",
    "RESOURCE",
    "TAG",
    "AUTHENTICATION",
    "USER",
    "ROLE",
    "CORTEX",
];

impl<'t> Parser<'t> {
    /// From ON on.
    pub(super) fn object(&mut self, phrases: &Phrases<'t>) -> Parsed<Object<'t>> {
        let on = self.take()?;
        if !self.is(on, "ON") {
            return Err(self.expected_word(on, &["ON"]));
        }
        let words: &[&'static str] = match self.dialect {
            Snowflake => &["ACCOUNT", "NETWORK"],
            _ => &["SYSTEM", "NETWORK", "ALL"],
        };
        let token = self.take()?;
        match self.which(token, words) {
            Some("NETWORK") => {
                let next = self.peek()?;
                if self.dialect == Snowflake && self.take_word("RULE")?.is_some() {
                    return self.rule_name().map(Object::Rule);
                }
                if !self.is(next, "POLICY") {
                    let kinds: &[&'static str] = match self.dialect {
                        Snowflake => &["POLICY", "RULE"],
                        _ => &["POLICY"],
                    };
                    return Err(self.expected_word(next, kinds));
                }
                self.take()?;
                self.policy_name().map(Object::Policy)
            }
            Some("ALL") => {
                let of_policies = self.take_word("NETWORK")?.is_some();
                if self.take_word("POLICIES")?.is_some() {
                    return Ok(Object::AllPolicies);
                }
                if of_policies {
                    let next = self.peek()?;
                    return Err(self.expected_word(next, &["POLICIES"]));
                }
                Ok(Object::Other)
            }
            Some(_) => Ok(Object::Whole),
            // A service has no owner: that is said, and not passed over.
            None if phrases.ownership.is_some() && self.is(token, "USER") => Err(self
                .no_counterpart(
                    token,
                    "OWNERSHIP of a USER",
                    "a user is a service here, which has no owner: root and who has the privilege \
                     admin alter services",
                    None,
                )),
            None if self.which(token, &OBJECTS).is_some() => Ok(Object::Other),
            None => Err(self.expected_word(token, words)),
        }
    }

    /// The privileges that the phrases mean on the object; none: a host has nothing that they
    /// are for.
    pub(super) fn privileges(
        &mut self,
        phrases: &Phrases<'t>,
        object: &Object<'t>,
    ) -> Parsed<Vec<GrantedRight<'t>>> {
        let mut found = Vec::new();
        let mut rest = [
            phrases.create,
            phrases.attach,
            phrases.ownership,
            phrases.usage,
        ];
        match object {
            Object::Whole => {
                let all = phrases.all.is_some();
                if rest[0].take().is_some() || all {
                    found.push(GrantedRight::CreatePolicy);
                }
                if rest[1].take().is_some() || (all && self.dialect == Snowflake) {
                    found.push(GrantedRight::AttachPolicy);
                }
            }
            Object::Policy(name) => {
                if rest[2].take().is_some() {
                    found.push(GrantedRight::Ownership(*name));
                }
                if rest[3].take().is_some() || phrases.all.is_some() {
                    found.push(GrantedRight::Usage(*name));
                }
            }
            Object::AllPolicies => {
                if rest[3].take().is_some() || phrases.all.is_some() {
                    found.push(GrantedRight::UsageOnAll);
                }
            }
            Object::Rule(_) | Object::Other => {}
        }
        if let Some(token) = rest.into_iter().flatten().next() {
            let (whole, what) = match self.dialect {
                Snowflake => ("ACCOUNT", self.lexer.str(token).to_ascii_uppercase()),
                _ => ("SYSTEM", self.lexer.str(token).to_ascii_uppercase()),
            };
            let on_whole = ["CREATE", "ATTACH", "CREATENETWORKPOLICY"].contains(&what.as_str());
            let object = if on_whole {
                whole.to_owned()
            } else {
                "NETWORK POLICY n".to_owned()
            };
            let expected = format!("ON {object} with {what}");
            return Err(self.expected(token, &expected));
        }
        if !found.is_empty() && !phrases.others.is_empty() {
            self.notes.push(format!(
                "{} has no effect here: there are privileges for network policies alone",
                phrases.others.join(", ").to_ascii_uppercase()
            ));
        }
        Ok(found)
    }
}
