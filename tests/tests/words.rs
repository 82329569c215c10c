//! Output and log while policies are not enforced: no command claims a filter that is not there.

use std::process::Command;
use std::time::Duration;

use netpolicy_tests::command::{assert_has, run};
use netpolicy_tests::host::NIC;
use netpolicy_tests::{DatabaseHost, Outcome};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const BLOCKED: &str = "10.66.0.1";

/// A host that blocks [`BLOCKED`].
fn blocking() -> DatabaseHost {
    let host = DatabaseHost::start();
    host.ok(&format!("policy create office --block {BLOCKED}"));
    host
}

/// Verdict, reason, whether it is enforced, and the verdict of the policies.
fn said(view: &Value) -> (Value, Value, Value, Value) {
    (
        view["verdict"].clone(),
        view["reason"].clone(),
        view["enforced"].clone(),
        view["policies"]["verdict"].clone(),
    )
}

fn dropped() -> (Value, Value, Value, Value) {
    (json!("drop"), json!("blocked"), json!(true), json!("drop"))
}

fn open() -> (Value, Value, Value, Value) {
    (
        json!("pass"),
        json!("not-filtered"),
        json!(false),
        json!("drop"),
    )
}

#[test]
fn no_command_claims_a_filter_while_detached_and_all_say_who_detached() {
    let mut host = blocking();
    let explain = format!("explain {BLOCKED}");
    assert_eq!(said(&host.json(&explain)), dropped());
    host.ok("detach --yes");
    assert_eq!(host.connect(BLOCKED, 5432), Outcome::Connected);

    let origin = "detached by root at 20";
    let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    assert_eq!(said(&host.json(&explain)), open());
    let table = host.ok(&explain);
    assert!(
        first(&table).starts_with("Not filtered   detached by root at 20"),
        "{table}"
    );
    assert_has(
        &table,
        &["Verdict        pass", "Policies       drop (blocked)"],
    );
    assert!(!table.contains(" agrees"), "{table}");

    let status = host.line("status");
    assert_eq!(status.code, Some(1));
    assert!(
        first(&status.stdout).starts_with("DETACHED"),
        "{}",
        status.stdout
    );
    assert_has(&first(&status.stdout), &[origin]);
    assert!(
        !status.stdout.contains("Faults        none"),
        "{}",
        status.stdout
    );
    assert_eq!(host.status()["enforcement"]["detached"]["actor"], "root");

    for line in ["verify", "counters", "policy alter office --comment new"] {
        let out = host.line(line);
        assert_eq!(out.code, Some(0), "{line}: {}", out.stderr);
        assert_has(&out.stderr, &["warning: ", origin, "nothing is filtered"]);
    }

    // An agent that starts with the marker says so, and so does its end.
    let _ = host.stop_agent();
    host.spawn_agent();
    let _ = host.wait_for_state("detached");
    host.agent().signal(Signal::SIGTERM);
    let _ = host.agent().wait(Duration::from_secs(10));
    let log = host.agent().log();
    let warnings = log
        .lines()
        .filter(|l| l.contains("WARN") && l.contains(origin));
    assert!(warnings.count() >= 1, "{log}");
    let stopped = log
        .lines()
        .rfind(|l| l.contains("stopped"))
        .unwrap_or_default();
    assert_has(stopped, &[origin, "nothing is filtered"]);
    for claim in ["enforcing", "stays in place"] {
        assert!(!log.contains(claim), "{claim}: {log}");
    }
}

#[test]
fn explain_says_pass_where_the_attempt_does_not_meet_the_filter() {
    let host = blocking();
    host.db().ip(&[
        "link", "add", "side0", "type", "veth", "peer", "name", "side1",
    ]);
    for end in ["side0", "side1"] {
        host.db().ip(&["link", "set", end, "up"]);
    }
    host.db()
        .ip(&["addr", "add", "10.77.0.1/24", "dev", "side0"]);
    host.db().ip(&[
        "link", "add", "link", NIC, "name", "over0", "type", "macvlan",
    ]);
    host.ok("policy alter office --add-block 10.77.0.0/24");
    let view = |line: &str| host.json(&format!("explain {line}"));

    let routed = view(BLOCKED);
    assert_eq!(said(&routed), dropped());
    assert_eq!(
        (&routed["interface"], &routed["arrival"]),
        (&json!(NIC), &json!("route"))
    );
    // By the route to it, and by the interface that is named.
    assert_eq!(said(&view("10.77.0.9")), open());
    assert_eq!(said(&view(&format!("{BLOCKED} --interface side0"))), open());
    assert_eq!(
        said(&view(&format!("10.77.0.9 --interface {NIC}"))),
        dropped()
    );
    assert_eq!(
        said(&view(&format!("{BLOCKED} --interface over0"))),
        dropped()
    );
    assert_has(
        &host.ok(&format!("explain {BLOCKED} --interface side0")),
        &["interface side0 is not filtered", NIC],
    );
    // The host's own addresses, and loopback.
    for own in ["10.77.0.1", "127.0.0.1", "127.1.2.3"] {
        host.ok(&format!("policy alter office --add-block {own}/32 --yes"));
        let view = view(own);
        assert_eq!(view["verdict"], "pass", "{own}: {view}");
        assert_eq!(view["enforced"], false, "{own}");
        assert_has(view["sentence"].as_str().unwrap_or_default(), &["loopback"]);
    }
    let unknown = host.line(&format!("explain {BLOCKED} --interface nope"));
    assert_has(unknown.failed(1), &["interface 'nope' does not exist"]);

    host.ok("host set --mode observe --yes");
    let observed = view(BLOCKED);
    assert_eq!(
        said(&observed),
        (
            json!("pass"),
            json!("observed-blocked"),
            json!(false),
            json!("drop")
        )
    );
    assert_has(&host.line("status").stdout, &["only observed"]);
}

