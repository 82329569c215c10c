//! The commands of fleets: what `netpolicy fleet` passes on.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::operator::Operator;
use super::push::{DiffArgs, PushArgs, diff, push};
use super::session::run_host;
use super::settings::{SETTINGS, Settings};
use crate::rights;

#[derive(Debug, Subcommand)]
pub(crate) enum FleetCommand {
    /// Follow the fleet in etcd and hand its revisions to the agent, until stopped
    Run(RunArgs),
    /// Make a policy file the fleet's newest revision
    Push(Operating<PushArgs>),
    /// Show how revisions differ, or a policy file from one
    Diff(Operating<DiffArgs>),
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
pub(crate) fn run(
    command: FleetCommand,
    socket: &std::path::Path,
    json: bool,
) -> anyhow::Result<()> {
    let _ = json;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match command {
        FleetCommand::Run(args) => runtime.block_on(follow(args, socket)),
        FleetCommand::Push(of) => {
            runtime.block_on(async { push(Operator::connect(&of.settings).await?, of.args).await })
        }
        FleetCommand::Diff(of) => {
            runtime.block_on(async { diff(Operator::connect(&of.settings).await?, of.args).await })
        }
    }
}

async fn follow(args: RunArgs, socket: &std::path::Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        !rights::is_root(),
        "this speaks with etcd, and refuses to run as root\n\
         hint: `systemctl start netpolicy-fleet` runs it as user netpolicy-fleet"
    );
    let mut hosts = tokio::task::JoinSet::new();
    for path in args.settings {
        let settings = Settings::read(&path)?;
        let socket = settings.socket.clone().unwrap_or_else(|| socket.to_owned());
        hosts.spawn(async move { run_host(&path, settings, &socket).await });
    }
    // Best effort: without a service manager it goes nowhere.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        ended = hosts.join_next() => {
            if let Some(ended) = ended {
                match ended?? {}
            }
            Ok(())
        }
        _ = stop.recv() => Ok(()),
    }
}
