//! The console's process, without a browser: what it does for its user.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use netpolicy_tests::console::Console;
use netpolicy_tests::{DatabaseHost, Options, http};
use serde_json::json;

#[path = "console/attacks.rs"]
mod attacks;
#[path = "console/load.rs"]
mod load;

fn console(host: &DatabaseHost, options: &[&str]) -> Console {
    Console::of(host, None, options)
}

#[test]
fn change_is_made_as_the_user_of_the_console_and_audited() {
    let host = DatabaseHost::start();
    let console = Console::of(&host, Some("203.0.113.7"), &[]);
    let secret = console.begin();
    let me = console.ask(&secret, "GET", "/v1/caller", "").json();
    assert_eq!(me["operator"]["address"], "203.0.113.7", "{me}");
    let create = |allow: &str| {
        json!({ "change": "create-policy", "name": "office", "allow": { "items": [allow] } })
            .to_string()
    };
    let refused = console.ask(&secret, "POST", "/v1/changes", &create("198.51.100.0/24"));
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (409, &json!("lockout")),
        "{}",
        refused.text()
    );
    let trial = console.ask(
        &secret,
        "POST",
        "/v1/changes?dry_run=true",
        &create("198.51.100.0/24"),
    );
    let trial = trial.json();
    let warnings = trial["warnings"].as_array().unwrap();
    let is_refusal = |warning: &serde_json::Value| {
        warning
            .as_str()
            .unwrap()
            .starts_with("this would be refused: ")
    };
    assert!(warnings.iter().any(is_refusal), "{trial}");
    let made = console.ask(&secret, "POST", "/v1/changes", &create("203.0.113.0/24"));
    assert_eq!(made.status, 200, "{}", made.text());
    let audit = host.json("audit");
    let entry = audit
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["outcome"] == "done")
        .unwrap();
    assert_eq!(
        (&entry["actor"], &entry["from"]),
        (&json!("root"), &json!("203.0.113.7")),
        "{entry}"
    );
    // Another caller was faster.
    let (name, origin) = (console.host(), format!("http://{}", console.host()));
    let headers = [
        ("host", &*name),
        ("origin", &*origin),
        ("x-netpolicy-session", &*secret),
        ("content-type", "application/json"),
        ("if-match", "\"0\""),
    ];
    let late = console.raw(
        "POST",
        "/v1/changes",
        &headers,
        &json!({ "change": "drop-policy", "name": "office" }).to_string(),
    );
    assert_eq!(
        (late.status, &late.json()["code"]),
        (412, &json!("revision-mismatch"))
    );
}

#[test]
fn read_only_console_changes_nothing() {
    let host = DatabaseHost::start();
    let console = console(&host, &["--read-only"]);
    let secret = console.begin();
    let change = json!({ "change": "create-policy", "name": "office", "allow": { "items": ["203.0.113.0/24"] } }).to_string();
    let sql = json!({ "text": "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('203.0.113.7')", "dialect": "snowflake" }).to_string();
    for (target, body) in [
        ("/v1/changes", &change),
        ("/v1/changes?dry_run=false", &change),
        ("/v1/changes?dry_run=true&dry_run=false", &change),
        ("/v1/changes?dry_run=false&dry_run=true", &change),
        ("/v1/changes?dry_run=true&dry%5frun=false", &change),
        ("/v1/sql", &sql),
        ("/v1/confirm", &String::new()),
        ("/v1/rollback/1", &String::new()),
        ("/v1/verify", &String::new()),
    ] {
        let refused = console.ask(&secret, "POST", target, body);
        assert!(
            [400, 403].contains(&refused.status),
            "{target}: {}",
            refused.text()
        );
    }
    // These have no dry run, whatever their query says.
    let ban = json!({ "source": "198.51.100.7", "for": 600 }).to_string();
    let grant = json!({ "privilege": "admin", "to": "user:nobody" }).to_string();
    let bypass = json!({ "source": "198.51.100.7", "minutes": 5 }).to_string();
    for (method, target, body) in [
        ("POST", "/v1/bans?dry_run=true", &*ban),
        ("DELETE", "/v1/bans?dry_run=true", &*ban),
        ("POST", "/v1/grants?dry_run=true", &*grant),
        ("DELETE", "/v1/grants?dry_run=true", ""),
        ("POST", "/v1/bypasses?dry_run=true", &*bypass),
        ("DELETE", "/v1/bypasses?dry_run=true", ""),
        ("POST", "/v1/confirm?dry_run=true", ""),
        ("POST", "/v1/feeds/x/refresh?dry_run=true", ""),
    ] {
        let refused = console.ask(&secret, method, target, body);
        let code = &refused.json()["code"];
        assert_eq!(
            (refused.status, code),
            (403, &json!("read-only")),
            "{method} {target}"
        );
    }
    let trial = console.ask(&secret, "POST", "/v1/changes?dry_run=true", &change);
    assert_eq!(trial.status, 200, "{}", trial.text());
    for nothing in ["policy list", "history", "grants"] {
        assert_eq!(host.json(nothing), json!([]), "{nothing}");
    }
    assert_eq!(host.json("bans")["count"], 0);
}

