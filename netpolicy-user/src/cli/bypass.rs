//! `netpolicy bypass …`.

use super::context::Context;
use super::failure::Exit;
use super::submit::with_consent;
use crate::api::BypassRequest;
use crate::output::Format;

/// A week: the agent accepts no more.
const MINUTES_MAX: i64 = 10_080;

#[derive(Debug, clap::Subcommand)]
pub(super) enum BypassCommand {
    /// Exempt a source for a time; the kernel ends the exemption
    Grant {
        /// Address or CIDR
        #[arg(value_name = "SRC")]
        source: String,
        /// How long
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=MINUTES_MAX))]
        minutes: u32,
        /// For this service only; without it, for all on the host
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
    },
    /// List unexpired bypasses
    List,
    /// End a bypass before its time
    Revoke {
        /// Address or CIDR, as granted
        #[arg(value_name = "SRC")]
        source: String,
        /// The service that it was granted for; without it, the host
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
        /// End it even if your own address is denied then
        #[arg(long)]
        force: bool,
        /// Another address of yours that must not be denied, in addition to
        /// SSH_CONNECTION; `none` adds none
        #[arg(
            long,
            value_name = "ADDRESS",
            env = "NETPOLICY_FROM",
            hide_env_values = true
        )]
        from: Option<String>,
    },
}

pub(super) async fn run(command: BypassCommand, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    match command {
        BypassCommand::Grant {
            source,
            minutes,
            service,
        } => {
            let request = BypassRequest {
                source,
                minutes,
                service,
            };
            let bypass = with_consent(cx, async |cx, opens| {
                cx.client.grant_bypass(&request, opens.as_deref()).await
            })
            .await?;
            // It counts from the moment it was granted, not from when this command began.
            cx.options.now = bypass.granted;
            cx.print(&bypass)?;
        }
        BypassCommand::List => list(cx).await?,
        BypassCommand::Revoke {
            source,
            service,
            force,
            from,
        } => {
            cx.client
                .revoke_bypass(&source, service.as_deref(), force, from.as_deref())
                .await?;
            let scope = service.as_deref().unwrap_or("the host");
            cx.say(&format!("{source} no longer bypasses {scope}"))?;
            if cx.options.format == Format::Json {
                list(cx).await?;
            }
        }
    }
    Ok(Exit::Done)
}

async fn list(cx: &mut Context<'_>) -> anyhow::Result<()> {
    let bypasses = cx.client.bypasses().await?;
    cx.print(bypasses.as_slice())?;
    Ok(())
}
