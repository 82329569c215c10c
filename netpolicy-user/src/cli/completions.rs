//! `netpolicy completions`.

use std::io::Write;

use clap_complete::Shell;

use super::failure::Exit;

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "netpolicy", &mut script);
    out.write_all(&script)?;
    Ok(Exit::Done)
}
