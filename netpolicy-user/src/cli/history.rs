//! `netpolicy history`, `netpolicy rollback` and `netpolicy confirm`.

use super::context::Context;
use super::failure::Exit;
use super::listing::Listing;
use super::safety::Safety;
use super::submit::{report_open, show_progress, summarise, with_consent};
use crate::api::ChangeQuery;

#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, clap::Args)]
pub(super) struct RollbackArgs {
    /// The revision to restore; 0 is the empty state
    revision: u64,
    #[command(flatten)]
    safety: Safety,
}

pub(super) async fn history(args: &HistoryArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let part = async |query| cx.client.revisions(&query).await;
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
