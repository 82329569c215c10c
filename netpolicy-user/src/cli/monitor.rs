//! `netpolicy monitor`.

use std::pin::pin;

use super::context::Context;
use super::failure::Exit;
use crate::api::EventLine;
use crate::output::{Format, write_event};

#[derive(Debug, clap::Args)]
pub(super) struct MonitorArgs {
    /// End after so many denied attempts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

pub(super) async fn run(args: &MonitorArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let mut events = cx.client.events().await?;
    cx.note_gap().await?;
    if cx.terminals.stdout && cx.options.format == Format::Table {
        writeln!(cx.err, "watching for denied attempts; Ctrl-C ends")?;
    }
    let mut interrupt = pin!(tokio::signal::ctrl_c());
    let mut left = args.count;
    while left != Some(0) {
        let event = tokio::select! {
            interrupted = &mut interrupt => {
                interrupted?;
                break;
            }
            event = events.next() => event?,
        };
        if let EventLine::Denied(_) = event {
            left = left.map(|n| n - 1);
        }
        write_event(&event, &cx.options, cx.out)?;
        // Who watches wants to see it now, through a pipe too.
        cx.out.flush()?;
    }
    Ok(Exit::Done)
}
