//! SHOW CREATE: a policy, wherever it comes from, as a statement of any dialect that
//! means the same there. What cannot be said is refused, what gets lost is a warning.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::list::MATERIALIZE_RULES;
use super::minus::minus;
use super::name::{DEFAULT, PolicyOrDefault, new_name};
use super::refusal::Errors;
use super::rule_list::{self, flattened};
use super::show::{ANY_IS_MORE, OPEN};
use super::{Action, Cx, Dialect, Refusal, ResultTable, Wrong};
use crate::model::{AllowPart, Policy, Rule, RuleList};
use crate::sql::{Ident, Lists, WriteError, comment_on, create_lists, create_rules};

/// An address that no host has: on both lists of a policy it admits no source.
const UNSPECIFIED: &str = "0.0.0.0";

impl Cx<'_, '_> {
    pub(super) fn show_create(
        &self,
        name: &Ident<'_>,
        dialect: Option<Dialect>,
    ) -> Result<Action, Refusal> {
        let dialect = dialect.unwrap_or(self.dialect());
        let mut errors = Errors::new(self.statement);
        let found = errors.take(name.spot(), self.policy_or_default(name));
        let found = errors.finish(found)?;
        let mut writer = StatementWriter {
            dialect,
            rules: Default::default(),
            warnings: Vec::new(),
        };
        let (shown, written) = match found {
            PolicyOrDefault::Real(policy) => {
                let state = self.state();
                if policy.has_exceptions() {
                    writer.warnings.push(format!(
                        "{} has no exceptions: they are taken out of the blocked list",
                        dialect.title()
                    ));
                }
                let written = match dialect {
                    Dialect::Snowflake if !policy.has_exceptions() => {
                        writer.rules = [&policy.allow_lists, &policy.block_lists]
                            .map(|lists| rule_list::names(state, lists));
                        writer.policy(policy)
                    }
                    _ => writer.policy(&flattened(state, policy)),
                };
                (policy.name.as_str(), written)
            }
            PolicyOrDefault::Default => (DEFAULT, writer.open(DEFAULT)),
        };
        let text = written.map_err(|why| {
            let wrong = Wrong::NotExpressible {
                policy: shown.to_owned(),
                dialect,
                why,
            };
            Refusal::of(self.statement, name.spot(), wrong)
        })?;
        let row = vec![Some(shown.to_owned()), Some(text)];
        let mut table = ResultTable::of(&["name", "create_sql"], vec![row]);
        table.warnings = writer.warnings;
        Ok(Action::Table(table))
    }
}

struct StatementWriter {
    dialect: Dialect,
    /// Names of the network rules that the policy allows, and of those that it blocks.
    rules: [Vec<Vec<String>>; 2],
    warnings: Vec<String>,
}

impl StatementWriter {
    fn policy(&mut self, policy: &Policy) -> Result<String, String> {
        let name = policy.name.as_str();
        new_name(name, self.dialect == Dialect::Snowflake, self.dialect)
            .map_err(|wrong| wrong.to_string())?;
        let rules = || policy.allow_list().into_iter().chain([&policy.block]);
        let mut rules = rules().flat_map(RuleList::iter);
        if rules.clone().any(|rule| rule.comment().is_some()) {
            self.warnings.push(format!(
                "comments of single rules are left out: {} has none",
                self.dialect.title()
            ));
        }
        if rules.clone().any(|rule| rule.expires().is_some()) {
            self.warnings.push(format!(
                "ends of rules are left out: {} has none",
                self.dialect.title()
            ));
        }
        if self.dialect == Dialect::Materialize {
            return self.rules(policy);
        }
        if rules.any(|rule| rule.name().is_some()) {
            self.warnings.push(format!(
                "names of rules are left out: {} has none",
                self.dialect.title()
            ));
        }
        self.lists(policy)
    }

