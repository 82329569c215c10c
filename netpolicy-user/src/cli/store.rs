//! `netpolicy backup`, `netpolicy restore` and `netpolicy store …`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;

use anyhow::Context as _;
use futures_util::StreamExt as _;

use super::context::Context;
use super::failure::{Exit, Failure};
use crate::output::{Format, write_json};
use crate::recovery::{self, RecoveryError, Restore};

#[derive(Debug, clap::Args)]
pub(super) struct BackupArgs {
    /// The file to write, readable by you alone
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// What `netpolicy backup` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum StoreCommand {
    /// Store all that the agent holds in a new database, after the old one was lost
    Rescue,
    /// Put the store's revision in force although a later one is
    Acknowledge,
    /// Without an agent: set the store aside, so that the next agent begins with no policy
    Reset,
}

pub(super) async fn run(command: StoreCommand, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    match command {
        StoreCommand::Rescue => {
            let rescued = cx.client.rescue_store().await?;
            if cx.page.format == Format::Json {
                write_json(&rescued, cx.out)?;
            }
            let history = if rescued.history {
                "with its history and audit log"
            } else {
                "without its history and audit log, which cannot be read any more"
            };
            cx.say(&format!(
                "revision {} is stored again, {history}",
                rescued.revision
            ))?;
            if let Some(kept) = rescued.kept {
                cx.say(&format!("what stood in its place is kept as {kept}"))?;
            }
        }
        StoreCommand::Acknowledge => {
            cx.confirm("Put the store's revision in force, older than the one that is?")?;
            let done = cx.client.acknowledge_store().await?;
            if cx.page.format == Format::Json {
                write_json(&done, cx.out)?;
            }
            cx.say(&format!(
                "revision {} is in force as generation {}, in place of revision {}",
                done.revision, done.generation, done.before
            ))?;
        }
        StoreCommand::Reset => {
            let dir = cx.config.state_dir.clone();
            if !recovery::is_filled(&dir) {
                cx.say(&format!("there is no store in {}", dir.display()))?;
                return Ok(Exit::Done);
            }
            cx.confirm(&format!(
                "Set the store in {} aside, so that the next agent begins with no policy and lets every source in?",
                dir.display()
            ))?;
            let kept = recovery::reset(&dir).map_err(|error| failure(&error))?;
            say_kept("the next agent begins with no policy", kept, cx)?;
        }
    }
    Ok(Exit::Done)
}

/// Writes what the agent sends; the file appears when it is whole and on disk.
pub(super) async fn backup(args: BackupArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let file = &args.file;
    if !args.force && fs::symlink_metadata(file).is_ok() {
        return Err(is_there(file).into());
    }
    let backup = cx.client.backup().await?;
    let (revision, digest) = (backup.revision, backup.digest.clone());
    let mut part = file.as_os_str().to_owned();
    part.push(format!(".part-{}", std::process::id()));
    let part = PathBuf::from(part);
    let mut to = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .with_context(|| format!("cannot create {}", part.display()))?;
    let written = async {
        let mut hasher = blake3::Hasher::new();
        let mut pieces = pin!(backup.pieces());
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            hasher.update(&piece);
            to.write_all(&piece)
                .with_context(|| format!("cannot write {}", part.display()))?;
        }
        if hasher.finalize().to_hex().as_str() != digest {
            return Err(Failure::new("the backup was cut short on its way from the agent").into());
        }
        to.sync_all()
            .with_context(|| format!("cannot sync {}", part.display()))?;
        put_in_place(&part, file, args.force)
    }
    .await;
    if let Err(error) = written {
        // What is left of it is of no use; the first error counts.
        let _ = fs::remove_file(&part);
        return Err(error);
    }
    if cx.page.format == Format::Json {
        let done = serde_json::json!({ "file": file, "revision": revision, "blake3": digest });
        write_json(&done, cx.out)?;
    }
    cx.say(&format!(
        "revision {revision} is backed up in {}",
        file.display()
    ))?;
    Ok(Exit::Done)
}

fn put_in_place(part: &Path, file: &Path, replace: bool) -> anyhow::Result<()> {
    let done = if replace {
        fs::rename(part, file)
    } else {
        // Unlike rename, it replaces nothing that came meanwhile.
        fs::hard_link(part, file).and_then(|()| fs::remove_file(part))
    };
    match done {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(is_there(file).into());
        }
        done => done.with_context(|| format!("cannot create {}", file.display()))?,
    }
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))
        .and_then(|dir| dir.sync_all())
        .with_context(|| format!("cannot sync the directory of {}", file.display()))
}

fn is_there(file: &Path) -> Failure {
    Failure::new(format!("{} is there already", file.display()))
        .hint("name another file, or replace it with --force")
}

/// Checks all of the backup, asks, and puts it in place of the store. Without an agent.
pub(super) fn restore(args: &RestoreArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let dir = cx.config.state_dir.clone();
    let restore = Restore::prepare(&dir, &args.file).map_err(|error| failure(&error))?;
    let summary = restore.summary.clone();
    let created = summary.created.map_or_else(String::new, |created| {
        format!(" of {}", created.strftime("%Y-%m-%d %H:%M:%S UTC"))
    });
    cx.confirm(&format!(
        "Replace the store in {} by revision {}{created} by {}, with {} policies?",
        dir.display(),
        summary.revision,
        summary.actor,
        summary.policies
    ))?;
    let kept = restore.finish().map_err(|error| failure(&error))?;
    let done = format!(
        "revision {} is restored; it comes into force when the agent starts",
        summary.revision
    );
    say_kept(&done, kept, cx)?;
    Ok(Exit::Done)
}

fn say_kept(done: &str, kept: Option<PathBuf>, cx: &mut Context<'_>) -> anyhow::Result<()> {
    if cx.page.format == Format::Json {
        write_json(&serde_json::json!({ "kept": kept }), cx.out)?;
    }
    cx.say(done)?;
    if let Some(kept) = kept {
        cx.say(&format!("the old store is kept as {}", kept.display()))?;
    }
    Ok(())
}

fn failure(error: &RecoveryError) -> anyhow::Error {
    let failure = Failure::new(error.to_string());
    match error.hint() {
        Some(hint) => failure.hint(hint).into(),
        None => failure.into(),
    }
}
