//! `cargo xtask load`: the agent on a NIC, in the foreground.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::build::{self, Profile};
use crate::setup::{self, Purpose};
use crate::workspace;

/// Builds, then becomes `netpolicy agent --interface NIC`.
///
/// # Errors
/// When it does not build or start; otherwise it does not return.
pub(crate) fn load(interface: &str) -> Result<()> {
    setup::setup(Purpose::Run)?;
    let binary = build::build(Profile::Release)?;
    let shown = workspace::shown(&binary);
    let sudo = if workspace::is_root() { "" } else { "sudo " };
    println!("Policies come by other commands, such as: {sudo}{shown} apply -f FILE");
    println!("Ctrl-C ends the agent, and the filter stays; to remove it: {sudo}{shown} detach");
    println!("$ {sudo}{shown} agent --interface {interface}");

    let mut command = if workspace::is_root() {
        Command::new(&binary)
    } else {
        ensure!(
            workspace::has_sudo(),
            "only root may load an XDP program, and there is no sudo: run this as root"
        );
        let mut sudo = Command::new("sudo");
        sudo.arg("--preserve-env=NETPOLICY_CONFIG,NETPOLICY_SOCKET,NETPOLICY_STATE_DIR,NETPOLICY_BPFFS_DIR");
        sudo.arg(&binary);
        sudo
    };
    command.args(["agent", "--interface", interface]);
    Err(command.exec()).context("start the agent")
}
