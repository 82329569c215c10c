//! The Debian package as an administrator meets it: made twice with the same bytes, then
//! installed, used, upgraded, removed and purged in a Debian of its own.
//!
//! `NETPOLICY_TEST_LONG=1` alone: it makes a Debian with debootstrap.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use netpolicy_tests::binary;

/// The release of Debian.
const RELEASE: &str = "bookworm";

/// What the package needs, and what shows its pages.
const PACKAGES: &str = "systemd,man-db";

/// Files that dpkg, apt and man-db write for whatever is installed.
const NOT_OURS: [&str; 8] = [
    "./var/lib/dpkg/",
    "./var/lib/apt/",
    "./var/lib/systemd/",
    "./var/cache/",
    "./var/log/",
    "./etc/.pwd.lock",
    "./etc/group-",
    "./etc/gshadow-",
];

fn is_long() -> bool {
    std::env::var_os("NETPOLICY_TEST_LONG").is_some_and(|value| value != "0")
}

#[track_caller]
fn ok(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// The packages of the tests' binary; the debian package among them.
fn packages(out: &Path, version: &str, check: bool) -> PathBuf {
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

/// The packages of a directory by their names.
fn made(out: &Path) -> Vec<(String, Vec<u8>)> {
    let mut made: Vec<_> = fs::read_dir(out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(path).unwrap())
        })
        .collect();
    made.sort();
    made
}

/// A Debian below a directory.
struct Debian(tempfile::TempDir);

impl Debian {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let include = format!("--include={PACKAGES}");
        let mut command = Command::new("debootstrap");
        command.args(["--variant=minbase", &include, RELEASE]);
        ok(command.arg(dir.path()));
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A command in it, with what a chroot has: no systemd, no /sys.
    fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new("chroot");
        command.arg(self.0.path()).args(line);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    #[track_caller]
    fn ok(&self, line: &[&str]) -> String {
        ok(&mut self.command(line))
    }

    fn take(&self, package: &Path) -> String {
        let name = package.file_name().unwrap().to_string_lossy().into_owned();
        fs::copy(package, self.path(&name)).unwrap();
        format!("/{name}")
    }

    /// All files, less those that are not the package's matter.
    fn files(&self) -> BTreeSet<String> {
        let mut find = Command::new("find");
        let listed = ok(find.args([".", "-xdev"]).current_dir(self.0.path()));
        let is_ours = |name: &&str| {
            let is_deb = name.ends_with(".deb");
            !is_deb && !NOT_OURS.iter().any(|other| name.starts_with(other))
        };
        listed.lines().filter(is_ours).map(str::to_owned).collect()
    }
}

#[test]
fn package_is_installed_upgraded_removed_and_purged() {
    if !is_long() {
        println!("skipped: makes a Debian; NETPOLICY_TEST_LONG=1 runs it");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let first = packages(&dir.path().join("first"), "0.1.0", true);
    let again = packages(&dir.path().join("again"), "0.1.0", false);
    let (a, b) = (made(first.parent().unwrap()), made(again.parent().unwrap()));
    assert_eq!(
        a.len(),
        5,
        "{:?}",
        a.iter().map(|(name, _)| name).collect::<Vec<_>>()
    );
    for ((name, bytes), (other, others)) in a.iter().zip(&b) {
        assert!(
            name == other && bytes == others,
            "{name} and {other} differ"
        );
    }
    let next = packages(&dir.path().join("next"), "0.1.1", false);

    let debian = Debian::new();
    let before = debian.files();
    let (first, next) = (debian.take(&first), debian.take(&next));
    debian.ok(&["dpkg", "--install", &first]);

    let version = debian.ok(&["netpolicy", "--version"]);
    assert!(version.starts_with("netpolicy "), "{version}");
    let page = debian.ok(&["man", "-P", "cat", "netpolicy-policy-create"]);
    assert!(page.contains("--allow-file"), "{page}");
    assert!(
        debian
            .ok(&["man", "-P", "cat", "5", "netpolicy.toml"])
            .contains("state_dir")
    );
    let no_agent = debian.command(&["netpolicy", "status"]).output().unwrap();
    assert_eq!(no_agent.status.code(), Some(3), "{}", text(&no_agent));
    assert!(
        debian
            .path("etc/systemd/system/multi-user.target.wants/netpolicy.service")
            .is_symlink()
    );
    assert!(
        debian
            .ok(&["getent", "group", "netpolicy"])
            .starts_with("netpolicy:")
    );
    // No interface and no policy: whoever installs it is not cut off.
    let shipped = fs::read_to_string(debian.path("etc/netpolicy/config.toml")).unwrap();
    assert_eq!(shipped, netpolicy_user::config::commented_default());

    // What the administrator makes and changes outlives the upgrade.
    let config = format!("{shipped}\ninterfaces = [\"eth0\"]\n");
    fs::write(debian.path("etc/netpolicy/config.toml"), &config).unwrap();
    fs::write(debian.path("etc/netpolicy/policy.toml"), "").unwrap();
    fs::create_dir_all(debian.path("var/lib/netpolicy")).unwrap();
    fs::write(debian.path("var/lib/netpolicy/state.db"), "").unwrap();
    debian.ok(&["dpkg", "--install", &next]);
    let installed = debian.ok(&[
        "dpkg-query",
        "--show",
        "--showformat=${Version} ${Status}",
        "netpolicy",
    ]);
    assert_eq!(installed, "0.1.1-1 install ok installed");
    let kept = fs::read_to_string(debian.path("etc/netpolicy/config.toml")).unwrap();
    assert_eq!(kept, config);

    debian.ok(&["dpkg", "--remove", "netpolicy"]);
    let left = debian.files();
    let left: Vec<_> = left.difference(&before).map(String::as_str).collect();
    println!("after remove: {left:#?}");
    assert!(left.contains(&"./etc/netpolicy/config.toml"), "{left:?}");
    assert!(left.contains(&"./var/lib/netpolicy/state.db"), "{left:?}");
    assert!(
        !left.iter().any(|name| name.starts_with("./usr/")),
        "{left:?}"
    );

    debian.ok(&["dpkg", "--purge", "netpolicy"]);
    let after = debian.files();
    let left: Vec<_> = after.difference(&before).map(String::as_str).collect();
    println!("after purge: {left:#?}");
    assert_eq!(left, ["./etc/netpolicy", "./etc/netpolicy/policy.toml"]);
    let lost: Vec<_> = before.difference(&after).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let group = debian
        .command(&["getent", "group", "netpolicy"])
        .output()
        .unwrap();
    assert!(!group.status.success(), "{}", text(&group));
}