    /// Materialize's `default` as it is from the start.
    fn open(&self, name: &str) -> Result<String, String> {
        let mut text = String::new();
        match self.dialect {
            Dialect::Materialize => create_rules(&mut text, name, OPEN),
            dialect => {
                let any: Lists<'_, [&str; 1], [&str; 0]> = Lists {
                    allowed: (dialect == Dialect::Snowflake).then_some(["0.0.0.0/0"]),
                    blocked: None,
                    allowed_rules: &[],
                    blocked_rules: &[],
                    comment: None,
                };
                create_lists(&mut text, dialect, name, any)
            }
        }
        .map_err(|error| error.to_string())?;
        text.push(';');
        Ok(text)
    }

    /// A statement of Snowflake or Lakehouse.
    fn lists(&mut self, policy: &Policy) -> Result<String, String> {
        let mut allowed = match &policy.allow {
            AllowPart::Any if self.dialect == Dialect::Snowflake => {
                self.warnings.push(ANY_IS_MORE.to_owned());
                Some(vec!["0.0.0.0/0".to_owned()])
            }
            AllowPart::Any => None,
            AllowPart::Only(list) => Some(self.addresses(list, true)?),
        };
        let mut blocked = self.addresses(&policy.block, false)?;
        match (self.dialect, policy.compat.blocked_rest(), &mut allowed) {
            (Dialect::Snowflake, Some(rest), _) => blocked.push(rest.to_owned()),
            (Dialect::Lakehouse, _, Some(allowed)) if allowed.is_empty() => {
                self.warnings.push(format!(
                    "the policy allows no source, which Lakehouse cannot express: {UNSPECIFIED} is \
                     allowed and blocked instead"
                ));
                allowed.push(UNSPECIFIED.to_owned());
                if !policy
                    .block
                    .iter()
                    .any(|rule| is_unspecified_host(&rule.net))
                {
                    blocked.push(UNSPECIFIED.to_owned());
                }
            }
            _ => {}
        }
        self.check_length(allowed.as_deref().unwrap_or_default(), "ALLOWED_IP_LIST");
        self.check_length(&blocked, "BLOCKED_IP_LIST");
        let allowed = allowed.as_deref();
        let [allowed_rules, blocked_rules] = &self.rules;
        let has_rules = !allowed_rules.is_empty();
        let lists = Lists {
            // An empty list next to one of network rules says nothing.
            allowed: allowed
                .filter(|list| !(list.is_empty() && has_rules))
                .map(texts),
            blocked: (!blocked.is_empty()).then(|| texts(&blocked)),
            allowed_rules,
            blocked_rules,
            comment: policy.comment.as_deref(),
        };
        let mut text = String::new();
        create_lists(&mut text, self.dialect, policy.name.as_str(), lists)
            .map_err(|error| error.to_string())?;
        text.push(';');
        Ok(text)
    }

    /// A list's addresses. Where the dialect takes no `/0`, or means something else by it,
    /// its halves say the same.
    fn addresses(&self, list: &RuleList, is_allow: bool) -> Result<Vec<String>, String> {
        let takes_all = is_allow && self.dialect == Dialect::Snowflake;
        let mut addresses = Vec::with_capacity(list.len());
        for rule in list.iter() {
            if rule.net.addr().is_ipv6() {
                return Err(format!(
                    "{} is IPv6, and {}'s lists accept only IPv4",
                    rule.text(),
                    self.dialect.title()
                ));
            }
            if rule.net.prefix_len() > 0 || takes_all {
                // As written, unless that is an IPv4-mapped address.
                let text = rule.text();
                addresses.push(if text.contains(':') {
                    rule.net.to_string()
                } else {
                    text.into_owned()
                });
                continue;
            }
            for half in ["0.0.0.0/1", "128.0.0.0/1"] {
                let is_there = |rule: &Rule| rule.net.to_string() == half;
                if !list.iter().any(is_there) {
                    addresses.push(half.to_owned());
                }
            }
        }
        Ok(addresses)
    }

    fn check_length(&mut self, addresses: &[String], list: &str) {
        const CHARACTERS: usize = 100_000;
        let length: usize = addresses.iter().map(|text| text.len() + 1).sum();
        if self.dialect == Dialect::Snowflake && length > CHARACTERS + 1 {
            self.warnings.push(format!(
                "{list} has {} characters; Snowflake allows {CHARACTERS}",
                length - 1
            ));
        }
    }

    /// A statement of Materialize, and a second one for the comment.
    fn rules(&mut self, policy: &Policy) -> Result<String, String> {
        let every_source = || OPEN.iter().filter_map(|(_, net)| net.parse::<IpNet>().ok());
        let block = || policy.block.iter().map(|rule| rule.net);
        let rules: Vec<(String, String)> = match &policy.allow {
            AllowPart::Any if policy.block.is_empty() => OPEN
                .map(|(name, net)| (name.to_owned(), net.to_owned()))
                .into(),
            AllowPart::Only(list) if policy.block.is_empty() => {
                let nets = list.iter().map(|rule| rule.net.to_string());
                rule_names(list).into_iter().zip(nets).collect()
            }
            allow => {
                self.warnings.push(
                    "Materialize has no block list: what is blocked is subtracted from the rules"
                        .to_owned(),
                );
                let left = match allow {
                    AllowPart::Any => minus(every_source(), block()),
                    AllowPart::Only(list) => minus(list.iter().map(|rule| rule.net), block()),
                };
                let names = (1..).map(|n| format!("rule_{n}"));
                names.zip(left.iter().map(IpNet::to_string)).collect()
            }
        };
        if rules.len() > MATERIALIZE_RULES {
            self.warnings.push(format!(
                "{} rules; Materialize allows {MATERIALIZE_RULES} a policy",
                rules.len()
            ));
        }
        let mut text = String::new();
        let pairs = rules
            .iter()
            .map(|(name, net)| (name.as_str(), net.as_str()));
        let write = |text: &mut String| -> Result<(), WriteError> {
            create_rules(text, policy.name.as_str(), pairs)?;
            text.push(';');
            if let Some(comment) = &policy.comment {
                text.push('\n');
                comment_on(text, policy.name.as_str(), comment)?;
                text.push(';');
            }
            Ok(())
        };
        write(&mut text).map_err(|error| error.to_string())?;
        Ok(text)
    }
}

fn texts(addresses: &[String]) -> impl Iterator<Item = &str> {
    addresses.iter().map(String::as_str)
}

fn is_unspecified_host(net: &IpNet) -> bool {
    net.addr().is_unspecified() && net.addr().is_ipv4() && net.prefix_len() == 32
}

/// A name for each rule, no two the same: its own, or one by its place in the list.
pub(super) fn rule_names(list: &RuleList) -> Vec<String> {
    let own = |rule: &Rule| {
        let is_good = |name: &&str| {
            !name.is_empty() && name.chars().count() <= 255 && !name.chars().any(char::is_control)
        };
        rule.name().filter(is_good).map(ToOwned::to_owned)
    };
    let mut taken: BTreeSet<String> = BTreeSet::new();
    // Given names take precedence over generated ones.
    let given: Vec<_> = list
        .iter()
        .map(|rule| own(rule).filter(|name| taken.insert(name.clone())))
        .collect();
    let made = |n: usize, taken: &mut BTreeSet<String>| {
        let mut name = format!("rule_{n}");
        while !taken.insert(name.clone()) {
            name.push('_');
        }
        name
    };
    given
        .into_iter()
        .zip(1..)
        .map(|(name, n)| name.unwrap_or_else(|| made(n, &mut taken)))
        .collect()
}
