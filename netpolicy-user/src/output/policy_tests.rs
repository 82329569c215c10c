//! `netpolicy policy test`.

use std::io::{self, Write};

use super::{Render, RenderOptions, Tone, cell, count, line, plain, write_table};
use crate::api::PolicyTestView;
use crate::model::Expectation;

impl Render for [PolicyTestView] {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if self.is_empty() {
            return writeln!(
                out,
                "no policy tests: `netpolicy policy test set` adds one, and so does a [[test]] of \
                 the policy file"
            );
        }
        let rows = self.iter().map(|test| {
            let result = match test.holds {
                true => cell(Tone::Good, "holds"),
                false => cell(Tone::Bad, "FAILED"),
            };
            let notes = [test.why.as_deref(), test.comment.as_deref()];
            let notes: Vec<_> = notes.into_iter().flatten().map(line).collect();
            vec![
                result,
                plain(line(&test.source)),
                plain(line(test.service.as_deref().unwrap_or("host"))),
                plain(test.port.map_or("any".to_owned(), |port| port.to_string())),
                plain(match test.expect {
                    Expectation::Pass => "pass",
                    Expectation::Drop => "drop",
                }),
                plain(notes.join("\n")),
                plain(line(test.place.as_deref().unwrap_or("-"))),
            ]
        });
        let head = [
            "RESULT", "SOURCE", "SERVICE", "PORT", "EXPECT", "NOTES", "PLACE",
        ];
        write_table(options, &head, rows.collect(), out)?;
        let failed = self.iter().filter(|test| !test.holds).count() as u64;
        let tests = count(self.len() as u64, "test", "tests");
        match failed {
            0 => writeln!(out, "{tests}, all hold"),
            failed => writeln!(out, "{tests}, {failed} failed"),
        }
    }
}
