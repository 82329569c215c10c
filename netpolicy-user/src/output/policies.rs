//! `netpolicy policy list` and `netpolicy policy show`.

use std::io::{self, Write};

use comfy_table::Cell;

use super::{
    Render, RenderOptions, Tone, cell, count, line, list, number, plain, time, write_fields,
    write_table,
};
use crate::api::{PolicyView, RuleItem, RuleView};

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
                    p.allow_count.map_or_else(|| number(&"any"), |n| number(&n)),
                    number(&p.block_count),
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
            Some(0) => "nothing: an empty list denies every source".to_owned(),
            Some(n) => format!("only {}", count(n as u64, "rule", "rules")),
        };
        write_fields(
            options,
            [
                ("Name", Some(plain(line(&self.name)))),
                ("Status", Some(status(self))),
                ("Scopes", Some(plain(list(&self.bindings)))),
                ("Allow", Some(plain(allow))),
                (
                    "Block",
                    Some(plain(count(self.block_count as u64, "rule", "rules"))),
                ),
                ("Owner", Some(plain(line(&self.owner)))),
                ("Created", Some(plain(time(options, self.created)))),
                ("Altered", Some(plain(time(options, self.altered)))),
                ("Comment", self.comment.as_deref().map(|c| plain(line(c)))),
            ],
            out,
        )?;
        let rules: Vec<(&str, &RuleView)> = [("allow", &self.allow), ("block", &self.block)]
            .into_iter()
            .flat_map(|(list, rules)| rules.iter().flatten().map(move |rule| (list, rule)))
            .collect();
        if rules.is_empty() {
            return Ok(());
        }
        writeln!(out)?;
        write_rules(options, &rules, out)
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
        write_rules(options, &rules, out)
    }
}

/// Columns that would be empty throughout are left out.
fn write_rules(
    options: &RenderOptions,
    rules: &[(&str, &RuleView)],
    out: &mut dyn Write,
) -> io::Result<()> {
    type Column<'a> = (&'static str, Box<dyn Fn(&RuleView) -> Option<&str> + 'a>);
    let enforced = |r: &RuleView| r.cidr != r.text;
    let optional: [Column; 4] = [
        (
            "ENFORCED",
            Box::new(move |r| Some(r.cidr.as_str()).filter(|_| enforced(r))),
        ),
        ("NAME", Box::new(|r| r.name.as_deref())),
        ("COMMENT", Box::new(|r| r.comment.as_deref())),
        ("PLACE", Box::new(|r| r.place.as_deref())),
    ];
    let shown: Vec<_> = optional
        .iter()
        .filter(|(_, get)| rules.iter().any(|(_, r)| get(r).is_some()))
        .collect();
    let header: Vec<_> = ["LIST", "RULE"]
        .into_iter()
        .chain(shown.iter().map(|c| c.0))
        .collect();
    let rows = rules
        .iter()
        .map(|(list, rule)| {
            let mut row: Vec<Cell> = vec![plain(list), plain(line(&rule.text))];
            row.extend(
                shown
                    .iter()
                    .map(|(_, get)| plain(line(get(rule).unwrap_or("")))),
            );
            row
        })
        .collect();
    write_table(options, &header, rows, out)
}

fn status(policy: &PolicyView) -> Cell {
    if policy.active {
        cell(Tone::Good, "active")
    } else {
        cell(Tone::Warning, "inactive")
    }
}
