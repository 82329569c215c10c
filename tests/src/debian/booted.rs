//! A Debian whose systemd runs as process 1 of namespaces of its own: units, their restrictions
//! and maintainer scripts are what they are on a machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Debian, ok, set_environment};
use crate::process::Process;
use crate::{NetNs, id};

/// The longest that a boot takes.
const BOOT: Duration = Duration::from_secs(60);

/// Makes mounts and becomes process 1. `$1`: the root; `$2`: another network namespace;
/// `$3`: its name in the Debian.
const INIT: &str = r#"
set -e
cd "$1"
mount --rbind . .
cd "$1"
mount -t proc proc proc
mount -t tmpfs run run
mkdir -p run/lock run/netns
touch "run/netns/$3"
mount --bind "$2" "run/netns/$3"
mount -t tmpfs dev dev
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
mount -t cgroup2 cgroup sys/fs/cgroup
mkdir -p old
pivot_root . old
umount --lazy /old
rmdir /old
exec env -i container=other LC_ALL=C.UTF-8 /lib/systemd/systemd --system --unit=multi-user.target \
    --log-target=console
"#;

/// See the module. Ends when dropped.
pub struct Booted<'a> {
    _debian: &'a Debian,
    unshare: Process,
    /// Process 1, as seen from outside.
    init: u32,
    group: PathBuf,
}

impl Drop for Booted<'_> {
    fn drop(&mut self) {
        if self.unshare.ended().is_none() {
            self.unshare.kill();
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        // A group stays busy until the last process is gone.
        while remove_groups(&self.group).is_err() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Debian {
    /// Boots it in a network namespace; `other` is there as `/run/netns/NAME`.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn boot(&self, ns: &NetNs, other: &NetNs, name: &str) -> Booted<'_> {
        // Where systemd of this machine, or nothing, has version 1 for the controllers.
        let hybrid = Path::new("/sys/fs/cgroup/unified");
        let groups = match hybrid.is_dir() {
            true => hybrid,
            false => Path::new("/sys/fs/cgroup"),
        };
        let group = groups.join(id::unique());
        fs::create_dir_all(&group).expect("make a control group");
        let mut command = ns.command("sh");
        // The namespace of control groups begins at the group that the process is in.
        let enter = "echo 0 > \"$1/cgroup.procs\" && shift && exec \"$@\"";
        command.args(["-c", enter, "sh"]).arg(&group);
        command.args(["unshare", "--mount", "--pid", "--fork", "--kill-child"]);
        command.args(["--cgroup", "--uts", "--ipc", "sh", "-c", INIT, "sh"]);
        command.arg(self.path("")).arg(other.path()).arg(name);
        let mut unshare = Process::start(command, &self.path("dev/console.log"));
        let deadline = Instant::now() + BOOT;
        loop {
            let init = child_of(unshare.pid());
            if let Some(init) = init {
                let booted = Booted {
                    _debian: self,
                    unshare,
                    init,
                    group,
                };
                booted.wait_until_up(deadline);
                return booted;
            }
            let is_waiting = unshare.ended().is_none() && Instant::now() < deadline;
            assert!(is_waiting, "no process 1: {}", unshare.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Booted<'_> {
    fn wait_until_up(&self, deadline: Instant) {
        loop {
            let output = self.command(&["systemctl", "is-system-running"]).output();
            let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            let said = said.unwrap_or_default();
            if ["running", "degraded"].contains(&said.trim()) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "it is {said}: {}",
                self.unshare.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A command in it.
    #[must_use]
    pub fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.init));
        command.args(["--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup"]);
        command.args(["--wd=/", "--"]).args(line);
        set_environment(&mut command);
        command
    }

    /// Runs a line of words in it, which must succeed; returns what it prints.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        ok(&mut self.command(&line.split(' ').collect::<Vec<_>>()))
    }

    /// A property of a unit.
    ///
    /// # Panics
    /// When systemd does not answer.
    #[track_caller]
    #[must_use]
    pub fn property(&self, unit: &str, name: &str) -> String {
        let said = self.ok(&format!("systemctl show --value --property={name} {unit}"));
        said.trim().to_owned()
    }
}

/// The first child of a process.
fn child_of(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Removes a control group with those below it.
fn remove_groups(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_groups(&path)?;
        }
    }
    fs::remove_dir(group)
}
