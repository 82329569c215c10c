//! Decisions of CrowdSec: `cscli decisions list -o json` and `-o raw`, and what its API answers.

use std::borrow::Cow;
use std::time::Duration;

use netpolicy_policy::model::error::Excerpt;
use serde::Deserialize;

use crate::collect::Collector;
use crate::error::Problem;
use crate::json::{RawValue, Text, each, parse};
use crate::text::Places;
use crate::{Place, duration};

/// One decision.
#[derive(Debug)]
struct Decision<'t> {
    scope: Cow<'t, str>,
    value: Cow<'t, str>,
    kind: Cow<'t, str>,
    duration: Cow<'t, str>,
    why: String,
    simulated: bool,
    place: Place,
}

impl Decision<'_> {
    /// Takes what bans an address or a network.
    fn add(&self, into: &mut Collector<'_>) {
        let mut skip = |why: String| into.skip(self.place, Problem::Entry(why));
        let value = Excerpt::new(&self.value);
        let is_address = |scope: &str| scope.eq_ignore_ascii_case(&self.scope);
        if !is_address("Ip") && !is_address("Range") {
            skip(format!(
                "a decision is on {value} of scope {}, no address",
                self.scope
            ));
        } else if !self.kind.eq_ignore_ascii_case("ban") {
            skip(format!(
                "the decision on {value} is '{}', no ban",
                self.kind
            ));
        } else if self.simulated {
            skip(format!("the decision on {value} is simulated"));
        } else {
            let left = duration::parse(&self.duration);
            if left == Some(Duration::ZERO) {
                skip(format!("the ban of {value} is over"));
            } else {
                into.add(&self.value, self.place, Some(&self.why), left);
            }
        }
    }
}

/// An alert with its decisions, or a decision.
#[derive(Deserialize)]
struct Item<'t> {
    #[serde(borrow, default)]
    decisions: Option<&'t RawValue>,
    #[serde(borrow, default)]
    scope: Option<Text<'t>>,
    #[serde(borrow, default)]
    value: Option<Text<'t>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'t>>,
    #[serde(borrow, default)]
    duration: Option<Text<'t>>,
    #[serde(borrow, default)]
    scenario: Option<Text<'t>>,
    #[serde(borrow, default)]
    origin: Option<Text<'t>>,
    #[serde(default)]
    simulated: Option<bool>,
}

/// The answer of `/v1/decisions/stream`.
#[derive(Deserialize)]
struct Stream<'t> {
    #[serde(borrow, default)]
    new: Option<&'t RawValue>,
}

/// Reads decisions as JSON.
pub(crate) fn read_json(text: &str, into: &mut Collector<'_>) {
    let mut places = Places::new(text);
    if text.trim_start().starts_with('{') {
        let stream = parse::<Stream<'_>>(text, &mut places, into);
        if let Some(new) = stream.and_then(|stream| stream.new) {
            items(new.get(), &mut places, into);
        }
        return;
    }
    items(text, &mut places, into);
}

fn items(part: &str, places: &mut Places<'_>, into: &mut Collector<'_>) {
    each(
        part,
        places,
        into,
        |item: Item<'_>, places, into| match item.decisions {
            Some(decisions) => each(
                decisions.get(),
                places,
                into,
                |item: Item<'_>, places, into| {
                    one(item, places, into);
                },
            ),
            None => one(item, places, into),
        },
    );
}

fn one(item: Item<'_>, places: &mut Places<'_>, into: &mut Collector<'_>) {
    let (Some(scope), Some(value)) = (item.scope, item.value) else {
        let why = "a decision has no scope or no value".to_owned();
        into.error(
            None,
            Problem::Syntax {
                syntax: "JSON",
                why,
            },
        );
        return;
    };
    let word = |text: Option<Text<'_>>| text.map(|text| text.0.into_owned()).unwrap_or_default();
    let place = places.of_part(value.as_ref());
    let why = [word(item.origin), word(item.scenario)].join(" ");
    let decision = Decision {
        scope: scope.0,
        kind: item.kind.map_or(Cow::Borrowed("ban"), |kind| kind.0),
        duration: item.duration.unwrap_or_default().0,
        simulated: item.simulated == Some(true),
        value: value.0,
        why,
        place,
    };
    decision.add(into);
}

/// Whether a line is the heading of the CSV.
pub(crate) fn is_header(line: &str) -> bool {
    let columns: Vec<_> = line.split(',').map(str::trim).collect();
    ["ip", "action", "expiration"]
        .iter()
        .all(|name| columns.contains(name))
}

/// Reads decisions as CSV.
pub(crate) fn read_csv(text: &str, into: &mut Collector<'_>) {
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let headers = match reader.headers() {
        Ok(headers) => headers.clone(),
        Err(error) => {
            csv_error(&error, text, into);
            return;
        }
    };
    let column = |name: &str| headers.iter().position(|header| header.trim() == name);
    let (Some(ip), Some(action)) = (column("ip"), column("action")) else {
        let why = "the first line names no columns 'ip' and 'action'".to_owned();
        into.error(Some(Place::line(1)), Problem::Syntax { syntax: "CSV", why });
        return;
    };
    let (expiration, simulated) = (column("expiration"), column("simulated"));
    let (source, reason) = (column("source"), column("reason"));
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                csv_error(&error, text, into);
                if into.is_done() {
                    return;
                }
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let field = |column: Option<usize>| column.and_then(|at| record.get(at)).unwrap_or("");
        let (scope, value) = match field(Some(ip)).split_once(':') {
            Some((scope, value)) if scope.chars().all(char::is_alphabetic) => (scope, value),
            _ => ("Ip", field(Some(ip))),
        };
        let decision = Decision {
            scope: scope.into(),
            value: value.into(),
            kind: field(Some(action)).into(),
            duration: field(expiration).into(),
            why: [field(source), field(reason)].join(" "),
            simulated: field(simulated) == "true",
            place: Place::line(u32::try_from(line).unwrap_or(u32::MAX)),
        };
        decision.add(into);
        if into.is_done() {
            return;
        }
    }
}

/// A row that is no CSV, or has another number of columns: the last one if it was cut off.
pub(crate) fn csv_error(error: &csv::Error, text: &str, into: &mut Collector<'_>) {
    let position = error.position();
    let at = position.map(|at| Place::line(u32::try_from(at.line()).unwrap_or(u32::MAX)));
    let is_last = position.is_some_and(|at| {
        let rest = usize::try_from(at.byte())
            .ok()
            .and_then(|byte| text.get(byte..));
        rest.is_some_and(|rest| !rest.trim_end().contains('\n'))
    });
    if is_last && !text.ends_with('\n') {
        let missing = "the end of the last line".to_owned();
        into.error(at, Problem::Truncated { missing });
        return;
    }
    let why = match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("{len} columns where the lines before have {expected_len}")
        }
        _ => error.to_string(),
    };
    into.error(at, Problem::Syntax { syntax: "CSV", why });
}
