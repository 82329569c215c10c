//! `netpolicy history`, `netpolicy rollback` and `netpolicy confirm`.

use super::context::Context;
use super::failure::Exit;
use super::safety::Safety;
use super::submit::{show_progress, summarise, with_consent};
use crate::api::ChangeQuery;

#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    /// At most so many, the newest first
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
}

#[derive(Debug, clap::Args)]
pub(super) struct RollbackArgs {
    /// The revision to restore; 0 is the empty state
    revision: u64,
    #[command(flatten)]
    safety: Safety,
}

pub(super) async fn history(args: &HistoryArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let revisions = cx.client.revisions(args.limit).await?;
    cx.print(revisions.as_slice())?;
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
    Ok(Exit::Done)
}

pub(super) async fn confirm(cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let confirmed = cx.client.confirm().await?;
    cx.print(&confirmed)?;
    Ok(Exit::Done)
}
