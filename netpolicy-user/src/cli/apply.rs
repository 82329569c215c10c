//! `netpolicy apply`.

use std::path::{Path, PathBuf};

use super::context::Context;
use super::failure::{Exit, Failure, model_failure};
use super::input::{Input, ListFileOptions};
use super::list_file::ListTolerance;
use super::safety::Safety;
use super::submit::submit;
use crate::model::change::{Change, SourceText};
use crate::model::file;

#[derive(Debug, clap::Args)]
pub(super) struct ApplyArgs {
    /// The policy file (TOML), the whole desired state; `-` is standard input
    #[arg(long, short)]
    file: PathBuf,
    #[command(flatten)]
    list_options: ListFileOptions,
    /// Remove what the file does not name (the default)
    #[arg(long, conflicts_with = "no_prune")]
    prune: bool,
    /// Leave what the file does not name as it is
    #[arg(long)]
    no_prune: bool,
    #[command(flatten)]
    safety: Safety,
}

pub(super) async fn run(args: ApplyArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let mut input = Input::with_databases(&args.list_options.geo, &cx.config);
    let tolerance = args.list_options.tolerance();
    let (file, lists) = read_policy_file(&args.file, tolerance, &mut input)?;
    let change = Change::Apply {
        file,
        lists,
        skip_invalid: args.list_options.skip_invalid,
        allow_empty: args.list_options.allow_empty,
        keep_others: args.no_prune,
    };
    submit(&change, &args.safety, cx).await
}

/// A policy file and the list files that it names, relative to its own directory.
pub(super) fn read_policy_file(
    path: &Path,
    tolerance: ListTolerance,
    input: &mut Input,
) -> Result<(SourceText, Vec<SourceText>), Failure> {
    let mut file = input.read(path);
    // Which lists it names is known only from its text.
    input.check()?;
    let names = file::referenced_lists(&file).map_err(|e| model_failure(&e))?;
    let mut lists = input.resolve_regions(&mut file);
    let directory = path.parent().unwrap_or(Path::new(""));
    for name in names {
        let place = directory.join(&name);
        lists.push(input.list_file(name, &place, tolerance));
    }
    input.check()?;
    Ok((file, lists))
}
