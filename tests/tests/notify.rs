//! Hooks: run by an unprivileged process for faults, lockouts, being detached and bursts of bans,
//! while the agent waits for none of them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use netpolicy_tests::command::assert_has;
use netpolicy_tests::https::{Answer, HttpsServer};
use netpolicy_tests::process::Process;
use netpolicy_tests::{DatabaseHost, Options, binary};
use serde_json::Value;

const USER: (&str, &str) = ("nobody", "nogroup");
const HTTPS: u16 = 8443;
const LIMIT: Duration = Duration::from_secs(25);

/// `netpolicy-net notify …` in the host's namespace.
fn notify(host: &DatabaseHost, user: Option<(&str, &str)>, args: &[&str]) -> Command {
    let own = host.command_as(USER.0, USER.1);
    let mut command = host.db().command("setpriv");
    if let Some((user, group)) = user {
        command.args(["--reuid", user, "--regid", group, "--init-groups"]);
    } else {
        command.arg("--no-new-privs");
    }
    command.arg("--").arg(binary::netpolicy_net()).arg("notify");
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("SSL_CERT_FILE", host.file("ca.pem"));
    command.args(args).current_dir("/");
    command
}

/// A host whose hooks write to a file and post to a server; what the file gets is in `told`.
fn host_with_hooks(more: &str) -> (DatabaseHost, HttpsServer) {
    let mut host = DatabaseHost::with(&Options {
        agent: false,
        ..Options::default()
    });
    let server = HttpsServer::start(host.db(), HTTPS);
    server.answer("/hook", Answer::body("ok"));
    host.write("ca.pem", server.certificate());
    host.write("told", "");
    let script = "#!/bin/sh\n{ cat; echo; } >> \"$1\"\n";
    host.write("hook.sh", script);
    for (name, mode) in [("ca.pem", 0o644), ("told", 0o666), ("hook.sh", 0o755)] {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(host.file(name), mode).unwrap();
    }
    let all = "on = [\"fault\", \"lockout\", \"detach\", \"ban-burst\"]";
    let (hook, told) = (host.file("hook.sh"), host.file("told"));
    let url = server.url("/hook");
    let config = fs::read_to_string(host.file("config.toml")).unwrap()
        + &format!(
            "[bans]\nburst = 5\n\n[[notify]]\n{all}\nrun = [{hook:?}, {told:?}]\n\n\
             [[notify]]\non = [\"lockout\"]\nurl = \"{url}\"\n{more}"
        );
    host.write("config.toml", config);
    host.start_agent();
    (host, server)
}

