//! `netpolicy export`.

use super::context::Context;
use super::failure::Exit;
use crate::output::{Format, write_json};

#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// A past revision instead of the desired state
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
}

/// The policy file as it is; with `--output json`, as one JSON string.
pub(super) async fn run(args: &ExportArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let text = cx.client.export(args.revision).await?;
    match cx.options.format {
        Format::Table => cx.out.write_all(text.as_bytes())?,
        Format::Json => write_json(&text, cx.out)?,
    }
    Ok(Exit::Done)
}
