//! Named lists: addresses under a name of their own, which any number of policies refer to.
//!
//! A policy that refers to a list allows or blocks what is on it, and what its own rules say. SQL
//! calls such a list a network rule; what only SQL has to know of it is its [`NetworkRule`].

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use super::error::{Excerpt, Problem};
use super::list::ListBuilder;
use super::{AllowPart, Feed, ListKind, MAX_COMMENT, Name, Policy, Rule, RuleList, State};

/// The most named lists that a host may have.
pub const MAX_LISTS: usize = 1_000;

/// A named list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedList {
    /// Its name.
    pub name: Name,
    /// Its entries, of both families.
    pub entries: RuleList,
    /// Entries of length 0 of a network rule. Where a policy allows, they allow; where it
    /// blocks, they stand for every source that it does not allow, as a blocked `/0` does in
    /// Snowflake's dialect, and are not enforced unless the policy allows any.
    pub every: RuleList,
    /// What SQL has to know of it; `None`: it was made otherwise.
    pub rule: Option<NetworkRule>,
    /// Where its content comes from, if it is a feed: then its entries are in no revision.
    pub feed: Option<Box<Feed>>,
    /// A file that makes the list smaller by more than this is asked about, percent; `None`: as
    /// with any list. A feed's limit is one of its settings.
    pub max_shrink: Option<u8>,
    /// Description.
    pub comment: Option<String>,
    /// Who may change it: an OS user's name, or `group:` and a group's.
    pub owner: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub altered: Timestamp,
}

/// What SQL's network rules have in addition to addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NetworkRule {
    /// The type, in upper case: `IPV4`, `IPV6`, `HOST_PORT`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The mode, in upper case: `INGRESS`, `EGRESS`.
    pub mode: String,
    /// The database in which SQL made it, for display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The schema in which SQL made it, for display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Values that no filter of packets can judge, such as VPC endpoints and host names: kept
    /// and shown, and governing nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// Whose entries count in a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntriesOf<'s> {
    /// The policy's own.
    Policy(&'s Name),
    /// A named list's.
    List(&'s Name),
    /// A named list's [`NamedList::every`].
    Every(&'s Name),
}

/// Entries that count in a policy.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'s> {
    /// Whether they allow, block or except from what is blocked.
    pub kind: ListKind,
    /// Whose they are.
    pub of: EntriesOf<'s>,
    /// The index of the named list in the state; `None`: they are the policy's own.
    pub named: Option<usize>,
    /// The entries.
    pub entries: &'s RuleList,
}

impl NetworkRule {
    /// Whether its values are addresses of sources: what a filter of incoming packets can
    /// judge.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        // The second for instances of Postgres, which are services here.
        matches!(self.mode.as_str(), "INGRESS" | "POSTGRES_INGRESS")
            && matches!(self.kind.as_str(), "IPV4" | "IPV6")
    }

    /// Whether an entry is of its type.
    #[must_use]
    pub fn takes(&self, net: &IpNet) -> bool {
        self.is_judged() && (self.kind == "IPV6") == net.addr().is_ipv6()
    }

    /// Refuses what no statement of SQL makes.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let is_word = |text: &str| {
            (1..=64).contains(&text.len())
                && text
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        };
        for (key, text, expected) in [
            ("type", &self.kind, "a type in upper case, as in IPV4"),
            ("mode", &self.mode, "a mode in upper case, as in INGRESS"),
        ] {
            if !is_word(text) {
                return Err(wrong(key, text, expected));
            }
        }
        for (key, text) in [("database", &self.database), ("schema", &self.schema)] {
            if let Some(text) = text
                && Name::exact(text).is_err()
            {
                return Err(wrong(key, text, "a name without quotes around it"));
            }
        }
        if self.is_judged() && !self.values.is_empty() {
            let text = self.values.first().map_or("", String::as_str);
            return Err(wrong(
                "values",
                text,
                "none for this type: addresses are entries",
            ));
        }
        let too_long = |text: &&String| text.chars().count() > MAX_COMMENT;
        match self.values.iter().find(too_long) {
            Some(text) => Err(Problem::TextTooLong {
                what: "value",
                length: text.chars().count(),
            }),
            None => Ok(()),
        }
    }

    /// The name with its database and schema, as far as they are known.
    #[must_use]
    pub fn qualified(&self, name: &str) -> String {
        let before = [&self.database, &self.schema].into_iter().flatten();
        let parts: Vec<_> = before.map(String::as_str).chain([name]).collect();
        parts.join(".")
    }
}

fn wrong(key: &'static str, found: &str, expected: &'static str) -> Problem {
    Problem::WrongValue {
        key,
        found: Excerpt::new(found),
        expected,
    }
}