fn told(host: &DatabaseHost) -> Vec<Value> {
    let text = fs::read_to_string(host.file("told")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Waits for a notice of a topic that this is so of.
#[track_caller]
fn wait_for(
    host: &DatabaseHost,
    process: &Process,
    topic: &str,
    is_so: impl Fn(&Value) -> bool,
) -> Value {
    let begun = Instant::now();
    loop {
        let found = told(host);
        let mut found = found.into_iter();
        if let Some(notice) = found.find(|notice| notice["topic"] == topic && is_so(notice)) {
            return notice;
        }
        assert!(
            begun.elapsed() < LIMIT,
            "{topic}: {:#?}\n{}",
            told(host),
            process.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn run_ip(host: &DatabaseHost, line: &str) {
    let mut ip = host.db().command("ip");
    let out = ip.args(line.split(' ')).output().unwrap();
    assert!(out.status.success(), "{line}: {out:?}");
}

#[test]
fn hooks_are_run_for_what_they_are_configured_for() {
    let (host, server) = host_with_hooks("");
    let as_root = notify(&host, None, &["run"]).output().unwrap();
    let said = String::from_utf8_lossy(&as_root.stderr).into_owned();
    assert!(said.contains("refuses to run as root"), "{said}");

    let process = Process::start(
        notify(&host, Some(USER), &["run"]),
        &host.file("notify.log"),
    );
    let begun = Instant::now();
    while !process.log().contains("netpolicy grant metrics") {
        assert!(begun.elapsed() < LIMIT, "{}", process.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    host.ok("grant metrics --to user:nobody");
    while !process.log().contains("hook=run") {
        assert!(begun.elapsed() < LIMIT, "{}", process.log());
        std::thread::sleep(Duration::from_millis(50));
    }

    // A change that would lock its operator out, by the command and by HTTPS.
    let refused = host.line("policy create office --block 10.0.0.1 --from 10.0.0.1");
    assert_has(refused.failed(1), &["error: "]);
    let notice = wait_for(&host, &process, "lockout", |_| true);
    assert_eq!(notice["actor"], "root");
    let text = notice["text"].as_str().unwrap();
    assert!(
        text.contains("policy create office: refused: the change would lock you out"),
        "{text}"
    );
    assert!(
        notice["host"].is_string() && notice["id"].as_u64() >= Some(1),
        "{notice:#}"
    );
    while server.requests("/hook").is_empty() {
        assert!(begun.elapsed() < LIMIT, "{}", process.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    let [request] = &server.requests("/hook")[..] else {
        panic!("posted once");
    };
    assert_eq!(request.headers["content-type"], "application/json");
    let posted: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(
        (&posted["topic"], &posted["text"]),
        (&notice["topic"], &notice["text"])
    );

    // Filtering is stopped and begins again.
    host.ok("detach --yes");
    let notice = wait_for(&host, &process, "detach", |notice| notice["over"] == false);
    assert!(
        notice["text"]
            .as_str()
            .unwrap()
            .starts_with("detached by root"),
        "{notice:#}"
    );
    host.ok("attach");
    wait_for(&host, &process, "detach", |notice| notice["over"] == true);

    // A fault that begins and ends: an interface with an address that is not filtered.
    for line in [
        "link add extra0 type veth peer name extra1",
        "address add 198.51.100.1/24 dev extra0",
        "link set extra0 up",
    ] {
        run_ip(&host, line);
    }
    let notice = wait_for(&host, &process, "fault", |notice| notice["over"] == false);
    let text = notice["text"].as_str().unwrap();
    assert!(text.contains("extra0"), "{text}");
    run_ip(&host, "link delete extra0");
    wait_for(&host, &process, "fault", |notice| {
        notice["fault"] == "interfaces" && notice["over"] == true
    });

    host.ok("ban 203.0.113.1 203.0.113.2 203.0.113.3 203.0.113.4");
    host.ok("ban 203.0.113.5 203.0.113.6");
    let notice = wait_for(&host, &process, "ban-burst", |_| true);
    assert_eq!(notice["bans"], 6);
    assert_eq!(server.requests("/hook").len(), 1, "only what it is on");
}

#[test]
fn hook_that_hangs_delays_neither_the_agent_nor_other_hooks() {
    let (mut host, _server) = host_with_hooks(
        "\n[[notify]]\non = [\"lockout\", \"detach\", \"ban-burst\"]\nrun = [\"/bin/sleep\", \"1000\"]\ntimeout = \"5m\"\n",
    );
    host.ok("grant metrics --to user:nobody");
    let process = Process::start(
        notify(&host, Some(USER), &["run"]),
        &host.file("notify.log"),
    );
    let begun = Instant::now();
    while !process.log().contains("hook=run /bin/sleep") {
        assert!(begun.elapsed() < LIMIT, "{}", process.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    for _ in 0..2 {
        host.ok("detach --yes");
        std::thread::sleep(Duration::from_millis(1200));
        host.ok("attach");
        std::thread::sleep(Duration::from_millis(1200));
    }
    wait_for(&host, &process, "detach", |notice| notice["over"] == true);
    let sleeping = || {
        let mut pgrep = Command::new("pgrep");
        pgrep.args(["-P", &process.pid().to_string(), "-x", "sleep"]);
        String::from_utf8(pgrep.output().unwrap().stdout).unwrap()
    };
    assert_eq!(sleeping().lines().count(), 1, "one at a time");

    // A restarted agent is followed again: its present faults come first.
    host.kill_agent();
    host.start_agent();
    let before = told(&host).len();
    host.ok("detach --yes");
    let found = |host: &DatabaseHost| {
        told(host)[before..]
            .iter()
            .any(|notice| notice["topic"] == "detach")
    };
    let begun = Instant::now();
    while !found(&host) {
        assert!(
            begun.elapsed() < LIMIT,
            "{:#?}\n{}",
            told(&host),
            process.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn test_of_hooks_says_what_came_of_each_and_fails_with_one() {
    let (host, server) =
        host_with_hooks("\n[[notify]]\non = [\"fault\"]\nrun = [\"/bin/false\"]\n");
    let out = notify(&host, None, &["test"]).output().unwrap();
    let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    assert_eq!(out.status.code(), Some(1), "{said}");
    let lines: Vec<_> = said.lines().collect();
    let hook = host.file("hook.sh");
    assert!(
        lines[0].starts_with(&format!("run {}: done in ", hook.display())),
        "{said}"
    );
    assert!(
        lines[1].starts_with("post to https://127.0.0.1:8443: done in "),
        "{said}"
    );
    assert_eq!(
        lines[2],
        "run /bin/false: failed: it ended with exit status: 1"
    );
    assert_eq!(lines[3], "error: 1 of the hooks failed");
    assert_eq!(told(&host)[0]["topic"], "test");
    let posted = &server.requests("/hook")[0].body;
    assert!(posted.contains("nothing is wrong"), "{posted}");
    server.answer("/hook", Answer::Status(500));
    let begun = Instant::now();
    let out = notify(&host, None, &["test", "--output", "json"])
        .output()
        .unwrap();
    let lines = String::from_utf8(out.stdout).unwrap();
    let second: Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
    assert_eq!(second["error"], "the server answered 500");
    assert!(
        begun.elapsed() >= Duration::from_secs(6),
        "tried three times"
    );
}
