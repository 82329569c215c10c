//! What commands print: tables, or the API's own types as JSON.
//!
//! Renders into a writer it is given; never asks the agent, the terminal or the clock.

mod bans;
mod bypasses;
mod changed;
mod clients;
mod counters;
mod databases;
mod diff;
mod doctor;
mod evaluate;
mod events;
mod explain;
mod feeds;
mod find;
mod fleet;
mod history;
mod lint;
mod lists;
mod network;
mod policies;
mod policy_tests;
mod recommend;
mod scopes;
mod services;
mod settings;
mod sources;
mod sql;
mod status;
mod terminal;
mod top;
mod verify;

use crate::api::Verdict;
use std::fmt::Display;
use std::io::{self, Write};

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::model::counted as count;

pub use changed::{ChangeReport, write_plan};
pub use diff::DiffView;
pub use events::write_event;
pub use netpolicy_log::one_line;
use netpolicy_log::{escape as clean, one_line as line};
pub use recommend::RecommendedPolicy;
pub use settings::SettingView;
pub use sources::{HitLine, HitsReport};
pub use sql::{Layout, SqlOutcome};
pub use terminal::Escaped;
pub use top::{TopList, TopRow, TopRule, TopScope, TopSource, TopView};

/// Table or JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Tables and sentences.
    #[default]
    Table,
    /// The API's own types.
    Json,
}

/// How to render.
#[derive(Clone, Debug)]
pub struct RenderOptions {
    /// Table or JSON.
    pub format: Format,
    /// Whether tables use colours.
    pub colour: bool,
    /// The time zone of times in tables; `None`: the system's, which is looked for when
    /// a time is printed (to find it takes as long as most commands).
    pub zone: Option<TimeZone>,
    /// The time now, for "29m left".
    pub now: Timestamp,
}

/// A value that can be printed as a table. As JSON it is printed by its [`Serialize`].
pub trait Render: Serialize {
    /// Writes it as a table.
    ///
    /// # Errors
    /// Those of the writer.
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()>;
}

/// Writes `value` as the options say.
///
/// # Errors
/// Those of the writer.
pub fn render<T: Render + ?Sized>(
    value: &T,
    options: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    match options.format {
        Format::Table => value.table(options, out),
        Format::Json => write_json(value, out),
    }
}

/// Writes `value` as pretty-printed JSON with a newline at its end.
///
/// # Errors
/// Those of the writer.
pub fn write_json<T: Serialize + ?Sized>(value: &T, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// What a piece of text says: decides its colour.
#[derive(Clone, Copy)]
enum Tone {
    Plain,
    Label,
    Good,
    Warning,
    Bad,
}

/// A cell; control characters in `text` are escaped, line breaks are kept.
fn cell(tone: Tone, text: impl AsRef<str>) -> Cell {
    let cell = Cell::new(clean(text.as_ref()));
    match tone {
        Tone::Plain => cell,
        Tone::Label => cell.add_attribute(Attribute::Bold),
        Tone::Good => cell.fg(Color::Green),
        Tone::Warning => cell.fg(Color::Yellow),
        Tone::Bad => cell.fg(Color::Red).add_attribute(Attribute::Bold),
    }
}

fn plain(text: impl AsRef<str>) -> Cell {
    cell(Tone::Plain, text)
}

fn number(value: &dyn Display) -> Cell {
    Cell::new(value).set_alignment(CellAlignment::Right)
}

/// Columns of spaces between columns.
const GAP: u16 = 3;

/// A table with or without a header, in the taste of `docker ps`: no borders, no wrapping.
fn write_table(
    options: &RenderOptions,
    header: &[&str],
    rows: Vec<Vec<Cell>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut table = Table::new();
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.load_style(comfy_table::presets::NOTHING);
    if options.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    if !header.is_empty() {
        table.set_header(header.iter().map(|h| cell(Tone::Label, h)));
    }
    table.add_rows(rows);
    table.discover_columns();
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    for line in table.lines() {
        writeln!(out, "{}", trim_end(&line))?;
    }
    Ok(())
}

/// Without the spaces that fill up the last column, which may stand before the codes
/// that end its colour: on a narrow terminal they would make empty lines.
fn trim_end(line: &str) -> String {
    const CODE: &str = "\u{1b}[";
    let is_code = |text: &str| {
        text.strip_suffix('m')
            .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit() || b == b';'))
    };
    let mut text = line.trim_end();
    while let Some((before, code)) = text.rsplit_once(CODE) {
        if !is_code(code) {
            break;
        }
        text = before;
    }
    let codes = &line.trim_end()[text.len()..];
    format!("{}{codes}", text.trim_end())
}

/// Labels and values below each other; values that are `None` are left out.
fn write_fields<const N: usize>(
    options: &RenderOptions,
    fields: [(&str, Option<Cell>); N],
    out: &mut dyn Write,
) -> io::Result<()> {
    let rows = fields
        .into_iter()
        .filter_map(|(label, value)| Some(vec![cell(Tone::Label, label), value?]))
        .collect();
    write_table(options, &[], rows, out)
}

impl RenderOptions {
    /// The time zone of times in tables.
    fn zone(&self) -> TimeZone {
        self.zone.clone().unwrap_or_else(TimeZone::system)
    }
}

fn time(options: &RenderOptions, time: Timestamp) -> String {
    time.to_zoned(options.zone())
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// "a, b", or a dash.
fn list(items: &[String]) -> String {
    if items.is_empty() {
        "-".into()
    } else {
        items.join(", ")
    }
}

/// Good is what passes.
fn verdict_tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Pass => Tone::Good,
        Verdict::Drop | Verdict::Unknown => Tone::Bad,
    }
}

#[cfg(test)]
mod tests;
