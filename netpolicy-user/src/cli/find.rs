//! `netpolicy find`.

use super::context::Context;
use super::failure::Exit;
use crate::api::FindQuery;

#[derive(Debug, clap::Args)]
pub(super) struct FindArgs {
    /// Address or CIDR
    #[arg(value_name = "CIDR")]
    network: String,
    /// Show at most N items
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

pub(super) async fn find(args: FindArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let query = FindQuery {
        network: args.network,
        limit: Some(args.limit),
    };
    let found = cx.client.find(&query).await?;
    cx.print(&found)?;
    if found.total > found.items.len() as u64 {
        cx.note(&format!(
            "{} of {} items; --limit shows more, a longer prefix fewer",
            found.items.len(),
            found.total
        ))?;
    }
    Ok(Exit::Done)
}
