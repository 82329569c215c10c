//! `netpolicy verify`.

use super::context::Context;
use super::failure::Exit;
use super::submit::show_progress;

/// Exit code 0 when the kernel held what the policies say, and nothing runs before the program;
/// 1 otherwise, also after repair.
pub(super) async fn run(cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let verified = show_progress(cx.client.verify(), cx).await?;
    cx.print(&verified)?;
    cx.note_gap().await?;
    Ok(
        if verified.differences.is_empty() && verified.overtaken.is_empty() {
            Exit::Done
        } else {
            Exit::Failed
        },
    )
}
