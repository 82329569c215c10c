//! Revisions, the audit log, grants, and changes that wait for their confirmation.

use std::io::{self, Write};

use super::{Render, RenderOptions, line, number, plain, time, write_table};
use crate::api::{AuditView, GrantView, PendingView, RevisionView};

impl Render for [RevisionView] {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if self.is_empty() {
            return writeln!(out, "no such revision is kept");
        }
        if self.iter().any(|revision| !revision.changes.is_empty()) {
            return with_changes(self, options, out);
        }
        let rows = self.iter().map(|revision| {
            vec![
                number(&revision.revision),
                plain(time(options, revision.created)),
                plain(line(&revision.actor)),
                plain(line(&revision.action)),
            ]
        });
        write_table(
            options,
            &["REVISION", "TIME", "BY", "WHAT"],
            rows.collect(),
            out,
        )
    }
}

/// A line for each revision, and below it what changed.
fn with_changes(
    revisions: &[RevisionView],
    options: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    for revision in revisions {
        writeln!(
            out,
            "{}  {}  {}: {}",
            revision.revision,
            time(options, revision.created),
            line(&revision.actor),
            line(&revision.action)
        )?;
        for change in &revision.changes {
            writeln!(out, "    {}", line(change))?;
        }
    }
    Ok(())
}

impl Render for [GrantView] {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if self.is_empty() {
            return writeln!(out, "nothing is granted: only root may use the agent");
        }
        let rows = self.iter().map(|grant| {
            vec![
                plain(grant.to.to_string()),
                plain(grant.privilege.to_string()),
                plain(line(grant.policy.as_deref().unwrap_or("all"))),
                plain(line(&grant.granted_by)),
                plain(time(options, grant.granted)),
            ]
        });
        let header = ["TO", "PRIVILEGE", "POLICY", "GRANTED BY", "GRANTED"];
        write_table(options, &header, rows.collect(), out)
    }
}

impl Render for [AuditView] {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if self.is_empty() {
            return writeln!(out, "nothing was changed yet");
        }
        for entry in self {
            let from = entry.from.as_deref();
            let from = from.map_or_else(String::new, |from| format!(" from {from}"));
            let revisions = if entry.revision_before == entry.revision_after {
                format!("revision {}", entry.revision_after)
            } else {
                format!(
                    "revision {} -> {}",
                    entry.revision_before, entry.revision_after
                )
            };
            writeln!(
                out,
                "{}  {}  {}{}: {}  ({revisions})",
                time(options, entry.time),
                outcome(entry),
                line(&entry.actor),
                line(&from),
                line(&entry.action),
            )?;
            for text in entry.changes.iter().chain(&entry.errors) {
                writeln!(out, "    {}", line(text))?;
            }
        }
        Ok(())
    }
}

impl Render for PendingView {
    fn table(&self, _: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "revision {} is confirmed and stays", self.revision)
    }
}

/// Padded, so that who and what stand below each other.
fn outcome(entry: &AuditView) -> &'static str {
    use crate::api::Outcome;
    match entry.outcome {
        Outcome::Done => "done   ",
        Outcome::Refused => "REFUSED",
        Outcome::Failed => "FAILED ",
    }
}