impl NamedList {
    /// Entries, whatever becomes of them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() + self.every.len()
    }

    /// Whether it has no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries, each with the list that knows its place.
    pub fn iter(&self) -> impl Iterator<Item = (&RuleList, &Rule)> {
        fn of(list: &RuleList) -> impl Iterator<Item = (&RuleList, &Rule)> {
            list.iter().map(move |rule| (list, rule))
        }
        of(&self.entries).chain(of(&self.every))
    }

    /// All entries as one list.
    #[must_use]
    pub fn whole(&self) -> RuleList {
        let mut whole = self.entries.clone();
        if !self.every.is_empty() {
            // Both come from few files: they were one list.
            let _: bool = whole.append(&self.every);
        }
        whole
    }

    /// Takes these entries in place of the present ones; they are known to be of its type.
    pub fn set_entries(&mut self, entries: RuleList) {
        let is_every = |rule: &Rule| rule.net.prefix_len() == 0;
        if self.rule.is_none() || !entries.iter().any(is_every) {
            if entries != self.entries {
                self.entries = entries;
            }
            if !self.every.is_empty() {
                self.every = RuleList::default();
            }
            return;
        }
        let (mut kept, mut every) = (ListBuilder::default(), ListBuilder::default());
        for rule in entries.iter() {
            match is_every(rule) {
                true => every.push(rule.clone()),
                false => kept.push(rule.clone()),
            }
        }
        let kept = kept.finish(entries.sources().to_vec());
        let every = every.finish(entries.sources().to_vec());
        if kept != self.entries {
            self.entries = kept;
        }
        if every != self.every {
            self.every = every;
        }
    }

    /// Whether both are the same but for where entries were written, and for when they were
    /// made and altered.
    pub(super) fn same_words(&self, other: &Self) -> bool {
        self.name == other.name
            && self.rule == other.rule
            && self.feed == other.feed
            && self.max_shrink == other.max_shrink
            && self.comment == other.comment
            && self.owner == other.owner
            && self.entries.same_words(&other.entries)
            && self.every.same_words(&other.every)
    }

    /// The reference to it, as written: `@name`.
    #[must_use]
    pub fn reference(&self) -> String {
        reference(&self.name)
    }
}

/// A reference to a list, as written: `@name`.
#[must_use]
pub fn reference(name: &Name) -> String {
    format!("@{}", name.to_written_list())
}

impl State {
    /// The list of this name, whatever its case.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<&NamedList> {
        self.lists.iter().find(|list| list.name.matches(name))
    }

    /// The policies that refer to a list.
    pub fn referring_to<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a Policy> {
        let refers = move |policy: &&Policy| {
            let mut kinds = ListKind::ALL.into_iter();
            kinds.any(|kind| policy.lists(kind).contains(name))
        };
        self.policies.iter().filter(refers)
    }

    /// All entries that count in a policy: its own, then those of the lists that it refers to.
    /// Each list of rules once on each side.
    pub fn counted<'a>(&'a self, policy: &'a Policy) -> Vec<Counted<'a>> {
        let mut all = Vec::new();
        let mut own = |kind, entries| {
            all.push(Counted {
                kind,
                of: EntriesOf::Policy(&policy.name),
                named: None,
                entries,
            });
        };
        if let AllowPart::Only(list) = &policy.allow {
            own(ListKind::Allow, list);
        }
        own(ListKind::Block, &policy.block);
        if !policy.except.is_empty() {
            own(ListKind::Except, &policy.except);
        }
        for kind in ListKind::ALL {
            for name in policy.lists(kind) {
                let Some(index) = self.lists.iter().position(|list| list.name == *name) else {
                    continue;
                };
                let list = &self.lists[index];
                let mut add = |of, entries| {
                    all.push(Counted {
                        kind,
                        of,
                        named: Some(index),
                        entries,
                    });
                };
                add(EntriesOf::List(&list.name), &list.entries);
                let is_enforced = kind != ListKind::Block || policy.allow == AllowPart::Any;
                if is_enforced && !list.every.is_empty() {
                    add(EntriesOf::Every(&list.name), &list.every);
                }
            }
        }
        all
    }

    /// Rules that count in a policy, its lists' entries included.
    #[must_use]
    pub fn counted_rules(&self, policy: &Policy) -> u64 {
        let counted = self.counted(policy);
        counted.iter().map(|one| one.entries.len() as u64).sum()
    }
}

impl Counted<'_> {
    /// The place of an entry in all entries of its named list, or of the policy's own list.
    #[must_use]
    pub fn rule_index(&self, state: &State, index: usize) -> usize {
        match (self.of, self.named.and_then(|at| state.lists.get(at))) {
            (EntriesOf::Every(_), Some(list)) => list.entries.len() + index,
            _ => index,
        }
    }
}