#[test]
fn detach_without_an_agent_reaches_the_audit_log_of_the_next_one() {
    let mut host = blocking();
    host.kill_agent();
    host.ok("detach --yes");
    let explained = host.line(&format!("explain {BLOCKED}"));
    assert_eq!(explained.code, Some(3), "{}", explained.stderr);
    assert_has(
        &explained.stdout,
        &["Not filtered   detached by root at 20", "pass"],
    );
    let status = host.line("status");
    assert_has(&status.stdout, &["DETACHED", "detached by root at 20"]);
    assert!(host.line("attach").failed(3).contains("no agent"));
    host.start_agent();
    let audit = host.json("audit");
    let entries = audit.as_array().unwrap().iter();
    let without: Vec<_> = entries
        .filter(|e| e["changes"] == json!(["done without an agent"]))
        .map(|e| (e["action"].clone(), e["actor"].clone()))
        .collect();
    let root = |action| (json!(action), json!("root"));
    assert_eq!(without, [root("detach"), root("attach")]);
}

#[test]
fn empty_marker_of_an_older_version_keeps_the_agent_detached() {
    let mut host = blocking();
    let _ = host.stop_agent();
    std::fs::write(host.state_dir().join("detached"), "").unwrap();
    host.spawn_agent();
    let status = host.wait_for_state("detached");
    assert_eq!(status["enforcement"]["detached"]["actor"], Value::Null);
    assert_has(&host.line("status").stdout, &["DETACHED", "detached at 20"]);
}

#[test]
fn status_says_that_every_source_may_connect_without_a_policy_or_with_a_bypass_of_all() {
    let host = DatabaseHost::start();
    assert_has(
        &host.ok("status"),
        &["attached; no policy is active: every source may connect"],
    );
    host.ok("policy create office --block 10.66.0.1");
    let clean = host.ok("status");
    assert_has(&clean, &["Enforcement   attached\n", "Faults        none"]);
    for half in ["::/1", "8000::/1"] {
        host.ok(&format!("bypass grant {half} --minutes 1 --yes"));
    }
    let status = host.line("status");
    assert_eq!(status.code, Some(1));
    assert_has(
        &status.stdout,
        &["no IPv6 source is denied anywhere until 20"],
    );
    assert!(!status.stdout.contains("Faults        none"));
}

