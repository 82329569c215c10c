//! The systemd unit: hardened, enough for what the agent does, and ordered without a cycle.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use netpolicy_tests::command::run;
use netpolicy_tests::host::NIC;
use netpolicy_tests::units::{
    UNITS, allowed_calls, made_calls, path_of, restricted, said, values_in, wrapped,
};
use netpolicy_tests::{DatabaseHost, NetNs, binary};

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";

/// Highest exposure that `systemd-analyze security` may tell.
const EXPOSURE: f64 = 3.0;

/// The unit that earlier documents told to copy: with default dependencies.
const FORMER: &str = "\
[Unit]
Description=Network policies for TCP connection attempts
Wants=network-pre.target
Before=network-pre.target

[Service]
Type=notify
ExecStart=/usr/bin/netpolicy agent

[Install]
WantedBy=multi-user.target
";

/// Debian's packages whose units decide about the order at boot.
const PACKAGES: [&str; 5] = ["systemd", "cloud-init", "ifupdown", "udev", "dbus"];

/// What an installation enables: the unit, and the target that wants it.
const ENABLED: [(&str, &str); 8] = [
    ("cloud-init.target", "multi-user.target"),
    ("cloud-init-local.service", "cloud-init.target"),
    ("cloud-init.service", "cloud-init.target"),
    ("cloud-config.service", "cloud-init.target"),
    ("cloud-final.service", "cloud-init.target"),
    ("networking.service", "multi-user.target"),
    ("networking.service", "network-online.target"),
    ("systemd-networkd.service", "multi-user.target"),
];

fn unit() -> PathBuf {
    path_of(UNITS[0])
}

/// The values of a setting of the agent's unit, all lines together.
fn values(key: &str) -> Vec<String> {
    values_in(&unit(), key)
}

/// The agent in the host's namespace, started by `wrapper`.
fn agent(host: &DatabaseHost, wrapper: &[String]) -> Command {
    wrapped(host, wrapper, &["agent", "--interface", NIC])
}

fn exposure(unit: &Path) -> f64 {
    let mut command = Command::new("systemd-analyze");
    command
        .args(["security", "--offline=yes", "--no-pager"])
        .arg(unit);
    let said = said(&mut command);
    let level = said.split("Overall exposure level for").nth(1).unwrap();
    let level = level.split(": ").nth(1).unwrap().split(' ').next().unwrap();
    level.parse().unwrap()
}

#[test]
fn unit_is_exposed_to_3_0_at_most() {
    let dir = binary::workspace().join("packaging/systemd");
    let mut found: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut units = UNITS.to_vec();
    found.sort();
    units.sort_unstable();
    assert_eq!(found, units, "each unit of the packages is known here");
    for name in UNITS {
        let found = exposure(&path_of(name));
        assert!(found <= EXPOSURE, "{name}: {found}");
    }
    // The analysis tells a unit without restrictions from this one.
    let dir = tempfile::tempdir().unwrap();
    let former = dir.path().join("former.service");
    fs::write(&former, FORMER).unwrap();
    assert!(exposure(&former) > 2.0 * EXPOSURE);
}

#[test]
fn examples_of_units_are_ones_that_systemd_reads() {
    let dir = binary::workspace().join("contrib/systemd");
    let scratch = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for file in fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let copy = scratch.path().join(path.file_name().unwrap());
        // What units run has to be there.
        fs::write(&copy, text.replace("/usr/bin/netpolicy", "/bin/true")).unwrap();
        names.push(copy);
    }
    assert_eq!(names.len(), 2, "{names:?}");
    let verify = |paths: &[PathBuf]| {
        let mut command = Command::new("systemd-analyze");
        said(command.args(["verify", "--man=no"]).args(paths))
    };
    assert_eq!(verify(&names), "");
    let service = scratch.path().join("netpolicy-list.service");
    let text = fs::read_to_string(&service).unwrap();
    fs::write(&service, text.replace("ProtectHome=", "ProtectHme=")).unwrap();
    assert!(verify(&[service]).contains("Unknown key 'ProtectHme'"));
}

#[test]
fn template_is_the_agents_unit_for_another_namespace() {
    let settings = |name: &str| -> BTreeSet<String> {
        let text = fs::read_to_string(path_of(name)).unwrap();
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && line.contains('='));
        lines.map(str::to_owned).collect()
    };
    let (agent, template) = (
        settings("netpolicy.service"),
        settings("netpolicy@.service"),
    );
    let differing = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
        let keys = one
            .difference(other)
            .map(|line| line.split('=').next().unwrap().to_owned());
        keys.collect::<BTreeSet<_>>()
    };
    let of_instance = [
        "After",
        "Description",
        "Environment",
        "EnvironmentFile",
        "ExecStart",
        "RuntimeDirectory",
        "StateDirectory",
        "Wants",
    ];
    let of_instance = of_instance.map(str::to_owned).into();
    let differing = &differing(&template, &agent) | &differing(&agent, &template);
    assert_eq!(differing, of_instance);
    // Two agents of two units have nothing in common that they would fight for.
    let own = |line: &&String| line.starts_with("Environment=") && line.contains("%i");
    let own = template.iter().filter(own).count();
    assert_eq!(own, 4, "configuration, socket, state, pins: {template:?}");
    // nsenter is replaced by the agent, so that the unit's process is the agent.
    let start = values_in(&path_of(UNITS[2]), "ExecStart");
    let expected = [
        "/usr/bin/nsenter",
        "--net=/run/netns/%i",
        "--",
        "/usr/bin/netpolicy",
        "agent",
    ];
    assert_eq!(start, expected);
    let namespace = NetNs::new();
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", namespace.path().display()));
    command.args(["--", "sh", "-c", "echo $$"]);
    let child = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    let printed = child.wait_with_output().unwrap().stdout;
    assert_eq!(String::from_utf8_lossy(&printed).trim(), pid);
}

