//! [`State`] to a policy file, whole or in its parts.

use std::fmt::Write;

use super::databases;
use super::feeds;
use super::lists::NETWORK_RULE;
use super::policy_tests;
use crate::model::{
    Binding, Feed, Mode, Name, NamedList, NetworkRule, OnDeny, Policy, PolicyCompat, Rule,
    RuleList, State, TestedAttempt, reference,
};

/// Rules up to this many stand on one line.
const SHORT: usize = 3;

/// The policy file that says what the state is: read again, it gives the same state,
/// but for where rules were written. Rules stand as they were written.
#[must_use]
pub fn export(state: &State) -> String {
    let mut out = String::new();
    for section in sections(state) {
        for part in &section.parts {
            part.lines(|line| {
                out.push_str(line);
                out.push('\n');
            });
        }
    }
    out
}

/// What a section is about, in the order of the file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::model) enum SectionKey<'s> {
    Host,
    Service(&'s Name),
    Database(&'s Name),
    List(&'s Name),
    Policy(&'s Name),
    Test(&'s TestedAttempt),
}

/// A table of the policy file.
#[derive(Debug)]
pub(in crate::model) struct Section<'s> {
    pub(in crate::model) key: SectionKey<'s>,
    pub(in crate::model) parts: Vec<SectionPart<'s>>,
}

/// Some lines of a section: "head", "allow", "block", "except", "entries", "tail".
#[derive(Debug)]
pub(in crate::model) enum SectionPart<'s> {
    Lines(&'static str, Vec<String>),
    /// A list with a rule a line, after lines of references to named lists.
    Rules(&'static str, Vec<String>, &'s RuleList),
}

impl SectionPart<'_> {
    /// Which part it is.
    pub(in crate::model) fn key(&self) -> &'static str {
        match self {
            Self::Lines(key, _) | Self::Rules(key, ..) => key,
        }
    }

    /// Visits its lines, without their ends.
    pub(in crate::model) fn lines(&self, mut visit: impl FnMut(&str)) {
        match self {
            Self::Lines(_, lines) => lines.iter().for_each(|line| visit(line)),
            Self::Rules(key, references, list) => {
                visit(&format!("{key} = ["));
                references.iter().for_each(|line| visit(line));
                list.iter().for_each(|rule| visit(&Self::rule_line(rule)));
                visit("]");
            }
        }
    }

    /// The line of a rule in a list with a rule a line.
    pub(in crate::model) fn rule_line(item: &Rule) -> String {
        format!("  {},", rule(item))
    }
}

/// The policy file in its tables.
pub(in crate::model) fn sections(state: &State) -> Vec<Section<'_>> {
    let mut head = Out::default();
    head.line("[host]".to_owned());
    head.line(format!("mode = \"{}\"", state.host.mode));
    head.on_deny(state.host.on_deny);
    let failsafe = state.host.failsafe_ports.to_string();
    head.strings(
        "failsafe_ports",
        failsafe.split(',').filter(|range| !range.is_empty()),
    );
    let mut sections = vec![Section {
        key: SectionKey::Host,
        parts: vec![SectionPart::Lines("head", head.0)],
    }];
    for service in &state.services {
        let mut head = Out::table("[[service]]");
        head.line(format!(
            "name = {}",
            quoted(&service.name.to_written_service())
        ));
        head.strings("ports", service.ports.to_string().split(','));
        head.line(format!("combine = \"{}\"", service.combine));
        head.line(format!("mode = \"{}\"", service.mode));
        head.on_deny(service.on_deny);
        head.comment(service.comment.as_deref());
        sections.push(Section {
            key: SectionKey::Service(&service.name),
            parts: vec![SectionPart::Lines("head", head.0)],
        });
    }
    sections.extend(state.databases.iter().map(|database| Section {
        key: SectionKey::Database(&database.name),
        parts: vec![SectionPart::Lines(
            "head",
            databases::lines(database, quoted),
        )],
    }));
    sections.extend(state.lists.iter().map(named_list));
    sections.extend(state.policies.iter().map(policy));
    sections.extend(state.tests.iter().map(|test| {
        let lines = policy_tests::lines(test, quoted);
        Section {
            key: SectionKey::Test(&test.attempt),
            parts: vec![SectionPart::Lines("head", lines)],
        }
    }));
    sections
}

fn named_list(list: &NamedList) -> Section<'_> {
    if let Some(feed) = &list.feed {
        return feed_table(list, feed);
    }
    let mut head = Out::table("[[list]]");
    head.line(format!("name = {}", quoted(&list.name.to_written_list())));
    head.comment(list.comment.as_deref());
    if let Some(share) = list.max_shrink {
        head.line(format!("max_shrink = \"{share}%\""));
    }
    if let Some(rule) = &list.rule {
        head.line(format!("{NETWORK_RULE} = {}", network_rule(rule)));
    }
    let mut parts = vec![SectionPart::Lines("head", head.0)];
    if list.every.is_empty() {
        parts.push(rules("entries", &[], &list.entries));
    } else {
        // Read together, they are told apart by their lengths.
        let every = list.every.iter().map(SectionPart::rule_line).collect();
        parts.push(SectionPart::Rules("entries", every, &list.entries));
    }
    Section {
        key: SectionKey::List(&list.name),
        parts,
    }
}

