//! `netpolicy completions`.

use std::io::Write;

use anyhow::Context as _;
use clap_complete::Shell;

use super::complete;
use super::failure::Exit;

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the function by which the shell asks netpolicy.
pub(super) fn run(args: &CompletionsArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let shell = args.shell.to_string();
    let script = complete::script(&shell);
    let script = script.with_context(|| format!("{shell} is not supported"))?;
    out.write_all(script.as_bytes())?;
    Ok(Exit::Done)
}
