//! CREATE, ALTER and DROP NETWORK POLICY.

use super::super::error::Fault;
use super::super::lexer::{Token, TokenClass};
use super::super::place::Spot;
use super::super::{
    AlterPolicy, Clauses, CreatePolicy, Dialect, Ident, Literal, PolicyBody, UnsetClauses, Verb,
};
use super::{Parsed, Parser};
use crate::model::ListKind;

use Dialect::{Lakehouse, Materialize, Snowflake};

pub(super) const LISTS: [Dialect; 2] = [Snowflake, Lakehouse];
const IN_RULES: &str = "write RULES ( … )";
const IN_LISTS: &str = "write ALLOWED_IP_LIST = ( … )";
const CLAUSES: [&str; 3] = ["ALLOWED_IP_LIST", "BLOCKED_IP_LIST", "COMMENT"];
const RULE_LISTS: [&str; 2] = ["ALLOWED_NETWORK_RULE_LIST", "BLOCKED_NETWORK_RULE_LIST"];
/// Of Snowflake.
const ALL_CLAUSES: [&str; 5] = [
    CLAUSES[0],
    CLAUSES[1],
    RULE_LISTS[0],
    RULE_LISTS[1],
    CLAUSES[2],
];

impl<'t> Parser<'t> {
    /// After CREATE.
    pub(super) fn create(&mut self, create: Token) -> Parsed<Verb<'t>> {
        let (or_replace, or_alter) = match self.take_word("OR")? {
            None => (false, false),
            Some(or) => self.or_replace(or)?,
        };
        if !or_replace && !or_alter && self.is_group("CREATE of a group")? {
            return self.create_group(create);
        }
        if let Some(other) = self.create_other(create, or_replace, or_alter)? {
            return Ok(other);
        }
        if self.is_network_rule()? {
            return self.create_rule(or_replace, or_alter);
        }
        let or = match (or_replace, or_alter) {
            (true, _) => Some("OR REPLACE"),
            (_, true) => Some("OR ALTER"),
            _ => None,
        };
        let if_not_exists = self.if_not_exists(or)?;
        let name = self.policy_name()?;
        let mut force = false;
        let body = if self.dialect == Materialize {
            self.materialize_body()?
        } else {
            let token = self.peek()?;
            if token.kind == TokenClass::Open {
                self.take()?;
                let token = self.peek()?;
                if self.is(token, "RULES") {
                    return self.foreign(token, "RULES", &[Materialize], IN_LISTS);
                }
                return Err(self.expected_words(token, &CLAUSES, "the end of the statement"));
            }
            let clauses = self.clauses(true)?;
            force = self.force()?;
            PolicyBody::Lists(clauses)
        };
        Ok(Verb::CreatePolicy(CreatePolicy {
            or_replace,
            or_alter,
            if_not_exists,
            name,
            body,
            force,
        }))
    }

    /// What stands behind OR: whether REPLACE, and whether ALTER.
    fn or_replace(&mut self, or: Token) -> Parsed<(bool, bool)> {
        const INSTEAD: &str = "use ALTER NETWORK POLICY … SET";
        let (word, _) = match self.dialect {
            Lakehouse => self.one_of(&["REPLACE"])?,
            Snowflake | Materialize => self.one_of(&["REPLACE", "ALTER"])?,
        };
        match (word, self.dialect) {
            ("REPLACE", Materialize) => self.foreign(or, "OR REPLACE", &LISTS, INSTEAD),
            (_, Materialize) => self.foreign(or, "OR ALTER", &[Snowflake], INSTEAD),
            (word, _) => Ok((word == "REPLACE", word == "ALTER")),
        }
    }

    /// NETWORK POLICY.
    pub(super) fn network_policy(&mut self) -> Parsed<()> {
        self.words(&["NETWORK", "POLICY"])
    }

    pub(super) fn if_not_exists(&mut self, or: Option<&'static str>) -> Parsed<bool> {
        let Some(token) = self.take_word("IF")? else {
            return Ok(false);
        };
        self.words(&["NOT", "EXISTS"])?;
        if self.dialect == Materialize {
            let instead = "leave it out";
            return self.foreign(token, "IF NOT EXISTS", &LISTS, instead);
        }
        if let Some(what) = or {
            return Err(self.error(token.spot, Fault::ReplaceIfNotExists { what }));
        }
        Ok(true)
    }

    /// IF EXISTS, or nothing.
    pub(super) fn if_exists(&mut self) -> Parsed<Option<Token>> {
        let token = self.take_word("IF")?;
        if token.is_some() {
            self.word("EXISTS")?;
        }
        Ok(token)
    }

    /// FORCE at a statement's end, which only Lakehouse's have here.
    fn force(&mut self) -> Parsed<bool> {
        if self.dialect != Lakehouse {
            return Ok(false);
        }
        Ok(self.take_word("FORCE")?.is_some())
    }

    /// Clauses in any order, up to a token that is none.
    fn clauses(&mut self, is_create: bool) -> Parsed<Clauses<'t>> {
        let mut clauses = Clauses::default();
        let mut seen: [Option<Spot>; 5] = [None; 5];
        loop {
            let token = self.peek()?;
            if let Some(what) = self.which(token, &RULE_LISTS) {
                self.check_rules(token, what)?;
            }
            // Snowflake takes commas between clauses, too.
            if token.kind == TokenClass::Comma
                && self.dialect == Snowflake
                && seen.iter().any(Option::is_some)
            {
                self.take()?;
                continue;
            }
            let is_end = matches!(token.kind, TokenClass::Semi | TokenClass::End)
                || (self.dialect == Lakehouse && self.is(token, "FORCE"));
            if is_end && (is_create || seen.iter().any(Option::is_some)) {
                return Ok(clauses);
            }
            let Some(clause) = self.which(token, &ALL_CLAUSES) else {
                return Err(self.no_clause(token, is_create));
            };
            if clause == "COMMENT" && !is_create && self.dialect == Lakehouse {
                let instead = "SET accepts ALLOWED_IP_LIST and BLOCKED_IP_LIST";
                return self.foreign(token, "SET COMMENT", &[Snowflake], instead);
            }
            for (known, first) in ALL_CLAUSES.iter().zip(&mut seen) {
                if *known != clause {
                    continue;
                }
                if let Some(first) = first {
                    return Err(self.twice(token, clause, *first));
                }
                *first = Some(token.spot);
            }
            self.take()?;
            // Lakehouse's instances accept COMMENT 's' alone; text for others has the sign.
            if clause == "COMMENT" && self.dialect == Lakehouse {
                self.take_if(TokenClass::Eq)?;
            } else {
                self.expect(TokenClass::Eq, "'='")?;
            }
            match clause {
                "ALLOWED_IP_LIST" => clauses.allowed = Some(self.addresses()?),
                "BLOCKED_IP_LIST" => clauses.blocked = Some(self.addresses()?),
                "ALLOWED_NETWORK_RULE_LIST" => clauses.allowed_rules = Some(self.rule_names()?),
                "BLOCKED_NETWORK_RULE_LIST" => clauses.blocked_rules = Some(self.rule_names()?),
                _ => clauses.comment = self.comment_value(is_create)?,
            }
        }
    }

    /// A comment in single quotes. Snowflake's may be NULL, which is none, and in SET
    /// removes it.
    pub(super) fn comment_value(&mut self, is_create: bool) -> Parsed<Option<Literal<'t>>> {
        let token = self.peek()?;
        if self.dialect == Snowflake && self.is(token, "NULL") {
            self.take()?;
            let none = Literal::new("", self.dialect, token.spot);
            return Ok((!is_create).then_some(none));
        }
        self.text("a comment in single quotes").map(Some)
    }

    fn no_clause(&self, token: Token, is_create: bool) -> super::SqlError {
        if self.is(token, "RULES") {
            let error = self.foreign::<()>(token, "RULES", &[Materialize], IN_LISTS);
            if let Err(error) = error {
                return error;
            }
        }
        let clauses: &[&str] = if self.dialect == Snowflake {
            &ALL_CLAUSES
        } else if is_create {
            &CLAUSES
        } else {
            &["ALLOWED_IP_LIST", "BLOCKED_IP_LIST"]
        };
        self.expected_words(token, clauses, "the end of the statement")
    }

    pub(super) fn twice(&self, token: Token, what: &'static str, first: Spot) -> super::SqlError {
        self.error(
            token.spot,
            Fault::Twice {
                what,
                line: first.line,
                column: first.column(self.lexer.text()),
            },
        )
    }

    /// After ALTER NETWORK POLICY.
    pub(super) fn alter_policy(&mut self) -> Parsed<Verb<'t>> {
        let if_exists = self.if_exists()?;
        if let Some(token) = if_exists
            && self.dialect == Materialize
        {
            return self.foreign(token, "ALTER … IF EXISTS", &LISTS, "leave it out");
        }
        let name = self.policy_name()?;
        let change = self.policy_change()?;
        Ok(Verb::AlterPolicy {
            if_exists: if_exists.is_some(),
            name,
            change,
            force: self.force()?,
        })
    }

    fn policy_change(&mut self) -> Parsed<AlterPolicy<'t>> {
        const VERBS: [(&str, &[Dialect]); 8] = [
            ("SET", &Dialect::ALL),
            ("UNSET", &[Snowflake]),
            ("ADD", &[Snowflake]),
            ("REMOVE", &[Snowflake]),
            ("RENAME", &[Snowflake]),
            ("OWNER", &[Materialize]),
            ("ACTIVATE", &[Lakehouse]),
            ("INACTIVATE", &[Lakehouse]),
        ];
        let token = self.take()?;
        let Some((verb, of)) = VERBS.into_iter().find(|(verb, _)| self.is(token, verb)) else {
            let own: Vec<_> = VERBS
                .iter()
                .filter(|(_, of)| of.contains(&self.dialect))
                .map(|(verb, _)| *verb)
                .collect();
            return Err(self.expected_word(token, &own));
        };
        if !of.contains(&self.dialect) {
            let instead = match (verb, self.dialect) {
                ("UNSET", Lakehouse) => "a list that SET leaves out is cleared",
                ("UNSET", _) => "SET ( RULES ( … ) ) replaces all rules",
                ("RENAME", _) => "a policy's name cannot be changed",
                ("ADD" | "REMOVE", _) => "SET replaces a policy's addresses",
                ("ACTIVATE", Snowflake) => "write ALTER ACCOUNT SET NETWORK_POLICY = n",
                ("INACTIVATE", Snowflake) => "write ALTER ACCOUNT UNSET NETWORK_POLICY",
                ("ACTIVATE", _) => "write ALTER SYSTEM SET network_policy = n",
                ("INACTIVATE", _) => "write ALTER SYSTEM RESET network_policy",
                (_, Snowflake) => "write GRANT OWNERSHIP ON NETWORK POLICY n TO ROLE r",
                _ => "a policy's owner cannot be changed",
            };
            return self.foreign(token, verb, of, instead);
        }
        let next = self.peek()?;
        let of_tags = self.dialect == Snowflake && self.is(next, "TAG");
        Ok(match verb {
            "SET" if self.dialect == Materialize => AlterPolicy::SetRules(self.rules_option()?),
            "SET" | "UNSET" if of_tags => {
                self.take()?;
                self.tags(verb == "SET")?;
                self.notes
                    .push(format!("{verb} TAG has no effect here: tags are not kept"));
                AlterPolicy::Tags(self.text_since(token))
            }
            "SET" => {
                let token = self.peek()?;
                if token.kind == TokenClass::Open {
                    return self.foreign(token, "SET ( RULES … )", &[Materialize], IN_LISTS);
                }
                AlterPolicy::Set(self.clauses(false)?)
            }
            "UNSET" => AlterPolicy::Unset(self.unset()?),
            "ADD" | "REMOVE" => {
                let (list, _) = self.one_of(&RULE_LISTS)?;
                self.expect(TokenClass::Eq, "'='")?;
                AlterPolicy::Rules {
                    list: if list == RULE_LISTS[0] {
                        ListKind::Allow
                    } else {
                        ListKind::Block
                    },
                    adds: verb == "ADD",
                    names: self.rules_to_edit()?,
                }
            }
            "RENAME" => {
                self.word("TO")?;
                AlterPolicy::Rename(self.policy_name()?)
            }
            "OWNER" => {
                self.word("TO")?;
                AlterPolicy::Owner(self.ident("a role's name")?)
            }
            "ACTIVATE" => AlterPolicy::Activate,
            _ => AlterPolicy::Inactivate,
        })
    }

    fn unset(&mut self) -> Parsed<UnsetClauses> {
        let mut clauses = UnsetClauses::default();
        let mut seen: [Option<Spot>; 5] = [None; 5];
        loop {
            let token = self.take()?;
            let Some(clause) = self.which(token, &ALL_CLAUSES) else {
                return Err(self.expected_word(token, &ALL_CLAUSES));
            };
            for (known, first) in ALL_CLAUSES.iter().zip(&mut seen) {
                if *known != clause {
                    continue;
                }
                if let Some(first) = first {
                    return Err(self.twice(token, clause, *first));
                }
                *first = Some(token.spot);
            }
            match clause {
                "ALLOWED_IP_LIST" => clauses.allowed = true,
                "BLOCKED_IP_LIST" => clauses.blocked = true,
                "ALLOWED_NETWORK_RULE_LIST" => clauses.allowed_rules = true,
                "BLOCKED_NETWORK_RULE_LIST" => clauses.blocked_rules = true,
                _ => clauses.comment = true,
            }
            if self.take_if(TokenClass::Comma)?.is_none() {
                return Ok(clauses);
            }
        }
    }

    /// After DROP.
    pub(super) fn drop_policy(&mut self, drop: Token) -> Parsed<Verb<'t>> {
        if self.is_group("DROP of a group")? {
            return self.drop_group(drop);
        }
        if self.is_network_rule()? {
            return self.drop_rule();
        }
        let if_exists = self.if_exists()?.is_some();
        let mut names: Vec<Ident<'t>> = vec![self.policy_name()?];
        while let Some(comma) = self.take_if(TokenClass::Comma)? {
            if self.dialect != Materialize {
                let what = "DROP of several policies";
                return self.foreign(comma, what, &[Materialize], "drop one at a time");
            }
            names.push(self.policy_name()?);
        }
        // Nothing depends on a policy but what it governs, and that refuses the DROP.
        if self.dialect == Materialize && self.take_word("CASCADE")?.is_none() {
            self.take_word("RESTRICT")?;
        }
        Ok(Verb::DropPolicy {
            if_exists,
            names,
            force: self.force()?,
        })
    }

    /// What stands in place of RULES where Materialize wants it.
    pub(super) fn no_rules(&self, token: Token) -> super::SqlError {
        if let Some(what) = self.which(token, &RULE_LISTS)
            && let Err(error) = self.check_rules(token, what)
        {
            return error;
        }
        if let Some(what) = self.which(token, &CLAUSES) {
            let instead = if what == "COMMENT" {
                "write COMMENT ON NETWORK POLICY n IS '…'"
            } else {
                IN_RULES
            };
            if let Err(error) = self.foreign::<()>(token, what, &LISTS, instead) {
                return error;
            }
        }
        if token.kind == TokenClass::Open {
            return self.expected_word(token, &["RULES"]);
        }
        self.expected_words(token, &["RULES"], "'(' before it")
    }
}
