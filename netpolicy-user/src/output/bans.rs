//! `netpolicy bans`, and what `netpolicy ban` and `unban` did.

use std::io::{self, Write};

use jiff::Timestamp;

use super::bypasses::left;
use super::{Render, RenderOptions, line, plain, time, write_table};
use crate::api::{BanOutcome, BanResult, BanView, BansPage};

impl Render for BansPage {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if self.items.is_empty() {
            return match self.count {
                0 => writeln!(out, "no bans"),
                count => writeln!(out, "{}", super::count(count, "ban", "bans")),
            };
        }
        let ends = |until: Option<Timestamp>| match until {
            Some(until) => (left(options.now, until), time(options, until)),
            None => ("-".to_owned(), "never".to_owned()),
        };
        let text = |text: &Option<String>| text.as_deref().map_or("-".to_owned(), line);
        let by = |ban: &BanView| match ban.also.len() {
            0 => text(&ban.by),
            more => format!("{} +{more}", text(&ban.by)),
        };
        let rows = self
            .items
            .iter()
            .map(|ban| {
                let (left, until) = ends(ban.until);
                vec![
                    plain(line(&ban.source)),
                    plain(line(&ban.scope)),
                    plain(left),
                    plain(until),
                    plain(by(ban)),
                    plain(text(&ban.reason)),
                ]
            })
            .collect();
        let head = ["SOURCE", "SCOPE", "LEFT", "UNTIL", "BY", "REASON"];
        write_table(options, &head, rows, out)
    }
}

/// Lines that are shown one by one; of more, the numbers.
const SHOWN: usize = 20;

impl Render for [BanOutcome] {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let is_long = self.len() > SHOWN;
        for outcome in self {
            // Refusals are errors, and told as such.
            if is_long || outcome.result == BanResult::Refused {
                continue;
            }
            if let Some(why) = &outcome.detail {
                let source = line(&outcome.source);
                let done = match outcome.result {
                    BanResult::Absent => "is not unbanned",
                    _ => "stays banned, though not by this origin",
                };
                writeln!(out, "{source} {done}: {}", line(why))?;
                continue;
            }
            write!(out, "{} {}", line(&outcome.source), words(outcome.result))?;
            if let Some(until) = outcome.until {
                write!(out, " until {}", time(options, until))?;
            }
            writeln!(out)?;
        }
        if is_long {
            writeln!(out, "{}", in_numbers(self))?;
        }
        Ok(())
    }
}

fn words(result: BanResult) -> &'static str {
    match result {
        BanResult::Banned => "is banned",
        BanResult::Extended => "stays banned, with another end:",
        BanResult::Unchanged => "was banned already: nothing to change,",
        BanResult::Refused => "is not banned",
        BanResult::Unbanned => "is no longer banned",
        BanResult::Absent => "was not banned: nothing to change",
    }
}

/// "99,998 banned, 2 refused"
fn in_numbers(outcomes: &[BanOutcome]) -> String {
    let all = [
        BanResult::Banned,
        BanResult::Extended,
        BanResult::Unchanged,
        BanResult::Unbanned,
        BanResult::Absent,
        BanResult::Refused,
    ];
    let numbers = all.into_iter().filter_map(|result| {
        let count = outcomes.iter().filter(|o| o.result == result).count();
        (count > 0).then(|| format!("{count} {}", result.name()))
    });
    numbers.collect::<Vec<_>>().join(", ")
}
