//! A point-to-point link between two namespaces: two `pppd` at the ends of a pseudo terminal.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::NetNs;
use crate::evasion::devices::UNDERLAY;
use crate::evasion::ip_socket::IpSocket;

/// The client's end of a link; the link goes when it is dropped.
#[derive(Debug)]
pub struct Link {
    /// At the client's end.
    pub socket: IpSocket,
    _daemon: Daemon,
}

/// The server's `pppd`, which starts the client's.
#[derive(Debug)]
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let id = i32::try_from(self.0.id()).expect("a process id");
        // A killed one would leave its file in /run.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// How long the ends may take to agree.
const PATIENCE: Duration = Duration::from_secs(20);

impl Link {
    /// Makes a link of devices of this name.
    ///
    /// # Errors
    /// What the kernel or `pppd` has against it.
    pub fn new(server: &NetNs, client: &NetNs, name: &str, mtu: usize) -> Result<Self, String> {
        // It is not loaded automatically on a machine without udev.
        let _ = Command::new("modprobe").args(["-q", "ppp_async"]).status();
        if !Path::new("/dev/ppp").exists() {
            return Err("the kernel has no PPP: /dev/ppp does not exist".into());
        }
        let options = |number: usize| {
            let (ours, theirs) = (number + 1, 2 - number);
            format!(
                "nodetach noauth local nodefaultroute noccp novj ifname {name} mtu {mtu} mru {mtu} \
                 ipv6 ::{ours},::{theirs} {}:{}",
                UNDERLAY[number],
                UNDERLAY[1 - number]
            )
        };
        let in_ns = |ns: &NetNs| format!("--net={}", ns.path().display());
        let theirs = format!("nsenter {} pppd notty {}", in_ns(client), options(1));
        let mut command = Command::new("nsenter");
        command.arg(in_ns(server)).arg("pppd");
        command.args(options(0).split_whitespace());
        command.args(["pty", &theirs]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().map_err(|e| format!("pppd: {e}"))?;
        let mut daemon = Daemon(child);
        for ns in [server, client] {
            wait(&mut daemon, ns, name)?;
        }
        Ok(Self {
            socket: IpSocket::new(client, name),
            _daemon: daemon,
        })
    }
}

/// Waits until an end has its addresses, of both families.
fn wait(daemon: &mut Daemon, ns: &NetNs, name: &str) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = ns.ip(&["-brief", "addr"]);
        let line = shown.lines().find(|line| line.starts_with(name));
        if line.is_some_and(|line| line.contains("192.0.2.") && line.contains("fe80::")) {
            return Ok(());
        }
        if let Ok(Some(status)) = daemon.0.try_wait() {
            return Err(format!("pppd ended ({status})"));
        }
        if Instant::now() >= deadline {
            return Err(format!("the ends do not agree; {name}: {line:?}"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
