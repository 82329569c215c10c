//! `netpolicy sources`, `netpolicy rates`, and hits of rules.

use std::io::{self, Write};

use comfy_table::Cell;
use jiff::Timestamp;
use serde::Serialize;

use super::{Render, RenderOptions, Tone, cell, count, line, number, plain, time, write_table};
use crate::api::{RateBucket, RateStep, RatesView, SourceVerdict, SourceView, SourcesPage};
use crate::model::ListKind;

/// A rule, and how often it decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HitLine {
    /// The policy's name.
    pub policy: String,
    /// Which of its lists.
    pub list: ListKind,
    /// The named list that brought the rule to the policy, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named_list: Option<String>,
    /// The rule; `None`: all entries of the named list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Denied since no rule of the list matched.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unmatched: bool,
    /// Attempts that it decided.
    pub hits: u64,
    /// Whether some are estimated.
    pub sampled: bool,
    /// When the first one came; `None`: none did.
    pub first_hit: Option<Timestamp>,
    /// When the last one came.
    pub last_hit: Option<Timestamp>,
}

/// What `netpolicy policy show --hits` and `--unused` print.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HitsReport {
    /// Rules.
    pub rules: Vec<HitLine>,
    /// Since when hits are counted.
    pub counted_since: Timestamp,
    /// The rules had no hit since; `None`: all rules are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unused_since: Option<Timestamp>,
    /// Whether hits of some rules are only in those of their lists.
    pub incomplete: bool,
}

/// "1234", or "~1234" of an estimate.
fn estimated(number: u64, is_sampled: bool) -> String {
    match is_sampled {
        true => format!("~{number}"),
        false => number.to_string(),
    }
}

fn verdict_cell(verdict: SourceVerdict) -> Cell {
    match verdict {
        SourceVerdict::Allowed => cell(Tone::Good, "allowed"),
        SourceVerdict::Denied => cell(Tone::Bad, "denied"),
    }
}

/// "office block 10.0.0.0/8", "office block @bad-hosts 10.0.0.0/8", "office".
fn decided(source: &SourceView) -> String {
    let Some(policy) = &source.policy else {
        return "-".to_owned();
    };
    // Where no rule matched, the reason says so.
    let Some(rule) = &source.rule else {
        return policy.clone();
    };
    let list = source.list.map(|list| format!(" {list}"));
    let named = source.named_list.as_ref().map(|name| format!(" @{name}"));
    format!(
        "{policy}{}{} {rule}",
        list.unwrap_or_default(),
        named.unwrap_or_default()
    )
}

impl Render for SourcesPage {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if self.sources.is_empty() {
            return writeln!(out, "no such source since {}", time(options, self.since));
        }
        let has_nets = self.sources.iter().any(|source| source.sources > 1);
        let rows = self.sources.iter().map(|source| {
            let mut row = vec![plain(line(&source.source))];
            row.extend(has_nets.then(|| number(&source.sources)));
            row.extend([
                plain(line(&source.scope)),
                verdict_cell(source.verdict),
                plain(line(source.reason.as_str())),
                number(&estimated(source.attempts, source.sampled)),
                plain(time(options, source.first_seen)),
                plain(time(options, source.last_seen)),
                plain(line(&decided(source))),
            ]);
            row
        });
        let mut head = vec!["SOURCE"];
        head.extend(has_nets.then_some("SOURCES"));
        head.extend([
            "SCOPE", "VERDICT", "REASON", "ATTEMPTS", "FIRST", "LAST", "RULE",
        ]);
        write_table(options, &head, rows.collect(), out)
    }
}

impl Render for RatesView {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if self.buckets.is_empty() {
            return writeln!(out, "no attempts since {}", time(options, self.since));
        }
        let row = |bucket: &RateBucket| {
            vec![
                plain(time(options, bucket.time)),
                plain(line(&bucket.scope)),
                verdict_cell(bucket.verdict),
                plain(line(bucket.reason.as_str())),
                number(&estimated(bucket.attempts, bucket.sampled)),
                plain(line(bucket.policy.as_deref().unwrap_or("-"))),
            ]
        };
        let head = match self.step {
            RateStep::Minute => "MINUTE",
            RateStep::Hour => "HOUR",
            RateStep::Day => "DAY",
        };
        let head = [head, "SCOPE", "VERDICT", "REASON", "ATTEMPTS", "POLICY"];
        let rows = self.buckets.iter().map(row).collect();
        write_table(options, &head, rows, out)
    }
}

impl Render for HitsReport {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if let Some(since) = self.unused_since {
            let unused = count(self.rules.len() as u64, "rule or list", "rules and lists");
            writeln!(out, "{unused} without a hit since {}", time(options, since))?;
        } else if self.rules.is_empty() {
            return writeln!(out, "no rules");
        }
        if self.rules.is_empty() {
            return Ok(());
        }
        let at = |when: Option<Timestamp>| when.map_or("-".to_owned(), |at| time(options, at));
        let rows = self.rules.iter().map(|rule| {
            let named = rule.named_list.as_ref().map(|name| format!("@{name}"));
            let text = match (&named, &rule.rule) {
                _ if rule.unmatched => "(no rule matched)".to_owned(),
                (Some(named), Some(rule)) => format!("{named} {rule}"),
                (Some(named), None) => named.clone(),
                (None, rule) => rule.clone().unwrap_or_default(),
            };
            vec![
                plain(line(&rule.policy)),
                plain(rule.list.to_string()),
                plain(line(&text)),
                number(&estimated(rule.hits, rule.sampled)),
                plain(at(rule.first_hit)),
                plain(at(rule.last_hit)),
            ]
        });
        let head = ["POLICY", "LIST", "RULE", "HITS", "FIRST", "LAST"];
        write_table(options, &head, rows.collect(), out)
    }
}
