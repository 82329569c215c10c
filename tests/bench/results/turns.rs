//! The pages with the figures of bans and of starts, in Markdown.

use std::fmt::Write as _;

use crate::machine::Machine;
use crate::report::{TurnFigure, short};

/// What was to be reached, then all that was measured.
/// `name`: the benchmark's, "bans".
pub(super) fn page(title: &str, name: &str, machine: &Machine, rows: &[TurnFigure]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "# {title}: results\n\n\
         Written by `cargo xtask bench {name} --save`; [README.md](README.md#{name}) says what was \
         measured and how.\n\n\
         | | |\n|---|---|"
    );
    for (name, what) in machine.rows() {
        let _ = writeln!(text, "| {name} | {what} |");
    }
    let has_target = |row: &&TurnFigure| row.target.is_some();
    table(&mut text, "Targets", rows.iter().filter(has_target));
    let is_ratio = |row: &&TurnFigure| row.against.is_some();
    table(&mut text, "Ratios", rows.iter().filter(is_ratio));
    let values = rows.iter().filter(|row| !is_ratio(row));
    table(&mut text, "Values", values);
    text
}

fn table<'a>(text: &mut String, title: &str, rows: impl Iterator<Item = &'a TurnFigure>) {
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
