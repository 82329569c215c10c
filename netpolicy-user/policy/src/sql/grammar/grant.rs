//! GRANT and REVOKE.

use super::super::error::{Fault, SqlError};
use super::super::lexer::{Token, TokenClass};
use super::super::network_rule::{RuleName, RuleStatement};
use super::super::{CurrentGrants, Dialect, GrantClause, GrantedRight, Ident, Verb};
use super::grant_object::Object;
use super::{Parsed, Parser};

use Dialect::{Lakehouse, Materialize, Snowflake};

/// Materialize's privileges that are no mistyped one of ours
/// (<https://materialize.com/docs/sql/grant-privilege/>).
const OTHERS: [&str; 4] = ["CREATEROLE", "CREATEDB", "CREATECLUSTER", "CREATE"];

/// What stands before ON.
#[derive(Default)]
pub(super) struct Phrases<'t> {
    pub(super) create: Option<Token>,
    pub(super) attach: Option<Token>,
    pub(super) ownership: Option<Token>,
    pub(super) usage: Option<Token>,
    pub(super) all: Option<Token>,
    /// Privileges for what a host does not have.
    pub(super) others: Vec<&'t str>,
    /// The first word of all.
    first: Option<Token>,
}

impl<'t> Parser<'t> {
    /// After GRANT.
    pub(super) fn grant(&mut self, verb: Token) -> Parsed<Verb<'t>> {
        self.grant_or_revoke(verb, true)
    }

    /// After REVOKE.
    pub(super) fn revoke(&mut self, verb: Token) -> Parsed<Verb<'t>> {
        self.grant_or_revoke(verb, false)
    }

    fn grant_or_revoke(&mut self, verb: Token, is_grant: bool) -> Parsed<Verb<'t>> {
        let what = verb_of(is_grant);
        if self.dialect == Lakehouse {
            let of = [Snowflake, Materialize];
            let instead = "use `netpolicy grant` and `netpolicy revoke`";
            return self.foreign(verb, what, &of, instead);
        }
        let token = self.peek()?;
        if self.which(token, &["ROLE", "DATABASE"]).is_some() {
            return Err(self.grant_of_role(token, what));
        }
        if !is_grant && self.is(token, "GRANT") {
            self.take()?;
            self.words(&["OPTION", "FOR"])?;
            self.skip_rest()?;
            let why = "there is no grant option: who has the privilege admin may grant";
            return self.without_effect(verb, "REVOKE GRANT OPTION", why);
        }
        let phrases = self.phrases(is_grant)?;
        let to = if is_grant { "TO" } else { "FROM" };
        let next = self.peek()?;
        if self.dialect == Materialize && self.is(next, to) {
            return Err(self.grant_of_role(token, what));
        }
        let object = self.object(&phrases)?;
        if let Object::Rule(name) = object {
            return self.give_rule(name, &phrases, to);
        }
        if matches!(object, Object::Other) {
            self.skip_rest()?;
            let why = "a host has nothing that this privilege is for";
            return self.without_effect(verb, verb_of(is_grant), why);
        }
        let privileges = self.privileges(&phrases, &object)?;
        if let (true, false, Some(first)) = (
            privileges.is_empty(),
            matches!(object, Object::Whole),
            phrases.first,
        ) {
            return Err(self.expected_word(first, &["USAGE", "ALL"]));
        }
        self.word(to)?;
        let roles = self.grantees()?;
        let current = self.current_grants(&privileges)?;
        self.grant_options(is_grant)?;
        if privileges.is_empty() {
            let why = "there are privileges for network policies alone";
            return self.without_effect(verb, verb_of(is_grant), why);
        }
        let clause = GrantClause {
            privileges,
            roles,
            current,
        };
        Ok(match is_grant {
            true => Verb::Grant(clause),
            false => Verb::Revoke(clause),
        })
    }

    fn grant_of_role(&self, token: Token, what: &str) -> SqlError {
        self.no_counterpart(
            token,
            format!("{what} ROLE"),
            "a role is an OS user or group here",
            Some("`usermod -aG GROUP USER` puts a user into a group"),
        )
    }

    /// A statement that its product has and that changes nothing here.
    fn without_effect(&mut self, first: Token, what: &'static str, why: &str) -> Parsed<Verb<'t>> {
        self.notes.clear();
        self.notes.push(format!("{what} has no effect here: {why}"));
        let text = self.text_since(first);
        Ok(Verb::Session { what, text })
    }

    /// GRANT OWNERSHIP ON NETWORK RULE, behind the rule's name.
    fn give_rule(
        &mut self,
        name: RuleName<'t>,
        phrases: &Phrases<'t>,
        to: &'static str,
    ) -> Parsed<Verb<'t>> {
        let others = [phrases.create, phrases.attach, phrases.usage, phrases.all];
        let other = others.into_iter().flatten().next();
        if let Some(token) = other.or(phrases
            .ownership
            .is_none()
            .then_some(phrases.first)
            .flatten())
        {
            return Err(self.no_counterpart(
                token,
                "a privilege on a network rule",
                "its owner alters and drops it, and every policy may refer to it",
                Some("grant OWNERSHIP"),
            ));
        }
        self.word(to)?;
        self.take_word("ROLE")?;
        let role = self.ident("a role's name")?;
        let current = self.current_grants_words()?;
        Ok(Verb::NetworkRule(RuleStatement::Give {
            name,
            role,
            current,
        }))
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
            phrases.first.get_or_insert(first);
            while self.peek()?.kind == TokenClass::Word {
                let next = self.peek()?;
                if self.which(next, &["ON", "TO", "FROM"]).is_some() {
                    break;
                }
                self.take()?;
            }
            let phrase = self.text_since(first);
            let words: Vec<_> = phrase.split_whitespace().collect();
            let is = |text: &str| words.join(" ").eq_ignore_ascii_case(text);
            self.foreign_privilege(first, is("CREATE NETWORK POLICY"))?;
            let slot = match () {
                () if is("CREATE NETWORK RULE") => {
                    return Err(self.no_counterpart(
                        first,
                        "CREATE NETWORK RULE",
                        "one privilege is for policies and network rules",
                        Some("CREATE NETWORK POLICY ON ACCOUNT covers both"),
                    ));
                }
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
        Ok(phrases)
    }

    /// Refuses a privilege that only the other product has; `creates`: whether it is
    /// Snowflake's to create network policies.
    fn foreign_privilege(&self, token: Token, creates: bool) -> Parsed<()> {
        match self.dialect {
            Materialize => {
                let Some(what) = self.which(token, &["CREATE", "ATTACH", "OWNERSHIP"]) else {
                    return Ok(());
                };
                if what == "CREATE" && !creates {
                    return Ok(());
                }
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
        self.current_grants_words()
    }

    fn current_grants_words(&mut self) -> Parsed<Option<CurrentGrants>> {
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

fn verb_of(is_grant: bool) -> &'static str {
    if is_grant { "GRANT" } else { "REVOKE" }
}
