//! A Debian below a directory, in which packages are installed: what debootstrap makes, with a
//! BPF file system of its own.
//!
//! Only for tests that `NETPOLICY_TEST_LONG` runs: the first downloads some 100 MB, and keeps
//! what it made among the tools.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::{NetNs, binary, id, python};
pub use booted::Booted;

mod booted;

/// The release.
const RELEASE: &str = "bookworm";

/// What the packages need, what shows their pages, what installs the other kind of package, and
/// what Ansible runs its modules with.
const PACKAGES: &str = "systemd,man-db,rpm,python3,python3-apt";

/// Files that dpkg, apt, man-db and Python write for whatever is installed.
const NOT_OURS: [&str; 10] = [
    "./dev/",
    "./root/.ansible",
    "./var/lib/dpkg/",
    "./var/lib/apt/",
    "./var/lib/systemd/",
    "./var/cache/",
    "./var/log/",
    "./etc/.pwd.lock",
    "./etc/group-",
    "./etc/gshadow-",
];

/// Whether tests that take minutes and download something are to run.
#[must_use]
pub fn is_long() -> bool {
    std::env::var_os("NETPOLICY_TEST_LONG").is_some_and(|value| value != "0")
}

/// Runs a command that must succeed; returns what it prints.
///
/// # Panics
/// When it fails, with what it said.
#[track_caller]
pub fn ok(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a command said, on both outputs.
#[must_use]
pub fn text(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// What a package of Debian holds, unpacked and not installed: nothing of it is started. Kept
/// among the tools, for each version.
///
/// # Panics
/// When it cannot be had.
#[must_use]
pub fn unpacked(package: &str) -> PathBuf {
    let mut show = Command::new("apt-cache");
    let shown = ok(show.args(["--no-all-versions", "show", package]));
    let version = shown
        .lines()
        .find_map(|line| line.strip_prefix("Version: "))
        .expect("a package has a version");
    let tree = python::tools_dir()
        .join("debian")
        .join(format!("{package}_{version}"));
    if tree.exists() {
        return tree;
    }
    fs::create_dir_all(tree.parent().expect("it is below the tools")).expect("make a directory");
    let scratch = tempfile::tempdir().expect("make a temporary directory");
    // apt's own user writes there.
    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(scratch.path(), open).expect("open the directory");
    let mut download = Command::new("apt-get");
    download.args(["--quiet", "download", package]);
    ok(download.current_dir(scratch.path()));
    let files = fs::read_dir(scratch.path()).expect("list a directory");
    let file = files.flatten().next().expect("a package was downloaded");
    let draft = tree.with_extension(id::unique());
    ok(Command::new("dpkg-deb")
        .arg("-x")
        .arg(file.path())
        .arg(&draft));
    // Another test may have been faster.
    if fs::rename(&draft, &tree).is_err() {
        fs::remove_dir_all(&draft).expect("remove a draft");
    }
    tree
}

/// The packages of the tests' binary, made into a directory; the Debian package among them.
///
/// # Panics
/// When they cannot be made.
#[must_use]
pub fn packages(out: &Path, version: &str, check: bool) -> PathBuf {
    let mut command = Command::new("cargo");
    command.args(["xtask", "dist", "--version", version, "--out"]);
    command.arg(out).current_dir(binary::workspace());
    command.env("NETPOLICY_BIN", binary::netpolicy());
    if !check {
        command.arg("--no-check");
    }
    ok(&mut command);
    out.join(format!("netpolicy_{version}-1_amd64.deb"))
}

/// The Debian; unmounted and removed when dropped.
pub struct Debian {
    dir: tempfile::TempDir,
    mounts: Vec<PathBuf>,
}

impl Drop for Debian {
    fn drop(&mut self) {
        for path in self.mounts.iter().rev() {
            let _ = Command::new("umount").arg("--lazy").arg(path).status();
        }
    }
}

impl Debian {
    /// As an installation begins.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let prefix = format!("{}-", id::unique());
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir();
        let dir = dir.expect("make a temporary directory");
        let mut unpack = Command::new("tar");
        unpack.arg("--extract").arg("--file").arg(base());
        ok(unpack
            .args(["--numeric-owner", "--directory"])
            .arg(dir.path()));
        let mut debian = Self {
            dir,
            mounts: Vec::new(),
        };
        debian.mount("proc", "proc");
        debian.mount("sysfs", "sys");
        debian.mount("bpf", "sys/fs/bpf");
        debian
    }

    fn mount(&mut self, kind: &str, to: &str) {
        let to = self.path(to);
        ok(Command::new("mount")
            .args(["--types", kind, "none"])
            .arg(&to));
        self.mounts.push(to);
    }

    /// A path in it, as seen from outside.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command in it, with what a chroot has: no systemd.
    #[must_use]
    pub fn command(&self, line: &[&str]) -> Command {
        self.prepared(Command::new("chroot"), line)
    }

    /// The same in a network namespace.
    #[must_use]
    pub fn command_in(&self, ns: &NetNs, line: &[&str]) -> Command {
        self.prepared(ns.command("chroot"), line)
    }

    fn prepared(&self, mut command: Command, line: &[&str]) -> Command {
        command.arg(self.dir.path()).args(line);
        set_environment(&mut command);
        command
    }

    /// Runs a command in it that must succeed; returns what it prints.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn ok(&self, line: &[&str]) -> String {
        ok(&mut self.command(line))
    }

    /// Copies a package into it; returns its path there.
    ///
    /// # Panics
    /// When it cannot be copied.
    #[must_use]
    pub fn take(&self, package: &Path) -> String {
        let name = package.file_name().expect("a package has a name");
        fs::copy(package, self.dir.path().join(name)).expect("copy the package");
        format!("/{}", name.to_string_lossy())
    }

    /// All files and directories, less those that are not the package's matter.
    ///
    /// # Panics
    /// When they cannot be listed.
    #[must_use]
    pub fn files(&self) -> BTreeSet<String> {
        let mut find = Command::new("find");
        let listed = ok(find.args([".", "-xdev"]).current_dir(self.dir.path()));
        let is_ours = |name: &&str| {
            let is_deb = name.ends_with(".deb");
            !is_deb && !NOT_OURS.iter().any(|other| name.starts_with(other))
        };
        listed.lines().filter(is_ours).map(str::to_owned).collect()
    }
}

impl Default for Debian {
    fn default() -> Self {
        Self::new()
    }
}

fn set_environment(command: &mut Command) {
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", "/root")
        .env("DEBIAN_FRONTEND", "noninteractive");
}

/// A tar file of what debootstrap makes, made on first use.
fn base() -> PathBuf {
    let tools = python::tools_dir();
    let path = tools.join(format!("debian-{RELEASE}-{PACKAGES}.tar"));
    if path.exists() {
        return path;
    }
    let dir = tempfile::tempdir().expect("make a temporary directory");
    let include = format!("--include={PACKAGES}");
    let mut command = Command::new("debootstrap");
    command.args(["--variant=minbase", &include, RELEASE]);
    ok(command.arg(dir.path()));
    let draft = path.with_extension(id::unique());
    let mut pack = Command::new("tar");
    pack.arg("--create").arg("--file").arg(&draft);
    ok(pack
        .args(["--numeric-owner", "--directory"])
        .arg(dir.path())
        .arg("."));
    fs::rename(&draft, &path).expect("keep the tar file");
    path
}