#[test]
fn snapshot_is_put_in_force_with_the_capabilities_and_system_calls_of_its_unit() {
    let unit = path_of(UNITS[1]);
    let mut host = DatabaseHost::with(&netpolicy_tests::Options {
        config: format!("engine = \"flat\"\ninterfaces = [\"{NIC}\"]\n"),
        agent: true,
    });
    host.ok("policy create abuse --block 10.66.0.0/16");
    let begun = std::time::Instant::now();
    while !host
        .line("doctor")
        .stdout
        .contains("of revision 1: in force at")
    {
        assert!(begun.elapsed() < std::time::Duration::from_secs(20));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    host.kill_agent();
    netpolicy_tests::pins::remove(host.bpffs_dir());
    let log = host.file("calls");
    let mut wrapper = restricted(&values_in(&unit, "CapabilityBoundingSet"));
    wrapper.extend(["strace", "-f", "-qq", "-o", log.to_str().unwrap(), "--"].map(str::to_owned));
    let command = wrapped(&host, &wrapper, &["early"]);
    let said = run(command, &["early"], "");
    assert!(said.ok().contains("is filtered"), "{}", said.stdout);
    host.assert_times_out(&[(BLOCKED, 5432)]);
    let (made, _) = made_calls(&log);
    let allowed = allowed_calls(&unit);
    let refused: Vec<_> = made.difference(&allowed).collect();
    assert!(refused.is_empty() && made.contains("bpf"), "{refused:?}");
}

/// A command of an operator who came from `address` by SSH.
fn from_ssh(host: &DatabaseHost, address: &str, line: &str) -> netpolicy_tests::command::Output {
    let mut command = host.command();
    command.env("SSH_CONNECTION", format!("{address} 40000 192.0.2.1 22"));
    let args: Vec<_> = line.split(' ').collect();
    command.args(&args);
    run(command, &args, "")
}

#[test]
fn agent_works_with_the_capabilities_of_its_unit() {
    let capabilities = values("CapabilityBoundingSet");
    let mut host = DatabaseHost::without_agent();
    let command = agent(&host, &restricted(&capabilities));
    host.spawn(command);
    host.wait_for_agent();
    host.ok("policy create abuse --block 10.66.0.0/16");
    host.assert_connects(&[(ALLOWED, 5432)]);
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host.ok("verify");
    assert_eq!(host.status()["faults"], serde_json::json!([]));
    // CAP_SYS_PTRACE: a shell of root has more capabilities than the agent. From Linux 6.14 on
    // CAP_PERFMON and CAP_SYS_ADMIN do for that, too.
    let lockout = "policy create office --allow 10.0.0.0/16";
    let refused = from_ssh(&host, "198.51.100.7", lockout);
    assert!(
        refused.failed(1).contains("lock you out"),
        "{}",
        refused.stderr
    );
    // CAP_DAC_READ_SEARCH: what another user's process has in /proc is that user's.
    host.ok("grant create --to user:daemon");
    host.ok("grant attach --to user:daemon");
    let mut command = host.command_as("daemon", "daemon");
    command.env("SSH_CONNECTION", "198.51.100.7 40000 192.0.2.1 22");
    let args: Vec<_> = lockout.split(' ').collect();
    command.args(&args);
    let refused = run(command, &args, "");
    assert!(
        refused.failed(1).contains("lock you out"),
        "{}",
        refused.stderr
    );
    host.ok("detach --yes");
    host.assert_connects(&[(BLOCKED, 5432)]);
}

#[test]
fn agent_makes_only_system_calls_that_its_unit_allows() {
    let allowed = allowed_calls(&unit());
    assert!(allowed.len() > 200, "{}", allowed.len());
    let mut host = DatabaseHost::without_agent();
    let log = host.file("calls");
    let wrapper = ["strace", "-f", "-qq", "-o", log.to_str().unwrap(), "--"];
    let command = agent(&host, &wrapper.map(str::to_owned));
    host.spawn(command);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while host.status()["enforcement"]["state"] != "attached" {
        assert!(
            std::time::Instant::now() < deadline,
            "{}",
            host.agent().log()
        );
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    host.ok("service add postgres --port 5432");
    let session = host.session(BLOCKED, 5432);
    host.ok("policy create abuse --block 10.66.0.0/16 --existing cut --confirm-within 60s");
    host.ok("confirm");
    host.ok("bypass grant 10.66.0.9 --service postgres");
    host.ok("grant create --to user:daemon");
    host.ok("verify");
    host.ok(&format!("explain {BLOCKED} --port 5432"));
    host.ok(&format!("backup {}", host.file("backup").display()));
    host.ok("detach --yes");
    host.ok("attach");
    drop(session);
    let (made, text) = made_calls(&log);
    assert!(made.contains("bpf") && made.len() > 50, "{made:?}");
    let refused: Vec<_> = made.difference(&allowed).collect();
    assert!(refused.is_empty(), "{refused:?}");

    let families = values("RestrictAddressFamilies");
    let sockets = text.split(" socket(").skip(1);
    let used: BTreeSet<_> = sockets.filter_map(|call| call.split(',').next()).collect();
    assert!(
        used.contains("AF_NETLINK") && used.contains("AF_UNIX"),
        "{used:?}"
    );
    for family in used {
        assert!(families.iter().any(|allowed| allowed == family), "{family}");
    }
}

/// A root with the units of Debian's packages, enabled as an installation does.
struct Root {
    dir: tempfile::TempDir,
}

impl Root {
    fn new() -> Self {
        let root = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let packages = root.dir.path().join("packages");
        fs::create_dir(&packages).unwrap();
        // apt's own user writes there.
        fs::set_permissions(&packages, fs::Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(root.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        said(
            Command::new("apt-get")
                .args(["--quiet", "download"])
                .args(PACKAGES)
                .current_dir(&packages),
        );
        let unpacked = root.path("");
        for package in fs::read_dir(&packages).unwrap() {
            let package = package.unwrap().path();
            said(
                Command::new("dpkg-deb")
                    .arg("-x")
                    .arg(package)
                    .arg(&unpacked),
            );
        }
        // As on a merged /usr, where Debian 12 is.
        for name in ["lib", "bin", "sbin"] {
            let (from, to) = (root.path(name), root.path("usr").join(name));
            if from.exists() {
                let from = from.join(".");
                said(Command::new("cp").arg("-a").arg(from).arg(&to));
                fs::remove_dir_all(root.path(name)).unwrap();
            }
            symlink(format!("usr/{name}"), root.path(name)).unwrap();
        }
        for (unit, target) in ENABLED {
            root.enable(unit, target);
        }
        let default = root.path("etc/systemd/system/default.target");
        symlink("/lib/systemd/system/graphical.target", default).unwrap();
        // It is only looked for.
        fs::copy("/bin/true", root.path("usr/bin/netpolicy")).unwrap();
        root
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("root").join(name)
    }

    fn enable(&self, unit: &str, target: &str) {
        let wants = self.path(&format!("etc/systemd/system/{target}.wants"));
        fs::create_dir_all(&wants).unwrap();
        // Of a template, any instance.
        let name = unit.replace("@.", "@db.");
        symlink(format!("/lib/systemd/system/{unit}"), wants.join(name)).unwrap();
    }

    fn write_unit(&self, name: &str, text: &str) {
        fs::write(self.path("usr/lib/systemd/system").join(name), text).unwrap();
    }

    /// Installs and enables all units of the packages; their names.
    fn install(&self) -> Vec<String> {
        // What units run has to be there.
        fs::copy("/bin/true", self.path("usr/bin/nsenter")).unwrap();
        let mut names = Vec::new();
        for file in fs::read_dir(unit().parent().unwrap()).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            self.write_unit(&name, &text);
            let wanted = text
                .lines()
                .filter_map(|line| line.strip_prefix("WantedBy="));
            for target in wanted.flat_map(str::split_whitespace) {
                self.enable(&name, target);
            }
            names.push(name);
        }
        names
    }

    /// What systemd has against the units that are started at boot. It ends with 0 whatever
    /// it leaves out.
    fn complaints(&self) -> String {
        let mut root = std::ffi::OsString::from("--root=");
        root.push(self.path(""));
        let mut command = Command::new("systemd-analyze");
        said(
            command
                .args(["verify", "--man=no"])
                .arg(root)
                .arg("default.target"),
        )
    }
}

#[test]
fn units_make_no_ordering_cycle_with_debians_units() {
    if std::env::var_os("NETPOLICY_TEST_LONG").is_none_or(|value| value == "0") {
        println!("skipped: downloads Debian's packages; NETPOLICY_TEST_LONG=1 runs it");
        return;
    }
    let root = Root::new();
    assert_eq!(root.complaints(), "", "Debian's own units");
    let names = root.install();
    println!("with {}", names.join(", "));
    assert!(names.iter().any(|name| name == "netpolicy.service"));
    assert_eq!(root.complaints(), "");
    // The check finds the cycle of a unit with default dependencies.
    root.write_unit("netpolicy.service", FORMER);
    let complaints = root.complaints();
    assert!(
        complaints.contains("Found ordering cycle") && complaints.contains("netpolicy.service"),
        "{complaints}"
    );
    assert!(
        complaints.contains("deleted to break ordering cycle"),
        "{complaints}"
    );
}
