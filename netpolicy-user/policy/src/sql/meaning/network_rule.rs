//! Network rules: Snowflake's name for named lists.
//!
//! How they combine is the manual's
//! (<https://docs.snowflake.com/en/user-guide/network-policies>, on the interaction of allowed
//! and blocked lists): what a policy allows is its ALLOWED_IP_LIST and the rules of its
//! ALLOWED_NETWORK_RULE_LIST together, what it blocks likewise, and what is blocked is applied
//! first. "When you add a network rule to the allowed list of a network policy, you do not have
//! to use the blocked list to explicitly block other identifiers of the same type; only the
//! allowed identifiers have access." Here that holds for both families of addresses at once:
//! with an IPv4 rule alone, IPv6 is denied as well.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::name::new_name;
use super::refusal::Errors;
use super::{Action, Cx, Dialect, Refusal, Wrong, rule_show};
use crate::model::error::Excerpt;
use crate::model::list::ListBuilder;
use crate::model::rule::canonical;
use crate::model::{
    Change, Item, ListEdit, ListInput, Name, NamedList, NetworkRule, Rule, RuleList,
};
use crate::sql::network_rule::{AlterRule, CreateRule, RuleName, RuleStatement};
use crate::sql::{Ident, Literals};

/// What a VALUE_LIST comes to.
#[derive(Default)]
struct ParsedValues {
    /// Addresses, each once.
    entries: RuleList,
    /// What no filter of packets can judge.
    values: Vec<String>,
    warnings: Vec<String>,
}

/// Whether a statement only asks.
pub(super) fn only_asks(statement: &RuleStatement<'_>) -> bool {
    use RuleStatement::{Describe, References, Show, ShowCreate, ShowGrants};
    matches!(
        statement,
        Describe(_) | References(_) | Show(_) | ShowCreate(_) | ShowGrants(_)
    )
}

/// A statement's first words, where it may be long.
pub(super) fn title(statement: &RuleStatement<'_>) -> Option<String> {
    Some(match statement {
        RuleStatement::Create(create) => {
            let replace = crate::sql::or_what(create.or_replace, create.or_alter);
            format!("CREATE {replace}NETWORK RULE {}", create.name)
        }
        RuleStatement::Alter {
            name,
            change: AlterRule::Set { .. },
            ..
        } => format!("ALTER NETWORK RULE {name} SET"),
        _ => return None,
    })
}

