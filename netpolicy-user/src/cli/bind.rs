//! `netpolicy bind` and `netpolicy unbind`.

use super::context::Context;
use super::failure::Exit;
use super::safety::Safety;
use super::submit::submit;
use crate::model::change::Change;

#[derive(Debug, clap::Args)]
pub(super) struct BindArgs {
    /// The policy
    policy: String,
    /// The service; without it, the host
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    #[command(flatten)]
    safety: Safety,
}

pub(super) async fn bind(args: BindArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    submit(
        &Change::Bind {
            policy: args.policy,
            service: args.service,
        },
        &args.safety,
        cx,
    )
    .await
}

pub(super) async fn unbind(args: BindArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    submit(
        &Change::Unbind {
            policy: args.policy,
            service: args.service,
        },
        &args.safety,
        cx,
    )
    .await
}
