//! `netpolicy feed list` and `netpolicy feed show`, and the feeds of `netpolicy status`.

use std::io::{self, Write};
use std::time::Duration;

use comfy_table::Cell;
use jiff::Timestamp;

use super::{
    Render, RenderOptions, Tone, cell, count, line, list, number, plain, time, write_fields,
    write_table,
};
use crate::api::FeedView;
use crate::model::{FeedFilter, SpecialRanges};

impl Render for [FeedView] {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if self.is_empty() {
            return writeln!(out, "no feeds: a [[feed]] in the policy file makes one");
        }
        let rows = self
            .iter()
            .map(|feed| {
                vec![
                    plain(line(&feed.name)),
                    number(&feed.entries),
                    plain(current(options.now, feed)),
                    plain(next(options.now, feed)),
                    plain(list(&feed.policies)),
                    state(feed),
                    plain(line(&feed.settings.source)),
                ]
            })
            .collect();
        let header = [
            "NAME", "ENTRIES", "CURRENT", "NEXT", "POLICIES", "STATE", "SOURCE",
        ];
        write_table(options, &header, rows, out)
    }
}

impl Render for FeedView {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let settings = &self.settings;
        let at = |when: Option<Timestamp>| when.map(|when| plain(time(options, when)));
        let seconds = |seconds: u64| {
            let time = humantime::format_duration(Duration::from_secs(seconds));
            time.to_string()
        };
        let entries = count(self.entries as u64, "entry", "entries");
        let entries = match self.skipped {
            0 => entries,
            skipped => format!("{entries}; {skipped} were left out"),
        };
        let error = self.error.as_deref().map(|error| {
            let when = self.failed.map(|at| format!(" ({})", time(options, at)));
            cell(
                Tone::Bad,
                format!("{}{}", line(error), when.unwrap_or_default()),
            )
        });
        let schedule = format!(
            "every {} and up to {} later; stale after {}",
            seconds(settings.interval),
            seconds(settings.jitter),
            seconds(settings.stale_after)
        );
        let special = match settings.special_ranges {
            SpecialRanges::Refuse => "ranges of special purpose refused",
            SpecialRanges::Skip => "ranges of special purpose left out",
            SpecialRanges::Allow => "ranges of special purpose allowed",
        };
        let guards = format!(
            "at least {}, at most {} % smaller, {special}",
            count(settings.min_entries, "entry", "entries"),
            settings.max_shrink,
        );
        write_fields(
            options,
            [
                ("Name", Some(plain(line(&self.name)))),
                ("Source", Some(plain(line(&settings.source)))),
                ("Entries", Some(plain(entries))),
                ("Format", self.format.as_deref().map(|f| plain(line(f)))),
                ("Only", only(&settings.filter)),
                (
                    "Policies",
                    Some(plain(match self.policies.is_empty() {
                        true => "none: it governs nothing".to_owned(),
                        false => list(&self.policies),
                    })),
                ),
                ("State", Some(state(self))),
                ("Error", error),
                ("Fetched", at(self.fetched)),
                ("Current at", at(self.checked)),
                ("Next", at(self.next)),
                ("Refreshed", Some(plain(schedule))),
                ("Guards", Some(plain(guards))),
            ],
            out,
        )
    }
}

/// The feeds of a status, a line each.
pub(super) fn of_status(options: &RenderOptions, feeds: &[FeedView]) -> Option<Cell> {
    let lines: Vec<_> = feeds
        .iter()
        .map(|feed| {
            line(&format!(
                "{}: {}, current {}, next {}",
                feed.name,
                count(feed.entries as u64, "entry", "entries"),
                current(options.now, feed),
                next(options.now, feed)
            ))
        })
        .collect();
    let is_well = feeds.iter().all(|feed| feed.error.is_none() && !feed.stale);
    let tone = if is_well { Tone::Plain } else { Tone::Warning };
    (!lines.is_empty()).then(|| cell(tone, lines.join("\n")))
}

fn state(feed: &FeedView) -> Cell {
    match (&feed.error, feed.stale, feed.checked) {
        (_, true, _) => cell(Tone::Bad, "stale"),
        (Some(_), _, None) => cell(Tone::Bad, "never read"),
        (Some(_), _, Some(_)) => cell(Tone::Warning, "last refresh failed"),
        (None, _, None) => cell(Tone::Warning, "not read yet"),
        (None, _, Some(_)) => cell(Tone::Good, "current"),
    }
}

fn only(filter: &FeedFilter) -> Option<Cell> {
    let FeedFilter {
        service,
        region,
        country,
        asn,
        set,
    } = filter;
    let asn: Vec<String> = asn.iter().map(|number| format!("AS{number}")).collect();
    let words = [
        ("service", service),
        ("region", region),
        ("country", country),
        ("autonomous system", &asn),
        ("set", set),
    ];
    let words: Vec<_> = words
        .into_iter()
        .filter(|(_, words)| !words.is_empty())
        .map(|(what, words)| format!("{what} {}", words.join(" or ")))
        .collect();
    (!words.is_empty()).then(|| plain(line(&words.join(", "))))
}

/// "12 min ago", "never".
fn current(now: Timestamp, feed: &FeedView) -> String {
    let ago = |checked| format!("{} ago", rounded(now.duration_since(checked).as_secs()));
    feed.checked.map_or_else(|| "never".to_owned(), ago)
}

/// "in 48 min", "due", "not known".
fn next(now: Timestamp, feed: &FeedView) -> String {
    match feed.next.map(|next| next.duration_since(now).as_secs()) {
        None => "not known".to_owned(),
        Some(seconds) if seconds <= 0 => "due".to_owned(),
        Some(seconds) => format!("in {}", rounded(seconds)),
    }
}

/// "48 min", in one unit.
fn rounded(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}
