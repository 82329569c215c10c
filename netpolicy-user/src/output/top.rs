//! What `netpolicy top` shows, as data; and as tables for `--once`.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::evaluate::attempts;
use super::{Render, RenderOptions, line, number, plain, time, write_table};

/// What `netpolicy top` shows at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TopView {
    /// When it was taken.
    pub time: Timestamp,
    /// Sources and rules are those of attempts since then.
    pub since: Timestamp,
    /// What is not filtered, in words; `None`: every interface that should be is.
    pub gap: Option<String>,
    /// The only scope of which it shows attempts; rules are those of all scopes.
    pub service: Option<String>,
    /// Attempts a second by scope.
    pub scopes: Vec<TopScope>,
    /// Sources that were denied, those with most attempts first.
    pub denied: Vec<TopSource>,
    /// The same by network: IPv4 /24, IPv6 /64.
    pub networks: Vec<TopSource>,
    /// What decided, most often first.
    pub rules: Vec<TopRule>,
    /// Sources that got in, those seen last first.
    pub allowed: Vec<TopSource>,
}

/// Attempts in a scope, since the counters began.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TopScope {
    /// "host" or the service's name.
    pub scope: String,
    /// Attempts that passed a second.
    pub passed_per_second: f64,
    /// Attempts that were denied a second, dropped or not.
    pub denied_per_second: f64,
    /// Attempts that passed.
    pub passed: u64,
    /// Attempts that were denied.
    pub denied: u64,
}

/// A source, or a network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TopSource {
    /// Its address or network.
    pub source: String,
    /// "host" or the service's name.
    pub scope: String,
    /// Why it was denied, or got in.
    pub reason: String,
    /// The policy that decided.
    pub policy: Option<String>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// Its attempts.
    pub attempts: u64,
    /// Whether they are an estimate.
    pub sampled: bool,
    /// When the last of them came.
    pub last_seen: Timestamp,
}

/// What decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TopRule {
    /// The policy.
    pub policy: String,
    /// Which of its lists; `None`: what is on none of them.
    pub list: Option<String>,
    /// The rule, or that none of the allow list matched.
    pub rule: Option<String>,
    /// Attempts that it decided.
    pub hits: u64,
    /// Whether they are an estimate.
    pub sampled: bool,
    /// When the last of them came.
    pub last_hit: Option<Timestamp>,
}

/// Which of its lists `netpolicy top` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TopList {
    /// Sources that were denied.
    #[default]
    Denied,
    /// Networks that were denied.
    Networks,
    /// Rules.
    Rules,
    /// Sources that got in.
    Allowed,
}

impl TopList {
    /// All, in the order of their keys.
    pub const ALL: [Self; 4] = [Self::Denied, Self::Networks, Self::Rules, Self::Allowed];

    /// What it is called.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Denied => "Denied",
            Self::Networks => "Networks",
            Self::Rules => "Rules",
            Self::Allowed => "Allowed",
        }
    }

    /// The headers of its columns.
    #[must_use]
    pub const fn columns(self) -> [&'static str; 5] {
        match self {
            Self::Denied => ["SOURCE", "SCOPE", "ATTEMPTS", "LAST", "BY"],
            Self::Networks => ["NETWORK", "SCOPE", "ATTEMPTS", "LAST", "BY"],
            Self::Rules => ["RULE", "LIST", "HITS", "LAST", "POLICY"],
            Self::Allowed => ["SOURCE", "SCOPE", "ATTEMPTS", "LAST", "BY"],
        }
    }
}

/// A line of a list of [`TopView`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopRow {
    /// In the order of [`TopList::columns`].
    pub cells: [String; 5],
    /// The source, if the line is about one.
    pub source: Option<String>,
    /// Its scope.
    pub scope: Option<String>,
}

impl TopView {
    /// What a list is called: hits of rules are known of all scopes together.
    #[must_use]
    pub const fn title(&self, list: TopList) -> &'static str {
        match (list, &self.service) {
            (TopList::Rules, Some(_)) => "Rules of all scopes",
            _ => list.title(),
        }
    }

    /// The lines of a list, those that contain a text in any of their cells.
    #[must_use]
    pub fn rows(&self, list: TopList, filter: &str, options: &RenderOptions) -> Vec<TopRow> {
        let rows: Vec<TopRow> = match list {
            TopList::Denied => self.denied.iter().map(|one| one.row(options)).collect(),
            TopList::Networks => self.networks.iter().map(|one| one.row(options)).collect(),
            TopList::Allowed => self.allowed.iter().map(|one| one.row(options)).collect(),
            TopList::Rules => self.rules.iter().map(|one| one.row(options)).collect(),
        };
        let filter = filter.to_lowercase();
        let holds = |cell: &String| cell.to_lowercase().contains(&filter);
        rows.into_iter()
            .filter(|row| row.cells.iter().any(holds))
            .collect()
    }
}

impl TopSource {
    fn row(&self, options: &RenderOptions) -> TopRow {
        let by = match (&self.policy, &self.rule) {
            (Some(policy), Some(rule)) => format!("{policy}: {rule}"),
            (Some(policy), None) => format!("{policy}: {}", self.reason),
            _ => self.reason.clone(),
        };
        let cells = [
            line(&self.source),
            line(&self.scope),
            attempts(self.attempts, self.sampled),
            clock(self.last_seen, options),
            line(&by),
        ];
        TopRow {
            cells,
            source: Some(self.source.clone()),
            scope: Some(self.scope.clone()),
        }
    }
}

impl TopRule {
    fn row(&self, options: &RenderOptions) -> TopRow {
        let last = self.last_hit.map(|last| clock(last, options));
        let cells = [
            self.rule.as_deref().map_or("(any)".to_owned(), line),
            self.list.as_deref().map_or("(none)".to_owned(), line),
            attempts(self.hits, self.sampled),
            last.unwrap_or_else(|| "-".to_owned()),
            line(&self.policy),
        ];
        TopRow {
            cells,
            source: None,
            scope: None,
        }
    }
}

/// "18:02:11" of the last day, "11-29 18:02" before.
fn clock(at: Timestamp, options: &RenderOptions) -> String {
    let is_recent = options.now.duration_since(at).as_hours() < 24;
    let format = if is_recent { "%H:%M:%S" } else { "%m-%d %H:%M" };
    at.to_zoned(options.zone()).strftime(format).to_string()
}

impl Render for TopView {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if let Some(gap) = &self.gap {
            writeln!(out, "{}\n", line(gap))?;
        }
        let rows = self.scopes.iter().map(|scope| {
            vec![
                plain(line(&scope.scope)),
                number(&format!("{:.1}", scope.passed_per_second)),
                number(&format!("{:.1}", scope.denied_per_second)),
                number(&scope.passed),
                number(&scope.denied),
            ]
        });
        let head = ["SCOPE", "PASSED/s", "DENIED/s", "PASSED", "DENIED"];
        write_table(options, &head, rows.collect(), out)?;
        for list in TopList::ALL {
            let rows = self.rows(list, "", options);
            let (title, since) = (self.title(list), time(options, self.since));
            writeln!(out, "\n{title} since {since}")?;
            if rows.is_empty() {
                writeln!(out, "none")?;
                continue;
            }
            let rows = rows.iter().map(|row| {
                let [name, scope, attempts, last, by] = &row.cells;
                vec![
                    plain(name),
                    plain(scope),
                    number(attempts),
                    plain(last),
                    plain(by),
                ]
            });
            write_table(options, &list.columns(), rows.collect(), out)?;
        }
        Ok(())
    }
}
