//! `netpolicy status`.

use super::context::{Context, neither};
use super::failure::{Exit, exit_without};
use crate::api::{EnforcementState, Status};
use crate::client::ClientError;
use crate::{local, recovery};

/// Exit code 0 when all that should be enforced is, 3 when there is no agent, 1 otherwise.
pub(super) async fn run(cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let status = match cx.client.status().await {
        Err(e) if e.is_agent_missing() => {
            let config = &cx.config;
            let unasked = unasked(&e, recovery::agent_of(&config.bpffs_dir));
            let status = local::status(config, unasked).map_err(|why| neither(&e, &why))?;
            cx.note_local(&e)?;
            cx.print(&status)?;
            return Ok(exit_without(&e));
        }
        answer => answer?,
    };
    cx.print(&status)?;
    Ok(verdict(&status))
}

/// Why the agent was not queried, as faults; `running`: the agent that works with the pins.
fn unasked(why: &ClientError, running: Option<u32>) -> Vec<String> {
    let mut faults = vec![why.to_string()];
    match (why, running) {
        (ClientError::NoAgent { .. }, Some(pid)) => faults.push(format!(
            "an agent runs with these pins (pid {pid}), so this is not its socket"
        )),
        (ClientError::NoAgent { .. }, None) => {
            faults.push("no agent runs with these pins: nothing is changed or repaired".to_owned());
        }
        _ => {}
    }
    faults
}

pub(super) fn verdict(status: &Status) -> Exit {
    if status.faults.is_empty() && status.enforcement.state == EnforcementState::Attached {
        Exit::Done
    } else {
        Exit::Failed
    }
}