#[test]
fn console_ends_when_it_is_idle_and_polling_is_idle() {
    let host = DatabaseHost::start();
    let mut console = console(&host, &["--end-idle", "2s"]);
    let secret = console.begin();
    let (name, origin) = (console.host(), format!("http://{}", console.host()));
    let headers = [
        ("host", &*name),
        ("origin", &*origin),
        ("x-netpolicy-session", &*secret),
        ("x-netpolicy-unasked", "1"),
    ];
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        if let Some(status) = console.process().try_wait().unwrap() {
            assert!(status.success(), "{status}");
            break;
        }
        assert!(Instant::now() < deadline, "it still runs");
        let _ = http::exchange(
            console.port,
            "GET",
            "/v1/status",
            &headers,
            b"",
            Duration::from_secs(1),
        );
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn console_ends_with_the_ssh_connection_that_it_was_started_over() {
    let host = DatabaseHost::start();
    let mut console = console(&host, &[]);
    assert_eq!(console.process().try_wait().unwrap(), None);
    // Without a terminal sshd connects it by pipes, and closes them.
    drop(console.process().stdin.take());
    let deadline = Instant::now() + Duration::from_secs(10);
    while console.process().try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "it still runs");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn only_loopback_is_listened_on_and_a_header_needs_a_unix_socket() {
    let host = DatabaseHost::start();
    let all = host.line("console --listen 0.0.0.0:7071");
    assert!(
        all.failed(2).contains("not an address of loopback"),
        "{}",
        all.stderr
    );
    let header = host.line("console --listen 127.0.0.1:0 --proxy-header x-user");
    assert!(
        header.failed(1).contains("unix socket"),
        "{}",
        header.stderr
    );
}

#[test]
fn console_without_an_agent_says_so() {
    let host = DatabaseHost::with(&Options {
        agent: false,
        ..Options::default()
    });
    assert!(host.line("console").failed(3).contains("no agent"));
}

#[test]
fn reverse_proxy_names_the_person_over_a_unix_socket() {
    let host = DatabaseHost::start();
    let socket = host.file("console.sock");
    let mut command = host.command();
    command.args(["console", "--listen", &format!("unix:{}", socket.display())]);
    command.args(["--proxy-header", "x-remote-user", "--host", "db.example"]);
    let mut process = netpolicy_tests::process::Process::start(command, &host.file("console.log"));
    let deadline = Instant::now() + Duration::from_secs(10);
    while !socket.exists() {
        assert!(
            Instant::now() < deadline && process.ended().is_none(),
            "{}",
            process.log()
        );
        thread::sleep(Duration::from_millis(20));
    }
    let ask = |method: &str, target: &str, headers: &str, body: &str| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: db.example\r\norigin: https://db.example\r\n\
             content-type: application/json\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(ask("POST", "/session", "", "{}").starts_with("HTTP/1.1 403"));
    let begun = ask("POST", "/session", "x-remote-user: alice\r\n", "{}");
    let secret = begun
        .split("\"session\":\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let with =
        |person: &str| format!("x-remote-user: {person}\r\nx-netpolicy-session: {secret}\r\n");
    assert!(ask("GET", "/v1/status", &with("bob"), "").starts_with("HTTP/1.1 401"));
    assert!(ask("GET", "/v1/status", &with("alice"), "").starts_with("HTTP/1.1 200"));
    let two = format!("x-remote-user: alice\r\n{}", with("bob"));
    assert!(ask("GET", "/v1/status", &two, "").starts_with("HTTP/1.1 403"));
    let body = json!({ "change": "create-policy", "name": "office", "allow": { "items": ["203.0.113.0/24"] } });
    let made = ask("POST", "/v1/changes", &with("alice"), &body.to_string());
    assert!(made.starts_with("HTTP/1.1 200"), "{made}");
    let audit = host.json("audit");
    let entry = &audit[0];
    assert_eq!(entry["from"], "on behalf of alice", "{entry}");
    assert_eq!(
        entry["actor"], "root",
        "the person selects no rights: {entry}"
    );
}

#[test]
fn list_of_another_program_is_read_by_the_console() {
    let host = DatabaseHost::start();
    let console = console(&host, &[]);
    let secret = console.begin();
    let saved = "create bad hash:net family inet\nadd bad 198.51.100.0/24\nadd bad 203.0.113.9 comment \"scan\"\n";
    let read = console.ask(
        &secret,
        "POST",
        "/list",
        &json!({ "text": saved }).to_string(),
    );
    assert_eq!(read.status, 200, "{}", read.text());
    let read = read.json();
    assert_eq!(read["entries"], 2, "{read}");
    assert!(
        read["list"].as_str().unwrap().contains("198.51.100.0/24"),
        "{read}"
    );
    let wrong = console.ask(
        &secret,
        "POST",
        "/list",
        &json!({ "text": "10.0.0.0/33\n" }).to_string(),
    );
    assert_eq!(
        (wrong.status, &wrong.json()["code"]),
        (400, &json!("invalid-input"))
    );
    assert_eq!(console.ask("", "POST", "/list", "{}").status, 401);
}

#[test]
fn host_is_examined_by_the_console_also_without_an_agent() {
    let mut host = DatabaseHost::start();
    let console = console(&host, &["--read-only"]);
    let secret = console.begin();
    let health_of = |check: &str| {
        let report = console.ask(&secret, "GET", "/doctor", "");
        assert_eq!(report.status, 200, "{}", report.text());
        let report = report.json();
        let lines = report["lines"].as_array().unwrap();
        let line = lines.iter().find(|line| line["check"] == check);
        line.unwrap_or_else(|| panic!("no {check}: {report}"))["health"].clone()
    };
    assert_eq!(health_of("agent"), "ok");
    assert_eq!(console.ask("", "GET", "/doctor", "").status, 401);
    assert_eq!(console.ask(&secret, "POST", "/doctor", "").status, 404);
    let other = [
        ("host", &*console.host()),
        ("x-netpolicy-session", &*secret),
        ("sec-fetch-site", "cross-site"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    let other: Vec<_> = other
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    assert_eq!(console.raw("GET", "/doctor", &other, "").status, 403);
    host.stop_agent();
    assert_ne!(health_of("agent"), "ok");
}
