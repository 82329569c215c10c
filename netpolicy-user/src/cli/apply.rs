//! `netpolicy apply`.

use std::path::{Path, PathBuf};

use super::context::Context;
use super::failure::{Exit, Failure, model_failure};
use super::input::Input;
use super::submit::{send, summarise};
use crate::model::change::{Change, SourceText};
use crate::model::file;

#[derive(Debug, clap::Args)]
pub(super) struct ApplyArgs {
    /// The policy file (TOML), the whole desired state; `-` is standard input
    #[arg(long, short)]
    file: PathBuf,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
    /// Leave out bad lines of list files, with a warning
    #[arg(long)]
    skip_invalid: bool,
}

pub(super) async fn run(args: ApplyArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let (file, lists) = read_policy_file(&args.file)?;
    let change = Change::Apply {
        file,
        lists,
        skip_invalid: args.skip_invalid,
    };
    let changed = send(&change, args.dry_run, cx).await?;
    summarise(&changed, cx).await?;
    Ok(Exit::Done)
}

/// A policy file and the list files that it names, relative to its own directory.
pub(super) fn read_policy_file(path: &Path) -> Result<(SourceText, Vec<SourceText>), Failure> {
    let mut input = Input::default();
    let file = input.read(path);
    // Without its text there is no telling which lists it names.
    input.check()?;
    let names = file::referenced_lists(&file).map_err(|e| model_failure(&e))?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let lists = names.into_iter().map(|name| {
        let place = directory.join(&name);
        input.read_as(name, &place)
    });
    let lists = lists.collect();
    input.check()?;
    Ok((file, lists))
}
