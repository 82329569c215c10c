//! A page with figures of bans or of the memory of sources, in Markdown.

use std::fmt::Write as _;

use crate::{
    machine::Machine,
    report::{Measured, short},
};

/// What a page is about.
#[derive(Clone, Copy)]
pub(super) struct Page {
    /// Its heading.
    pub(super) title: &'static str,
    /// The benchmark's name.
    pub(super) name: &'static str,
    /// The section of README.md that says what was measured.
    pub(super) section: &'static str,
}

/// What was to be reached, then all that was measured.
pub(super) fn page(about: Page, machine: &Machine, rows: &[Measured]) -> String {
    let Page {
        title,
        name,
        section,
    } = about;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "# {title}: results\n\n\
         Written by `cargo xtask bench {name} --save`; [README.md](README.md#{section}) says what \
         was measured and how.\n\n\
         | | |\n|---|---|"
    );
    for (name, what) in machine.rows() {
        let _ = writeln!(text, "| {name} | {what} |");
    }
    let has_target = |row: &&Measured| row.target.is_some();
    table(&mut text, "Targets", rows.iter().filter(has_target));
    let is_ratio = |row: &&Measured| row.against.is_some();
    table(&mut text, "Ratios", rows.iter().filter(is_ratio));
    let values = rows.iter().filter(|row| !is_ratio(row));
    table(&mut text, "Values", values);
    text
}

fn table<'a>(text: &mut String, title: &str, rows: impl Iterator<Item = &'a Measured>) {
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
