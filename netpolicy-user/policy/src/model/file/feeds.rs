//! Tables of feeds.

use std::time::Duration;

use toml::de::DeValue;

use super::FileList;
use super::document::TomlTable;
use super::read::{FileReader, Repeated};
use crate::model::error::{Excerpt, ListProblem, Problem};
use crate::model::feed::{bytes, percent};
use crate::model::name::list_name;
use crate::model::{Feed, FeedFilter, RuleList, SpecialRanges};

const KEYS: &[&str] = &[
    "name",
    "comment",
    "url",
    "file",
    "allow_http",
    "interval",
    "jitter",
    "timeout",
    "stale_after",
    "max_bytes",
    "format",
    "min_entries",
    "max_shrink",
    "special_ranges",
    "service",
    "region",
    "country",
    "asn",
    "set",
];
const EXAMPLE: &str = "url = \"https://example.org/list.txt\"";
const TIME: &str = "a time, as in \"1h\" or \"15m\"";
const SIZE: &str = "a size, as in \"64MiB\", or a number of bytes";
const PERCENT: &str = "a percentage, as in \"30%\"";
const NUMBER: &str = "a number";
const SPECIAL: &str = "\"refuse\", \"skip\" or \"allow\"";
const SPECIALS: &[(&str, SpecialRanges)] = &[
    ("refuse", SpecialRanges::Refuse),
    ("skip", SpecialRanges::Skip),
    ("allow", SpecialRanges::Allow),
];
const WORDS: &str = "an array of strings";
const NUMBERS: &str = "an array of numbers, as in [64500]";

impl FileReader<'_, '_> {
    /// Reads all `[[feed]]`: lists, of which each name is there once.
    pub(super) fn feeds(
        &mut self,
        root: &TomlTable<'_>,
        seen: &mut Repeated,
        lists: &mut Vec<FileList>,
    ) {
        for table in root.tables("feed", "[[feed]]", self.report) {
            let table = table.with_keys(KEYS, self.report);
            let name = self.name(&table, "\"bad-hosts\"", list_name);
            let comment = self.comment(&table);
            let feed = self.feed(&table);
            let (Some((name, place)), Some(feed)) = (name, feed) else {
                continue;
            };
            if !seen.is_new(&name, &place, self.report) {
                continue;
            }
            lists.push(FileList {
                name,
                entries: RuleList::default(),
                rule: None,
                feed: Some(Box::new(feed)),
                max_shrink: None,
                comment,
            });
        }
    }

    fn feed(&mut self, table: &TomlTable<'_>) -> Option<Feed> {
        let url = table.string("url", "a string", self.report);
        let file = table.string("file", "a string", self.report);
        let place = self.document.place(table.offset());
        let (source, at) = match (url, file) {
            (Some(found), None) | (None, Some(found)) => found,
            _ => {
                let problem = ListProblem::FeedSource { example: EXAMPLE };
                self.report.error_at(Some(place), problem.into());
                return None;
            }
        };
        // A key of one kind with a source of the other is caught here, by its first character.
        let is_file = source.starts_with('/');
        if is_file != file.is_some() {
            let (key, expected) = match file {
                Some(_) => ("file", "the absolute path of a file, which begins with /"),
                None => ("url", "an https:// URL; a file is named by file = \"/…\""),
            };
            let found = Excerpt::new(source);
            let problem = Problem::WrongValue {
                key,
                found,
                expected,
            };
            let at = self.document.place(at);
            self.report.error_at(Some(at), problem);
            return None;
        }
        let usual = Feed::new(source);
        let mut time = |key: &'static str| self.time(table, key);
        let interval = time("interval").unwrap_or(usual.interval);
        let jitter = time("jitter").unwrap_or(interval / 10);
        let timeout = time("timeout").unwrap_or(usual.timeout);
        let stale_after = time("stale_after").unwrap_or(interval.saturating_mul(3));
        let max_bytes = self.sized(table, "max_bytes", SIZE, bytes);
        let max_shrink = self.max_shrink(table);
        let min_entries = self.sized(table, "min_entries", NUMBER, |_| None);
        let special = table.choice("special_ranges", SPECIALS, SPECIAL, self.report);
        let mut words = |key| {
            let found = table.strings(key, WORDS, false, self.report);
            let found = found.unwrap_or_default().into_iter();
            found.map(|(text, _)| text).collect::<Vec<_>>()
        };
        let mut filter = FeedFilter {
            service: words("service"),
            region: words("region"),
            country: words("country"),
            set: words("set"),
            asn: Vec::new(),
        };
        for (text, at) in table
            .strings("asn", NUMBERS, true, self.report)
            .unwrap_or_default()
        {
            match text.parse() {
                Ok(number) => filter.asn.push(number),
                Err(_) => self.wrong_value("asn", &text, NUMBERS, at),
            }
        }
        let format = table.string("format", "a string", self.report);
        let feed = Feed {
            allow_http: table.boolean("allow_http", self.report) == Some(true),
            interval,
            jitter,
            timeout,
            stale_after,
            max_bytes: max_bytes.unwrap_or(usual.max_bytes),
            format: format.map(|(text, _)| text.to_owned()),
            min_entries: min_entries.unwrap_or(usual.min_entries),
            max_shrink: max_shrink.unwrap_or(usual.max_shrink),
            special_ranges: special.unwrap_or_default(),
            filter,
            ..usual
        };
        if let Err(problem) = feed.check() {
            self.report.error_at(Some(place), problem);
        }
        Some(feed)
    }

