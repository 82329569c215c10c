//! `netpolicy policy lint`.

use std::io::{self, Write};

use super::{Render, RenderOptions, count, line, plain, write_table};
use crate::model::lint::{Finding, RuleAt, Severity};

impl Render for [Finding] {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        for of_policy in self.chunk_by(|a, b| heading(a) == heading(b)) {
            if let Some(first) = of_policy.first() {
                writeln!(out, "{}", line(&heading(first)))?;
            }
            for alike in of_policy.chunk_by(is_same_kind) {
                write_group(alike, options, out)?;
            }
            writeln!(out)?;
        }
        writeln!(out, "{}", summary(self))
    }
}

/// What a group of findings is about.
fn heading(finding: &Finding) -> String {
    match (&*finding.policies, &finding.scope) {
        ([], Some(scope)) => format!("service {scope}"),
        ([], None) => "everything".to_owned(),
        ([policy], _) => format!("policy {policy}"),
        (policies, _) => format!("policies {}", policies.join(", ")),
    }
}

/// Whether both are of one kind and about rules of one list.
fn is_same_kind(a: &Finding, b: &Finding) -> bool {
    let list = |finding: &Finding| finding.rule.as_ref().map(|rule| rule.list.clone());
    a.code == b.code && a.rule.is_some() && list(a) == list(b)
}

/// What is the matter once, then each rule with its place.
fn write_group(
    findings: &[Finding],
    options: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let Some(first) = findings.first() else {
        return Ok(());
    };
    let meaning = first.code.meaning().filter(|_| first.rule.is_some());
    writeln!(
        out,
        "  {}: {} [{}]",
        severity(first.severity, options),
        line(meaning.unwrap_or(&first.message)),
        first.code.name()
    )?;
    let rows: Vec<_> = findings.iter().filter_map(row).collect();
    if !rows.is_empty() {
        write_table(options, &[], rows, out)?;
    }
    match findings.iter().map(|finding| finding.more).sum::<u64>() {
        0 => Ok(()),
        more => writeln!(out, "    and {more} more"),
    }
}

fn severity(severity: Severity, options: &RenderOptions) -> String {
    let code = match severity {
        Severity::Error => "1;31",
        Severity::Warning => "33",
        Severity::Note => "1",
    };
    if options.colour {
        format!("\x1b[{code}m{severity}\x1b[0m")
    } else {
        severity.to_string()
    }
}

/// A rule, where it stands, and the rule that is to blame.
fn row(finding: &Finding) -> Option<Vec<comfy_table::Cell>> {
    let rule = finding.rule.as_ref()?;
    let place = rule.place.as_deref().unwrap_or("-");
    let other = finding.other.as_ref().map(|other| {
        let place = other.place.as_ref().map(|place| format!(" ({place})"));
        let policy = Some(&other.policy).filter(|policy| **policy != rule.policy);
        let policy = policy.map(|policy| format!(" of policy {policy}"));
        format!(
            "in {} {}{}{}",
            list_of(other),
            other.text,
            place.unwrap_or_default(),
            policy.unwrap_or_default()
        )
    });
    Some(vec![
        plain(format!(
            "    {}",
            line(&format!("{} {place}", list_of(rule)))
        )),
        plain(line(&rule.text)),
        plain(line(&other.unwrap_or_default())),
    ])
}

/// "block", "block @bad-hosts".
fn list_of(rule: &RuleAt) -> String {
    match &rule.named {
        Some(named) => format!("{} {named}", rule.list),
        None => rule.list.clone(),
    }
}

fn summary(findings: &[Finding]) -> String {
    let of = |severity| -> u64 {
        let findings = findings.iter().filter(|f| f.severity == severity);
        findings.map(|finding| 1 + finding.more).sum()
    };
    let counts = [
        (of(Severity::Error), "error", "errors"),
        (of(Severity::Warning), "warning", "warnings"),
        (of(Severity::Note), "note", "notes"),
    ];
    let counts = counts.iter().filter(|(n, ..)| *n > 0);
    let counts: Vec<_> = counts.map(|(n, one, many)| count(*n, one, many)).collect();
    if counts.is_empty() {
        "no findings".to_owned()
    } else {
        counts.join(", ")
    }
}
