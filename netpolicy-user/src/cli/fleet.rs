//! `netpolicy fleet …`: all but leaving is done by `netpolicy-net`, which speaks with etcd.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::context::Context;
use super::failure::{Exit, Failure};
use super::feed::not_here;

/// Where the settings are unless another file is named.
const SETTINGS: &str = "/etc/netpolicy/fleet.toml";

/// How the settings of a fleet end that the host left.
const LEFT: &str = "left";

#[derive(Debug, clap::Subcommand)]
pub(super) enum FleetCommand {
    /// Follow the fleet in etcd and hand its revisions to the agent, until stopped;
    /// netpolicy-fleet.service runs this as an unprivileged user
    Run(RunArgs),
    /// Make a policy file the fleet's newest revision
    Push(PushArgs),
    /// Show how revisions of the fleet differ, or a policy file from one
    Diff(DiffArgs),
    /// Leave the fleet: what is in force stays, and is this host's own from then on
    Leave,
    /// What `netpolicy-net` has in addition
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// Options. They are read again by the program that does it.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// The settings; more than one for several agents of this machine
    #[arg(long, value_name = "FILE", default_value = SETTINGS)]
    settings: Vec<PathBuf>,
}

/// The same for operators.
#[derive(Debug, clap::Args)]
pub(super) struct OperatorArgs {
    /// The settings: where etcd is, and the operator's key
    #[arg(
        long,
        value_name = "FILE",
        env = "NETPOLICY_FLEET_SETTINGS",
        hide_env_values = true,
        default_value = SETTINGS
    )]
    settings: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct PushArgs {
    #[command(flatten)]
    operator: OperatorArgs,
    /// The policy file (TOML), the whole desired state
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    /// Why
    #[arg(long, short, default_value = "", hide_default_value = true)]
    message: String,
    /// Let every host take it at once, without a roll-out
    #[arg(long)]
    at_once: bool,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// The most policies of a host
    #[arg(long, value_name = "N")]
    max_policies: Option<usize>,
    /// The most rules of a list
    #[arg(long, value_name = "N")]
    max_rules: Option<usize>,
}

#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    #[command(flatten)]
    operator: OperatorArgs,
    /// Compare with this policy file
    #[arg(long, short, value_name = "FILE", conflicts_with = "to")]
    file: Option<PathBuf>,
    /// From this revision instead of the newest
    #[arg(long, value_name = "REVISION")]
    from: Option<u64>,
    /// To this revision instead of the newest
    #[arg(long, value_name = "REVISION")]
    to: Option<u64>,
}

impl FleetCommand {
    /// The arguments of the other program, if that one does it. `given`: those of this one.
    pub(super) fn for_net(&self, given: &[OsString]) -> Option<Result<Vec<OsString>, Failure>> {
        (!matches!(self, Self::Leave)).then(|| Ok(given.to_vec()))
    }
}

pub(super) async fn run(command: FleetCommand, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    match command {
        FleetCommand::Leave => leave(cx).await,
        _ => Err(not_here().into()),
    }
}

/// The settings go first: while they are there, the fleet process would hand its next revision
/// over.
async fn leave(cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let view = cx.client.fleet().await?;
    let Some(fleet) = &view.fleet else {
        return Err(Failure::new("this host is in no fleet")
            .hint("`netpolicy fleet join` joins one")
            .into());
    };
    cx.confirm(&format!(
        "Leave fleet {fleet}, so that none of its revisions comes to this host any more?"
    ))?;
    let kept = set_aside(&cx.config.fleet_file)?;
    let left = match view.at {
        Some(_) => Some(cx.client.leave_fleet().await?),
        // Nothing of it ever came.
        None => None,
    };
    cx.say(&format!(
        "left fleet {fleet}: what is in force stays, and is this host's own"
    ))?;
    if let Some(kept) = kept {
        cx.note(&format!("its settings are kept as {}", kept.display()))?;
    }
    cx.note("`systemctl disable --now netpolicy-fleet` stops the process that followed it")?;
    if let (crate::output::Format::Json, Some(left)) = (cx.options.format, left) {
        cx.print(&left)?;
    }
    Ok(Exit::Done)
}

/// Renames the settings; where they are then.
fn set_aside(file: &Path) -> Result<Option<PathBuf>, Failure> {
    let mut kept = file.as_os_str().to_owned();
    kept.push(format!(".{LEFT}"));
    match fs::rename(file, &kept) {
        Ok(()) => Ok(Some(kept.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::new(format!(
            "{} cannot be renamed: {error}; nothing was changed",
            file.display()
        ))
        .hint("run it as root, for example with sudo")),
    }
}
