//! The console's process, without a browser: who is let in, and what is passed on.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use netpolicy_tests::console::Console;
use netpolicy_tests::{DatabaseHost, Options, http};
use serde_json::json;

fn console(host: &DatabaseHost, options: &[&str]) -> Console {
    // Not in the host's namespace: what the console listens on is the machine's loopback.
    let own = host.command();
    let mut command = std::process::Command::new(netpolicy_tests::binary::netpolicy());
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Console::start(command, options)
}

#[test]
fn token_is_good_once_and_only_its_session_is_answered() {
    let host = DatabaseHost::start();
    let mut console = console(&host, &[]);
    for token in ["", "0", &"0".repeat(64), &console.token[..63]] {
        let refused = console.exchange(token);
        assert_eq!(
            (refused.status, &refused.json()["code"]),
            (403, &json!("bad-token"))
        );
    }
    let secret = console.begin();
    let replayed = console.exchange(&console.token);
    assert_eq!(replayed.status, 403, "{}", replayed.text());
    let status = console.ask(&secret, "GET", "/v1/status", "");
    assert_eq!(status.status, 200, "{}", status.text());
    assert_eq!(status.json()["enforcement"]["state"], "attached");
    let me = console.ask(&secret, "GET", "/v1/caller", "");
    assert_eq!(me.json()["user"], "root", "{}", me.text());
    for wrong in ["", "0", &console.token, &secret[..63]] {
        let refused = console.ask(wrong, "GET", "/v1/status", "");
        assert_eq!(refused.status, 401, "{}", refused.text());
    }
    // A cookie goes to every port of the host: it opens nothing.
    let (name, cookie) = (
        console.host(),
        format!("x-netpolicy-session={secret}; session={secret}"),
    );
    let headers = [("host", &*name), ("cookie", &*cookie)];
    assert_eq!(console.raw("GET", "/v1/status", &headers, "").status, 401);
    // Enter prints another token; sessions do not end by it.
    let another = console.another();
    assert_ne!(another, console.token);
    assert_eq!(console.exchange(&another).status, 200);
    assert_eq!(console.ask(&secret, "GET", "/v1/status", "").status, 200);
}

#[test]
fn page_of_another_origin_or_host_is_refused() {
    let host = DatabaseHost::start();
    let console = console(&host, &[]);
    let secret = console.begin();
    let (here, origin) = (console.host(), format!("http://{}", console.host()));
    let other_port = "http://localhost:1".to_owned();
    let body = json!({ "change": "set-active", "name": "x", "active": true }).to_string();
    let ask = |method: &str, target: &str, headers: &[(&str, &str)]| {
        let mut all = vec![
            ("x-netpolicy-session", &*secret),
            ("content-type", "application/json"),
        ];
        all.extend(headers);
        console.raw(
            method,
            target,
            &all,
            if method == "POST" { &body } else { "" },
        )
    };
    let change = "/v1/changes?dry_run=true";
    let itself = ask("POST", change, &[("host", &here), ("origin", &origin)]);
    assert_eq!(
        itself.status,
        404,
        "the agent's own answer: {}",
        itself.text()
    );
    for from in [
        "http://evil.example",
        "null",
        &other_port,
        "https://localhost",
    ] {
        let refused = ask("POST", change, &[("host", &here), ("origin", from)]);
        assert_eq!(
            (refused.status, &refused.json()["code"]),
            (403, &json!("foreign")),
            "{from}"
        );
    }
    let silent = ask("POST", change, &[("host", &here)]);
    assert_eq!(silent.status, 403, "without an origin");
    for site in ["cross-site", "same-site"] {
        for (method, target) in [("GET", "/v1/status"), ("POST", change)] {
            let headers = [
                ("host", &*here),
                ("origin", &*origin),
                ("sec-fetch-site", site),
            ];
            assert_eq!(ask(method, target, &headers).status, 403, "{site} {method}");
        }
    }
    for name in [
        "evil.example",
        "evil.example:7071",
        "127.0.0.1.evil.example",
        "[::ffff:127.0.0.1]",
    ] {
        for target in ["/", "/v1/status", "/session"] {
            assert_eq!(
                ask("GET", target, &[("host", name)]).status,
                421,
                "{name} {target}"
            );
        }
    }
    let absolute = ask("GET", "http://evil.example/v1/status", &[("host", &here)]);
    assert_eq!(absolute.status, 421);
    // A form of another page: a media type that needs no preflight.
    let form = console.raw(
        "POST",
        "/v1/changes",
        &[
            ("host", &here),
            ("origin", &origin),
            ("content-type", "text/plain"),
            ("x-netpolicy-session", &secret),
        ],
        &body,
    );
    assert_eq!(form.status, 415, "{}", form.text());
    let preflight = ask(
        "OPTIONS",
        "/v1/changes",
        &[("host", &here), ("origin", "http://evil.example")],
    );
    assert_eq!(preflight.status, 403);
    assert_eq!(preflight.header("access-control-allow-origin"), None);
}

#[test]
fn only_what_the_page_requests_is_passed_on() {
    let host = DatabaseHost::start();
    let console = console(&host, &[]);
    let secret = console.begin();
    for (method, target) in [
        ("POST", "/v1/detach?opens=any"),
        ("POST", "/v1/attach"),
        ("GET", "/v1/backup"),
        ("POST", "/v1/store/rescue"),
        ("PUT", "/v1/bans?by=x"),
        ("GET", "/v1/openapi.json"),
        ("GET", "/v1/policies/../backup"),
        ("GET", "/v1/policies/%2e%2e/backup"),
        ("GET", "/v1/./status"),
        ("GET", "//v1/status"),
        ("GET", "/../../etc/passwd"),
        ("GET", "/%2e%2e/etc/passwd"),
        ("GET", "/vendor/../../Cargo.toml"),
        ("GET", "/etc/passwd"),
        ("TRACE", "/v1/status"),
        ("CONNECT", "/v1/status"),
    ] {
        let refused = console.ask(&secret, method, target, "");
        assert!(
            (400..500).contains(&refused.status),
            "{method} {target}: {}",
            refused.text()
        );
        assert!(!refused.text().contains("root:"), "{method} {target}");
    }
    assert_eq!(host.status()["enforcement"]["state"], "attached");
}