impl<'s> Cx<'s, '_> {
    pub(super) fn network_rule(&self, statement: &RuleStatement<'_>) -> Result<Action, Refusal> {
        match statement {
            RuleStatement::Create(create) => self.make_rule(create),
            RuleStatement::Alter {
                if_exists,
                name,
                change,
            } => self.alter_rule(name, *if_exists, change),
            RuleStatement::Drop { if_exists, name } => self.drop_rule(name, *if_exists),
            RuleStatement::Give { name, role, .. } => self.give_rule(name, role),
            RuleStatement::References(name) => self.rule_references(name),
            RuleStatement::ShowGrants(name) => self.grants_of_rule(name),
            RuleStatement::Describe(name) => self.describe_rule(name),
            RuleStatement::Show(show) => Ok(self.rules(show)),
            RuleStatement::ShowCreate(name) => self.show_create_rule(name),
        }
    }

    fn make_rule(&self, create: &CreateRule<'_>) -> Result<Action, Refusal> {
        let spot = create.name.spot();
        let mut errors = Errors::new(self.statement);
        let existing = match self.rule(&create.name) {
            Err(Wrong::NoRule(_)) => None,
            found => errors.take(spot, found),
        };
        if let (Some(list), true) = (existing, create.if_not_exists) {
            return errors.finish(Some(Action::Nothing {
                status: format!("{} already exists, statement succeeded.", list.name),
            }));
        }
        if let (Some(list), true) = (existing, create.or_alter) {
            return self.alter_made_rule(create, list, errors);
        }
        let name = match existing {
            Some(list) if create.or_replace => Some(list.name.clone()),
            Some(list) => {
                errors.push(spot, Wrong::ObjectExists(list.name.to_string()));
                None
            }
            None => errors.take(spot, self.new_rule_name(&create.name)),
        };
        let mut parts = create.name.folded();
        parts.pop();
        let (schema, database) = (parts.pop(), parts.pop());
        let mut rule = NetworkRule {
            kind: create.kind.to_owned(),
            mode: create.mode.to_owned(),
            database,
            schema,
            values: Vec::new(),
        };
        let read = self.read_values(Some(&rule), &create.values, &mut errors);
        rule.values = read.values;
        let name = errors.finish(name)?;
        let mut warnings = read.warnings;
        warnings.extend(governs_nothing(name.as_str(), &rule));
        let status = format!(
            "Network rule {} is created.",
            rule_part(name.as_str(), &rule)
        );
        let change = Change::CreateList {
            name: name.to_written_list().into_owned(),
            entries: ListInput::of(read.entries),
            comment: create.comment.map(|text| text.text().into_owned()),
            replace: existing.is_some(),
            network_rule: Some(rule),
        };
        Ok(self.changes(vec![change], status, warnings))
    }

    /// OR ALTER of a rule that is there: its values and comment become what is given. Its type
    /// and mode stay, as the manual has it, which also takes a comment away that is left out
    /// (<https://docs.snowflake.com/en/sql-reference/sql/create-or-alter>).
    fn alter_made_rule(
        &self,
        create: &CreateRule<'_>,
        list: &NamedList,
        mut errors: Errors<'_, '_>,
    ) -> Result<Action, Refusal> {
        let mode = list
            .rule
            .as_ref()
            .map_or("INGRESS", |rule| rule.mode.as_str());
        let is_open = list.rule.is_none() && list.is_empty();
        if mode != create.mode || !(is_open || rule_show::kind(list) == create.kind) {
            let rule = list.name.to_string();
            errors.push(create.name.spot(), Wrong::RuleKindStays(rule));
        }
        let read = self.read_values(list.rule.as_ref(), &create.values, &mut errors);
        errors.finish(Some(()))?;
        let comment = create.comment.map(|text| text.text().into_owned());
        Ok(self.altered_rule(list, Some(read), Some(comment.unwrap_or_default())))
    }

    /// GRANT OWNERSHIP ON NETWORK RULE. No other role has privileges on one, so that what becomes
    /// of them needs not to be said.
    fn give_rule(&self, name: &RuleName<'_>, role: &Ident<'_>) -> Result<Action, Refusal> {
        let mut errors = Errors::new(self.statement);
        let list = errors.take(name.spot(), self.rule(name));
        let owner = errors.take(role.spot(), self.role(role));
        let (list, owner) = errors.finish(list.zip(owner))?;
        let change = Change::SetListOwner {
            list: list.name.to_written_list().into_owned(),
            owner: owner.to_owner(),
        };
        Ok(self.changes(vec![change], "Statement executed successfully.", Vec::new()))
    }

    /// A new list's name: the last part, or all of it where another schema has that.
    fn new_rule_name(&self, name: &RuleName<'_>) -> Result<Name, Wrong> {
        let parts = name.folded();
        let last = parts.last().map_or("", String::as_str);
        let last = new_name(last, name.is_quoted(), Dialect::Snowflake)?;
        let is_taken = self
            .state()
            .lists
            .iter()
            .any(|list| list.name.is_like(&last));
        match is_taken {
            true => Ok(Name::exact(&parts.join("."))?),
            false => Ok(last),
        }
    }

    fn alter_rule(
        &self,
        name: &RuleName<'_>,
        if_exists: bool,
        change: &AlterRule<'_>,
    ) -> Result<Action, Refusal> {
        let mut errors = Errors::new(self.statement);
        let list = match self.rule(name) {
            Err(Wrong::NoRule(name)) if if_exists => {
                return Ok(Action::Nothing {
                    status: format!("There is no network rule {name}; nothing was altered."),
                });
            }
            found => errors.take(name.spot(), found),
        };
        let (values, comment) = match change {
            AlterRule::Set { values, comment } => {
                let rule = list.and_then(|list| list.rule.as_ref());
                let read = values.as_ref();
                let read = read.map(|values| self.read_values(rule, values, &mut errors));
                (read, comment.map(|text| text.text().into_owned()))
            }
            AlterRule::Unset { values, comment } => (
                values.then(ParsedValues::default),
                comment.then(String::new),
            ),
        };
        let list = errors.finish(list)?;
        Ok(self.altered_rule(list, values, comment))
    }

    fn altered_rule(
        &self,
        list: &NamedList,
        values: Option<ParsedValues>,
        comment: Option<String>,
    ) -> Action {
        let is_judged = list.rule.as_ref().is_none_or(NetworkRule::is_judged);
        let mut warnings = Vec::new();
        let (mut entries, mut other) = (ListEdit::Keep, None);
        if let Some(read) = values {
            warnings = read.warnings;
            match is_judged {
                true => {
                    entries = ListEdit::Set {
                        list: ListInput::of(read.entries),
                    };
                }
                false => other = Some(read.values),
            }
        }
        let change = Change::AlterList {
            name: list.name.to_written_list().into_owned(),
            entries,
            comment,
            values: other,
        };
        self.changes(vec![change], "Statement executed successfully.", warnings)
    }

    fn drop_rule(&self, name: &RuleName<'_>, if_exists: bool) -> Result<Action, Refusal> {
        let mut errors = Errors::new(self.statement);
        let list = match self.rule(name) {
            Err(Wrong::NoRule(name)) if if_exists => {
                return Ok(Action::Nothing {
                    status: format!("There is no network rule {name}; nothing was dropped."),
                });
            }
            found => errors.take(name.spot(), found),
        };
        if let Some(list) = list {
            let policies = self.state().referring_to(&list.name);
            let policies: Vec<_> = policies.map(|policy| policy.name.to_string()).collect();
            if !policies.is_empty() {
                let wrong = Wrong::RuleInUse {
                    rule: list.name.to_string(),
                    policies: policies.join(", "),
                };
                errors.push(name.spot(), wrong);
            }
        }
        let list = errors.finish(list)?;
        let change = Change::DropList {
            name: list.name.to_written_list().into_owned(),
        };
        let status = format!("{} successfully dropped.", list.name);
        Ok(self.changes(vec![change], status, Vec::new()))
    }

    /// The list that a rule's name means: by its last part if that is unique, else by what it
    /// is qualified with. A name in double quotes and in capitals is also that of a list that
    /// was not made by SQL.
    pub(super) fn rule(&self, name: &RuleName<'_>) -> Result<&'s NamedList, Wrong> {
        let parts = name.folded();
        let (last, path) = match &*parts {
            [path @ .., last] => (last.as_str(), path),
            [] => ("", &[][..]),
        };
        let is_meant = |list: &&NamedList| {
            let part = last_part(list);
            let same = match name.is_quoted() {
                true => part == last || part.to_ascii_uppercase() == last,
                false => part.eq_ignore_ascii_case(last),
            };
            same && agrees(list, path, false)
        };
        let found: Vec<_> = self.state().lists.iter().filter(is_meant).collect();
        let exact = found
            .iter()
            .find(|list| !path.is_empty() && agrees(list, path, true));
        match (&*found, exact) {
            ([one], _) => Ok(one),
            (_, Some(one)) => Ok(one),
            ([], None) => Err(Wrong::NoRule(name.meant())),
            (several, None) => Err(Wrong::SeveralRules {
                name: name.meant(),
                rules: several
                    .iter()
                    .map(|list| qualified(list))
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
        }
    }

    fn read_values(
        &self,
        rule: Option<&NetworkRule>,
        literals: &Literals<'_>,
        errors: &mut Errors<'_, '_>,
    ) -> ParsedValues {
        let mut read = ParsedValues::default();
        if rule.is_some_and(|rule| !rule.is_judged()) {
            read.values = literals
                .iter()
                .map(|value| value.text().into_owned())
                .collect();
            return read;
        }
        let mut seen: BTreeSet<IpNet> = BTreeSet::new();
        let mut entries = ListBuilder::default();
        for literal in literals.iter() {
            let (spot, text) = (literal.spot(), literal.text());
            let item = match Item::read(&text) {
                Ok(item) => item,
                Err(problem) => {
                    errors.push(spot, problem.into());
                    continue;
                }
            };
            let net = item.net;
            if let Some(rule) = rule.filter(|rule| !rule.takes(&net)) {
                let wrong = Wrong::ValueType {
                    found: Excerpt::new(text.trim()),
                    kind: rule.kind.clone(),
                };
                errors.push(spot, wrong);
                continue;
            }
            let place = || self.place(spot);
            if !seen.insert(net) {
                read.warnings.push(format!(
                    "{}: {} is on the list already; it is kept once",
                    place(),
                    text.trim()
                ));
                continue;
            }
            if item.masked {
                let enforced = canonical(&net);
                let text = text.trim();
                read.warnings.push(format!(
                    "{}: {text} has host bits set; {enforced} is enforced",
                    place()
                ));
            }
            entries.push(Rule {
                net,
                source: 0,
                line: spot.line,
                note: item.into_note(None).share(),
            });
        }
        read.entries = entries.finish(vec![self.scene.source.into()]);
        read
    }
}

/// That a rule governs nothing here, if it is so.
pub(super) fn governs_nothing(name: &str, rule: &NetworkRule) -> Option<String> {
    (!rule.is_judged()).then(|| {
        format!(
            "network rule {} is of type {} and mode {}, which no filter of incoming packets can \
             judge: it is kept and shown, and governs nothing",
            rule_part(name, rule),
            rule.kind,
            rule.mode
        )
    })
}

/// A list's name without the database and schema that may be part of it.
pub(super) fn last_part(list: &NamedList) -> &str {
    let name = list.name.as_str();
    list.rule
        .as_ref()
        .map_or(name, |rule| rule_part(name, rule))
}

fn rule_part<'n>(name: &'n str, rule: &NetworkRule) -> &'n str {
    let before = rule.qualified("");
    let part = name.strip_prefix(&before).filter(|_| !before.is_empty());
    part.filter(|part| !part.is_empty()).unwrap_or(name)
}

/// The name with database and schema, as far as they are known.
pub(super) fn qualified(list: &NamedList) -> String {
    let name = last_part(list);
    list.rule
        .as_ref()
        .map_or_else(|| name.to_owned(), |rule| rule.qualified(name))
}

/// Whether a list can be what a name qualified so means. `exactly`: also where the list itself
/// does not say where it is.
pub(super) fn agrees(list: &NamedList, path: &[String], exactly: bool) -> bool {
    let rule = list.rule.as_ref();
    let own = [
        rule.and_then(|rule| rule.schema.as_deref()),
        rule.and_then(|rule| rule.database.as_deref()),
    ];
    let pairs = path.iter().rev().zip(own);
    pairs.into_iter().all(|(wanted, own)| match own {
        Some(own) => own.eq_ignore_ascii_case(wanted),
        None => !exactly,
    })
}
