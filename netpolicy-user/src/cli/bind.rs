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
    /// A user of a database instead, as in alice@orders
    #[arg(long, value_name = "NAME@DATABASE", conflicts_with = "service")]
    user: Option<String>,
    /// The members of a role of a database instead, as in analysts@orders
    #[arg(long, value_name = "NAME@DATABASE", conflicts_with_all = ["service", "user"])]
    role: Option<String>,
    #[command(flatten)]
    safety: Safety,
}

impl BindArgs {
    /// The scope, as a change names it; `None`: the host.
    fn scope(&self) -> Option<String> {
        let user = self.user.as_ref().map(|user| format!("user:{user}"));
        let role = self.role.as_ref().map(|role| format!("role:{role}"));
        user.or(role).or_else(|| self.service.clone())
    }
}

pub(super) async fn bind(args: BindArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    submit(
        &Change::Bind {
            service: args.scope(),
            policy: args.policy,
        },
        &args.safety,
        cx,
    )
    .await
}

pub(super) async fn unbind(args: BindArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    submit(
        &Change::Unbind {
            service: args.scope(),
            policy: args.policy,
        },
        &args.safety,
        cx,
    )
    .await
}
