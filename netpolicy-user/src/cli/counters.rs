//! `netpolicy counters`.

use super::context::{Context, neither};
use super::failure::Exit;
use crate::local;

pub(super) async fn run(cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let counters = match cx.client.counters().await {
        Err(e) if e.is_agent_missing() => {
            let counters =
                local::counters(&cx.config.bpffs_dir).map_err(|why| neither(&e, &why))?;
            cx.note_local(&e)?;
            counters
        }
        answer => {
            cx.note_gap().await?;
            answer?
        }
    };
    cx.print(&counters)?;
    Ok(Exit::Done)
}