#[test]
fn every_answer_has_the_headers_that_keep_a_page_to_itself() {
    let host = DatabaseHost::start();
    let console = console(&host, &[]);
    let secret = console.begin();
    let name = console.host();
    let pages = [
        "/",
        "/app.js",
        "/style.css",
        "/guide/policies",
        "/nothing",
        "/v1/status",
    ];
    for target in pages {
        let answer = match target.starts_with("/v1/") {
            true => console.ask(&secret, "GET", target, ""),
            false => console.raw("GET", target, &[("host", &name)], ""),
        };
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{policy}"
        );
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{target}"
        );
        assert_eq!(
            answer.header("referrer-policy"),
            Some("no-referrer"),
            "{target}"
        );
        assert_eq!(answer.header("set-cookie"), None, "{target}");
        let kept = answer.header("cache-control").unwrap();
        assert_eq!(
            kept,
            if answer.header("etag").is_some() && !target.starts_with("/v1/") {
                "no-cache"
            } else {
                "no-store"
            }
        );
    }
    let page = console.raw("GET", "/", &[("host", &name)], "");
    let tag = page.header("etag").unwrap();
    let again = console.raw("GET", "/", &[("host", &name), ("if-none-match", tag)], "");
    assert_eq!((again.status, again.body.len()), (304, 0));
    let packed = console.raw(
        "GET",
        "/app.js",
        &[("host", &name), ("accept-encoding", "gzip")],
        "",
    );
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.body[..2], [0x1f, 0x8b]);
}

#[test]
fn change_is_made_as_the_user_of_the_console_and_audited() {
    let host = DatabaseHost::start();
    let mut command = host.command();
    command.env("SSH_CONNECTION", "203.0.113.7 50022 192.0.2.10 22");
    // Of this command only its environment counts.
    let mut here = std::process::Command::new(netpolicy_tests::binary::netpolicy());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => here.env(name, value),
            None => here.env_remove(name),
        };
    }
    let console = Console::start(here, &[]);
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
    ] {
        let refused = console.ask(&secret, "POST", target, body);
        assert!(
            [400, 403].contains(&refused.status),
            "{target}: {}",
            refused.text()
        );
    }
    let trial = console.ask(&secret, "POST", "/v1/changes?dry_run=true", &change);
    assert_eq!(trial.status, 200, "{}", trial.text());
    assert_eq!(host.json("policy list"), json!([]));
    assert_eq!(host.json("history"), json!([]));
}

#[test]
fn slow_and_many_connections_keep_no_person_out() {
    let host = DatabaseHost::start();
    let console = console(&host, &[]);
    let secret = console.begin();
    // Each holds a connection open, and sends its head byte by byte or not at all.
    let slow: Vec<_> = (0..2_000)
        .map(|n| {
            let mut stream = TcpStream::connect(("127.0.0.1", console.port)).unwrap();
            if n % 2 == 0 {
                // It may have been closed to make room.
                let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: local");
            }
            stream
        })
        .collect();
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(console.ask(&secret, "GET", "/v1/status", "").status, 200);
    }
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    drop(slow);
    // Ten thousand requests of as many connections, most of them at the same time.
    let port = console.port;
    let answered: usize = thread::scope(|scope| {
        let threads = (0..20).map(|_| {
            scope.spawn(move || {
                let open = (0..500).filter_map(|_| TcpStream::connect(("127.0.0.1", port)).ok());
                let open: Vec<_> = open.collect();
                let name = format!("localhost:{port}");
                let answered = open.into_iter().filter(|mut stream| {
                    stream
                        .set_read_timeout(Some(Duration::from_secs(5)))
                        .unwrap();
                    let head = format!(
                        "GET /v1/status HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n"
                    );
                    let mut answer = String::new();
                    stream.write_all(head.as_bytes()).is_ok()
                        && stream.read_to_string(&mut answer).is_ok()
                        && answer.starts_with("HTTP/1.1 401")
                });
                answered.count()
            })
        });
        let threads: Vec<_> = threads.collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert!(answered > 0, "some are answered: that they have no session");
    assert_eq!(console.ask(&secret, "GET", "/v1/status", "").status, 200);
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", console.pid()))
        .unwrap()
        .count();
    assert!(descriptors < 300, "{descriptors} descriptors");
}

#[test]
fn slow_and_large_bodies_are_refused() {
    let host = DatabaseHost::start();
    let console = console(&host, &[]);
    let name = console.host();
    let head = format!(
        "POST /session HTTP/1.1\r\nhost: {name}\r\norigin: http://{name}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: "
    );
    let mut slow = TcpStream::connect(("127.0.0.1", console.port)).unwrap();
    slow.write_all(format!("{head}100\r\n\r\n{{").as_bytes())
        .unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let answer = http::read(slow).unwrap();
    assert_eq!(answer.status, 408, "{}", answer.text());
    let mut large = TcpStream::connect(("127.0.0.1", console.port)).unwrap();
    large
        .write_all(format!("{head}1000000\r\n\r\n").as_bytes())
        .unwrap();
    let _ = large.write_all(&[b' '; 4096]);
    large
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    assert_eq!(http::read(large).unwrap().status, 413);
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
