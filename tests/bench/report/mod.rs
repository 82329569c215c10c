//! Output of measurements: a table, or JSON lines.

mod bound;
mod measured;
mod passing;

pub(crate) use bound::{Bound, TITLES};
pub(crate) use measured::{BanFigure, MEASURED_TITLES, Measured};
pub(crate) use passing::{Offloads, PASSING_TITLES, Passing, short, shown_target};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::machine::Machine;

/// A packet rate, and that of a program which only returns the action.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Rate {
    /// "syn-rate", "established-rate".
    pub(crate) bench: &'static str,
    /// "netpolicy", "bare XDP_DROP", "nftables".
    pub(crate) filter: &'static str,
    /// netpolicy's engine, or nothing.
    pub(crate) engine: &'static str,
    pub(crate) family: &'static str,
    pub(crate) entries: usize,
    /// "mix", "country", "hosts".
    pub(crate) list: &'static str,
    /// "block", "allow": what the list is for.
    pub(crate) sense: &'static str,
    /// "listed", "unlisted", "mixed".
    pub(crate) sources: &'static str,
    /// Median of the rounds, million packets a second.
    pub(crate) mpps: f64,
    /// Lowest and highest round.
    pub(crate) spread: (f64, f64),
    /// Median of the rounds' ratios to the bare program of the same round.
    pub(crate) ratio_bare: f64,
    /// Lowest and highest round.
    pub(crate) ratio_spread: (f64, f64),
    /// Nanoseconds that a packet takes more than with the bare program, median.
    pub(crate) ns_more: f64,
    /// The median rate with the idle time of the generator's system calls.
    pub(crate) mpps_call: f64,
    /// Its ratio to the bare program's.
    pub(crate) ratio_call: f64,
    pub(crate) rounds: usize,
}

impl Rate {
    /// "nftables", "netpolicy (flat)".
    pub(crate) fn name(&self) -> String {
        if self.engine.is_empty() {
            self.filter.to_owned()
        } else {
            format!("{} ({})", self.filter, self.engine)
        }
    }
}

/// Any other figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) bench: &'static str,
    pub(crate) engine: &'static str,
    /// Nothing where it makes no difference.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) family: &'static str,
    /// Nothing where no packets are sent.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) sources: &'static str,
    pub(crate) entries: usize,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

/// Collects measurements and prints them.
pub(crate) struct Report {
    json: bool,
    pub(crate) machine: Machine,
    pub(crate) rates: Vec<Rate>,
    pub(crate) figures: Vec<Figure>,
    pub(crate) bounds: Vec<Bound>,
    pub(crate) passing: Vec<Passing>,
    pub(crate) offloads: Vec<Offloads>,
    pub(crate) bans: Vec<BanFigure>,
    pub(crate) start: Vec<Measured>,
    pub(crate) seeing: Vec<Measured>,
}

impl Report {
    /// Says first what the figures are measured on.
    pub(crate) fn new(json: bool, machine: Machine) -> Self {
        let report = Self {
            json,
            machine,
            rates: Vec::new(),
            figures: Vec::new(),
            bounds: Vec::new(),
            passing: Vec::new(),
            offloads: Vec::new(),
            bans: Vec::new(),
            start: Vec::new(),
            seeing: Vec::new(),
        };
        if json {
            eprintln!("{}", report.machine.machine);
        } else {
            println!("{}", report.machine.machine);
        }
        report.print_json(&report.machine);
        report
    }

    /// What is being done, for who waits.
    #[expect(clippy::unused_self, reason = "what is printed is the report's affair")]
    pub(crate) fn progress(&self, text: &str) {
        eprintln!("{text}");
    }

    pub(crate) fn rate(&mut self, rate: Rate) {
        self.print_json(&rate);
        self.rates.push(rate);
    }

    pub(crate) fn figure(&mut self, figure: Figure) {
        self.print_json(&figure);
        self.figures.push(figure);
    }

