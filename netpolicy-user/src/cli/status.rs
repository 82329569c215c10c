//! `netpolicy status`.

use super::context::{Context, neither};
use super::failure::Exit;
use crate::api::{EnforcementState, Status};
use crate::local;

/// Exit code 0 when all that should be enforced is, 1 otherwise.
pub(super) async fn run(cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let status = match cx.client.status().await {
        Err(e) if e.is_agent_missing() => {
            let config = &cx.config;
            let accepted = &config.unfiltered_interfaces;
            let status = local::status(&config.bpffs_dir, &config.state_dir, accepted)
                .map_err(|why| neither(&e, &why))?;
            cx.note_local()?;
            status
        }
        answer => answer?,
    };
    cx.print(&status)?;
    Ok(verdict(&status))
}

pub(super) fn verdict(status: &Status) -> Exit {
    if status.faults.is_empty() && status.enforcement.state == EnforcementState::Attached {
        Exit::Done
    } else {
        Exit::Failed
    }
}
