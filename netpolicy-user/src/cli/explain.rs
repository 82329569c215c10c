//! `netpolicy explain`.

use std::net::IpAddr;

use super::context::{Context, neither};
use super::failure::{Exit, exit_without};
use crate::{arrival, local};

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// The source address
    #[arg(value_name = "SRC", value_parser = source)]
    source: IpAddr,
    /// The destination port; without it, a port of no service
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// The interface on which it arrives [default: that of the route to the source]
    #[arg(long, value_name = "NIC")]
    interface: Option<String>,
}

/// Exit code 1 when the loaded program disagrees with the policies; without the agent, whose
/// policies are not known then, as for any command.
pub(super) async fn run(args: &ExplainArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let interface = args.interface.as_deref();
    let view = match cx.client.explain(args.source, args.port, interface).await {
        Err(e) if e.is_agent_missing() => {
            let origin = arrival::origin(args.source, interface).await?;
            let (bpffs_dir, state_dir) = (&cx.config.bpffs_dir, &cx.config.state_dir);
            let verdict = local::explain(bpffs_dir, state_dir, args.source, args.port, &origin)
                .map_err(|why| neither(&e, &why))?;
            cx.note_local(&e)?;
            cx.print(&verdict)?;
            return Ok(exit_without(&e));
        }
        answer => answer?,
    };
    cx.print(&view)?;
    Ok(if view.agrees {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// `::ffff:a.b.c.d` is the IPv4 address.
fn source(text: &str) -> Result<IpAddr, String> {
    match text.trim().parse::<IpAddr>() {
        Ok(address) => Ok(address.to_canonical()),
        Err(_) if text.contains('/') => {
            Err("a single address was expected, not a CIDR: ask about one address in it".into())
        }
        Err(_) => Err("an IPv4 or IPv6 address was expected, as in 192.0.2.7".into()),
    }
}
