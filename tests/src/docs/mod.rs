//! The documents: their generated parts, and what tests ask of them.
//!
//! A page holds generated blocks between `<!-- generated: NAME -->` and
//! `<!-- end of generated -->`. `cargo xtask docs` writes them from what the program itself
//! says: clap's commands, the table of reasons, the OpenAPI document. `tests/tests/documents.rs`
//! compares them, so a page cannot say something else than the program.

pub mod cli;
pub mod http;
pub mod literals;
pub mod man;
pub mod page;
pub mod shell;
mod tables;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use netpolicy_user::sql::Dialect;

use crate::binary::workspace;

/// At the beginning of a line.
const START: &str = "\n<!-- generated: ";
const START_END: &str = " -->\n";
const END: &str = "<!-- end of generated -->";

/// Every name that a block can have.
pub const BLOCKS: [&str; 9] = [
    "cli",
    "configuration",
    "exit-codes",
    "http-api",
    "metrics",
    "reasons",
    "sql-lakehouse",
    "sql-materialize",
    "sql-snowflake",
];

/// The OpenAPI document that the agent serves, from the workspace's root.
pub const OPENAPI: &str = "netpolicy-user/agent/openapi.json";

/// What the file of [`OPENAPI`] holds: what the handlers' annotations say.
///
/// # Errors
/// The document cannot be written as JSON.
pub fn openapi() -> Result<String> {
    let document = netpolicy_user::agent::http::routes::openapi();
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// What belongs into a block.
///
/// # Errors
/// There is no such block, or the program's description of itself is not as expected.
pub fn block(name: &str) -> Result<String> {
    Ok(match name {
        "cli" => cli::page(netpolicy_user::cli::command())?,
        "configuration" => tables::configuration(),
        "exit-codes" => tables::exit_codes(),
        "http-api" => http::page(&serde_json::from_str(&openapi()?)?)?,
        "metrics" => tables::metrics(),
        "reasons" => tables::reasons(),
        name => match name.strip_prefix("sql-").map(str::parse::<Dialect>) {
            Some(Ok(dialect)) => tables::sql(dialect),
            _ => bail!("there is no generated block '{name}'; expected one of {BLOCKS:?}"),
        },
    })
}

/// A page's text with its blocks as they should be, and the blocks' names.
///
/// # Errors
/// A block is unknown or has no end.
pub fn fill(text: &str) -> Result<(String, Vec<String>)> {
    let (mut filled, mut names) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(START) {
        let (name, after) = after
            .split_once(START_END)
            .context("a generated block's first line does not end with ' -->'")?;
        let (_, after) = after
            .split_once(END)
            .with_context(|| format!("the generated block '{name}' has no '{END}'"))?;
        filled += before;
        filled += &format!("{START}{name}{START_END}\n{}\n\n{END}", block(name)?.trim());
        names.push(name.to_owned());
        rest = after;
    }
    filled += rest;
    Ok((filled, names))
}

/// Every Markdown file of the project, sorted.
///
/// # Errors
/// A directory cannot be read.
pub fn pages() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut directories = vec![workspace().join("docs")];
    for entry in fs::read_dir(workspace())? {
        let path = entry?.path();
        if path.is_file() {
            found.push(path);
        }
    }
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn fill_replaces_blocks_and_keeps_what_stands_around_them() {
        let text = format!("a{START}exit-codes{START_END}old\n{END}\nb\n");
        let (filled, names) = fill(&text).expect("known block");
        assert!(filled.starts_with("a\n") && filled.ends_with("\nb\n"));
        assert!(
            filled.contains("| 3 |") && !filled.contains("old"),
            "{filled}"
        );
        assert_eq!(names, ["exit-codes"]);
        assert_eq!(fill(&filled).expect("known block").0, filled);
    }

    #[test]
    fn unknown_and_unended_blocks_are_errors() {
        assert!(fill(&format!("{START}x{START_END}{END}")).is_err());
        assert!(fill(&format!("{START}cli{START_END}")).is_err());
    }

    #[test]
    fn every_block_can_be_rendered() {
        for name in BLOCKS {
            assert!(!block(name).expect(name).is_empty(), "{name}");
        }
    }
}
