//! `cargo xtask run`: the demonstration, or netpolicy on a NIC of this machine.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::agent::{self, Netpolicy};
use crate::build::{self, Profile};
use crate::demo;
use crate::setup::{self, Purpose};
use crate::stop::Stop;
use crate::workspace;

/// What to run, and on what.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Filter this interface, instead of the demonstration's
    #[arg(long, value_name = "NIC", requires = "policy")]
    iface: Option<String>,
    /// The policy file to apply to it
    #[arg(long, value_name = "FILE", requires = "iface")]
    policy: Option<PathBuf>,
    /// Remove the filter at the end; otherwise it stays in force without the agent
    #[arg(long, requires = "iface")]
    detach_on_exit: bool,
    /// End after the demonstration, as it does without a terminal: do not go on with the
    /// live monitor
    #[arg(long, conflicts_with = "iface")]
    once: bool,
}

/// Builds and runs.
///
/// # Errors
/// When something fails, or the demonstration saw an outcome that it did not expect.
pub(crate) fn run(args: &Args) -> Result<()> {
    let binary = match env::var_os(build::BINARY_VARIABLE) {
        Some(binary) => std::path::absolute(binary).context("find the binary")?,
        None => {
            setup::setup(Purpose::Run)?;
            match args.iface {
                Some(_) => build::build(Profile::Release)?,
                None => build::for_demonstration()?,
            }
        }
    };
    if !workspace::is_root() {
        return again_as_root(&binary);
    }
    match (&args.iface, &args.policy) {
        (Some(interface), Some(policy)) => {
            let policy = std::path::absolute(policy).context("find the policy file")?;
            filter(
                &agent::of_this_machine(binary),
                interface,
                &policy,
                args.detach_on_exit,
            )
        }
        _ => demo::demonstrate(binary, args.once),
    }
}

/// Becomes this same task, run as root: what was built so far belongs to the user.
fn again_as_root(binary: &Path) -> Result<()> {
    ensure!(
        workspace::has_sudo(),
        "only root may load an XDP program and make network namespaces, and there is no sudo: \
         run this as root"
    );
    println!("This needs root; sudo asks for the password if it must.");
    let mut command = Command::new("sudo");
    command.arg(
        "--preserve-env=NETPOLICY_CONFIG,NETPOLICY_SOCKET,NETPOLICY_STATE_DIR,NETPOLICY_BPFFS_DIR",
    );
    command.arg(format!("{}={}", build::BINARY_VARIABLE, binary.display()));
    command
        .arg(env::current_exe().context("find this program")?)
        .args(env::args_os().skip(1));
    Err(command.exec()).context("start sudo")
}

/// Runs the agent on a NIC with a policy file, and shows what it denies until Ctrl-C.
fn filter(netpolicy: &Netpolicy, interface: &str, policy: &Path, detach: bool) -> Result<()> {
    ensure!(
        policy.is_file(),
        "there is no policy file {}",
        policy.display()
    );
    let stop = Stop::install()?;
    let log = env::temp_dir().join(format!("netpolicy-agent-{}.log", std::process::id()));
    let agent = netpolicy.start_agent(interface, None, &log, &stop)?;
    println!("The agent runs; its log is {}.", log.display());
    println!();

    let outcome = filter_until_stopped(netpolicy, policy, &stop);

    println!();
    let shown = workspace::shown(&netpolicy.binary);
    if detach {
        // Ctrl-C has been asked for, and must not keep this from being done.
        let status = netpolicy.run_regardless(&["detach", "--yes"])?;
        ensure!(
            status.success(),
            "`{shown} detach` failed ({status}): {interface} is filtered"
        );
        drop(agent);
    } else {
        drop(agent);
        println!("The agent has ended. What it put in force on {interface} stays in force.");
        println!("To remove it: {shown} detach");
    }
    outcome
}

fn filter_until_stopped(netpolicy: &Netpolicy, policy: &Path, stop: &Stop) -> Result<()> {
    let file = policy
        .to_str()
        .context("the policy file's path is not UTF-8")?;
    if netpolicy.is_detached() {
        netpolicy.run(&["attach"], stop)?;
    }
    netpolicy.run(&["apply", "-f", file], stop)?;
    netpolicy.run(&["status"], stop)?;
    println!("Denied attempts, until Ctrl-C:");
    let mut monitor = netpolicy.spawn(&["monitor"])?;
    match monitor.wait(stop) {
        Ok(status) => anyhow::bail!("`netpolicy monitor` ended by itself ({status})"),
        Err(error) if error.is::<crate::stop::Interrupted>() => Ok(()),
        Err(error) => Err(error),
    }
}
