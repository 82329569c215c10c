//! The commands of fleets: what `netpolicy fleet` passes on.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::diff::{DiffArgs, diff};
use super::groups::{GroupsArgs, HostsArgs, LabelArgs, groups, hosts, label};
use super::init::{InitArgs, JoinArgs, init, join};
use super::mirror::{MirrorArgs, PromoteArgs, mirror, promote};
use super::operator::Operator;
use super::push::{PushArgs, push};
use super::report::status;
use super::rollout::{
    GroupArgs, ResumeArgs, RollbackArgs, RolloutArgs, pause, resume, rollback, rollout,
};
use super::session::run_host;
use super::settings::{SETTINGS, Settings};
use crate::rights;

#[derive(Debug, Subcommand)]
pub(crate) enum FleetCommand {
    /// Follow the fleet in etcd and hand its revisions to the agent, until stopped
    Run(RunArgs),
    /// Make a fleet: the operator's key, the first group, etcd's role for operators
    Init(Operating<InitArgs>),
    /// Make hosts part of the fleet, and print their settings
    Join(Operating<JoinArgs>),
    /// Make a policy file the fleet's newest revision
    Push(Operating<PushArgs>),
    /// Show the fleet: etcd, revision, roll-outs, hosts and what is wrong
    Status(Operating<NoArgs>),
    /// Show how revisions differ, or a policy file from one
    Diff(Operating<DiffArgs>),
    /// Roll the newest revision out in a group, in stages
    Rollout(Operating<RolloutArgs>),
    /// Hold a roll-out at its stage
    Pause(Operating<GroupArgs>),
    /// Drive a roll-out on that was paused, stopped, or whose command ended
    Resume(Operating<ResumeArgs>),
    /// Undo a roll-out, or make an earlier revision's state the newest
    Rollback(Operating<RollbackArgs>),
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

/// A command of an operator.
#[derive(Debug, Args)]
pub(crate) struct Operating<A: Args> {
    /// The settings: where etcd is, and the operator's key
    #[arg(long, value_name = "FILE", env = "NETPOLICY_FLEET_SETTINGS", default_value = SETTINGS)]
    settings: PathBuf,
    #[command(flatten)]
    args: A,
}

impl<A: Args> Operating<A> {
    async fn connect(self) -> anyhow::Result<(Operator, A)> {
        Ok((Operator::connect(&self.settings).await?, self.args))
    }
}

/// No further options.
#[derive(Debug, Args)]
pub(crate) struct NoArgs {}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The settings; more than one for several agents of this machine
    #[arg(long, value_name = "FILE", default_value = SETTINGS)]
    settings: Vec<PathBuf>,
}

impl FleetCommand {
    /// Whether it runs until stopped.
    pub(crate) fn is_service(&self) -> bool {
        matches!(self, Self::Run(_))
    }
}

/// Runs a command.
///
/// # Errors
/// In words, with what to do.
pub(crate) fn run(command: FleetCommand, socket: &Path, json: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(dispatch(command, socket, json))
}

async fn dispatch(command: FleetCommand, socket: &Path, json: bool) -> anyhow::Result<()> {
    match command {
        FleetCommand::Run(args) => follow(args, socket).await,
        FleetCommand::Init(of) => init(&of.settings, of.args).await,
        FleetCommand::Join(of) => {
            let (operator, args) = of.connect().await?;
            join(operator, args).await
        }
        FleetCommand::Push(of) => {
            let (operator, args) = of.connect().await?;
            push(operator, args).await
        }
        FleetCommand::Status(of) => status(of.connect().await?.0, json).await,
        FleetCommand::Diff(of) => {
            let (operator, args) = of.connect().await?;
            diff(operator, args).await
        }
        FleetCommand::Rollout(of) => {
            let (operator, args) = of.connect().await?;
            rollout(operator, args).await
        }
        FleetCommand::Pause(of) => {
            let (operator, args) = of.connect().await?;
            pause(operator, args).await
        }
        FleetCommand::Resume(of) => {
            let (operator, args) = of.connect().await?;
            resume(operator, args).await
        }
        FleetCommand::Rollback(of) => {
            let (operator, args) = of.connect().await?;
            rollback(operator, args).await
        }
        FleetCommand::Hosts(of) => {
            let (operator, args) = of.connect().await?;
            hosts(operator, args, json).await
        }
        FleetCommand::Groups(of) => {
            let (operator, args) = of.connect().await?;
            groups(operator, args, json).await
        }
        FleetCommand::Label(of) => {
            let (operator, args) = of.connect().await?;
            label(operator, args).await
        }
        FleetCommand::Mirror(of) => {
            let (operator, args) = of.connect().await?;
            mirror(operator, args).await
        }
        FleetCommand::Promote(of) => {
            let (operator, args) = of.connect().await?;
            promote(operator, args).await
        }
    }
}

async fn follow(args: RunArgs, socket: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        !rights::is_root(),
        "this speaks with etcd, and refuses to run as root\n\
         hint: `systemctl start netpolicy-fleet` runs it as user netpolicy-fleet"
    );
    let mut hosts = JoinSet::new();
    for path in args.settings {
        let settings = Settings::read(&path)?;
        let socket = settings.socket.clone().unwrap_or_else(|| socket.to_owned());
        hosts.spawn(async move { run_host(&path, settings, &socket).await });
    }
    // Best effort: without a service manager it goes nowhere.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let mut stop = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = hosts.join_next() => match ended {
            Some(ended) => match ended?? {},
            None => Ok(()),
        },
        _ = stop.recv() => Ok(()),
    }
}
