//! `netpolicy history`, `netpolicy rollback` and `netpolicy confirm`.

use jiff::Timestamp;

use super::context::Context;
use super::failure::Exit;
use super::listing::Listing;
use super::moment;
use super::safety::Safety;
use super::submit::{report_open, show_progress, summarise, with_consent};
use crate::api::{ChangeQuery, PageQuery, RevisionsQuery};

#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    #[command(flatten)]
    listing: Listing,
    /// List revisions that changed a policy
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// List revisions that an OS user made
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// List revisions made since then: how long ago, as in 7d, or a time, as in 2026-11-30
    #[arg(long, value_name = "TIME", value_parser = moment::since)]
    since: Option<Timestamp>,
    /// Show what changed by each; so does each of --policy, --user and --since
    #[arg(long)]
    changes: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RollbackArgs {
    /// The revision to restore; 0 is the empty state
    revision: u64,
    #[command(flatten)]
    safety: Safety,
}

pub(super) async fn history(args: &HistoryArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let is_filtered = args.policy.is_some() || args.user.is_some() || args.since.is_some();
    let part = async |page: PageQuery| {
        let query = RevisionsQuery {
            limit: page.limit,
            after: page.after,
            text: page.text,
            policy: args.policy.clone(),
            user: args.user.clone(),
            since: args.since,
            changes: args.changes || is_filtered,
        };
        cx.client.revisions(&query).await
    };
    let revisions = args.listing.read(part).await?;
    cx.print(revisions.items.as_slice())?;
    revisions.say_rest(cx)?;
    Ok(Exit::Done)
}

pub(super) async fn rollback(args: RollbackArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let changed = with_consent(cx, async |cx, opens| {
        let query = ChangeQuery {
            opens,
            ..args.safety.query()
        };
        show_progress(cx.client.rollback(args.revision, &query), cx).await
    })
    .await?;
    summarise(&changed, cx).await?;
    report_open([&changed], cx)
}

pub(super) async fn confirm(cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let confirmed = cx.client.confirm().await?;
    cx.print(&confirmed)?;
    Ok(Exit::Done)
}
