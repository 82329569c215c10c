//! The page with the results, in Markdown.

use std::{collections::BTreeSet, fmt::Write};

use super::plot::Plot;
use crate::{
    machine,
    report::{Bound, Figure, Rate, Report, TITLES, short},
};

pub(super) fn page(report: &Report, plots: &[Plot]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "# Results\n\n\
         Written by `cargo xtask bench --save`; [README.md](README.md) says what was measured \
         and how to read it.\n\n\
         | | |\n|---|---|"
    );
    for (name, what) in report.machine.rows() {
        let _ = writeln!(text, "| {name} | {what} |");
    }
    text.push('\n');
    for plot in plots {
        let _ = writeln!(text, "![{}]({})\n", plot.title, plot.file);
    }
    bound_table(&mut text, &report.bounds);
    rate_tables(&mut text, &report.rates);
    figure_table(&mut text, &report.figures);
    text
}

/// What was asked for, measured, and is possible.
fn bound_table(text: &mut String, bounds: &[Bound]) {
    if bounds.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "## What is possible\n\n\
         Listed sources, a mix is blocked. Shares of the bare program's rate: first with idle \
         time, as they were asked for, then the true ones, then nanoseconds more than it. \
         [README.md](README.md#what-is-possible) says what the columns are.\n"
    );
    let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    text.push_str(&row(&TITLES.map(str::to_owned)));
    text.push_str(&row(&TITLES.map(|_| "---".to_owned())));
    for bound in bounds {
        text.push_str(&row(&bound.cells()));
    }
    text.push('\n');
}

/// One table for each scenario: a filter a row, a size a column.
fn rate_tables(text: &mut String, rates: &[Rate]) {
    let mut titles: Vec<String> = Vec::new();
    for rate in rates {
        let title = title(rate);
        if !titles.contains(&title) {
            titles.push(title);
        }
    }
    for wanted in titles {
        let rates: Vec<&Rate> = rates.iter().filter(|r| title(r) == wanted).collect();
        let sizes: BTreeSet<usize> = rates.iter().map(|r| r.entries).collect();
        let _ = writeln!(text, "## {wanted}\n");
        let _ = writeln!(
            text,
            "Million packets a second (lowest to highest round), share of the bare program's in \
             the same round, nanoseconds more than it.\n"
        );
        header(text, "Filter", &sizes);
        let mut names: Vec<String> = Vec::new();
        for rate in &rates {
            if !names.contains(&rate.name()) {
                names.push(rate.name());
            }
        }
        for name in names {
            let _ = write!(text, "| {name} |");
            for size in &sizes {
                let found = rates
                    .iter()
                    .find(|r| r.entries == *size && r.name() == name);
                let cell = found.map_or_else(String::new, |r| {
                    format!(
                        "{:.2} ({:.2}–{:.2}), {:.2}, {:+.0}",
                        r.mpps, r.spread.0, r.spread.1, r.ratio_bare, r.ns_more
                    )
                });
                let _ = write!(text, " {cell} |");
            }
            text.push('\n');
        }
        text.push('\n');
    }
}

fn title(rate: &Rate) -> String {
    let packets = match rate.bench {
        "established-rate" => "Established packets",
        _ => "Attempts (SYN)",
    };
    let family = match rate.family {
        "ipv4" => "IPv4",
        _ => "IPv6",
    };
    let list = match (rate.sense, rate.list) {
        ("allow", _) => "only a country is allowed",
        (_, "hosts") => "hosts alone are blocked",
        _ => "a mix is blocked",
    };
    format!("{packets}, {family}, {} sources, {list}", rate.sources)
}

/// All other figures: one a row, a size a column.
fn figure_table(text: &mut String, figures: &[Figure]) {
    let (lines, figures): (Vec<&Figure>, Vec<&Figure>) =
        figures.iter().partition(|f| f.bench == "cache-line");
    if !lines.is_empty() {
        let _ = writeln!(text, "## A cold cache line\n\n| Memory | ns |\n|--:|--:|");
        for line in lines {
            let _ = writeln!(
                text,
                "| {} MiB | {:.1} |",
                line.entries / machine::LINES_PER_MIB,
                line.value
            );
        }
        text.push('\n');
    }
    if figures.is_empty() {
        return;
    }
    let sizes: BTreeSet<usize> = figures.iter().map(|f| f.entries).collect();
    let _ = writeln!(text, "## All else\n");
    header(text, "Figure", &sizes);
    let mut names: Vec<String> = Vec::new();
    for figure in &figures {
        if !names.contains(&name(figure)) {
            names.push(name(figure));
        }
    }
    for wanted in names {
        let _ = write!(text, "| {wanted} |");
        for size in &sizes {
            let found = figures
                .iter()
                .find(|f| f.entries == *size && name(f) == wanted);
            let cell = found.map_or_else(String::new, |f| short(f.value));
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
}

fn name(figure: &Figure) -> String {
    let words = [figure.bench, figure.engine, figure.family, figure.sources];
    let words: Vec<&str> = words.into_iter().filter(|w| !w.is_empty()).collect();
    format!("{}, {}", words.join(" "), figure.unit)
}

fn header(text: &mut String, first: &str, sizes: &BTreeSet<usize>) {
    let _ = write!(text, "| {first} |");
    for size in sizes {
        let _ = write!(text, " {} |", thousands(*size));
    }
    text.push_str("\n|---|");
    text.push_str(&"--:|".repeat(sizes.len()));
    text.push('\n');
}

/// "100,000".
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
