//! `netpolicy sources` and `netpolicy rates`.

use super::context::Context;
use super::failure::Exit;
use crate::api::{RateStep, RatesQuery, SourceOrder, SourceVerdict, SourcesPage, SourcesQuery};

#[derive(Debug, clap::Args)]
pub(super) struct SourcesArgs {
    /// List only sources whose attempts were denied
    #[arg(long)]
    denied: bool,
    /// List only sources whose attempts passed
    #[arg(long, conflicts_with = "denied")]
    allowed: bool,
    /// List sources that came since: how long ago, as in 1h or 7d, or a time
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// List attempts on this service; `host`: on ports of no service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Put sources together by networks of this length; IPv6 by /64
    #[arg(long, value_name = "LENGTH", value_parser = clap::value_parser!(u8).range(8..=32))]
    net: Option<u8>,
    /// List sources within an address or CIDR
    #[arg(long, value_name = "SRC")]
    covers: Option<String>,
    /// Order
    #[arg(long, value_enum, default_value_t)]
    sort: SourceOrder,
    /// List at most N sources
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
    /// List sources after the first N
    #[arg(long, value_name = "N")]
    after: Option<u64>,
}

pub(super) async fn sources(args: SourcesArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let verdict = match (args.denied, args.allowed) {
        (true, _) => Some(SourceVerdict::Denied),
        (_, true) => Some(SourceVerdict::Allowed),
        _ => None,
    };
    let mut query = SourcesQuery {
        verdict,
        since: args.since,
        service: args.service,
        net: args.net,
        covers: args.covers,
        sort: Some(args.sort),
        limit: Some(args.limit.clamp(1, SourcesQuery::MOST)),
        after: args.after,
    };
    let mut page = cx.client.sources(&query).await?;
    while let Some(next) = page.next.filter(|_| page.sources.len() < args.limit) {
        let rest = args.limit - page.sources.len();
        query.after = Some(next);
        query.limit = Some(rest.min(SourcesQuery::MOST));
        let more = cx.client.sources(&query).await?;
        page.sources.extend(more.sources);
        page.next = more.next;
    }
    cx.print(&page)?;
    note(&page, cx)?;
    Ok(Exit::Done)
}

/// What is to be known of a list that is not whole.
fn note(page: &SourcesPage, cx: &mut Context<'_>) -> anyhow::Result<()> {
    if let Some(next) = page.next {
        cx.note(&format!(
            "{} of {} sources; --after {next} lists those that follow",
            page.sources.len(),
            page.total
        ))?;
    }
    if let (Some(from), Some(before)) = (page.lost_from, page.lost_before) {
        let at = |time: jiff::Timestamp| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
        cx.note(&format!(
            "attempts between {} and {} are missing: no agent wrote them down",
            at(from),
            at(before)
        ))?;
    }
    if page.displaced > 0 {
        cx.note(&format!(
            "{} with few attempts were removed to make room for others (memory.sources)",
            crate::model::counted(page.displaced, "source", "sources")
        ))?;
    }
    Ok(())
}

#[derive(Debug, clap::Args)]
pub(super) struct RatesArgs {
    /// Count by minute, hour or day
    #[arg(long, value_enum, default_value_t)]
    step: RateStep,
    /// Since when: how long ago, as in 1h or 7d, or a time [default: 1h, 1d or 30d, by the step]
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Count attempts on this service; `host`: on ports of no service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Count attempts that this policy decided
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Count attempts that this rule decided, as it is enforced
    #[arg(long, value_name = "CIDR")]
    rule: Option<String>,
}

pub(super) async fn rates(args: RatesArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let query = RatesQuery {
        scope: args.service,
        policy: args.policy,
        rule: args.rule,
        reason: None,
        step: Some(args.step),
        since: args.since,
    };
    let rates = cx.client.rates(&query).await?;
    cx.print(&rates)?;
    Ok(Exit::Done)
}
