//! Snowflake's statements about replication and failover groups.

use super::super::group::{GroupChange, GroupKind, GroupStatement, GroupVerb};
use super::super::lexer::Token;
use super::super::{Dialect, Verb};
use super::{Parsed, Parser};

/// The first word of a group's kind.
const KINDS: [&str; 2] = ["REPLICATION", "FAILOVER"];

impl<'t> Parser<'t> {
    /// Whether a group comes; other dialects have none.
    pub(super) fn is_group(&mut self, what: &str) -> Parsed<bool> {
        let token = self.peek()?;
        if self.which(token, &KINDS).is_none() {
            return Ok(false);
        }
        if self.dialect != Dialect::Snowflake {
            let instead = "`netpolicy fleet status` shows the fleet that the host is in";
            return self.foreign(token, what, &[Dialect::Snowflake], instead);
        }
        Ok(true)
    }

    /// REPLICATION GROUP or FAILOVER GROUP, behind CREATE.
    pub(super) fn create_group(&mut self, first: Token) -> Parsed<Verb<'t>> {
        let kind = self.group_kind("GROUP")?;
        if self.take_word("IF")?.is_some() {
            self.words(&["NOT", "EXISTS"])?;
        }
        let name = self.ident("a group's name")?;
        let (word, _) = self.one_of(&["OBJECT_TYPES", "AS"])?;
        let is_replica = word == "AS";
        if is_replica {
            self.words(&["REPLICA", "OF"])?;
        }
        self.skip_rest()?;
        Ok(self.group(first, kind, GroupVerb::Create { name, is_replica }))
    }

    /// The same behind ALTER.
    pub(super) fn alter_group(&mut self, first: Token) -> Parsed<Verb<'t>> {
        const CHANGES: [&str; 10] = [
            "PRIMARY", "REFRESH", "SUSPEND", "RESUME", "SET", "UNSET", "ADD", "MOVE", "REMOVE",
            "RENAME",
        ];
        let kind = self.group_kind("GROUP")?;
        self.if_exists()?;
        let name = self.ident("a group's name")?;
        let change = match self.one_of(&CHANGES)?.0 {
            "PRIMARY" => GroupChange::Primary,
            "REFRESH" => GroupChange::Refresh,
            "SUSPEND" => GroupChange::Suspend,
            "RESUME" => GroupChange::Resume,
            _ => GroupChange::Settings,
        };
        if change != GroupChange::Primary {
            self.skip_rest()?;
        }
        Ok(self.group(first, kind, GroupVerb::Alter { name, change }))
    }

    /// The same behind DROP.
    pub(super) fn drop_group(&mut self, first: Token) -> Parsed<Verb<'t>> {
        let kind = self.group_kind("GROUP")?;
        self.if_exists()?;
        let name = self.ident("a group's name")?;
        Ok(self.group(first, kind, GroupVerb::Drop(name)))
    }

    /// REPLICATION GROUPS or FAILOVER GROUPS, behind SHOW.
    pub(super) fn show_groups(&mut self, first: Token) -> Parsed<Verb<'t>> {
        let kind = self.group_kind("GROUPS")?;
        if self.take_word("IN")?.is_some() {
            self.word("ACCOUNT")?;
            self.skip_rest()?;
        }
        Ok(self.group(first, kind, GroupVerb::Show))
    }

    fn group_kind(&mut self, noun: &'static str) -> Parsed<GroupKind> {
        let (word, _) = self.one_of(&KINDS)?;
        self.word(noun)?;
        Ok(match word {
            "FAILOVER" => GroupKind::Failover,
            _ => GroupKind::Replication,
        })
    }

    fn group(&self, first: Token, kind: GroupKind, verb: GroupVerb<'t>) -> Verb<'t> {
        let text = self.text_since(first);
        Verb::Group(GroupStatement { kind, verb, text })
    }
}
