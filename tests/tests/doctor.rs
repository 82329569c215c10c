//! `netpolicy doctor`: what it says of hosts with something wrong, and that its report holds no
//! address.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use netpolicy_tests::command::assert_has;
use netpolicy_tests::foreign::Foreign;
use netpolicy_tests::host::{NIC, run};
use netpolicy_tests::netns::{End, join};
use netpolicy_tests::{DatabaseHost, NetNs, Options, binary};
use serde_json::Value;

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";

/// The exit code and the lines.
fn examine(host: &DatabaseHost, more: &[&str]) -> (Option<i32>, Vec<Value>) {
    let args = [&["doctor", "--output", "json"], more].concat();
    let out = host.netpolicy(&args);
    let report: Value = serde_json::from_str(&out.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", out.stdout, out.stderr));
    let lines = report["lines"].as_array().unwrap().clone();
    (out.code, lines)
}

/// Whether there is such a line that is like that and says this; a line that is not OK says
/// what to do.
fn has(lines: &[Value], check: &str, health: &str, found: &str) -> bool {
    lines.iter().any(|line| {
        assert_eq!(line["health"] == "ok", line["advice"].is_null(), "{line}");
        line["check"] == check
            && line["health"] == health
            && line["found"].as_str().unwrap().contains(found)
    })
}

#[track_caller]
fn assert_line(lines: &[Value], check: &str, health: &str, found: &str) {
    assert!(
        has(lines, check, health, found),
        "no {health} {check} {found}: {lines:#?}"
    );
}

fn failures(lines: &[Value]) -> Vec<&Value> {
    lines
        .iter()
        .filter(|line| line["health"] == "fail")
        .collect()
}

/// A directory with systemd's running mark and the unit as it is installed.
fn system_root(host: &DatabaseHost) -> PathBuf {
    let root = host.file("root");
    fs::create_dir_all(root.join("run/systemd/system")).unwrap();
    let units = root.join("usr/lib/systemd/system");
    fs::create_dir_all(&units).unwrap();
    for name in ["netpolicy.service", "netpolicy-early.service"] {
        let unit = binary::workspace().join("packaging/systemd").join(name);
        fs::copy(unit, units.join(name)).unwrap();
    }
    let wants = root.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    let link = wants.join("netpolicy.service");
    std::os::unix::fs::symlink("/lib/systemd/system/netpolicy.service", link).unwrap();
    root
}

#[test]
fn host_without_faults_has_no_failure_and_exit_code_0() {
    let host = DatabaseHost::start();
    host.ok("policy create office --block 10.66.0.0/16");
    let root = system_root(&host);
    let root = root.to_str().unwrap();
    let (code, lines) = examine(&host, &["--root", root]);
    assert_eq!(failures(&lines), Vec::<&Value>::new());
    assert_eq!(code, Some(0));
    for (check, found) in [
        ("kernel", "Linux "),
        ("JIT", "the loaded program is compiled"),
        ("configuration", "valid"),
        ("agent", "runs, pid "),
        ("bpffs", "outlives the agent"),
        ("versions", "agent and command are"),
        ("program", "this version's program"),
        ("interface nic0", "veth, MTU 1500"),
        ("unit", "starts before the network"),
    ] {
        assert_line(&lines, check, "ok", found);
    }
    let table = host.ok(&format!("doctor --root {root}"));
    assert_has(
        &table,
        &["OK ", " kernel ", "OK ", " unit ", "0 failures, "],
    );
}

#[test]
fn what_is_in_the_way_of_filtering_has_a_line_that_says_what_to_do() {
    let mut host = DatabaseHost::with(&Options {
        config: "hook = \"tcx\"\n".to_owned(),
        agent: false,
    });
    let other = NetNs::new();
    let end = |ns, mac| End {
        ns,
        interface: "nic1",
        mac,
    };
    join(
        end(host.db(), "02:00:00:00:00:03"),
        end(&other, "02:00:00:00:00:04"),
    );
    host.db().add_address("nic1", "172.30.9.1/24");
    host.db().ip(&["link", "add", "docker0", "type", "bridge"]);
    // An agent with fewer capabilities than its unit gives, whose binary is replaced.
    let copy = host.file("netpolicy");
    fs::copy(binary::netpolicy(), &copy).unwrap();
    let mut command = host.db().command("setpriv");
    command
        .args(["--bounding-set", "-sys_ptrace", "--"])
        .arg(&copy);
    for (name, value) in host.command().get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.args(["agent", "--interface", &format!("{NIC},mac0")]);
    host.db().ip(&[
        "link", "add", "link", NIC, "name", "mac0", "up", "type", "macvlan", "mode", "private",
    ]);
    host.spawn(command);
    host.wait_for_agent();
    fs::remove_file(&copy).unwrap();
    let ahead = Foreign::accepting_first(host.db(), NIC);
    let nft = |rule: &str| {
        let mut command = host.db().command("nft");
        command.args(rule.split(' '));
        assert!(command.status().unwrap().success(), "{rule}");
    };
    nft("add table ip nat");
    nft("add chain ip nat prerouting { type nat hook prerouting priority -100 ; }");
    nft("add rule ip nat prerouting tcp dport 15432 redirect to :5432");
    let state = fs::File::options()
        .write(true)
        .open(host.state_dir().join("state.db"));
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    state.unwrap().set_modified(tomorrow).unwrap();

    let root = system_root(&host);
    let drop_in = root.join("etc/systemd/system/netpolicy.service.d");
    fs::create_dir_all(&drop_in).unwrap();
    let hidden = "[Unit]\nAfter=network-online.target\n[Service]\nProtectKernelTunables=yes\n\
                  Environment=NETPOLICY_CONFIG=/etc/netpolicy/other.toml\n";
    fs::write(drop_in.join("override.conf"), hidden).unwrap();
    fs::create_dir_all(root.join("etc/ufw")).unwrap();
    fs::write(root.join("etc/ufw/ufw.conf"), "ENABLED=yes\n").unwrap();

    let (code, lines) = examine(&host, &["--root", root.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    for (check, health, found) in [
        ("interface nic1", "fail", "any source may connect"),
        ("interface nic0", "fail", "runs before netpolicy"),
        ("interface mac0", "warn", "judged, and counted, at nic0 too"),
        ("capabilities", "warn", "CAP_SYS_PTRACE"),
        ("versions", "warn", "replaced or removed"),
        ("clock", "warn", "was set back"),
        ("nftables", "ok", "1 table (ip nat)"),
        ("port translation", "warn", "1 nftables rule"),
        ("Docker", "ok", "docker0"),
        ("ufw", "ok", "enabled"),
        ("unit ordering", "fail", "network-online.target"),
        ("unit hardening", "fail", "/sys/fs/bpf read-only"),
        (
            "unit at boot",
            "warn",
            "NETPOLICY_CONFIG=/etc/netpolicy/other.toml, netpolicy-early",
        ),
    ] {
        assert_line(&lines, check, health, found);
    }
    drop(ahead);

    host.write("config.toml", "engin = \"flat\"\n");
    host.ok("detach --yes");
    let (code, lines) = examine(&host, &[]);
    assert_eq!(code, Some(1));
    assert_line(&lines, "configuration", "fail", "did you mean 'engine'");
    assert_line(&lines, "agent", "fail", "detached by root");
}

#[test]
fn pins_that_end_with_the_mount_namespace_and_a_full_disk_are_failures() {
    let host = DatabaseHost::without_agent();
    fs::create_dir(host.state_dir()).unwrap();
    let state = host.state_dir().display().to_string();
    let script = format!(
        "mount -t bpf bpf /sys/fs/bpf && mount -t tmpfs -o size=8m tmpfs {state} && exec \"$@\""
    );
    let mut command = host.db().command("unshare");
    command.args([
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        &script,
        "sh",
    ]);
    command.arg(binary::netpolicy());
    for (name, value) in host.command().get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let args = ["doctor", "--output", "json"];
    command.args(args);
    let out = run(command, &args, "");
    assert_eq!(out.code, Some(1), "{}", out.stderr);
    let report: Value = serde_json::from_str(&out.stdout).unwrap();
    let lines = report["lines"].as_array().unwrap();
    assert_line(
        lines,
        "bpffs",
        "fail",
        "filtering would end with this mount namespace",
    );
    assert_line(lines, "disk", "fail", "8 MiB free");
    assert_line(lines, "agent", "fail", "nothing is in force");
}

#[test]
fn warnings_are_a_failure_only_where_that_is_requested() {
    let mut host = DatabaseHost::start();
    host.ok("policy create office --block 10.66.0.0/16");
    host.kill_agent();
    let root = host.file("root");
    fs::create_dir(&root).unwrap();
    let root = root.to_str().unwrap();
    let (code, lines) = examine(&host, &["--root", root]);
    assert_line(&lines, "agent", "warn", "what is in force stays so");
    assert_eq!((code, failures(&lines).len()), (Some(0), 0), "{lines:#?}");
    assert_eq!(examine(&host, &["--root", root, "--strict"]).0, Some(1));
}

/// What is like an IP or MAC address in a text.
fn addresses(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_hexdigit() || c == '.' || c == ':';
    let words = text
        .split(|c| !is_part(c))
        .map(|word| word.trim_matches([':', '.']));
    let is_address = |word: &&str| {
        let is_mac = word.len() == 17 && word.split(':').count() == 6;
        is_mac || word.parse::<IpAddr>().is_ok()
    };
    words.filter(is_address).map(str::to_owned).collect()
}

#[test]
fn report_holds_what_a_developer_needs_and_no_address() {
    let host = DatabaseHost::start();
    host.ok("policy create office --allow 10.0.0.0/8 --block 10.66.0.0/16");
    host.ok("bypass grant fd00:77::5");
    host.assert_times_out(&[(BLOCKED, 5432)]);
    let _session = host.session(ALLOWED, 5432);
    // Faults and firewall rules name addresses.
    host.db().ip(&[
        "link", "add", "side0", "type", "veth", "peer", "name", "side1",
    ]);
    host.db().add_address("side0", "172.30.9.1/24");
    host.db().add_address("side0", "fd00:30::1/64");
    for rule in [
        "add table inet filter",
        "add chain inet filter input { type filter hook input priority 0 ; policy accept ; }",
        "add rule inet filter input ip saddr 203.0.113.77 drop",
        "add rule inet filter input ip6 saddr fd00:77::/64 drop",
        "add rule inet filter input ether saddr 02:00:00:00:00:0a drop",
    ] {
        let mut command = host.db().command("nft");
        command.args(rule.split(' '));
        assert!(command.status().unwrap().success(), "{rule}");
    }
    let out = host.netpolicy(&["doctor", "--report", "report.txt"]);
    assert!(
        out.stdout.contains("report written to report.txt"),
        "{}",
        out.stdout
    );
    let report = fs::read_to_string(host.file("report.txt")).unwrap();
    for part in [
        "== doctor",
        "== configuration",
        "== status",
        "== counters",
        "== interfaces",
        "== nftables",
        "\"reason\": \"blocked\"",
        "interface side0 (veth, [IPv4 ",
        "ip saddr [IPv4 ",
        "ip6 saddr [IPv6 ",
        "ether saddr [MAC ",
    ] {
        assert!(report.contains(part), "no {part}:\n{report}");
    }
    assert_eq!(addresses(&report), Vec::<String>::new(), "{report}");
    let name = rustix::system::uname();
    let name = name.nodename().to_str().unwrap();
    assert!(name.len() < 4 || !report.contains(name), "{name}: {report}");
    // Logs have the short name where the node's is qualified.
    let mut command = host.db().command("unshare");
    let named = "echo db7.prod.example.com > /proc/sys/kernel/hostname && exec \"$@\"";
    command.args(["--uts", "sh", "-c", named, "sh"]);
    command.arg(binary::netpolicy());
    for (name, value) in host.command().get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    for name in ["db7", "db7-app0"] {
        host.db().ip(&["link", "add", name, "type", "bridge"]);
    }
    let args = ["doctor", "--report", "-"];
    let out = run(
        {
            command.args(args);
            command
        },
        &args,
        "",
    );
    assert!(
        out.stdout.contains(": [host]-app0 kind bridge"),
        "{}",
        out.stdout
    );
    for name in ["db7", "example.com"] {
        assert!(!out.stdout.contains(name), "{name}: {}", out.stdout);
    }
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(host.file("report.txt"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    // It is not replaced.
    let out = host.netpolicy(&["doctor", "--report", "report.txt"]);
    assert!(out.failed(1).contains("exists already"), "{}", out.stderr);
    // The scanner finds what is to be found.
    assert_eq!(
        addresses("a 10.0.0.1:5 fd00::1, 02:00:00:00:00:0a").len(),
        2
    );
    assert_eq!(addresses("(10.0.0.1) [fd00::1]"), ["10.0.0.1", "fd00::1"]);
}

#[test]
fn certificates_of_the_feeds_unit_are_counted() {
    // Next to the other program.
    let _ = binary::netpolicy_net();
    let host = DatabaseHost::start();
    let root = system_root(&host);
    let units = root.join("usr/lib/systemd/system");
    let unit = binary::workspace().join("packaging/systemd/netpolicy-feed.service");
    fs::copy(unit, units.join("netpolicy-feed.service")).unwrap();
    let authority = rcgen::generate_simple_self_signed(vec!["feeds.example".to_owned()]).unwrap();
    host.write("ca.pem", authority.cert.pem());
    let drop_in = root.join("etc/systemd/system/netpolicy-feed.service.d");
    fs::create_dir_all(&drop_in).unwrap();
    let path = host.file("ca.pem").display().to_string();
    let named = format!("[Service]\nEnvironment=SSL_CERT_FILE={path}\n");
    fs::write(drop_in.join("ca.conf"), named).unwrap();
    let args = ["--root", root.to_str().unwrap()];

    host.ok("feed create abuse https://feeds.example/list.txt");
    let (_, lines) = examine(&host, &args);
    let found = format!("1 to trust in {path}");
    assert_line(&lines, "certificates", "ok", &found);
    host.write("ca.pem", "no certificate\n");
    let (_, lines) = examine(&host, &args);
    let found = format!("none to trust in {path}");
    assert_line(&lines, "certificates", "warn", &found);
    assert_line(&lines, "certificates", "warn", "; needed by feed 'abuse'");
    // The unit of hooks is told of no other certificates than the system's.
    assert!(
        has(&lines, "certificates", "ok", "in the system's store") || {
            has(&lines, "certificates", "warn", "in the system's store")
        }
    );
}

#[test]
fn user_without_privileges_gets_lines_instead_of_an_error() {
    let host = DatabaseHost::start();
    let mut command = host.command_as("daemon", "daemon");
    let args = ["doctor", "--output", "json"];
    command.args(args);
    let out = run(command, &args, "");
    let report: Value = serde_json::from_str(&out.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", out.stdout, out.stderr));
    let lines = report["lines"].as_array().unwrap();
    assert_line(
        lines,
        "capabilities",
        "warn",
        "this command lacks CAP_NET_ADMIN",
    );
    assert_line(lines, "kernel", "ok", "Linux ");
}
