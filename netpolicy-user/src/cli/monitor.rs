//! `netpolicy monitor`.

use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;

use super::context::Context;
use super::failure::Exit;
use super::moment;
use crate::api::{Cause, EventLine, EventsQuery};
use crate::client::ClientError;
use crate::output::{Format, write_event};

#[derive(Debug, clap::Args)]
pub(super) struct MonitorArgs {
    /// End after so many denied attempts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after this time, as in 30s
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Begin with what happened since then, as in 10m, or at a time; the agent keeps the last
    /// 16,384
    #[arg(long, value_name = "TIME", value_parser = moment::since)]
    since: Option<Timestamp>,
    /// End after what happened so far
    #[arg(long, requires = "since", conflicts_with = "duration")]
    no_follow: bool,
    /// Only attempts from an address or CIDR
    #[arg(long, value_name = "CIDR")]
    source: Option<String>,
    /// Only attempts on a service; `host`: on ports of no service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only attempts that a policy denied
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Only attempts with a reason, as in blocked or not-allowed
    #[arg(long, value_name = "REASON", value_parser = reason)]
    reason: Option<Cause>,
}

pub(super) async fn run(args: &MonitorArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let query = EventsQuery {
        source: args.source.clone(),
        service: args.service.clone(),
        policy: args.policy.clone(),
        reason: args.reason,
        since: args.since,
        past_only: args.no_follow,
    };
    let mut events = cx.client.events(&query).await?;
    cx.note_gap().await?;
    if cx.terminals.stdout && cx.options.format == Format::Table && !args.no_follow {
        writeln!(cx.err, "watching for denied attempts; Ctrl-C ends")?;
    }
    let mut interrupt = pin!(tokio::signal::ctrl_c());
    let mut end = pin!(async {
        match args.duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    });
    let mut left = args.count;
    while left != Some(0) {
        let event = tokio::select! {
            interrupted = &mut interrupt => {
                interrupted?;
                break;
            }
            () = &mut end => break,
            event = events.next() => match event {
                Err(ClientError::StreamEnded) if args.no_follow => break,
                event => event?,
            },
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

/// A reason for which attempts are denied, by its name.
fn reason(name: &str) -> Result<Cause, String> {
    use netpolicy_common::Reason;
    let denials = || Reason::ALL.iter().filter(|reason| reason.is_denial());
    let found = denials().find(|reason| reason.name().eq_ignore_ascii_case(name));
    found.map(|reason| Cause::from(*reason)).ok_or_else(|| {
        let names: Vec<_> = denials().map(|reason| reason.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}
