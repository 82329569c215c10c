//! `netpolicy db list`.

use std::io::{self, Write};

use super::{
    Render, RenderOptions, Tone, cell, line, number, plain, time, write_fields, write_table,
};
use crate::api::{DatabaseCondition, DatabaseVerdict, DatabaseView};

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
