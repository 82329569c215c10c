//! The page with the figures of traffic that passes, in Markdown.

use std::fmt::Write as _;

use crate::{
    passing::UNFILTERED_AGAIN,
    report::{Passing, Report, short},
};

/// A table for each device; a filter a row, a figure a column.
pub(super) fn page(report: &Report) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "# Traffic that passes: results\n\n\
         Written by `cargo xtask bench passing --save`; \
         [README.md](README.md#traffic-that-passes) says what was measured and how.\n\n\
         | | |\n|---|---|"
    );
    for (name, what) in report.machine.rows() {
        let _ = writeln!(text, "| {name} | {what} |");
    }
    text.push('\n');
    targets(&mut text, &report.passing);
    offloads(&mut text, report);
    let rows = &report.passing;
    for device in distinct(rows, |row| row.device) {
        let _ = writeln!(text, "## {}\n", capitalised(device));
        let of_device = rows.iter().filter(|row| row.device == device);
        let of_device: Vec<&Passing> = of_device.collect();
        for figure in distinct(of_device.iter().copied(), |row| row.figure) {
            table(&mut text, figure, &of_device);
        }
    }
    text
}

/// What was to be reached, by each hook.
fn targets(text: &mut String, rows: &[Passing]) {
    let with_target = || rows.iter().filter(|row| row.target.is_some());
    if with_target().next().is_none() {
        return;
    }
    let _ = writeln!(
        text,
        "## Targets\n\n\
         Medians of the rounds' ratios, lowest and highest round in brackets. Noise is the ratio \
         of the unfiltered host that is measured twice: where it is not 1.00, a ratio as far from \
         1.00 says nothing.\n\n\
         | Figure | Device | Filter | Against | Ratio | Noise | Target |\n\
         |---|---|---|---|--:|--:|---|"
    );
    let noise = |of: &Passing| {
        let same = |row: &&Passing| row.figure == of.figure && row.device == of.device;
        let mut again = rows.iter().filter(same);
        again.find(|row| row.filter == UNFILTERED_AGAIN)
    };
    for row in with_target() {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            row.figure,
            row.device,
            row.filter,
            row.against,
            row.shown_ratio(),
            noise(row).map_or_else(String::new, Passing::shown_ratio),
            row.shown_target()
        );
    }
    text.push('\n');
}

fn offloads(text: &mut String, report: &Report) {
    let _ = writeln!(
        text,
        "## Offloads changed by a filter\n\n| Device | Filter | Changed |\n|---|---|---|"
    );
    for row in &report.offloads {
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            row.device,
            row.filter,
            row.shown()
        );
    }
    text.push('\n');
}

fn table(text: &mut String, figure: &str, rows: &[&Passing]) {
    let rows = || rows.iter().filter(|row| row.figure == figure);
    let Some(first) = rows().next() else {
        return;
    };
    let _ = writeln!(
        text,
        "### {}\n\n{} rounds, {} entries blocked.\n\n\
         | Filter | {} | Rounds | Against {} |\n|---|--:|--:|--:|",
        capitalised(figure),
        first.rounds,
        first.entries,
        first.unit,
        first.against
    );
    for row in rows() {
        let _ = writeln!(
            text,
            "| {} | {} | {}–{} | {} |",
            row.filter,
            short(row.value),
            short(row.spread.0),
            short(row.spread.1),
            row.shown_ratio()
        );
    }
    text.push('\n');
}

/// Each value once, in the order in which they come.
fn distinct<'a>(
    rows: impl IntoIterator<Item = &'a Passing>,
    of: impl Fn(&'a Passing) -> &'static str,
) -> Vec<&'static str> {
    let mut all = Vec::new();
    for row in rows {
        if !all.contains(&of(row)) {
            all.push(of(row));
        }
    }
    all
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
