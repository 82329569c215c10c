//! `netpolicy policy evaluate`, and what a dry run says of sources that came.

use std::io::{self, Write};

use super::{Render, RenderOptions, Tone, cell, count, line, number, plain, time, write_table};
use crate::api::{Becomes, EvaluatedSource, Evaluation};

impl Render for Evaluation {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let since = time(options, self.remembered_since.unwrap_or(self.since));
        let judged = count(self.judged, "source", "sources");
        writeln!(out, "judged {judged} seen since {since}")?;
        if let Some(begin) = self.remembered_since {
            writeln!(
                out,
                "the memory of sources begins at {}: earlier ones are not judged",
                time(options, begin)
            )?;
        }
        for note in &self.notes {
            writeln!(out, "note: {}", line(note))?;
        }
        writeln!(
            out,
            "would be denied, and got in:       {}",
            with_known(self.denied, self.denied_already, "denied")
        )?;
        writeln!(
            out,
            "would get in, and were denied:     {}",
            with_known(self.allowed, self.allowed_already, "allowed")
        )?;
        if self.sources.is_empty() {
            return Ok(());
        }
        writeln!(out)?;
        let rows = self.sources.iter().map(|source| row(source, options));
        let head = [
            "BECOMES",
            "SOURCE",
            "SCOPE",
            "ATTEMPTS",
            "LAST SEEN",
            "REASON",
        ];
        write_table(options, &head, rows.collect(), out)?;
        let more = (self.denied + self.allowed).saturating_sub(self.sources.len() as u64);
        if more > 0 {
            writeln!(out, "and {more} more (--limit)")?;
        }
        Ok(())
    }
}

/// "3", or "3 (and 2 that are denied already)".
fn with_known(new: u64, known: u64, what: &str) -> String {
    match known {
        0 => new.to_string(),
        1 => format!("{new} (and 1 that is {what} already)"),
        known => format!("{new} (and {known} that are {what} already)"),
    }
}

fn row(source: &EvaluatedSource, options: &RenderOptions) -> Vec<comfy_table::Cell> {
    let becomes = match source.becomes {
        Becomes::Denied => cell(Tone::Bad, "denied"),
        Becomes::Allowed => cell(Tone::Good, "allowed"),
    };
    let why = match &source.sentence {
        Some(sentence) => line(sentence),
        None => source.reason.to_string(),
    };
    vec![
        becomes,
        plain(line(&source.source)),
        plain(line(&source.scope)),
        number(&attempts(source.attempts, source.sampled)),
        plain(time(options, source.last_seen)),
        plain(why),
    ]
}

/// "41", or "~41" for an estimate.
pub(super) fn attempts(attempts: u64, sampled: bool) -> String {
    match sampled {
        true => format!("~{attempts}"),
        false => attempts.to_string(),
    }
}

/// "1 attempt", "~41 attempts".
pub(super) fn attempts_in_words(number: u64, sampled: bool) -> String {
    let unit = if number == 1 { "attempt" } else { "attempts" };
    format!("{} {unit}", attempts(number, sampled))
}

/// Says in a dry run which sources that came lately would fare otherwise.
pub(super) fn write_seen(
    seen: &Evaluation,
    options: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let span = match seen.remembered_since {
        Some(begin) => format!("since {}", time(options, begin)),
        None => "in the last 30 days".to_owned(),
    };
    for (number, becomes, what) in [
        (seen.denied, Becomes::Denied, "denied"),
        (seen.allowed, Becomes::Allowed, "allowed"),
    ] {
        if number == 0 {
            continue;
        }
        writeln!(
            out,
            "{} seen {span} would be {what}:",
            count(number, "source", "sources")
        )?;
        let listed = seen.sources.iter().filter(|one| one.becomes == becomes);
        let mut shown = 0;
        for source in listed {
            shown += 1;
            writeln!(
                out,
                "    {} on {}, {}, last {}",
                line(&source.source),
                line(&source.scope),
                attempts_in_words(source.attempts, source.sampled),
                time(options, source.last_seen)
            )?;
        }
        if number > shown {
            writeln!(out, "    and {} more", number - shown)?;
        }
    }
    if seen.denied == 0 && seen.allowed == 0 {
        writeln!(
            out,
            "no source seen {span} would be denied or allowed ({} judged)",
            seen.judged
        )?;
    }
    Ok(())
}
