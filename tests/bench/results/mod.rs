//! Results as files: JSON lines, a page, and plots.

mod measured;
mod page;
mod passing;
mod plot;

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::Path,
};

use serde::Serialize;

use measured::Page;

use crate::report::{Measured, Report};

const BANS: Page = Page {
    title: "Bans",
    name: "bans",
    section: "bans",
};

const START: Page = Page {
    title: "Start",
    name: "start",
    section: "start",
};

const SEEING: Page = Page {
    title: "Memory of sources",
    name: "seeing",
    section: "memory-of-sources",
};

/// Writes all measurements into a directory, replacing its former content: figures of traffic
/// that passes, of bans, of starts and of the memory of sources to files of their own.
pub(crate) fn save(dir: &Path, report: &Report) {
    fs::create_dir_all(dir).expect("make the directory for results");
    let plots = plot::all(&report.rates, &report.figures);
    let mut files = Vec::new();
    if !report.passing.is_empty() {
        files.push(("passing.jsonl".to_owned(), passing_lines(report)));
        files.push(("passing.md".to_owned(), passing::page(report)));
    }
    for (page, rows) in [
        (BANS, &report.bans),
        (START, &report.start),
        (SEEING, &report.seeing),
    ] {
        if !rows.is_empty() {
            let text = measured::page(page, &report.machine, rows);
            files.push((format!("{}.jsonl", page.name), lines(report, rows)));
            files.push((format!("{}.md", page.name), text));
        }
    }
    if !(report.rates.is_empty() && report.bounds.is_empty() && report.figures.is_empty()) {
        files.push(("results.jsonl".to_owned(), json_lines(report)));
        files.push(("results.md".to_owned(), page::page(report, &plots)));
    }
    files.extend(plots.into_iter().map(|plot| (plot.file, plot.svg)));
    // A user who runs the benchmarks by sudo still owns all files of the checkout.
    let owner = fs::metadata(dir).expect("look at the directory for results");
    for (name, text) in files {
        let path = dir.join(name);
        fs::write(&path, text).expect("write the results");
        let _ = chown(&path, Some(owner.uid()), Some(owner.gid()));
    }
    eprintln!("results are in {}", dir.display());
}

/// The machine first: all else depends on it.
fn json_lines(report: &Report) -> String {
    let machine = line(&report.machine);
    let rates = report.rates.iter().map(line);
    let bounds = report.bounds.iter().map(line);
    let figures = report.figures.iter().map(line);
    std::iter::once(machine)
        .chain(rates)
        .chain(bounds)
        .chain(figures)
        .collect()
}

fn passing_lines(report: &Report) -> String {
    let machine = line(&report.machine);
    let offloads = report.offloads.iter().map(line);
    let rows = report.passing.iter().map(line);
    let lines = std::iter::once(machine).chain(offloads).chain(rows);
    lines.collect()
}

fn lines(report: &Report, rows: &[Measured]) -> String {
    let machine = line(&report.machine);
    let rows = rows.iter().map(line);
    std::iter::once(machine).chain(rows).collect()
}

fn line(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("numbers and names");
    text + "\n"
}
