//! Where log lines go: to the journal as fields, or to standard error.

use std::io::{self, IsTerminal};

use anyhow::Context as _;
use netpolicy_log::Journal;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::context::wants_colour;
use crate::output::{Escaped, Format};

/// Which lines: `warn`, `debug`, `netpolicy_agent=trace`.
const VARIABLE: &str = "NETPOLICY_LOG";

/// Starts the log. Lines go to the journal if standard error leads there, with `identifier` as the
/// name of the program; else to standard error.
pub(super) fn start(identifier: &'static str) -> anyhow::Result<()> {
    let filter = match std::env::var(VARIABLE) {
        Ok(text) if !text.is_empty() => text,
        _ => "info".to_owned(),
    };
    let filter: Targets = filter
        .parse()
        .with_context(|| format!("{VARIABLE}: \"{filter}\" is not a log filter"))?;
    if let Some(journal) = Journal::of_standard_error(identifier) {
        tracing_subscriber::registry()
            .with(journal)
            .with(filter)
            .init();
        return Ok(());
    }
    let colour = wants_colour(io::stderr().is_terminal());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(move || Escaped::new(io::stderr(), Format::Table, colour))
        .with_ansi(colour)
        // What says that a line cannot be written would panic where that cannot be written either:
        // on a full disk, or on a terminal that is gone.
        .log_internal_errors(false);
    tracing_subscriber::registry()
        .with(lines)
        .with(filter)
        .init();
    Ok(())
}
