//! Names that are this process's own, and the removal of what dead ones left.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::fcntl::{Flock, FlockArg};

/// Where bpffs is mounted.
pub const BPFFS: &str = "/sys/fs/bpf";
/// Where `ip netns` keeps its names.
pub const NETNS_DIR: &str = "/run/netns";
const PREFIX: &str = "npt";

/// A name that no other test, process or earlier run uses: `npt<pid>-<n>`.
///
/// # Panics
/// When not root: these tests never skip themselves silently.
#[must_use]
pub fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    prepare_machine();
    format!(
        "{PREFIX}{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// The temporary directory that belongs to a name; not created here.
#[must_use]
pub fn temp_dir(name: &str) -> PathBuf {
    std::env::temp_dir().join(name)
}

/// Root, a mounted bpffs and no left-overs: what every test here stands on.
fn prepare_machine() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests make network namespaces and load XDP programs, so they need root: \
             run them through `cargo xtask test`, or as root"
        );
        // Several test processes may start at the same time.
        let file = File::create("/run/netpolicy-tests.lock").expect("create the lock file");
        let _lock = Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, e)| e)
            .expect("lock");
        mount_bpffs();
        sweep();
    });
}

fn mount_bpffs() {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("read /proc/self/mounts");
    let mounted = mounts.lines().any(|l| {
        let mut f = l.split(' ').skip(1);
        f.next() == Some(BPFFS) && f.next() == Some("bpf")
    });
    if !mounted {
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("bpf"), BPFFS, Some("bpf"), flags, None::<&str>)
            .expect("mount bpffs on /sys/fs/bpf");
    }
}

/// Removes namespaces, pins and directories of test processes that are gone.
pub fn sweep() {
    for name in names_in(Path::new(NETNS_DIR)).filter(|n| is_stale(n)) {
        remove_namespace(&name);
    }
    unmount_stale();
    let temp = std::env::temp_dir();
    for dir in [Path::new(BPFFS), temp.as_path()] {
        for name in names_in(dir).filter(|n| is_stale(n)) {
            let _ = fs::remove_dir_all(dir.join(name));
        }
    }
}

/// Unmounts what is mounted beneath stale directories.
fn unmount_stale() {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|l| l.split(' ').nth(1));
    // The last mounted first.
    for point in points.collect::<Vec<_>>().into_iter().rev() {
        // `ip netns` mounts too, and takes care of it itself.
        if !point.starts_with(NETNS_DIR) && point.split('/').any(is_stale) {
            let _ = nix::mount::umount2(point, nix::mount::MntFlags::MNT_DETACH);
        }
    }
}

/// Ends what runs in a namespace that this harness made, and removes it.
pub(crate) fn remove_namespace(name: &str) {
    if let Ok(out) = Command::new("ip").args(["netns", "pids", name]).output() {
        let own = nix::unistd::getpid();
        let pids = String::from_utf8_lossy(&out.stdout).into_owned();
        for pid in pids.lines().filter_map(|l| l.trim().parse().ok()) {
            let pid = nix::unistd::Pid::from_raw(pid);
            // A thread of this process may still be inside.
            if pid != own {
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
        }
    }
    let _ = Command::new("ip").args(["netns", "del", name]).status();
}

/// The entries of a directory that carry this harness's kind of name.
pub(crate) fn names_in(dir: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|name| owner(name).is_some())
}

fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok()
}

fn is_stale(name: &str) -> bool {
    owner(name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}