#[test]
fn each_failure_to_reach_the_agent_has_its_own_words_and_exit_code() {
    let host = blocking();
    let status = |socket: &str, limit: Option<&str>| {
        let mut command = host.command();
        if let Some(limit) = limit {
            let inner = command;
            command = Command::new("prlimit");
            command
                .arg(format!("--nofile={limit}"))
                .arg("--")
                .arg(inner.get_program());
            command.args(inner.get_args());
            for (name, value) in inner.get_envs() {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
        }
        let args = ["--socket", socket, "policy", "list"];
        command.args(args);
        run(command, &args, "")
    };
    host.write("file", "");
    let file = host.file("file").display().to_string();
    let missing = host.file("missing.sock").display().to_string();
    let stale = host.file("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let stale = stale.display().to_string();
    let other = host.file("other.sock");
    let listener = std::os::unix::net::UnixListener::bind(&other).unwrap();
    std::thread::spawn(move || {
        use std::io::Write as _;
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n");
        }
    });
    let other = other.display().to_string();
    let inside = format!("{file}/agent.sock");
    for (socket, code, words) in [
        (&missing, 3, "there is no such socket"),
        (&stale, 3, "no process listens on it"),
        (
            &file,
            1,
            "is not an agent's socket: it is another kind of file",
        ),
        (&inside, 1, "a part of the path is not a directory"),
        (&other, 1, "is not a netpolicy agent"),
    ] {
        let out = status(socket, None);
        assert_has(out.failed(code), &[words, "hint: "]);
        assert_eq!(
            out.stderr.contains("start it as root"),
            code == 3,
            "{}",
            out.stderr
        );
    }
}

#[test]
fn agent_without_descriptors_does_not_call_interfaces_unfiltered() {
    let mut host = blocking();
    let pid = host.agent().pid();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count();
    // Ever fewer, until what is in force cannot be read.
    let status = (0..=2).rev().find_map(|more| {
        let limited = Command::new("prlimit")
            .args([
                "--pid",
                &pid.to_string(),
                &format!("--nofile={}", open + more),
            ])
            .status();
        assert!(limited.unwrap().success());
        let status = host.line("status");
        (status.code == Some(1)).then_some(status)
    });
    let status = status.unwrap();
    assert_has(
        &status.stdout,
        &[
            "Enforcement   attached\n",
            &format!("Interfaces    {NIC} ("),
            "In force      not known\n",
            "what is in force cannot be read",
            "Too many open files",
        ],
    );
    for claim in [
        "not attached",
        "not filtered",
        "nothing is filtered",
        "nothing is pinned",
    ] {
        assert!(!status.stdout.contains(claim), "{claim}: {}", status.stdout);
    }
    host.assert_times_out(&[(BLOCKED, 5432)]);
}

#[test]
fn counts_of_a_removed_service_keep_its_name_and_pass_to_no_other() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    host.ok(&format!(
        "policy create office --block {BLOCKED} --service postgres"
    ));
    host.assert_times_out(&[(BLOCKED, 5432)]);
    let counted = host.counter("postgres", "blocked");
    assert!(counted > 0);
    host.ok("policy drop office --yes");
    host.ok("service remove postgres --yes");
    assert_eq!(host.counter("postgres (removed)", "blocked"), counted);
    host.ok("service add metrics --port 9187");
    assert_eq!(host.counter("metrics", "blocked"), 0);
    assert_eq!(host.counter("postgres (removed)", "blocked"), 0);

    // Also where one change removes a service and gives its number to another.
    host.write("one.toml", "[[service]]\nname = \"first\"\nports = [\"5432\"]\n[[policy]]\nname = \"one\"\nblock = [\"10.66.0.1\"]\nbind = [\"first\"]\n");
    host.ok("apply -f one.toml --yes");
    host.assert_times_out(&[(BLOCKED, 5432)]);
    assert!(host.counter("first", "blocked") > 0);
    host.write("two.toml", "[[service]]\nname = \"second\"\nports = [\"8080\"]\n[[policy]]\nname = \"one\"\nblock = [\"10.66.0.1\"]\nbind = [\"second\"]\n");
    host.ok("apply -f two.toml --yes");
    assert_eq!(host.counter("second", "blocked"), 0);
}

#[test]
fn hostile_text_reaches_the_terminal_only_escaped() {
    let host = DatabaseHost::start();
    let evil = "\u{202e}evil\u{1b}[2J\u{9b}31m\u{7}\u{feff}";
    host.write(
        "list\u{202e}.txt",
        format!("10.1.2.3/24 # {evil}\n10.1.3.4/24 # {evil}\n"),
    );
    let mut outputs = vec![
        host.netpolicy(&[
            "policy",
            "create",
            "office",
            "--comment",
            "\u{202e}evil\u{feff}",
            "--block-file",
            "list\u{202e}.txt",
        ]),
        host.netpolicy(&["policy", "create", evil, "--block", evil]),
        host.netpolicy(&["service", "add", evil, "--port", evil]),
        host.netpolicy(&[
            "sql",
            "--dialect",
            "snowflake",
            "-e",
            &format!("CREATE NETWORK POLICY \"a{evil}\" COMMENT='{evil}'"),
        ]),
        host.netpolicy(&[
            "sql",
            "--dialect",
            "snowflake",
            "-e",
            &format!("SELECT {evil}"),
        ]),
        host.netpolicy(&["explain", "10.0.0.1", "--interface", evil]),
    ];
    host.write("policy.toml", "[[policy]]\nname = \"toml\"\nblock = [\"10.9.8.7/8\"]\ncomment = \"\u{202e}\u{feff}evil\"\n");
    outputs.push(host.line("apply -f policy.toml --dry-run"));
    outputs.push(host.line("diff -f policy.toml"));
    for line in [
        "policy list",
        "policy show office",
        "policy lint",
        "history",
        "audit",
        "status",
        "explain 10.1.2.3",
    ] {
        outputs.push(host.line(line));
        outputs.push(host.line(&format!("{line} --output json")));
    }
    let mut seen = 0;
    for out in &outputs {
        for text in [&out.stdout, &out.stderr] {
            let bad = text.chars().find(|c| {
                c.is_control() && *c != '\n' && *c != '\t' || ['\u{202e}', '\u{feff}'].contains(c)
            });
            assert_eq!(bad, None, "{text:?}");
            seen += text.matches("202e").count();
        }
    }
    assert!(seen > 5, "the text was shown somewhere: {seen}");
    // A file keeps what it holds.
    let export = host.ok("export");
    assert!(export.contains('\u{202e}'), "{export:?}");
}
