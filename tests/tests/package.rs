//! The Debian package as an administrator meets it: made twice with the same bytes, then
//! installed, used, upgraded, removed and purged in a Debian of its own.
//!
//! `NETPOLICY_TEST_LONG=1` alone: it makes a Debian with debootstrap.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use netpolicy_tests::debian::{self, Debian, text};
use netpolicy_tests::host::NIC;
use netpolicy_tests::process::Process;
use netpolicy_tests::{DatabaseHost, Outcome};
use nix::sys::signal::Signal;

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const PORT: u16 = 5432;

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

/// A database host whose file system is a Debian.
struct Installed {
    agent: Option<Process>,
    debian: Debian,
    host: DatabaseHost,
}

impl Installed {
    fn new() -> Self {
        Self {
            agent: None,
            debian: Debian::new(),
            host: DatabaseHost::without_agent(),
        }
    }

    #[track_caller]
    fn ok(&self, line: &str) -> String {
        let words: Vec<_> = line.split(' ').collect();
        debian::ok(&mut self.debian.command_in(self.host.db(), &words))
    }

    /// What the unit does.
    fn start(&mut self) {
        self.agent = Some(started(&self.debian, &self.host));
    }

    fn stop(&mut self) {
        stop(self.agent.take().unwrap());
    }

    fn pins(&self) -> PathBuf {
        self.debian.path("sys/fs/bpf/netpolicy")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.debian.path(name)
    }

    /// What was not there before.
    fn left(&self, before: &BTreeSet<String>) -> Vec<String> {
        self.debian.files().difference(before).cloned().collect()
    }
}

