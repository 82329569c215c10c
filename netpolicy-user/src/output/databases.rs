//! `netpolicy db list`.

use std::io::{self, Write};

use super::{
    Render, RenderOptions, Tone, cell, count, line, number, plain, time, write_fields, write_table,
};
use crate::api::{DatabaseChange, DatabaseCondition, DatabaseVerdict, DatabaseView, Existing};

/// Users and addresses of sessions that are named one by one.
const SESSIONS_SHOWN: usize = 10;

impl Render for [DatabaseView] {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if self.is_empty() {
            return writeln!(
                out,
                "no databases: `netpolicy db add NAME --service SERVICE` makes one known"
            );
        }
        let rows = self.iter().map(|database| {
            let (tone, state) = state(database);
            let reported = database.reported.map(|at| time(options, at));
            vec![
                plain(line(&database.name)),
                plain(line(&database.service)),
                plain(line(database.version.as_deref().unwrap_or("-"))),
                number(&database.users.len()),
                number(&database.lines),
                cell(tone, state),
                plain(line(database.file.as_deref().unwrap_or("-"))),
                plain(reported.unwrap_or_else(|| "-".to_owned())),
            ]
        });
        let header = [
            "NAME", "SERVICE", "VERSION", "USERS", "LINES", "STATE", "FILE", "REPORTED",
        ];
        write_table(options, &header, rows.collect(), out)?;
        let users = || self.iter().flat_map(|database| &database.users);
        if users().next().is_some() {
            writeln!(out)?;
            let rows = users().map(|user| {
                let until = user.bypassed_until.filter(|until| *until > options.now);
                let state = match until {
                    None => "holds".to_owned(),
                    Some(until) => format!("bypassed until {}", time(options, until)),
                };
                vec![
                    plain(line(&user.user)),
                    plain(line(&user.policies.join(", "))),
                    plain(state),
                ]
            });
            write_table(options, &["USER", "POLICIES", "STATE"], rows.collect(), out)?;
        }
        for database in self {
            if let Some(message) = &database.message {
                writeln!(out, "{}: {}", line(&database.name), line(message))?;
            }
        }
        Ok(())
    }
}

/// Writes what a change does to databases: lines, and the sessions that these reject.
pub(super) fn write_changes(
    changes: &[DatabaseChange],
    dry_run: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    for change in changes {
        let name = line(&change.database);
        let more =
            (change.added > 0).then(|| format!("{} more", count(change.added, "line", "lines")));
        let fewer = (change.removed > 0)
            .then(|| format!("{} fewer", count(change.removed, "line", "lines")));
        let lines: Vec<_> = more.into_iter().chain(fewer).collect();
        if !lines.is_empty() {
            let verb = if dry_run { "would have" } else { "has" };
            writeln!(out, "database {name} {verb} {}", lines.join(", "))?;
        }
        if let Some(problem) = &change.problem {
            writeln!(out, "database {name}: {}", line(problem))?;
        }
        if let Some(ended) = change.ended {
            let ended = count(
                usize::try_from(ended).unwrap_or(usize::MAX),
                "session",
                "sessions",
            );
            writeln!(out, "ended {ended} in database {name}")?;
        }
        let Some(sessions) = change.sessions.as_ref().filter(|all| !all.is_empty()) else {
            continue;
        };
        let number: u64 = sessions.iter().map(|session| session.count).sum();
        let number = count(
            usize::try_from(number).unwrap_or(usize::MAX),
            "session",
            "sessions",
        );
        match change.existing {
            Existing::Cut => writeln!(out, "would end {number} in database {name}:")?,
            Existing::Keep => writeln!(
                out,
                "would reject {number} in database {name}, which are kept; --existing cut ends them:"
            )?,
        }
        for session in sessions.iter().take(SESSIONS_SHOWN) {
            let number = count(
                usize::try_from(session.count).unwrap_or(usize::MAX),
                "session",
                "sessions",
            );
            let user = line(&session.user);
            writeln!(out, "    {user} from {}, {number}", session.source)?;
        }
        if sessions.len() > SESSIONS_SHOWN {
            writeln!(out, "    and {} more", sessions.len() - SESSIONS_SHOWN)?;
        }
    }
    Ok(())
}

fn state(database: &DatabaseView) -> (Tone, &'static str) {
    match database.condition {
        DatabaseCondition::InForce => (Tone::Good, "in force"),
        DatabaseCondition::Waiting => (Tone::Warning, "not reported yet"),
        DatabaseCondition::Unknown if database.lines == 0 => (Tone::Plain, "nothing to do"),
        DatabaseCondition::Unknown => (Tone::Bad, "no helper"),
        DatabaseCondition::Refused => (Tone::Bad, "refused"),
        DatabaseCondition::Unreachable => (Tone::Bad, "unreachable"),
    }
}

impl Render for DatabaseVerdict {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let (tone, verdict) = match &self.line {
            Some(_) => (Tone::Bad, "rejects"),
            None if !self.arrives && self.address_bypassed_until.is_none() => {
                (Tone::Plain, "not asked")
            }
            None => (Tone::Good, "lets in, if authentication does"),
        };
        let agrees = match (self.agrees, self.in_force) {
            (true, _) => cell(
                Tone::Good,
                "agrees: the database was seen to have these lines",
            ),
            (false, false) => cell(Tone::Bad, "the database was not seen to have these lines"),
            (false, true) => cell(Tone::Bad, "disagrees: the lines say otherwise"),
        };
        let roles = self.roles.join(", ");
        let roles = (!roles.is_empty())
            .then(|| plain(line(&format!("members of {roles} are rejected from there"))));
        write_fields(
            options,
            [
                ("Database", Some(plain(line(&self.database)))),
                ("User", Some(plain(line(&self.user)))),
                ("Verdict", Some(cell(tone, verdict))),
                ("Reason", Some(plain(line(&self.sentence)))),
                ("Line", self.line.as_deref().map(|text| plain(line(text)))),
                ("Roles", roles),
                ("Rules", Some(agrees)),
            ],
            out,
        )
    }
}
