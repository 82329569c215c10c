//! `netpolicy detach`, the kill switch, and `netpolicy attach`.

use super::context::{Context, not_done};
use super::failure::{Exit, Failure, client_hint, exit_without};
use super::status::verdict;
use super::submit::with_consent;
use crate::client::ClientError;
use crate::local;
use crate::output::{Format, write_json};

/// With the agent or without: the pins alone suffice.
pub(super) async fn detach(cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let asked = with_consent(cx, async |cx, opens| {
        cx.client.detach(opens.as_deref()).await
    });
    let interfaces = match asked.await.map_err(anyhow::Error::downcast) {
        Err(Ok(e)) if ClientError::is_agent_missing(&e) => {
            // What is detached already needs no consent, as with the agent.
            if !local::is_detached(&cx.config.state_dir) {
                cx.confirm("Detach from all interfaces, so that nothing is filtered?")?;
            }
            let interfaces = local::detach(&cx.config.bpffs_dir, &cx.config.state_dir)
                .map_err(|why| not_done(&e, &why))?;
            cx.say(&format!("note: done without the agent: {e}"))?;
            interfaces
        }
        Err(Ok(e)) => return Err(e.into()),
        Err(Err(other)) => return Err(other),
        Ok(interfaces) => interfaces,
    };
    if cx.options.format == Format::Json {
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

/// Only the agent attaches; without it, the marker is removed and the next agent attaches.
pub(super) async fn attach(cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    match cx.client.attach().await {
        Err(e) if e.is_agent_missing() => {
            local::clear_marker(&cx.config.state_dir).map_err(|why| not_done(&e, &why))?;
            Err(Failure {
                errors: vec![format!(
                    "{e}: the next one to start attaches, nothing is attached yet"
                )],
                hint: client_hint(&e),
                exit: exit_without(&e),
                ..Failure::default()
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
