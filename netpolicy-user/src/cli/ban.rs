//! `netpolicy ban`, `netpolicy unban` and `netpolicy bans`.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::context::Context;
use super::end::time;
use super::failure::{Exit, Failure};
use super::input::Input;
use crate::api::{
    BanOrder, BanOutcome, BanRequest, BanResult, BansPage, BansQuery, ReplaceBansQuery,
    UnbanRequest,
};

/// Which sources are banned.
#[derive(Debug, clap::Args)]
struct SourceArgs {
    /// Addresses or CIDRs
    #[arg(value_name = "SRC", required_unless_present = "file")]
    sources: Vec<String>,
    /// Read sources from FILE, one a line; `-` is standard input; what follows a `#` is left out
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// On this service only; without it, on the whole host
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct BanArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// How long, as in 4h, 30m or 7d; without it, until `netpolicy unban`
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Until when, as in 2030-01-31T12:00:00Z, or @1900000000 in seconds since 1970
    #[arg(long, value_name = "TIME", conflicts_with = "duration", value_parser = time)]
    until: Option<Timestamp>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Who or what bans, as in fail2ban; without it, your user name
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// End existing bans, also those of other origins, at the new time even if that is earlier
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct UnbanArgs {
    /// Addresses or CIDRs, as they were banned
    #[arg(value_name = "SRC", required_unless_present_any = ["file", "all"])]
    sources: Vec<String>,
    /// Read sources from FILE, one a line; `-` is standard input; what follows a `#` is left out
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// On this service only; without it, on the whole host, or with --all on every scope
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only bans of this origin, `fail2ban` includes those of `fail2ban/sshd`: others stay
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// All bans of the origin that --by names
    #[arg(long, requires = "by", conflicts_with_all = ["sources", "file"])]
    all: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct BansArgs {
    /// List at most N bans
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
    /// List bans after the one that an earlier listing ended with
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
    /// List bans that cover an address or CIDR
    #[arg(long, value_name = "SRC")]
    covers: Option<String>,
    /// List bans of an origin; `fail2ban` includes those of `fail2ban/sshd`
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// List bans of a service; `host`: those of the whole host
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Order
    #[arg(long, value_enum, default_value_t)]
    sort: BanOrder,
    /// Print only how many there are
    #[arg(long)]
    count: bool,
}

impl SourceArgs {
    fn read(&mut self) -> Result<Vec<String>, Failure> {
        let mut sources = std::mem::take(&mut self.sources);
        if let Some(file) = &self.file {
            let mut input = Input::default();
            let text = input.read(file);
            input.check()?;
            let lines = text.text.lines().map(|line| {
                let line = line.split_once('#').map_or(line, |(before, _)| before);
                line.trim()
            });
            sources.extend(lines.filter(|line| !line.is_empty()).map(str::to_owned));
        }
        Ok(sources)
    }
}

pub(super) async fn ban(mut args: BanArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    // A part of a second counts for a whole one: no ban ends before its time.
    let seconds = args.duration.map(|duration| {
        let part = u64::from(duration.subsec_nanos() > 0);
        duration.as_secs().saturating_add(part)
    });
    let requests: Vec<_> = args
        .sources
        .read()?
        .into_iter()
        .map(|source| BanRequest {
            source,
            seconds,
            until: args.until,
            service: args.sources.service.clone(),
            reason: args.reason.clone(),
            by: args.by.clone(),
            replace: args.replace,
        })
        .collect();
    carry_out(&requests, cx).await
}

/// Sends requests of bans, and prints what became of them.
pub(super) async fn carry_out(
    requests: &[BanRequest],
    cx: &mut Context<'_>,
) -> anyhow::Result<Exit> {
    let outcomes = cx.client.ban(requests).await?;
    cx.print(outcomes.as_slice())?;
    let is_banned = |o: &BanOutcome| matches!(o.result, BanResult::Banned | BanResult::Extended);
    if outcomes.iter().any(is_banned) {
        note_failsafe(cx).await?;
    }
    refused(&outcomes)
}

/// Failsafe ports stay open to banned sources.
async fn note_failsafe(cx: &mut Context<'_>) -> anyhow::Result<()> {
    let Ok(host) = cx.client.host().await else {
        return Ok(());
    };
    if !host.failsafe_ports.is_empty() {
        cx.note(&format!(
            "nothing is judged on failsafe ports ({}): they stay open to banned sources",
            host.failsafe_ports
        ))?;
    }
    Ok(())
}

pub(super) async fn unban(mut args: UnbanArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    if args.all
        && let Some(by) = &args.by
    {
        return unban_all(by, args.service.as_deref(), cx).await;
    }
    let mut sources = SourceArgs {
        sources: std::mem::take(&mut args.sources),
        file: args.file.take(),
        service: args.service.take(),
    };
    let requests: Vec<_> = sources
        .read()?
        .into_iter()
        .map(|source| UnbanRequest {
            source,
            service: sources.service.clone(),
            by: args.by.clone(),
        })
        .collect();
    let outcomes = cx.client.unban(&requests).await?;
    cx.print(outcomes.as_slice())?;
    refused(&outcomes)
}

/// Ends all bans of an origin, or all of a service, in one step.
async fn unban_all(by: &str, service: Option<&str>, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let query = ReplaceBansQuery {
        by: by.to_owned(),
        service: service.map(str::to_owned),
        with_parts: true,
    };
    let outcomes = cx.client.replace_bans(&query, &[]).await?;
    cx.print(outcomes.as_slice())?;
    let on = service.map(|service| format!(" on {service}"));
    let on = on.unwrap_or_default();
    cx.note(&format!("no source is banned by {by}{on}"))?;
    Ok(Exit::Done)
}

/// Refusals that are told one by one.
const TOLD: usize = 20;

/// Fails if sources were refused, and says which and why.
fn refused(outcomes: &[BanOutcome]) -> anyhow::Result<Exit> {
    let is_refused = |outcome: &&BanOutcome| outcome.result == BanResult::Refused;
    let mut refused = outcomes.iter().filter(is_refused).peekable();
    if refused.peek().is_none() {
        return Ok(Exit::Done);
    }
    let told = refused.by_ref().take(TOLD).map(|outcome| {
        let why = outcome.detail.as_deref().unwrap_or("refused");
        format!("{}: {why}", outcome.source)
    });
    let mut errors: Vec<String> = told.collect();
    let more = refused.count();
    if more > 0 {
        errors.push(format!("and {more} more sources"));
    }
    let failure = Failure {
        errors,
        exit: Exit::Failed,
        ..Failure::default()
    };
    Err(failure.into())
}

pub(super) async fn list(args: BansArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let mut page = BansPage::default();
    let mut query = BansQuery {
        after: args.after,
        covers: args.covers,
        by: args.by,
        service: args.service,
        sort: Some(args.sort),
        count: args.count.then(String::new),
        limit: None,
    };
    loop {
        let wanted = args.limit.saturating_sub(page.items.len());
        query.limit = Some(wanted.clamp(1, BansQuery::MOST));
        let next = cx.client.bans(&query).await?;
        page.items.extend(next.items);
        page.count = next.count;
        page.next = next.next;
        if page.next.is_none() || page.items.len() >= args.limit {
            break;
        }
        query.after.clone_from(&page.next);
    }
    cx.print(&page)?;
    if let Some(next) = page.next.as_ref().filter(|_| !args.count) {
        cx.note(&format!(
            "{} of {} bans; --after '{next}' lists those that follow",
            page.items.len(),
            page.count
        ))?;
    }
    Ok(Exit::Done)
}
