//! The impact of a change on connected clients is known before it is made.

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use serde_json::{Value, json};

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const BLOCKED6: &str = "fd00:bad::1";

#[test]
fn connected_clients_are_counted_and_named() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    let _open = [
        host.session(ALLOWED, 5432),
        host.session(BLOCKED, 5432),
        host.session(BLOCKED, 5432),
        host.session(BLOCKED, 8080),
        host.session(BLOCKED6, 8080),
        // Never judged there, so no client loses access.
        host.session("192.168.1.1", 22),
        host.session(BLOCKED, 22),
    ];
    let create = "policy create abuse --block 10.66.0.0/16,fd00:bad::/32,192.168.0.0/16";

    let dry = host.ok(&format!("{create} --dry-run"));
    assert_has(
        &dry,
        &[
            "become denied on the host; 2 connected clients\n",
            "would deny 2 of 3 connected clients",
            "10.66.0.1 on host, 1 connection",
            "10.66.0.1 on postgres, 2 connections",
            "fd00:bad::1 on host, 1 connection",
            "dry run, nothing was changed",
        ],
    );
    let json = host.json(&format!("{create} --dry-run"));
    assert_eq!(json["clients"]["connected"], 3);
    assert_eq!(
        json["clients"]["denied"],
        json!([
            { "source": BLOCKED, "scope": "host", "connections": 1 },
            { "source": BLOCKED, "scope": "postgres", "connections": 2 },
            { "source": BLOCKED6, "scope": "host", "connections": 1 },
        ])
    );

    let strict = host.line(&format!("{create} --strict"));
    assert_has(
        strict.failed(1),
        &[
            "would deny 2 of 3 connected clients",
            BLOCKED,
            "on postgres",
            BLOCKED6,
            "hint: ",
            "--strict",
        ],
    );
    let dry = host.line(&format!("{create} --strict --dry-run"));
    assert_has(dry.ok(), &["dry run"]);
    assert_has(&dry.stderr, &["warning: this would be refused: ", "2 of 3"]);
    assert_eq!(host.json("policy list"), json!([]));
    host.assert_connects(&[(BLOCKED, 5432)]);

    assert_has(
        &host.ok(create),
        &[
            "denies 2 of 3 connected clients",
            "are kept",
            "--existing cut",
        ],
    );
    // They are denied already: nothing new.
    let again = host.json("policy create worse --block 10.66.0.1 --strict");
    assert_eq!(again["clients"], Value::Null, "{again}");
}

#[test]
fn strict_accepts_a_change_that_denies_no_connected_client() {
    let host = DatabaseHost::start();
    let _open = host.session(ALLOWED, 5432);
    let out = host.ok("policy create abuse --block 10.66.0.0/16 --strict");
    assert_has(&out, &["denies 0 of 1 connected client"]);
    // Over loopback nothing is filtered, and the host's own are no clients.
    let _own = host
        .db()
        .run(|| std::net::TcpStream::connect(("127.0.0.1", 5432)));
    let _other = host
        .db()
        .run(|| std::net::TcpStream::connect(("198.51.100.1", 5432)));
    let out = host.json("policy create only --allow 10.0.0.0/8 --strict");
    assert_eq!(out["clients"]["connected"], 1);
    assert_eq!(out["clients"]["denied"], json!([]));
    // A bypass lets a client stay a client.
    host.ok("bypass grant 10.0.0.1 --minutes 5");
    let out = host.json("policy create worse --block 10.0.0.1 --strict");
    assert_eq!(out["clients"]["denied"], json!([]));
}

#[test]
fn effect_is_reported_with_the_clients_that_it_denies() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    let _open = [
        host.session("203.0.113.5", 5432),
        host.session("203.0.113.6", 5432),
        host.session("203.0.113.6", 8080),
        host.session(ALLOWED, 5432),
    ];
    let out = host.ok("policy create abuse --block 203.0.113.0/24 --service postgres --dry-run");
    assert_has(
        &out,
        &[
            "203.0.113.0/24 becomes denied on postgres; 2 connected clients\n",
            "would deny 2 of 3 connected clients",
        ],
    );
}
