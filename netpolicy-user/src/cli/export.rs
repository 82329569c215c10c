//! `netpolicy export`.

use std::fs;
use std::path::{Path, PathBuf};

use super::context::Context;
use super::failure::{Exit, Failure, model_failure};
use crate::model::change::SourceText;
use crate::model::{ChangeContext, Limits, counted, file};
use crate::output::{Format, write_json};

/// The policy file in a directory.
const POLICY_FILE: &str = "policy.toml";

#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// A past revision instead of the desired state
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
    /// Write policy.toml into this directory, with long lists as files that it names
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Write the content of lists into the policy file, as is done without --dir
    #[arg(long, conflicts_with = "dir")]
    inline: bool,
}

/// The policy file as it is; with `--output json`, as one JSON string.
pub(super) async fn run(args: &ExportArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let text = cx.client.export(args.revision).await?;
    if let Some(dir) = &args.dir {
        return into_dir(text, dir, cx);
    }
    match cx.options.format {
        Format::Table => cx.out.write_all(text.as_bytes())?,
        Format::Json => write_json(&text, cx.out)?,
    }
    Ok(Exit::Done)
}

/// Writes the policy file and its list files.
fn into_dir(text: String, dir: &Path, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let whole = SourceText {
        name: POLICY_FILE.to_owned(),
        text,
    };
    let now = ChangeContext {
        now: cx.options.now,
        actor: "",
        // What the agent has, it may have.
        limits: Limits {
            policies: usize::MAX,
            rules_per_list: usize::MAX,
        },
        force: true,
    };
    let state = file::parse(&whole, &[], false, &now).map_err(|errors| model_failure(&errors))?;
    let (text, mut files) = file::export_files(&state.state);
    let lists = files.len();
    // Last: it names the others.
    files.push(SourceText {
        name: POLICY_FILE.to_owned(),
        text,
    });
    let is_there = files.iter().any(|file| dir.join(&file.name).exists());
    if is_there {
        let dir = dir.display();
        cx.confirm(&format!("This replaces files in {dir}. Continue?"))?;
    }
    let failed =
        |path: &Path, error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    for file in &files {
        let path = dir.join(&file.name);
        fs::write(&path, &file.text).map_err(|error| failed(&path, error))?;
    }
    let path = dir.join(POLICY_FILE);
    cx.note(&format!(
        "{} and {} written",
        path.display(),
        counted(lists, "list file", "list files")
    ))?;
    Ok(Exit::Done)
}
