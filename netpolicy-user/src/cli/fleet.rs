//! `netpolicy fleet …`: all but leaving is done by `netpolicy-net`, which speaks with etcd.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::SocketAddr;
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
    /// Make a fleet: the operator's key, the first group, etcd's role for operators
    Init(Operating<InitArgs>),
    /// Make a host one of the fleet, and print its settings
    Join(Operating<JoinArgs>),
    /// Leave the fleet: what is in force stays, and is this host's own from then on
    Leave,
    /// Make a policy file the fleet's newest revision
    Push(Operating<PushArgs>),
    /// Show the fleet: etcd, revision, roll-outs, hosts and what is wrong
    Status(Operating<NoFurtherArgs>),
    /// Show how revisions of the fleet differ, or a policy file from one
    Diff(Operating<FleetDiffArgs>),
    /// Roll the newest revision out in a group, in stages
    Rollout(Operating<RolloutArgs>),
    /// Hold a roll-out at its stage
    Pause(Operating<GroupArg>),
    /// Go on with a roll-out that was paused, stopped, or whose command ended
    Resume(Operating<ResumeArgs>),
    /// Undo a roll-out, or make an earlier revision's state the newest
    Rollback(Operating<FleetRollbackArgs>),
    /// List hosts
    Hosts(Operating<HostsArgs>),
    /// List groups, or set one
    Groups(Operating<GroupsArgs>),
    /// Set labels of a host, by which groups select it
    Label(Operating<LabelArgs>),
    /// Copy the fleet to a second etcd, until stopped
    Mirror(Operating<MirrorArgs>),
    /// Make a mirror the etcd that operators write to
    Promote(Operating<PromoteArgs>),
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
pub(super) struct Operating<A: clap::Args> {
    /// The settings: where etcd is, and the operator's key
    #[arg(
        long,
        value_name = "FILE",
        env = "NETPOLICY_FLEET_SETTINGS",
        hide_env_values = true,
        default_value = SETTINGS
    )]
    settings: PathBuf,
    #[command(flatten)]
    args: A,
}

/// No further options.
#[derive(Debug, clap::Args)]
pub(super) struct NoFurtherArgs {}

#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    /// Make the operator's key without a password
    #[arg(long)]
    without_password: bool,
    /// Leave users and roles of etcd alone
    #[arg(long)]
    without_roles: bool,
    /// A source and local port that every revision has to admit; may be repeated
    #[arg(long, value_name = "ADDRESS:PORT")]
    must_admit: Vec<SocketAddr>,
}

#[derive(Debug, clap::Args)]
pub(super) struct JoinArgs {
    /// The host's name in the fleet
    host: String,
    /// A label of the host; may be repeated
    #[arg(long, value_name = "LABEL=VALUE")]
    label: Vec<String>,
    /// Leave users and roles of etcd alone
    #[arg(long)]
    without_roles: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct PushArgs {
    /// The policy file (TOML), the whole desired state
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    /// Why
    #[arg(long, short, default_value = "", hide_default_value = true)]
    message: String,
    /// Let every host take it at once, without a roll-out
    #[arg(long)]
    at_once: bool,
    /// Leave services to the hosts: policies are bound to those that a host has by these names
    #[arg(long)]
    without_services: bool,
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
pub(super) struct FleetDiffArgs {
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

#[derive(Debug, clap::Args)]
pub(super) struct RolloutArgs {
    /// The group
    group: String,
    /// The revision [default: the newest]
    #[arg(long)]
    revision: Option<u64>,
    /// The share of hosts at each stage, in percent
    #[arg(long, value_name = "PERCENT,…", default_value = "1,10,50,100")]
    stages: String,
    /// How long a stage has to go well before the next one
    #[arg(long, value_name = "TIME", default_value = "10m")]
    soak: String,
    /// Stop if more hosts than this refuse the revision or roll it back
    #[arg(long, value_name = "HOSTS", default_value_t = 0)]
    max_failed: u32,
    /// Stop if a host has more connected clients than this that the revision denies
    #[arg(long, value_name = "CLIENTS", default_value_t = 0)]
    max_denied_clients: u32,
}

#[derive(Debug, clap::Args)]
pub(super) struct GroupArg {
    /// The group
    group: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    /// The group
    group: String,
    /// The share of hosts at each further stage, in percent
    #[arg(long, value_name = "PERCENT,…", default_value = "1,10,50,100")]
    stages: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct FleetRollbackArgs {
    /// A group whose roll-out is undone on all its hosts
    #[arg(long, required_unless_present = "revision")]
    group: Option<String>,
    /// A revision whose state becomes the newest one again
    #[arg(conflicts_with = "group")]
    revision: Option<u64>,
    /// Let every host take it at once, without a roll-out
    #[arg(long, conflicts_with = "group")]
    at_once: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct HostsArgs {
    /// Only hosts of this group
    #[arg(long)]
    group: Option<String>,
    /// Only hosts at which something is wrong
    #[arg(long)]
    faulty: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct GroupsArgs {
    #[command(subcommand)]
    command: Option<GroupsCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum GroupsCommand {
    /// Make a group, or change one
    Set(GroupSettings),
}

#[derive(Debug, clap::Args)]
struct GroupSettings {
    /// Its name
    group: String,
    /// Hosts with all these labels are of the group; may be repeated
    #[arg(long, value_name = "LABEL=VALUE")]
    selector: Vec<String>,
    /// A source and local port that a revision has to admit; may be repeated, replaces all
    #[arg(long, value_name = "ADDRESS:PORT")]
    must_admit: Vec<SocketAddr>,
    /// Let a revision admit what it will
    #[arg(long, conflicts_with = "must_admit")]
    no_must_admit: bool,
    /// How long a host waits for the confirmation of a revision [new groups: 60s]
    #[arg(long, value_name = "TIME")]
    confirm_within: Option<String>,
    /// Keep the group at this revision
    #[arg(long, value_name = "REVISION")]
    pin: Option<u64>,
    /// Let the group follow the newest revision again
    #[arg(long, conflicts_with = "pin")]
    unpin: bool,
    /// Also if hosts have seen a newer record of the group than etcd has
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct LabelArgs {
    /// The host's name
    host: String,
    /// LABEL=VALUE sets a label, LABEL- removes it
    #[arg(required = true, value_name = "LABEL=VALUE")]
    labels: Vec<String>,
    /// Also if hosts have seen a newer record of the host than etcd has
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct MirrorArgs {
    /// The settings of the etcd that becomes the mirror
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Copy once instead of until stopped
    #[arg(long)]
    once: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct PromoteArgs {
    /// Do it although the source still answers
    #[arg(long)]
    force: bool,
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
        Some(_) => match cx.client.leave_fleet().await {
            Ok(left) => Some(left),
            Err(error) => {
                if let Some(kept) = &kept
                    && let Err(why) = fs::rename(kept, &cx.config.fleet_file)
                {
                    cx.note(&format!("{} cannot be renamed back: {why}", kept.display()))?;
                }
                return Err(error.into());
            }
        },
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
