//! `netpolicy clients`.

use super::context::Context;
use super::failure::Exit;
use crate::api::ClientsQuery;

#[derive(Debug, clap::Args)]
pub(super) struct ClientsArgs {
    /// Only clients in an address or CIDR
    #[arg(long, value_name = "CIDR")]
    source: Option<String>,
    /// Only clients of a service; `host`: of ports of no service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only clients that a new attempt would be denied
    #[arg(long)]
    denied: bool,
    /// Show at most N clients
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    limit: usize,
}

pub(super) async fn run(args: ClientsArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let query = ClientsQuery {
        source: args.source,
        service: args.service,
        denied: args.denied,
        limit: Some(args.limit),
    };
    let clients = cx.client.connected(&query).await?;
    cx.print(&clients)?;
    if clients.total > clients.items.len() as u64 {
        cx.note(&format!(
            "{} of {} clients; --limit shows more",
            clients.items.len(),
            clients.total
        ))?;
    }
    Ok(Exit::Done)
}
