//! `netpolicy policy list` and `netpolicy policy show`.

use std::borrow::Cow;
use std::io::{self, Write};

use comfy_table::Cell;

use super::{
    Render, RenderOptions, Tone, cell, count, line, list, number, plain, time, write_fields,
    write_table,
};
use crate::api::{PolicyView, RuleItem, RuleView};
use crate::model::Mode;

impl Render for [PolicyView] {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if self.is_empty() {
            return writeln!(out, "no policies: every connection attempt passes");
        }
        let rows = self
            .iter()
            .map(|p| {
                vec![
                    plain(line(&p.name)),
                    status(p),
                    plain(list(&p.bindings)),
                    match p.allow_count {
                        None => number(&"any"),
                        Some(n) => number(&line(&with_lists(n, &p.allow_lists))),
                    },
                    number(&line(&blocked(p))),
                    plain(line(&p.owner)),
                    plain(time(options, p.altered)),
                    plain(line(p.comment.as_deref().unwrap_or(""))),
                ]
            })
            .collect();
        let header = [
            "NAME", "STATUS", "SCOPES", "ALLOW", "BLOCK", "OWNER", "ALTERED", "COMMENT",
        ];
        write_table(options, &header, rows, out)
    }
}

impl Render for PolicyView {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let allow = match self.allow_count {
            None => "any".to_owned(),
            Some(0) if self.allow_lists.is_empty() => {
                "nothing: an empty list denies every source".to_owned()
            }
            Some(n) => format!("only {}", rules_and_lists(n, &self.allow_lists)),
        };
        write_fields(
            options,
            [
                ("Name", Some(plain(line(&self.name)))),
                ("Status", Some(status(self))),
                ("Scopes", Some(plain(list(&self.bindings)))),
                ("Allow", Some(plain(line(&allow)))),
                (
                    "Block",
                    Some(plain(line(&rules_and_lists(
                        self.block_count,
                        &self.block_lists,
                    )))),
                ),
                (
                    "Except",
                    has_exceptions(self).then(|| {
                        plain(line(&rules_and_lists(
                            self.except_count,
                            &self.except_lists,
                        )))
                    }),
                ),
                ("Owner", Some(plain(line(&self.owner)))),
                ("Created", Some(plain(time(options, self.created)))),
                ("Altered", Some(plain(time(options, self.altered)))),
                ("Comment", self.comment.as_deref().map(|c| plain(line(c)))),
            ],
            out,
        )?;
        let lists = [
            ("allow", &self.allow),
            ("block", &self.block),
            ("except", &self.except),
        ];
        let rules: Vec<(&str, &RuleView)> = lists
            .into_iter()
            .flat_map(|(list, rules)| rules.iter().flatten().map(move |rule| (list, rule)))
            .collect();
        if rules.is_empty() {
            return Ok(());
        }
        writeln!(out)?;
        write_rules(options, "RULE", &rules, out)
    }
}

fn has_exceptions(policy: &PolicyView) -> bool {
    policy.except_count > 0 || !policy.except_lists.is_empty()
}

/// "3 @bad-hosts", "3 except 1 @our-own".
fn blocked(policy: &PolicyView) -> String {
    let blocked = with_lists(policy.block_count, &policy.block_lists);
    match has_exceptions(policy) {
        true => format!(
            "{blocked} except {}",
            with_lists(policy.except_count, &policy.except_lists)
        ),
        false => blocked,
    }
}

/// "3", "3 @bad-hosts".
fn with_lists(count: usize, lists: &[String]) -> String {
    let names = lists.iter().map(|name| format!(" @{name}"));
    names.fold(count.to_string(), |all, name| all + &name)
}

/// "3 rules", "3 rules and the lists @bad-hosts, @tor".
fn rules_and_lists(rules: usize, lists: &[String]) -> String {
    let names: Vec<_> = lists.iter().map(|name| format!("@{name}")).collect();
    let names = names.join(", ");
    let noun = match lists.len() {
        1 => "list",
        _ => "lists",
    };
    match (rules, lists.is_empty()) {
        (n, true) => count(n as u64, "rule", "rules"),
        (0, false) => format!("the {noun} {names}"),
        (n, false) => format!(
            "{} and the {noun} {names}",
            count(n as u64, "rule", "rules")
        ),
    }
}

impl Render for [RuleItem] {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if self.is_empty() {
            return writeln!(out, "no such rule");
        }
        let lists: Vec<_> = self.iter().map(|item| item.list.to_string()).collect();
        let rules = lists.iter().map(String::as_str);
        let rules: Vec<_> = rules.zip(self.iter().map(|item| &item.rule)).collect();
        write_rules(options, "RULE", &rules, out)
    }
}

/// Columns that would be empty throughout are left out. `what`: the header of what they are.
pub(super) fn write_rules(
    options: &RenderOptions,
    what: &'static str,
    rules: &[(&str, &RuleView)],
    out: &mut dyn Write,
) -> io::Result<()> {
    type Column<'a> = (
        &'static str,
        Box<dyn Fn(&RuleView) -> Option<Cow<'_, str>> + 'a>,
    );
    let enforced = |r: &RuleView| r.cidr != r.text;
    let optional: [Column; 5] = [
        (
            "ENFORCED",
            Box::new(move |r| enforced(r).then(|| r.cidr.as_str().into())),
        ),
        ("NAME", Box::new(|r| r.name.as_deref().map(Cow::from))),
        (
            "UNTIL",
            Box::new(|r| r.expires.map(|end| time(options, end).into())),
        ),
        ("COMMENT", Box::new(|r| r.comment.as_deref().map(Cow::from))),
        ("PLACE", Box::new(|r| r.place.as_deref().map(Cow::from))),
    ];
    let shown: Vec<_> = optional
        .iter()
        .filter(|(_, get)| rules.iter().any(|(_, r)| get(r).is_some()))
        .collect();
    let has_list = rules.iter().any(|(list, _)| !list.is_empty());
    let header: Vec<_> = (has_list.then_some("LIST").into_iter())
        .chain([what])
        .chain(shown.iter().map(|c| c.0))
        .collect();
    let rows = rules
        .iter()
        .map(|(list, rule)| {
            let mut row: Vec<Cell> = Vec::new();
            row.extend(has_list.then(|| plain(list)));
            row.push(plain(line(&rule.text)));
            row.extend(
                shown
                    .iter()
                    .map(|(_, get)| plain(line(&get(rule).unwrap_or_default()))),
            );
            row
        })
        .collect();
    write_table(options, &header, rows, out)
}

fn status(policy: &PolicyView) -> Cell {
    match (policy.active, policy.mode) {
        (true, Mode::Enforce) => cell(Tone::Good, "active"),
        (true, Mode::Observe) => cell(Tone::Warning, "observed"),
        (false, _) => cell(Tone::Warning, "inactive"),
    }
}