/// The settings of a feed, as they stand in the policy file.
pub(in crate::model) fn feed_lines(feed: &Feed) -> Vec<String> {
    feeds::lines(feed, quoted)
}

/// A feed without its content, which belongs to no state.
fn feed_table<'s>(list: &'s NamedList, feed: &Feed) -> Section<'s> {
    let mut head = Out::table("[[feed]]");
    head.line(format!("name = {}", quoted(&list.name.to_written_list())));
    head.comment(list.comment.as_deref());
    for line in feed_lines(feed) {
        head.line(line);
    }
    Section {
        key: SectionKey::List(&list.name),
        parts: vec![SectionPart::Lines("head", head.0)],
    }
}

fn network_rule(rule: &NetworkRule) -> String {
    let mut fields = vec![
        format!("type = {}", quoted(&rule.kind)),
        format!("mode = {}", quoted(&rule.mode)),
    ];
    for (key, text) in [("database", &rule.database), ("schema", &rule.schema)] {
        fields.extend(text.iter().map(|text| format!("{key} = {}", quoted(text))));
    }
    if !rule.values.is_empty() {
        let values: Vec<_> = rule.values.iter().map(|value| quoted(value)).collect();
        fields.push(format!("values = [{}]", values.join(", ")));
    }
    format!("{{ {} }}", fields.join(", "))
}

fn policy(policy: &Policy) -> Section<'_> {
    let mut head = Out::table("[[policy]]");
    head.line(format!("name = {}", quoted(&policy.name.to_written())));
    head.comment(policy.comment.as_deref());
    let bindings = policy.bindings.iter().map(|binding| match binding {
        Binding::Host => "host".into(),
        Binding::Service(name) => name.to_written_service(),
        Binding::User(user) => user.to_string().into(),
    });
    let bindings: Vec<_> = bindings.collect();
    head.strings("bind", bindings.iter().map(AsRef::as_ref));
    if !policy.active {
        head.line("active = false".to_owned());
    }
    // Left out at its default, so that earlier versions read the file.
    if policy.mode != Mode::default() {
        head.line(format!("mode = \"{}\"", policy.mode));
    }
    let mut parts = vec![SectionPart::Lines("head", head.0)];
    let allow = policy.allow_list();
    parts.extend(allow.map(|list| rules("allow", &policy.allow_lists, list)));
    if !policy.block.is_empty() || !policy.block_lists.is_empty() {
        parts.push(rules("block", &policy.block_lists, &policy.block));
    }
    if policy.has_exceptions() {
        parts.push(rules("except", &policy.except_lists, &policy.except));
    }
    if let Some(text) = policy.compat.to_file() {
        let line = format!("{} = {}", PolicyCompat::KEY, quoted(text));
        parts.push(SectionPart::Lines("tail", vec![line]));
    }
    Section {
        key: SectionKey::Policy(&policy.name),
        parts,
    }
}

#[derive(Default)]
struct Out(Vec<String>);

impl Out {
    fn table(header: &str) -> Self {
        Self(vec![String::new(), header.to_owned()])
    }

    fn line(&mut self, line: String) {
        self.0.push(line);
    }

    /// Left out at its default, so that earlier versions read the file.
    fn on_deny(&mut self, on_deny: OnDeny) {
        if on_deny != OnDeny::default() {
            self.line(format!("on_deny = \"{on_deny}\""));
        }
    }

    fn comment(&mut self, comment: Option<&str>) {
        if let Some(comment) = comment {
            self.line(format!("comment = {}", quoted(comment)));
        }
    }

    fn strings<'a>(&mut self, key: &str, items: impl Iterator<Item = &'a str>) {
        let items: Vec<_> = items.map(quoted).collect();
        self.line(format!("{key} = [{}]", items.join(", ")));
    }
}

fn rules<'s>(key: &'static str, lists: &[Name], list: &'s RuleList) -> SectionPart<'s> {
    let references = lists.iter().map(|name| quoted(&reference(name)));
    if lists.len() + list.len() <= SHORT && list.iter().all(is_plain) {
        let items: Vec<_> = references.chain(list.iter().map(rule)).collect();
        return SectionPart::Lines(key, vec![format!("{key} = [{}]", items.join(", "))]);
    }
    let references = references.map(|reference| format!("  {reference},"));
    SectionPart::Rules(key, references.collect(), list)
}

fn is_plain(rule: &Rule) -> bool {
    rule.name().is_none() && rule.comment().is_none() && rule.expires().is_none()
}

fn rule(rule: &Rule) -> String {
    let address = quoted(&rule.text());
    if is_plain(rule) {
        return address;
    }
    let mut table = format!("{{ address = {address}");
    let expires = rule.expires().map(|end| end.to_string());
    for (key, value) in [
        ("name", rule.name()),
        ("comment", rule.comment()),
        ("expires", expires.as_deref()),
    ] {
        if let Some(value) = value {
            let _ = write!(table, ", {key} = {}", quoted(value));
        }
    }
    table + " }"
}

/// A TOML basic string (<https://toml.io/en/v1.0.0#string>).
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
