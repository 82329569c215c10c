//! `netpolicy grant`, `netpolicy revoke`, `netpolicy grants` and `netpolicy audit`.

use super::context::Context;
use super::failure::Exit;
use super::listing::Listing;
use crate::api::GrantRequest;
use crate::model::{Principal, Privilege};

#[derive(Debug, clap::Args)]
pub(super) struct GrantArgs {
    /// admin (everything), create, attach (activate and bind), bypass, ban, or read
    #[arg(value_parser = |text: &str| text.parse::<Privilege>())]
    privilege: Privilege,
    /// An OS user or group: user:alice, group:dba
    #[arg(long, visible_alias = "from", value_name = "WHO", value_parser = |text: &str| text.parse::<Principal>())]
    to: Principal,
    /// Only with this policy; for the privilege attach
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct AuditArgs {
    #[command(flatten)]
    listing: Listing,
}

impl From<GrantArgs> for GrantRequest {
    fn from(args: GrantArgs) -> Self {
        Self {
            privilege: args.privilege,
            to: args.to,
            policy: args.policy,
        }
    }
}

pub(super) async fn grant(args: GrantArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let granted = cx.client.grant(&args.into()).await?;
    cx.print([granted].as_slice())?;
    Ok(Exit::Done)
}

pub(super) async fn revoke(args: GrantArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let revoked = cx.client.revoke(&args.into()).await?;
    cx.say(&format!(
        "{} was revoked from {}",
        revoked.privilege, revoked.to
    ))?;
    list_if_json(cx).await
}

pub(super) async fn list(cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let grants = cx.client.grants().await?;
    cx.print(grants.as_slice())?;
    Ok(Exit::Done)
}

pub(super) async fn audit(args: &AuditArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let part = async |query| cx.client.audit(&query).await;
    let mut entries = args.listing.read(part).await?;
    // As in a log: what came last stands last.
    entries.items.reverse();
    cx.print(entries.items.as_slice())?;
    entries.say_rest(cx)?;
    Ok(Exit::Done)
}

async fn list_if_json(cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    if cx.options.format == crate::output::Format::Json {
        return list(cx).await;
    }
    Ok(Exit::Done)
}
