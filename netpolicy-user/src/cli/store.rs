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
use crate::local;
use crate::model::effect::openings_in_words;
use crate::output::{Format, write_json};
use crate::recovery::{self, RecoveryError, ReplacedDatabase, Restore};

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
    /// Put a state database in force that is older than the last one, or has another history
    Acknowledge,
    /// Without an agent: set the store aside, so that the next agent begins with no policy
    Reset,
}

pub(super) async fn run(command: StoreCommand, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    match command {
        StoreCommand::Rescue => {
            let rescued = cx.client.rescue_store().await?;
            if cx.options.format == Format::Json {
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
                let log = rescued.kept_log.map(|log| format!(" with its log {log}"));
                let log = log.unwrap_or_default();
                cx.say(&format!("what stood in its place is kept as {kept}{log}"))?;
            }
        }
        StoreCommand::Acknowledge => {
            let look = cx.client.acknowledge_store(true, None).await?;
            let opens = look
                .opens
                .as_ref()
                .map(|opens| format!(", which {}", opens.sentence()));
            cx.confirm(&format!(
                "Put the store's revision {} in force, in place of revision {}{}?",
                look.revision,
                look.before,
                opens.unwrap_or_default()
            ))?;
            let consent = cx.consent().or(look.opens.map(|opens| opens.key));
            let done = cx
                .client
                .acknowledge_store(false, consent.as_deref())
                .await?;
            if cx.options.format == Format::Json {
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
    must_be_writable(file, args.force)?;
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
        .with_context(|| format!("cannot create {}", file.display()))?;
    let written = async {
        let mut hasher = blake3::Hasher::new();
        let mut pieces = pin!(backup.pieces());
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            hasher.update(&piece);
            to.write_all(&piece)
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        if hasher.finalize().to_hex().as_str() != digest {
            return Err(Failure::new("the backup was cut short on its way from the agent").into());
        }
        to.sync_all()
            .with_context(|| format!("cannot sync {}", file.display()))?;
        put_in_place(&part, file, args.force)
    }
    .await;
    if let Err(error) = written {
        // What is left of it is of no use; the first error counts.
        let _ = fs::remove_file(&part);
        return Err(error);
    }
    if cx.options.format == Format::Json {
        let done = serde_json::json!({ "file": file, "revision": revision, "blake3": digest });
        write_json(&done, cx.out)?;
    }
    cx.say(&format!(
        "revision {revision} is backed up in {}",
        file.display()
    ))?;
    Ok(Exit::Done)
}

/// Refuses, before the agent has any work, a file that cannot be made.
fn must_be_writable(file: &Path, replace: bool) -> Result<(), Failure> {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    match fs::metadata(file) {
        Ok(found) if found.is_dir() => Err(Failure::new(format!(
            "cannot create {}: it is a directory",
            file.display()
        ))
        .hint(format!(
            "name a file in it, such as {}",
            file.join("netpolicy.backup").display()
        ))),
        Ok(_) if !replace => Err(is_there(file)),
        _ if !replace && fs::symlink_metadata(file).is_ok() => Err(is_there(file)),
        _ => match dir.filter(|dir| !dir.is_dir()) {
            None => Ok(()),
            Some(dir) => Err(Failure::new(format!(
                "cannot create {}: there is no directory {}",
                file.display(),
                dir.display()
            ))
            .hint("make the directory, or name another file")),
        },
    }
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
    let summary = restore.content.summary.clone();
    let opens = opens_at_start(&restore, cx);
    let created = summary.created.map_or_else(String::new, |created| {
        format!(" of {}", created.strftime("%Y-%m-%d %H:%M:%S UTC"))
    });
    let policies = match summary.policies {
        1 => "1 policy".to_owned(),
        count => format!("{count} policies"),
    };
    cx.confirm(&format!(
        "Replace the store in {} by revision {}{created} by {}, with {policies}{}?",
        dir.display(),
        summary.revision,
        summary.actor,
        opens
            .as_ref()
            .map_or_else(String::new, |opens| format!(", which {opens}"))
    ))?;
    let kept = restore.finish().map_err(|error| failure(&error))?;
    let done = format!(
        "revision {} is restored; it comes into force when the agent starts{}",
        summary.revision,
        opens.map_or_else(String::new, |opens| format!(", and {opens}"))
    );
    say_kept(&done, kept, cx)?;
    Ok(Exit::Done)
}

/// "opens the host to every source when the agent starts"; `None`: it opens nothing.
fn opens_at_start(restore: &Restore, cx: &Context<'_>) -> Option<String> {
    let content = &restore.content;
    match local::openings(&cx.config.bpffs_dir, &content.state, &content.bypasses) {
        // Whatever it lets in, nothing is kept out now.
        Ok(None) => None,
        Ok(Some(openings)) if openings.is_empty() => None,
        Ok(Some(openings)) => Some(format!(
            "opens {} when the agent starts",
            openings_in_words(&openings)
        )),
        Err(error) => Some(format!(
            "may open the host when the agent starts: what is in force cannot be read ({error:#})"
        )),
    }
}

fn say_kept(
    done: &str,
    kept: Option<ReplacedDatabase>,
    cx: &mut Context<'_>,
) -> anyhow::Result<()> {
    if cx.options.format == Format::Json {
        let path = kept.as_ref().map(|kept| &kept.path);
        let log = kept.as_ref().and_then(|kept| kept.log.as_ref());
        write_json(
            &serde_json::json!({ "kept": path, "kept_log": log }),
            cx.out,
        )?;
    }
    cx.say(done)?;
    if let Some(kept) = kept {
        let log = kept
            .log
            .map(|log| format!(" with its log {}", log.display()));
        let (path, log) = (kept.path.display(), log.unwrap_or_default());
        cx.say(&format!("the old store is kept as {path}{log}"))?;
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
