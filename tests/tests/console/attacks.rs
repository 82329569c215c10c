//! Who is let in: attacks of web pages, of other users of the host, and of what speaks HTTP badly.

use std::time::Duration;

use netpolicy_tests::{DatabaseHost, http};
use serde_json::json;

use super::console;

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
fn cookies_of_another_port_open_nothing_and_keep_no_person_out() {
    let host = DatabaseHost::start();
    let console = console(&host, &[]);
    let secret = console.begin();
    let name = console.host();
    // As many and as long as a browser keeps of a host: all of them come with each request.
    let all: Vec<_> = (0..180)
        .map(|n| format!("c{n:03}={}", "x".repeat(4_000)))
        .collect();
    let cookies = all.join("; ");
    for target in ["/", "/app.js"] {
        let headers = [("host", &*name), ("cookie", &*cookies)];
        assert_eq!(
            console.raw("GET", target, &headers, "").status,
            200,
            "{target}"
        );
    }
    let forged = format!("x-netpolicy-session={secret}; session={secret}; {cookies}");
    let headers = [("host", &*name), ("cookie", &*forged)];
    assert_eq!(console.raw("GET", "/v1/status", &headers, "").status, 401);
    let known = [
        ("host", &*name),
        ("cookie", &*cookies),
        ("x-netpolicy-session", &*secret),
    ];
    assert_eq!(console.raw("GET", "/v1/status", &known, "").status, 200);
    // What no browser sends is bounded.
    let endless = "x".repeat(2 << 20);
    let headers = [("host", &*name), ("cookie", &*endless)];
    let time = Duration::from_secs(10);
    let refused = http::exchange(console.port, "GET", "/", &headers, b"", time);
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status == 431));
    assert_eq!(console.ask(&secret, "GET", "/v1/status", "").status, 200);
}