    pub(crate) fn bound(&mut self, bound: Bound) {
        self.print_json(&bound);
        self.bounds.push(bound);
    }

    pub(crate) fn passing(&mut self, passing: Passing) {
        self.print_json(&passing);
        self.passing.push(passing);
    }

    pub(crate) fn offloads(&mut self, offloads: Offloads) {
        self.print_json(&offloads);
        self.offloads.push(offloads);
    }

    pub(crate) fn ban(&mut self, mut figure: BanFigure) {
        figure.bench = "bans";
        self.print_json(&figure);
        self.bans.push(figure);
    }

    /// Takes a figure of starts.
    pub(crate) fn start(&mut self, mut figure: Measured) {
        figure.bench = "start";
        self.print_json(&figure);
        self.start.push(figure);
    }

    pub(crate) fn seen(&mut self, mut figure: Measured) {
        figure.bench = "seeing";
        self.print_json(&figure);
        self.seeing.push(figure);
    }

    fn print_json(&self, value: &impl Serialize) {
        if self.json {
            println!(
                "{}",
                serde_json::to_string(value).expect("numbers and names")
            );
        }
    }

    /// The tables, unless the output was JSON.
    pub(crate) fn finish(&self) {
        if self.json {
            return;
        }
        if !self.rates.is_empty() {
            let mut table = table(&[
                "filter",
                "family",
                "list",
                "entries",
                "sources",
                "Mpps",
                "rounds",
                "of bare",
                "ns more",
                "with idle",
            ]);
            for r in &self.rates {
                table.add_row(vec![
                    r.name(),
                    r.family.to_owned(),
                    format!("{} {}", r.sense, r.list),
                    r.entries.to_string(),
                    r.sources.to_owned(),
                    format!("{:.2}", r.mpps),
                    format!("{:.2}–{:.2}", r.spread.0, r.spread.1),
                    format!("{:.2}", r.ratio_bare),
                    format!("{:.0}", r.ns_more),
                    format!("{:.2}", r.ratio_call),
                ]);
            }
            right_align(&mut table, &[3, 5, 6, 7, 8, 9]);
            println!("\n{table}");
        }
        if !self.bounds.is_empty() {
            let mut table = table(&TITLES);
            for bound in &self.bounds {
                table.add_row(bound.cells());
            }
            right_align(&mut table, &[1, 2]);
            println!("\nBounds: shares with idle time, true shares, ns more\n{table}");
        }
        if !self.offloads.is_empty() {
            let mut table = table(&["device", "filter", "offloads changed"]);
            for row in &self.offloads {
                table.add_row(vec![row.device, row.filter, &row.shown()]);
            }
            println!("\n{table}");
        }
        if !self.passing.is_empty() {
            let mut table = table(&PASSING_TITLES);
            for row in &self.passing {
                table.add_row(row.cells());
            }
            right_align(&mut table, &[3, 4, 5, 6]);
            println!("\n{table}");
        }
        for rows in [&self.bans, &self.start, &self.seeing] {
            if rows.is_empty() {
                continue;
            }
            let mut table = table(&MEASURED_TITLES);
            for row in rows {
                table.add_row(row.cells());
            }
            right_align(&mut table, &[3, 4, 5]);
            println!("\n{table}");
        }
        if !self.figures.is_empty() {
            let mut table = table(&[
                "benchmark",
                "engine",
                "family",
                "sources",
                "entries",
                "value",
                "unit",
            ]);
            for f in &self.figures {
                table.add_row(vec![
                    f.bench.to_owned(),
                    f.engine.to_owned(),
                    f.family.to_owned(),
                    f.sources.to_owned(),
                    f.entries.to_string(),
                    if f.value >= 100.0 {
                        format!("{:.0}", f.value)
                    } else {
                        format!("{:.2}", f.value)
                    },
                    f.unit.to_owned(),
                ]);
            }
            right_align(&mut table, &[4, 5]);
            println!("\n{table}");
        }
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}

fn right_align(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// The middle of some values.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value that this share of the values does not exceed (nearest rank).
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}
