//! Results as files: JSON lines, a page, and plots.

mod page;
mod plot;

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::Path,
};

use serde::Serialize;

use crate::report::{Figure, Rate};

/// Writes everything that was measured into a directory, in place of what is there.
pub(crate) fn save(dir: &Path, machine: &str, rates: &[Rate], figures: &[Figure]) {
    fs::create_dir_all(dir).expect("make the directory for results");
    let plots = plot::all(rates, figures);
    let mut files = vec![
        ("results.jsonl".to_owned(), json_lines(rates, figures)),
        (
            "results.md".to_owned(),
            page::page(machine, rates, figures, &plots),
        ),
    ];
    files.extend(plots.into_iter().map(|plot| (plot.file, plot.svg)));
    // Who runs the benchmarks by sudo still owns what is in his checkout.
    let owner = fs::metadata(dir).expect("look at the directory for results");
    for (name, text) in files {
        let path = dir.join(name);
        fs::write(&path, text).expect("write the results");
        let _ = chown(&path, Some(owner.uid()), Some(owner.gid()));
    }
    eprintln!("results are in {}", dir.display());
}

fn json_lines(rates: &[Rate], figures: &[Figure]) -> String {
    rates
        .iter()
        .map(line)
        .chain(figures.iter().map(line))
        .collect()
}

fn line(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("numbers and names");
    text + "\n"
}
