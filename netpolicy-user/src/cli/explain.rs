//! `netpolicy explain`.

use std::net::IpAddr;

use super::context::{Context, neither};
use super::failure::Exit;
use crate::local;

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// The source address
    #[arg(value_name = "SRC", value_parser = source)]
    source: IpAddr,
    /// The destination port; without it, a port of no service
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

/// Exit code 1 when the loaded program disagrees with the policies.
pub(super) async fn run(args: &ExplainArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let view = match cx.client.explain(args.source, args.port).await {
        Err(e) if e.is_agent_missing() => {
            let verdict = local::probe(&cx.config.bpffs_dir, args.source, args.port)
                .map_err(|why| neither(&e, &why))?;
            cx.note_local()?;
            cx.print(&verdict)?;
            return Ok(Exit::Done);
        }
        answer => answer?,
    };
    cx.print(&view)?;
    if args.source.is_loopback() {
        writeln!(
            cx.err,
            "note: the loopback interface is never filtered; this is how such a source is judged \
             that comes in on another one"
        )?;
    }
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
