//! `netpolicy top`: what comes and what is denied, as it happens.
//!
//! One task asks the agent, one thread reads keys; the screen is drawn of what both brought. The
//! only module that knows ratatui and crossterm.

mod actions;
mod collect;
mod draw;
mod screen;
mod session;

use std::time::Duration;

use super::context::Context;
use super::failure::{Exit, Failure};
use crate::output::Format;

/// Time between two looks, unless another is named.
const INTERVAL: Duration = Duration::from_secs(2);

/// What may be wrong with an interval.
const EXPECTED: &str = "expected a time of 1s to 1h, as in 2s";

#[derive(Clone, Debug, clap::Args)]
pub(super) struct TopArgs {
    /// Print one look at it and end
    #[arg(long)]
    once: bool,
    /// Time between two looks [default: 2s; with `--once` one look, with rates as the agent counted
    /// them for some 10 s]
    #[arg(long, value_name = "TIME", value_parser = interval)]
    interval: Option<Duration>,
    /// Sources and rules of attempts since then: how long ago, as in 1h
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    since: Duration,
    /// Only this service, or `host`
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
}

pub(super) async fn run(args: TopArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let collector = collect::TopCollector::new(cx.client.clone(), args.since, args.service.clone());
    if args.once {
        let view = collect::once(collector, args.interval).await?;
        cx.print(&view)?;
        return Ok(Exit::Done);
    }
    if cx.options.format == Format::Json {
        return Err(Failure::new("`netpolicy top` draws a screen, and no JSON")
            .hint("netpolicy top --once -o json")
            .into());
    }
    if !cx.terminals.stdin || !cx.terminals.stdout {
        return Err(Failure::new("there is no terminal to draw on")
            .hint("netpolicy top --once prints one look at it")
            .into());
    }
    session::run(collector, args.interval.unwrap_or(INTERVAL), cx).await?;
    Ok(Exit::Done)
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|e| format!("{e}; {EXPECTED}"))?;
    match (1..=3600).contains(&interval.as_secs()) {
        true => Ok(interval),
        false => Err(EXPECTED.to_owned()),
    }
}
