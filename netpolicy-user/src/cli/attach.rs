//! `netpolicy detach`, the emergency brake, and `netpolicy attach`.

use super::context::{Context, neither};
use super::failure::{Exit, Failure, client_hint};
use super::status::verdict;
use crate::local;
use crate::output::{Format, write_json};

/// With the agent or without: the pins alone suffice.
pub(super) async fn detach(cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    cx.confirm("Detach from all interfaces, so that nothing is filtered?")?;
    let interfaces = match cx.client.detach().await {
        Err(e) if e.is_agent_missing() => {
            let interfaces = local::detach(&cx.config.bpffs_dir, &cx.config.state_dir)
                .map_err(|why| neither(&e, &why))?;
            cx.say("note: done without the agent, which does not answer")?;
            interfaces
        }
        answer => answer?,
    };
    if cx.page.format == Format::Json {
        write_json(&interfaces, cx.out)?;
    }
    let done = if interfaces.is_empty() {
        "was attached to no interface".to_owned()
    } else {
        format!("detached from {}", interfaces.join(", "))
    };
    cx.say(&format!(
        "{done}: nothing is filtered until `netpolicy attach`"
    ))?;
    Ok(Exit::Done)
}

/// Only the agent attaches; without it, the next one to start is told to.
pub(super) async fn attach(cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    match cx.client.attach().await {
        Err(e) if e.is_agent_missing() => {
            local::clear_marker(&cx.config.state_dir).map_err(|why| neither(&e, &why))?;
            Err(Failure {
                errors: vec![format!(
                    "{e}: the next one to start attaches, nothing is attached yet"
                )],
                hint: client_hint(&e),
                exit: Exit::NoAgent,
            }
            .into())
        }
        answer => {
            answer?;
            let status = cx.client.status().await?;
            cx.print(&status)?;
            Ok(verdict(&status))
        }
    }
}
