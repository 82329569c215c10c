//! `netpolicy host …`.

use super::context::Context;
use super::failure::Exit;
use super::safety::Safety;
use super::service::{mode_parser, on_deny_parser};
use super::submit::submit;
use crate::model::change::Change;
use crate::model::{Mode, OnDeny};

#[derive(Debug, clap::Subcommand)]
pub(super) enum HostCommand {
    /// Show the host's settings
    Show,
    /// Change the host's settings; what is not named stays
    Set(SetArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct SetArgs {
    #[command(flatten)]
    set: HostSettings,
    #[command(flatten)]
    safety: Safety,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct HostSettings {
    /// Whether denied attempts are dropped, or only counted and reported
    #[arg(long, value_parser = mode_parser())]
    mode: Option<Mode>,
    /// What the sender of an attempt gets that is denied on a port of no service: nothing, or a
    /// TCP reset
    #[arg(long, value_parser = on_deny_parser())]
    on_deny: Option<OnDeny>,
    /// Ports on which nothing is ever judged, all of them; `none` for none
    #[arg(long, value_name = "PORTS", value_delimiter = ',', value_parser = port)]
    failsafe_ports: Option<Vec<String>>,
}

/// Removing all ports requires the word `none`, so that an empty shell variable does not do it.
fn port(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("ports were expected, as in 22,2222, or `none`"),
        text => Ok(text.to_owned()),
    }
}

pub(super) async fn run(command: HostCommand, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    match command {
        HostCommand::Show => {
            let host = cx.client.host().await?;
            cx.print(&host)?;
            Ok(Exit::Done)
        }
        HostCommand::Set(args) => {
            let failsafe_ports = args.set.failsafe_ports.map(|ports| match ports.as_slice() {
                [none] if none == "none" => Vec::new(),
                _ => ports,
            });
            submit(
                &Change::SetHost {
                    mode: args.set.mode,
                    on_deny: args.set.on_deny,
                    failsafe_ports,
                },
                &args.safety,
                cx,
            )
            .await
        }
    }
}