    /// A time in seconds.
    fn time(&mut self, table: &TomlTable<'_>, key: &'static str) -> Option<u64> {
        let (text, at) = table.string(key, TIME, self.report)?;
        match humantime::parse_duration(text) {
            Ok(time) => Some(time.as_secs()),
            Err(_) => {
                self.wrong_value(key, text, TIME, at);
                None
            }
        }
    }

    /// By how much a list may shrink, percent.
    pub(super) fn max_shrink(&mut self, table: &TomlTable<'_>) -> Option<u8> {
        const KEY: &str = "max_shrink";
        let share = self.sized(table, KEY, PERCENT, percent)?;
        match u8::try_from(share) {
            Ok(share) if share <= 100 => Some(share),
            _ => {
                let at = table.get(KEY).map_or(0, |value| value.span().start);
                self.wrong_value(KEY, &share.to_string(), "0% to 100%", at);
                None
            }
        }
    }

    /// A number, or a text that `read` understands.
    fn sized(
        &mut self,
        table: &TomlTable<'_>,
        key: &'static str,
        expected: &'static str,
        read: fn(&str) -> Option<u64>,
    ) -> Option<u64> {
        let value = table.get(key)?;
        let at = value.span().start;
        let (text, found) = match value.get_ref() {
            DeValue::Integer(number) => {
                let text = number.to_string();
                let found = text.parse().ok();
                (text, found)
            }
            DeValue::String(text) => (text.to_string(), read(text)),
            _ => return table.wrong_type(key, value, expected, self.report),
        };
        if found.is_none() {
            self.wrong_value(key, &text, expected, at);
        }
        found
    }

    fn wrong_value(&mut self, key: &'static str, found: &str, expected: &'static str, at: usize) {
        let problem = Problem::WrongValue {
            key,
            found: Excerpt::new(found),
            expected,
        };
        let place = self.document.place(at);
        self.report.error_at(Some(place), problem);
    }
}

/// The lines of a feed in the policy file, without those that say what is usual.
pub(super) fn lines(feed: &Feed, quoted: fn(&str) -> String) -> Vec<String> {
    let Feed {
        source,
        allow_http,
        interval,
        jitter,
        timeout,
        stale_after,
        max_bytes,
        format,
        min_entries,
        max_shrink,
        special_ranges,
        filter,
    } = feed;
    let usual = Feed::new(source);
    let key = if feed.is_url() { "url" } else { "file" };
    let mut lines = vec![format!("{key} = {}", quoted(source))];
    let time = |seconds: u64| {
        let time = humantime::format_duration(Duration::from_secs(seconds));
        quoted(&time.to_string())
    };
    if *allow_http {
        lines.push("allow_http = true".to_owned());
    }
    for (key, seconds, usual) in [
        ("interval", *interval, usual.interval),
        ("jitter", *jitter, interval / 10),
        ("timeout", *timeout, usual.timeout),
        ("stale_after", *stale_after, interval.saturating_mul(3)),
    ] {
        if seconds != usual {
            lines.push(format!("{key} = {}", time(seconds)));
        }
    }
    if *max_bytes != usual.max_bytes {
        lines.push(format!("max_bytes = {max_bytes}"));
    }
    if let Some(format) = format {
        lines.push(format!("format = {}", quoted(format)));
    }
    if *min_entries != usual.min_entries {
        lines.push(format!("min_entries = {min_entries}"));
    }
    if *max_shrink != usual.max_shrink {
        lines.push(format!("max_shrink = \"{max_shrink}%\""));
    }
    if *special_ranges != SpecialRanges::Refuse {
        lines.push(format!("special_ranges = \"{special_ranges}\""));
    }
    let FeedFilter {
        service,
        region,
        country,
        asn,
        set,
    } = filter;
    for (key, words) in [
        ("service", service),
        ("region", region),
        ("country", country),
        ("set", set),
    ] {
        if !words.is_empty() {
            let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
            lines.push(format!("{key} = [{}]", words.join(", ")));
        }
    }
    if !asn.is_empty() {
        let numbers: Vec<_> = asn.iter().map(u32::to_string).collect();
        lines.push(format!("asn = [{}]", numbers.join(", ")));
    }
    lines
}
