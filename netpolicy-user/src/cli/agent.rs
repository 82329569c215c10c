//! `netpolicy agent`.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

use super::descriptors;
use super::failure::{Exit, Failure};
use super::log;
use crate::agent::guard;
use crate::agent::http::serve;
use crate::agent::start::StartError;
use crate::config::{Config, HookChoice, Overrides};

#[derive(Debug, clap::Args)]
pub(super) struct AgentArgs {
    /// Filter this interface, instead of those of the configuration; may be repeated
    #[arg(long, short, value_name = "NIC", value_delimiter = ',')]
    interface: Vec<String>,
    /// Hook that runs the program, instead of that of the configuration
    #[arg(long, value_enum, value_name = "HOOK", alias = "xdp-mode")]
    hook: Option<HookChoice>,
    /// Directory of the state database [env: NETPOLICY_STATE_DIR] [default: /var/lib/netpolicy]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Where links, program and maps are pinned [env: NETPOLICY_BPFFS_DIR] [default:
    /// /sys/fs/bpf/netpolicy]
    #[arg(long, value_name = "DIR")]
    bpffs_dir: Option<PathBuf>,
    /// Start though filtering ends with this mount namespace, as in a container without the
    /// host's /sys/fs/bpf
    #[arg(long)]
    ephemeral: bool,
    /// Be the guard of an unconfirmed change, which the agent starts by itself
    #[arg(long, value_name = "SECONDS", hide = true)]
    roll_back_after: Option<u64>,
}

/// Runs until a signal stops it; enforcement goes on after it.
pub(super) fn run(args: AgentArgs, overrides: Overrides) -> anyhow::Result<Exit> {
    let _ = serve::raise_descriptor_limit();
    descriptors::require(descriptors::AGENT)?;
    let overrides = Overrides {
        interfaces: args.interface,
        hook: args.hook,
        state_dir: args.state_dir,
        bpffs_dir: args.bpffs_dir,
        ephemeral: args.ephemeral,
        ..overrides
    };
    let config = Config::from_process(&overrides)?;
    log::start("netpolicy")?;
    if let Some(seconds) = args.roll_back_after {
        // `kill -HUP $(pidof netpolicy)` is meant for the agent.
        SigSet::from(Signal::SIGHUP).thread_block()?;
        let watched = guard::watch(&config, Duration::from_secs(seconds));
        watched.map_err(|error| with_hint(error.into()))?;
        return Ok(Exit::Done);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime
        .block_on(crate::agent::run(
            config,
            Box::new(move || Config::from_process(&overrides)),
        ))
        .map_err(with_hint)?;
    Ok(Exit::Done)
}

/// What the agent says when it cannot start, and what to do about it.
fn with_hint(error: anyhow::Error) -> anyhow::Error {
    let hint = error
        .downcast_ref::<StartError>()
        .and_then(StartError::hint);
    match hint {
        Some(hint) => Failure::new(format!("{error:#}")).hint(hint).into(),
        None => error,
    }
}
