//! GRANT and REVOKE.

use super::super::error::Fault;
use super::super::lexer::{Token, TokenClass};
use super::super::{CurrentGrants, Dialect, GrantClause, GrantedRight, Ident, Verb};
use super::{Parsed, Parser};

use Dialect::{Lakehouse, Materialize, Snowflake};

/// Materialize's privileges on the system that are no mistyped one of ours
/// (<https://materialize.com/docs/sql/grant-privilege/>).
const OTHERS: [&str; 3] = ["CREATEROLE", "CREATEDB", "CREATECLUSTER"];

/// What stands before ON.
#[derive(Default)]
struct Phrases<'t> {
    create: Option<Token>,
    attach: Option<Token>,
    ownership: Option<Token>,
    usage: Option<Token>,
    all: Option<Token>,
    /// Privileges for what a host does not have.
    others: Vec<&'t str>,
}

/// What stands behind it.
enum Object<'t> {
    /// The account, or the system.
    Whole,
    Policy(Ident<'t>),
    AllPolicies,
}

impl<'t> Parser<'t> {
    /// After GRANT.
    pub(super) fn grant(&mut self, verb: Token) -> Parsed<Verb<'t>> {
        self.grant_or_revoke(verb, true).map(Verb::Grant)
    }

    /// After REVOKE.
    pub(super) fn revoke(&mut self, verb: Token) -> Parsed<Verb<'t>> {
        self.grant_or_revoke(verb, false).map(Verb::Revoke)
    }

    fn grant_or_revoke(&mut self, verb: Token, is_grant: bool) -> Parsed<GrantClause<'t>> {
        let what = if is_grant { "GRANT" } else { "REVOKE" };
        if self.dialect == Lakehouse {
            let of = [Snowflake, Materialize];
            let instead = "use `netpolicy grant` and `netpolicy revoke`";
            return self.foreign(verb, what, &of, instead);
        }
        let token = self.peek()?;
        if let Some(other) = self.which(token, &["ROLE", "DATABASE", "GRANT"]) {
            return Err(match other {
                "GRANT" => self.no_counterpart(
                    token,
                    "GRANT OPTION FOR",
                    "who may grant is who has the privilege admin; there is no grant option",
                    Some("revoke the privilege itself"),
                ),
                _ => self.no_counterpart(
                    token,
                    format!("{what} ROLE"),
                    "a role is an OS user or group here",
                    Some("`usermod -aG GROUP USER` puts a user into a group"),
                ),
            });
        }
        let phrases = self.phrases(is_grant)?;
        let object = self.object(&phrases)?;
        let privileges = self.privileges(token, &phrases, &object, is_grant)?;
        self.word(if is_grant { "TO" } else { "FROM" })?;
        let roles = self.grantees()?;
        let current = self.current_grants(&privileges)?;
        self.grant_options(is_grant)?;
        Ok(GrantClause {
            privileges,
            roles,
            current,
        })
    }

    /// Privileges up to ON.
    fn phrases(&mut self, is_grant: bool) -> Parsed<Phrases<'t>> {
        let own: &[&'static str] = match self.dialect {
            Snowflake if is_grant => &["CREATE", "ATTACH", "OWNERSHIP", "USAGE", "ALL"],
            Snowflake => &["CREATE", "ATTACH", "USAGE", "ALL"],
            _ => &["CREATENETWORKPOLICY", "USAGE", "ALL"],
        };
        let mut phrases = Phrases::default();
        loop {
            let first = self.take()?;
            if first.kind != TokenClass::Word {
                return Err(self.expected_word(first, own));
            }
            self.foreign_privilege(first)?;
            while self.peek()?.kind == TokenClass::Word {
                let next = self.peek()?;
                if self.is(next, "ON") {
                    break;
                }
                self.take()?;
            }
            let phrase = self.text_since(first);
            let words: Vec<_> = phrase.split_whitespace().collect();
            let is = |text: &str| words.join(" ").eq_ignore_ascii_case(text);
            let slot = match () {
                () if is("CREATE NETWORK POLICY") || is("CREATENETWORKPOLICY") => {
                    &mut phrases.create
                }
                () if is("ATTACH POLICY") => &mut phrases.attach,
                () if is("OWNERSHIP") && !is_grant => {
                    return Err(self.error(first.spot, Fault::RevokeOwnership));
                }
                () if is("OWNERSHIP") => &mut phrases.ownership,
                () if is("USAGE") => &mut phrases.usage,
                () if is("ALL") || is("ALL PRIVILEGES") => &mut phrases.all,
                () => {
                    // A word that is close to one of ours is a slip of the hand.
                    if self.which(first, &OTHERS).is_none()
                        && let Some(word) = super::meant(words.first().unwrap_or(&""), own)
                        && !word.eq_ignore_ascii_case(words.first().unwrap_or(&""))
                    {
                        return Err(self.expected_word(first, own));
                    }
                    phrases.others.push(phrase);
                    &mut None
                }
            };
            *slot = Some(first);
            if self.take_if(TokenClass::Comma)?.is_none() {
                break;
            }
        }
        let on = self.take()?;
        if !self.is(on, "ON") {
            return Err(self.expected_word(on, &["ON"]));
        }
        Ok(phrases)
    }

    /// Refuses a privilege that only the other product has.
    fn foreign_privilege(&self, token: Token) -> Parsed<()> {
        match self.dialect {
            Materialize => {
                let Some(what) = self.which(token, &["CREATE", "ATTACH", "OWNERSHIP"]) else {
                    return Ok(());
                };
                let instead = match what {
                    "OWNERSHIP" => "write ALTER NETWORK POLICY n OWNER TO r",
                    _ => "grant CREATENETWORKPOLICY ON SYSTEM or USAGE ON NETWORK POLICY n",
                };
                self.foreign(token, what, &[Snowflake], instead)
            }
            _ => {
                let Some(what) = self.which(token, &["CREATENETWORKPOLICY"]) else {
                    return Ok(());
                };
                let instead = "grant CREATE NETWORK POLICY or ATTACH POLICY ON ACCOUNT";
                self.foreign(token, what, &[Materialize], instead)
            }
        }
    }

    /// After ON.
    fn object(&mut self, phrases: &Phrases<'t>) -> Parsed<Object<'t>> {
        let words: &[&'static str] = match self.dialect {
            Snowflake => &["ACCOUNT", "NETWORK"],
            _ => &["SYSTEM", "NETWORK", "ALL"],
        };
        let token = self.take()?;
        match self.which(token, words) {
            Some("NETWORK") => {
                self.word("POLICY")?;
                self.policy_name().map(Object::Policy)
            }
            Some("ALL") => {
                self.take_word("NETWORK")?;
                self.word("POLICIES")?;
                Ok(Object::AllPolicies)
            }
            Some(_) => Ok(Object::Whole),
            None if phrases.usage.is_some() || phrases.all.is_some() => {
                self.skip_rest()?;
                Err(self.no_counterpart(
                    token,
                    "GRANT on what is no network policy",
                    "a host has no tables, schemas or databases",
                    None,
                ))
            }
            None => Err(self.expected_word(token, words)),
        }
    }

    fn privileges(
        &mut self,
        first: Token,
        phrases: &Phrases<'t>,
        object: &Object<'t>,
        is_grant: bool,
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
        if found.is_empty() {
            let what = if is_grant { "GRANT" } else { "REVOKE" };
            return Err(self.no_counterpart(
                first,
                format!("{what} {}", phrases.others.join(", ").to_ascii_uppercase()),
                "a host has nothing that this privilege is for; there are privileges to create \
                 and to attach network policies",
                None,
            ));
        }
        if !phrases.others.is_empty() {
            self.notes.push(format!(
                "{} has no effect here: there are privileges for network policies alone",
                phrases.others.join(", ").to_ascii_uppercase()
            ));
        }
        Ok(found)
    }

    /// After TO or FROM.
    fn grantees(&mut self) -> Parsed<Vec<Ident<'t>>> {
        let token = self.peek()?;
        if self.dialect == Snowflake && self.is(token, "USER") {
            return Err(self.no_counterpart(
                token,
                "a privilege of a USER",
                "a user is a service here; privileges go to OS users and groups",
                Some("write ROLE and the OS user's name"),
            ));
        }
        if self.take_word("ROLE")?.is_none() && self.dialect == Materialize {
            self.take_word("GROUP")?;
        }
        let mut roles = Vec::new();
        loop {
            let token = self.peek()?;
            if self.is(token, "PUBLIC") {
                return Err(self.no_counterpart(
                    token,
                    "PUBLIC",
                    "it would be every user of this host, and privileges go to OS users and \
                     groups by name",
                    Some("name a group"),
                ));
            }
            roles.push(self.ident("a role's name")?);
            if self.dialect != Materialize || self.take_if(TokenClass::Comma)?.is_none() {
                return Ok(roles);
            }
        }
    }

    /// Snowflake's `{COPY | REVOKE} CURRENT GRANTS`, where ownership is granted.
    fn current_grants(&mut self, privileges: &[GrantedRight<'t>]) -> Parsed<Option<CurrentGrants>> {
        let of_ownership = privileges
            .iter()
            .any(|privilege| matches!(privilege, GrantedRight::Ownership(_)));
        if self.dialect != Snowflake || !of_ownership {
            return Ok(None);
        }
        let token = self.peek()?;
        let current = match self.which(token, &["COPY", "REVOKE"]) {
            Some("COPY") => CurrentGrants::Copy,
            Some(_) => CurrentGrants::Revoke,
            None => return Ok(None),
        };
        self.take()?;
        self.words(&["CURRENT", "GRANTS"])?;
        Ok(Some(current))
    }

    /// What may stand at the end.
    fn grant_options(&mut self, is_grant: bool) -> Parsed<()> {
        if is_grant && self.take_word("WITH")?.is_some() {
            self.words(&["GRANT", "OPTION"])?;
            self.notes.push(
                "WITH GRANT OPTION has no effect here: who has the privilege admin may grant"
                    .to_owned(),
            );
        }
        if !is_grant && self.take_word("CASCADE")?.is_none() {
            self.take_word("RESTRICT")?;
        }
        Ok(())
    }
}
