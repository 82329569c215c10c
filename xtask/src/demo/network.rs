//! The network: namespaces joined by a bridge.
//!
//! ```text
//! office ---+
//! blocked --+-- network (bridge) --- host: eth0, the one filtered NIC
//! stranger -+
//! ```
//!
//! Each line is a veth pair. Nothing of it is in the machine's own namespace.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

use super::client::{CLIENTS, Client, HOST};

/// Where `ip netns` keeps its namespaces.
const NETNS_DIR: &str = "/run/netns";

/// The name in it of the namespace that holds the bridge.
const BRIDGE: &str = "network";

/// The name in it of the database host's namespace.
const DATABASE_HOST: &str = "host";

/// The demonstration's namespaces, removed when dropped.
pub(super) struct Network {
    shell: Shell,
    made: Vec<String>,
}

impl Network {
    /// Makes the namespaces and joins them.
    ///
    /// # Errors
    /// When `ip` fails; what was made by then is removed.
    pub(super) fn create() -> Result<Self> {
        let shell = Shell::new().context("find the current directory")?;
        let mut network = Self {
            shell,
            made: Vec::new(),
        };
        network.add(BRIDGE)?;
        network.configure(
            BRIDGE,
            "link add bridge type bridge mcast_snooping 0\nlink set bridge up\n",
        )?;

        network.join(DATABASE_HOST, &HOST)?;
        for client in &CLIENTS {
            network.join(client.name, &client.addresses)?;
        }
        let clients: Vec<_> = CLIENTS.iter().flat_map(|client| client.addresses).collect();
        network.add_routes(DATABASE_HOST, &clients)?;
        for client in &CLIENTS {
            network.add_routes(client.name, &HOST)?;
        }
        Ok(network)
    }

    /// The file of the database host's namespace.
    pub(super) fn host(&self) -> PathBuf {
        path(DATABASE_HOST)
    }

    /// The file of a client's namespace.
    pub(super) fn client(&self, client: &Client) -> PathBuf {
        path(client.name)
    }

    fn add(&mut self, name: &str) -> Result<()> {
        let name = full_name(name);
        let shell = &self.shell;
        cmd!(shell, "ip netns add {name}").quiet().run()?;
        self.made.push(name);
        Ok(())
    }

    /// Makes a namespace with one NIC, eth0, that leads to the bridge.
    fn join(&mut self, name: &str, addresses: &[IpAddr]) -> Result<()> {
        self.add(name)?;
        let full = full_name(name);
        let lines = format!(
            "link add {name} type veth peer name eth0 netns {full}\n\
             link set {name} master bridge up\n"
        );
        self.configure(BRIDGE, &lines)?;

        let mut lines = String::from("link set lo up\nlink set eth0 up\n");
        for address in addresses {
            // Duplicate address detection would keep the address from use for seconds.
            let length = if address.is_ipv4() { "32" } else { "128 nodad" };
            writeln!(lines, "addr add {address}/{length} dev eth0")?;
        }
        self.configure(name, &lines)
    }

    fn add_routes(&self, name: &str, to: &[IpAddr]) -> Result<()> {
        let mut lines = String::new();
        for address in to {
            writeln!(lines, "route add {address} dev eth0")?;
        }
        self.configure(name, &lines)
    }

    fn configure(&self, name: &str, lines: &str) -> Result<()> {
        let shell = &self.shell;
        let name = full_name(name);
        cmd!(shell, "ip -netns {name} -batch -")
            .stdin(lines)
            .quiet()
            .run()?;
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.made {
            remove(&self.shell, name);
        }
    }
}

fn remove(shell: &Shell, name: &str) {
    // The process is about to end, perhaps with an error of its own to report.
    let _ = cmd!(shell, "ip netns del {name}")
        .quiet()
        .ignore_stderr()
        .run();
}

/// Removes the namespaces of demonstrations that were killed before they could.
pub(super) fn remove_left_behind() {
    let (Ok(shell), Ok(entries)) = (Shell::new(), fs::read_dir(NETNS_DIR)) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if let Some(name) = name.to_str()
            && owner(name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
        {
            remove(&shell, name);
        }
    }
}

/// The name of one of this process's namespaces.
fn full_name(name: &str) -> String {
    format!("np{}-{name}", process::id())
}

fn path(name: &str) -> PathBuf {
    Path::new(NETNS_DIR).join(full_name(name))
}

/// The process that made a namespace of this name; `None`: none of this demonstration.
fn owner(full_name: &str) -> Option<u32> {
    let (pid, name) = full_name.strip_prefix("np")?.split_once('-')?;
    let known =
        [BRIDGE, DATABASE_HOST].contains(&name) || CLIENTS.iter().any(|client| client.name == name);
    known.then(|| pid.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaces_of_a_demonstration_have_an_owner() {
        assert_eq!(owner(&full_name(DATABASE_HOST)), Some(process::id()));
        assert_eq!(owner("np12-stranger"), Some(12));
        assert_eq!(owner("np12-other"), None);
        assert_eq!(owner("npx-host"), None);
        assert_eq!(owner("host"), None);
    }
}
