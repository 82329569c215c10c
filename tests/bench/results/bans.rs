//! The page with the figures of bans, in Markdown.

use std::fmt::Write as _;

use crate::report::{BanFigure, Report, short};

/// What was to be reached, then all that was measured.
pub(super) fn page(report: &Report) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "# Bans: results\n\n\
         Written by `cargo xtask bench bans --save`; [README.md](README.md#bans) says what was \
         measured and how.\n\n\
         | | |\n|---|---|"
    );
    for (name, what) in report.machine.rows() {
        let _ = writeln!(text, "| {name} | {what} |");
    }
    let has_target = |row: &&BanFigure| row.target.is_some();
    table(&mut text, "Targets", report.bans.iter().filter(has_target));
    let is_ratio = |row: &&BanFigure| row.against.is_some();
    table(&mut text, "Ratios", report.bans.iter().filter(is_ratio));
    let values = report.bans.iter().filter(|row| !is_ratio(row));
    table(&mut text, "Values", values);
    text
}

fn table<'a>(text: &mut String, title: &str, rows: impl Iterator<Item = &'a BanFigure>) {
    let _ = writeln!(
        text,
        "\n## {title}\n\n\
         | Figure | Of | Against | Entries | Median | Lowest–highest | Rounds | Target |\n\
         |---|---|---|--:|--:|--:|--:|---|"
    );
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} {} | {} | {} | {} |",
            row.figure,
            row.of,
            row.against.unwrap_or_default(),
            row.entries,
            short(row.value),
            row.unit,
            row.shown_spread(),
            row.rounds,
            row.shown_target()
        );
    }
}
