//! `netpolicy list list` and `netpolicy list show`.

use std::io::{self, Write};

use super::policies::write_rules;
use super::{
    Render, RenderOptions, count, line, list, number, plain, time, write_fields, write_table,
};
use crate::api::{EntryItem, ListView};

impl Render for [ListView] {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if self.is_empty() {
            return writeln!(out, "no lists: `netpolicy list create` makes one");
        }
        let rows = self
            .iter()
            .map(|l| {
                vec![
                    plain(line(&l.name)),
                    number(&l.entry_count),
                    plain(line(&kind(l))),
                    plain(list(&l.policies)),
                    plain(line(&l.owner)),
                    plain(time(options, l.altered)),
                    plain(line(l.comment.as_deref().unwrap_or(""))),
                ]
            })
            .collect();
        let header = [
            "NAME", "ENTRIES", "TYPE", "POLICIES", "OWNER", "ALTERED", "COMMENT",
        ];
        write_table(options, &header, rows, out)
    }
}

/// "addresses", or what SQL calls it.
fn kind(list: &ListView) -> String {
    match &list.network_rule {
        None if list.feed.is_some() => "feed".to_owned(),
        None => "addresses".to_owned(),
        Some(rule) if rule.is_judged() => format!("{} {}", rule.kind, rule.mode),
        Some(rule) => format!("{} {}: governs nothing here", rule.kind, rule.mode),
    }
}

impl Render for ListView {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let rule = self.network_rule.as_ref();
        let values = rule.map(|rule| rule.values.as_slice()).unwrap_or_default();
        write_fields(
            options,
            [
                ("Name", Some(plain(line(&self.name)))),
                ("Type", Some(plain(line(&kind(self))))),
                (
                    "Source",
                    self.feed.as_ref().map(|feed| plain(line(&feed.source))),
                ),
                (
                    "In SQL",
                    rule.map(|rule| plain(line(&rule.qualified(&self.name)))),
                ),
                (
                    "Entries",
                    Some(plain(count(self.entry_count as u64, "entry", "entries"))),
                ),
                ("Values", (!values.is_empty()).then(|| plain(list(values)))),
                (
                    "Policies",
                    Some(plain(match self.policies.is_empty() {
                        true => "none: it governs nothing".to_owned(),
                        false => list(&self.policies),
                    })),
                ),
                ("Owner", Some(plain(line(&self.owner)))),
                ("Created", Some(plain(time(options, self.created)))),
                ("Altered", Some(plain(time(options, self.altered)))),
                ("Comment", self.comment.as_deref().map(|c| plain(line(c)))),
            ],
            out,
        )?;
        let entries: Vec<_> = self
            .entries
            .iter()
            .flatten()
            .map(|rule| ("", rule))
            .collect();
        if entries.is_empty() {
            return Ok(());
        }
        writeln!(out)?;
        write_rules(options, "ENTRY", &entries, out)
    }
}

impl Render for [EntryItem] {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if self.is_empty() {
            return writeln!(out, "no such entry");
        }
        let entries: Vec<_> = self.iter().map(|item| ("", &item.entry)).collect();
        write_rules(options, "ENTRY", &entries, out)
    }
}