/// An agent of the package that answers.
fn started(debian: &Debian, host: &DatabaseHost) -> Process {
    let command = debian.command_in(host.db(), &["netpolicy", "agent"]);
    let mut agent = Process::start(command, &host.file("installed.log"));
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut status = debian.command(&["netpolicy", "status"]);
    while status.output().unwrap().status.code() == Some(3) {
        assert!(agent.ended().is_none(), "{}", agent.log());
        assert!(Instant::now() < deadline, "{}", agent.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    agent
}

fn stop(mut agent: Process) {
    agent.signal(Signal::SIGTERM);
    agent.wait(Duration::from_secs(30));
}

#[test]
fn package_is_installed_upgraded_removed_and_purged() {
    if !debian::is_long() {
        println!("skipped: makes a Debian; NETPOLICY_TEST_LONG=1 runs it");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let first = debian::packages(&dir.path().join("first"), "0.1.0", true);
    let again = debian::packages(&dir.path().join("again"), "0.1.0", false);
    assert_same(&first, &again);
    let next = debian::packages(&dir.path().join("next"), "0.1.1", false);

    let mut installed = Installed::new();
    let before = installed.debian.files();
    let (first, next) = (installed.debian.take(&first), installed.debian.take(&next));
    installed.ok(&format!("dpkg --install {first}"));
    assert_usable(&installed);

    let shipped = fs::read_to_string(installed.path("etc/netpolicy/config.toml")).unwrap();
    assert_eq!(shipped, netpolicy_user::config::commented_default());
    let config = format!("{shipped}\ninterfaces = [\"{NIC}\"]\n");
    fs::write(installed.path("etc/netpolicy/config.toml"), &config).unwrap();
    fs::write(installed.path("etc/netpolicy/policy.toml"), "").unwrap();
    installed.start();
    installed.ok("netpolicy policy create abuse --block 10.66.0.0/16");
    installed.host.assert_times_out(&[(BLOCKED, PORT)]);
    assert!(installed.pins().join("live").is_dir());

    let attempts = upgrade_under_attempts(&mut installed, &next);
    println!("{attempts} attempts of each source during the upgrade");
    assert!(attempts > 0);
    // What the administrator made and changed outlives it.
    let kept = fs::read_to_string(installed.path("etc/netpolicy/config.toml")).unwrap();
    assert_eq!(kept, config);

    // A stopped service filters; a removed one does not, since nothing could end it.
    installed.stop();
    installed.host.assert_times_out(&[(BLOCKED, PORT)]);
    installed.ok("dpkg --remove netpolicy");
    installed.host.assert_connects(&[(BLOCKED, PORT)]);
    assert!(!installed.pins().exists());
    let left = installed.left(&before);
    println!("after remove: {left:#?}");
    for name in ["etc/netpolicy/config.toml", "var/lib/netpolicy/state.db"] {
        assert!(left.contains(&format!("./{name}")), "{left:?}");
    }
    assert!(
        !left.iter().any(|name| name.starts_with("./usr/")),
        "{left:?}"
    );

    // Installed once more it stays detached, and says so.
    let mut install = installed.debian.command(&["dpkg", "--install", &next]);
    let said = text(&install.output().unwrap());
    assert!(said.contains("nothing is filtered until"), "{said}");
    installed.start();
    installed.host.assert_connects(&[(BLOCKED, PORT)]);
    installed.ok("netpolicy attach");
    installed.host.assert_times_out(&[(BLOCKED, PORT)]);
    // Purged at once, with the agent killed: what it pinned is removed as well.
    drop(installed.agent.take());
    installed.host.assert_times_out(&[(BLOCKED, PORT)]);
    installed.ok("dpkg --purge netpolicy");
    installed
        .host
        .assert_connects(&[(BLOCKED, PORT), (ALLOWED, PORT)]);
    assert!(!installed.pins().exists());
    let left = installed.left(&before);
    println!("after purge: {left:#?}");
    assert_eq!(left, ["./etc/netpolicy", "./etc/netpolicy/policy.toml"]);
    let after = installed.debian.files();
    let lost: Vec<_> = before.difference(&after).collect();
    assert!(lost.is_empty(), "{lost:?}");
    for (database, name) in accounts() {
        let mut getent = installed.debian.command(&["getent", database, name]);
        let found = getent.output().unwrap();
        assert!(!found.status.success(), "{}", text(&found));
    }
}

/// Fails unless the packages next to these two are the same, byte by byte.
fn assert_same(first: &Path, again: &Path) {
    let (a, b) = (made(first.parent().unwrap()), made(again.parent().unwrap()));
    let names: Vec<_> = a.iter().map(|(name, _)| name).collect();
    assert_eq!(a.len(), 6, "{names:?}");
    for ((name, bytes), (other, others)) in a.iter().zip(&b) {
        let is_same = name == other && bytes == others;
        assert!(is_same, "{name} and {other} differ");
    }
}

/// Fails unless what was installed starts, documents itself and is enabled.
fn assert_usable(installed: &Installed) {
    let version = installed.ok("netpolicy --version");
    assert!(version.starts_with("netpolicy "), "{version}");
    let page = installed.ok("man -P cat netpolicy-policy-create");
    assert!(page.contains("--allow-file"), "{page}");
    let page = installed.ok("man -P cat 5 netpolicy.toml");
    assert!(page.contains("state_dir"), "{page}");
    let mut status = installed.debian.command(&["netpolicy", "status"]);
    let no_agent = status.output().unwrap();
    assert_eq!(no_agent.status.code(), Some(3), "{}", text(&no_agent));
    let enabled = "etc/systemd/system/multi-user.target.wants/netpolicy.service";
    assert!(installed.path(enabled).is_symlink());
    for (database, name) in accounts() {
        let found = installed.ok(&format!("getent {database} {name}"));
        assert!(found.starts_with(&format!("{name}:")), "{found}");
    }
    // One listens on TCP, one runs hooks, one lets a reverse proxy in.
    for unit in &SERVICES[1..] {
        let enabled = format!("etc/systemd/system/multi-user.target.wants/{unit}.service");
        assert!(!installed.path(&enabled).is_symlink(), "{unit}");
    }
}

/// What an installation makes, by the database of `getent`.
fn accounts() -> impl Iterator<Item = (&'static str, &'static str)> {
    let users = USERS.iter().map(|user| ("passwd", *user));
    users.chain([("group", "netpolicy")])
}

/// Upgrades, and restarts the agent as the service manager does, while a blocked and an allowed
/// source try to connect: no attempt gets another verdict. How many attempts each made.
fn upgrade_under_attempts(installed: &mut Installed, next: &str) -> usize {
    let is_over = AtomicBool::new(false);
    let Installed {
        agent,
        debian,
        host,
    } = installed;
    let attempts = std::thread::scope(|scope| {
        let attempts = scope.spawn(|| {
            let mut count = 0;
            while !is_over.load(Ordering::Acquire) {
                assert_eq!(host.connect(ALLOWED, PORT), Outcome::Connected);
                let blocked = host.connect_briefly(BLOCKED, PORT);
                assert_eq!(blocked, Outcome::TimedOut);
                count += 1;
            }
            count
        });
        let line = ["dpkg", "--install", next];
        debian::ok(&mut debian.command_in(host.db(), &line));
        stop(agent.take().unwrap());
        *agent = Some(started(debian, host));
        is_over.store(true, Ordering::Release);
        attempts.join().unwrap()
    });
    let mut query = debian.command(&["dpkg-query", "--show"]);
    query
        .arg("--showformat=${Version} ${Status}")
        .arg("netpolicy");
    assert_eq!(debian::ok(&mut query), "0.1.1-1 install ok installed");
    let policies = installed.ok("netpolicy policy list");
    assert!(policies.contains("abuse"), "{policies}");
    attempts
}

/// What installs, upgrades and removes a kind of package.
struct Manager {
    file: fn(&str) -> String,
    install: &'static str,
    upgrade: &'static str,
    remove: &'static str,
}

const DPKG: Manager = Manager {
    file: |version| format!("netpolicy_{version}-1_amd64.deb"),
    install: "dpkg --install",
    upgrade: "dpkg --install",
    remove: "dpkg --purge netpolicy",
};

const RPM: Manager = Manager {
    file: |version| format!("netpolicy-{version}-1.x86_64.rpm"),
    install: "rpm --force-debian --nodeps --install",
    upgrade: "rpm --force-debian --nodeps --upgrade",
    remove: "rpm --force-debian --erase netpolicy",
};

const INSTANCE: &str = "netpolicy@tenant";

/// The other services. The administrator starts all but the first, which the package starts where
/// it is Debian's.
const SERVICES: [&str; 4] = [
    "netpolicy-feed",
    "netpolicy-exporter",
    "netpolicy-notify",
    "netpolicy-console",
];

/// What feeds and hooks are.
const NET_PROGRAM: &str = "/usr/libexec/netpolicy/netpolicy-net";

/// The users of the services.
const USERS: [&str; 4] = [
    "netpolicy-feed",
    "netpolicy-crowdsec",
    "netpolicy-metrics",
    "netpolicy-console",
];

/// Under systemd: the agent of the host, and that of another namespace, whose filter is one of
/// clsact, which needs no pin to stay.
#[test]
fn packages_serve_the_host_and_another_namespace_under_systemd() {
    if !debian::is_long() {
        println!("skipped: makes a Debian; NETPOLICY_TEST_LONG=1 runs it");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let versions = ["0.1.0", "0.1.1"];
    let made = versions.map(|version| debian::packages(&dir.path().join(version), version, false));
    for manager in [DPKG, RPM] {
        let (debian, host) = (Debian::new(), DatabaseHost::without_agent());
        let tenant = DatabaseHost::without_agent();
        let both = |expected: Outcome| {
            for host in [&host, &tenant] {
                assert_eq!(host.connect_briefly(BLOCKED, PORT), expected);
            }
        };
        let files = [0, 1].map(|at| {
            let name = (manager.file)(versions[at]);
            debian.take(&made[at].with_file_name(name))
        });
        let booted = debian.boot(host.db(), tenant.db(), "tenant");
        println!(
            "{}",
            booted.ok(&format!("{} {}", manager.install, files[0]))
        );
        both(Outcome::Connected);

        // The file is read by both units of the host.
        fs::write(
            debian.path("etc/netpolicy/environment"),
            "NETPOLICY_CONFIG=/etc/netpolicy/other.toml\n",
        )
        .unwrap();
        let config = |name: &str, text: String| {
            fs::write(debian.path(&format!("etc/netpolicy/{name}.toml")), text).unwrap();
        };
        // Process 1 is not the machine's, which the agent notices.
        let interfaces = format!("bpffs = \"host\"\ninterfaces = [\"{NIC}\"]\n");
        config("other", interfaces.clone());
        config(
            "tenant",
            format!(
                "socket = \"/run/netpolicy/tenant/agent.sock\"\nhook = \"clsact\"\n{interfaces}"
            ),
        );
        booted.ok("systemctl restart netpolicy");
        booted.ok(&format!("systemctl enable --now {INSTANCE}"));
        booted.ok("netpolicy policy create abuse --block 10.66.0.0/16");
        booted.ok(
            "netpolicy --config /etc/netpolicy/tenant.toml policy create abuse --block 10.66.0.0/16",
        );
        both(Outcome::TimedOut);
        booted.ok("netpolicy grant metrics --to user:netpolicy-metrics");
        booted.ok(&format!("systemctl start {}", SERVICES.join(" ")));

        let units: Vec<_> = ["netpolicy", INSTANCE]
            .into_iter()
            .chain(SERVICES)
            .collect();
        let properties = |name: &str| -> Vec<String> {
            let each = units.iter().map(|unit| booted.property(unit, name));
            each.collect()
        };
        let before = properties("MainPID");
        booted.ok(&format!("{} {}", manager.upgrade, files[1]));
        both(Outcome::TimedOut);
        for (unit, (before, after)) in units.iter().zip(before.iter().zip(properties("MainPID"))) {
            assert_ne!(*before, after, "{unit} is restarted");
            assert_eq!(booted.property(unit, "ActiveState"), "active", "{unit}");
            let exe = booted.ok(&format!("readlink /proc/{after}/exe"));
            let is_installed = ["/usr/bin/netpolicy", NET_PROGRAM].contains(&exe.trim());
            assert!(is_installed, "{unit}: {exe}");
        }
        let restarts = properties("NRestarts");
        assert!(restarts.iter().all(|count| count == "0"), "{restarts:?}");

        // A reboot.
        wait_for_snapshot(&debian);
        drop(booted);
        netpolicy_tests::pins::remove(&debian.path("sys/fs/bpf/netpolicy"));
        assert_eq!(host.connect_briefly(BLOCKED, PORT), Outcome::Connected);
        let booted = debian.boot(host.db(), tenant.db(), "tenant");
        both(Outcome::TimedOut);
        let early = booted.ok("journalctl --unit=netpolicy-early --output=cat --no-pager");
        for said in ["revision 1 is in force", "interface nic0 is filtered"] {
            assert!(early.contains(said), "{early}");
        }

        booted.ok(&format!("systemctl start {}", SERVICES.join(" ")));
        // Nothing could end it without the program.
        let said = booted.ok(manager.remove);
        println!("{said}");
        both(Outcome::Connected);
        for unit in &units {
            assert_eq!(booted.property(unit, "ActiveState"), "inactive", "{unit}");
        }
        let filters = tenant.db().command("tc");
        let filters = debian::ok({ filters }.args(["filter", "show", "dev", NIC, "ingress"]));
        assert_eq!(filters, "");
        assert!(!debian.path("sys/fs/bpf/netpolicy").exists());
        let wants = debian.path("etc/systemd/system/multi-user.target.wants");
        let left = fs::read_dir(wants).into_iter().flatten().flatten();
        let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
        let is_ours = |name: &std::ffi::OsString| name.to_string_lossy().contains("netpolicy");
        assert!(!left.iter().any(is_ours), "{left:?}");
    }
}

/// Waits until what was confirmed is in the snapshot.
fn wait_for_snapshot(debian: &Debian) {
    let snapshot = debian.path("var/lib/netpolicy/early.snapshot");
    let deadline = Instant::now() + Duration::from_secs(20);
    let revision = |content: Vec<u8>| content.get(48).copied();
    while fs::read(&snapshot).ok().and_then(revision) != Some(1) {
        assert!(Instant::now() < deadline, "no snapshot");
        std::thread::sleep(Duration::from_millis(50));
    }
}
