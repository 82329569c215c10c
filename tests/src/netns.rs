//! Network namespaces, and links between them.

use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};

use crate::id;

/// A network namespace, removed with all that runs in it when dropped.
#[derive(Debug)]
pub struct NetNs {
    name: String,
}

impl NetNs {
    /// A new namespace with its loopback interface up.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "it makes something outside this process"
    )]
    pub fn new() -> Self {
        let ns = Self { name: id::unique() };
        run("ip", &["netns", "add", &ns.name]);
        ns.ip(&["link", "set", "lo", "up"]);
        ns
    }

    /// A new namespace that is owned by a user namespace of its own, as any local user may
    /// make one.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn of_another_user() -> Self {
        let ns = Self { name: id::unique() };
        let own = std::fs::read_link("/proc/self/ns/net").expect("the own namespace");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "--user", "--net"]);
        let mut process = command.args(["sleep", "600"]).spawn().expect("unshare");
        let pid = process.id().to_string();
        let deadline = Instant::now() + Duration::from_secs(3);
        while std::fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|link| link == own) {
            assert!(Instant::now() < deadline, "it has a namespace of its own");
            std::thread::sleep(Duration::from_millis(5));
        }
        run("ip", &["netns", "attach", &ns.name, &pid]);
        process.kill().expect("it runs");
        process.wait().expect("it ends");
        ns.ip(&["link", "set", "lo", "up"]);
        ns
    }

    /// Its name for `ip netns`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(id::NETNS_DIR).join(&self.name)
    }

    /// Runs `ip` in it, and returns what it prints.
    pub fn ip(&self, args: &[&str]) -> String {
        let mut all = vec!["-n", &self.name];
        all.extend_from_slice(args);
        run("ip", &all)
    }

    /// Runs a closure in it, on a thread of its own.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter(&self.path());
                work()
            });
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts a thread in it.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let path = self.path();
        std::thread::spawn(move || {
            enter(&path);
            work()
        })
    }

    /// A command that runs in it. It is killed when the thread that starts it ends.
    ///
    /// Unlike with `ip netns exec`, the mounts stay what they are, bpffs included.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "nsenter"]);
        command
            .arg(format!("--net={}", self.path().display()))
            .arg("--")
            .arg(program);
        command
    }

    /// Gives an interface an address, usable at once (no duplicate address detection).
    pub fn add_address(&self, interface: &str, address: &str) {
        if address.contains(':') {
            self.ip(&["addr", "add", address, "dev", interface, "nodad"]);
        } else {
            self.ip(&["addr", "add", address, "dev", interface]);
        }
    }

    /// Says where a neighbour is, so that no test waits for ARP or ND.
    pub fn add_neighbour(&self, interface: &str, address: IpAddr, mac: &str) {
        let address = address.to_string();
        self.ip(&[
            "neigh",
            "replace",
            &address,
            "lladdr",
            mac,
            "dev",
            interface,
            "nud",
            "permanent",
        ]);
    }

    /// Waits until an interface carries.
    ///
    /// # Panics
    /// When it does not within three seconds.
    pub fn wait_up(&self, interface: &str) {
        let deadline = Instant::now() + Duration::from_secs(3);
        while !self
            .ip(&["link", "show", "dev", interface])
            .contains("LOWER_UP")
        {
            assert!(
                Instant::now() < deadline,
                "{interface} in {} does not come up",
                self.name
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for NetNs {
    fn drop(&mut self) {
        id::remove_namespace(&self.name);
    }
}

/// Moves the calling thread into a namespace, for good.
fn enter(path: &Path) {
    let file = File::open(path).expect("open the namespace");
    setns(file, CloneFlags::CLONE_NEWNET).expect("enter the namespace");
}

/// One end of a veth pair: where it is, its name and its MAC address.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The namespace.
    pub ns: &'a NetNs,
    /// The interface's name.
    pub interface: &'a str,
    /// Its MAC address.
    pub mac: &'a str,
}

/// Joins two namespaces with a veth pair, both ends up.
pub fn join(a: End<'_>, b: End<'_>) {
    run(
        "ip",
        &[
            "link",
            "add",
            a.interface,
            "netns",
            a.ns.name(),
            "address",
            a.mac,
            "type",
            "veth",
            "peer",
            "name",
            b.interface,
            "netns",
            b.ns.name(),
            "address",
            b.mac,
        ],
    );
    for end in [a, b] {
        end.ns.ip(&["link", "set", end.interface, "up"]);
    }
    for end in [a, b] {
        end.ns.wait_up(end.interface);
    }
}

/// Runs a command that must succeed, and returns what it prints.
///
/// # Panics
/// When it fails, with what it said.
pub fn run(program: &str, args: &[&str]) -> String {
    let out = Command::new(program)
        .args(args)
        .output()
        .expect("start a command");
    assert!(
        out.status.success(),
        "{program} {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).into_owned()
}
