//! Existing connections of a source that becomes denied.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use serde_json::json;

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const BLOCKED6: &str = "fd00:bad::1";

/// Whether the other end still answers; not if it ended the connection.
fn lives(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 4];
    let result = stream
        .write_all(b"ping")
        .and_then(|()| stream.read_exact(&mut answer));
    match result {
        Ok(()) => answer == *b"ping",
        Err(error) => {
            let ended = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
            assert!(ended.contains(&error.kind()), "{error}");
            false
        }
    }
}

#[test]
fn cut_ends_the_newly_denied_connections_and_no_others() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    let mut denied = [
        host.session(BLOCKED, 5432),
        host.session("10.66.0.2", 5432),
        host.session(BLOCKED6, 5432),
    ];
    let mut others = [
        // Another source, another service's port, a port that nothing governs.
        host.session(ALLOWED, 5432),
        host.session(BLOCKED, 8080),
        host.session(BLOCKED, 22),
    ];
    let create = "policy create abuse --service postgres --block 10.66.0.0/16,fd00:bad::/32";

    let preview = host.ok(&format!("{create} --existing cut --dry-run"));
    assert_has(
        &preview,
        &[
            "would deny 3 of 4 connected clients",
            "10.66.0.1 on postgres, 1 connection",
            "would close 3 open connections",
            "dry run",
        ],
    );
    for stream in denied.iter_mut().chain(&mut others) {
        assert!(lives(stream));
    }
    let done = host.ok(&format!("{create} --existing cut"));
    assert_has(
        &done,
        &[
            "denies 3 of 4 connected clients",
            "closed 3 open connections",
        ],
    );
    for stream in &mut denied {
        assert!(!lives(stream));
    }
    for stream in &mut others {
        assert!(lives(stream));
    }
}

#[test]
fn connections_are_kept_by_default_and_can_be_cut_later() {
    let host = DatabaseHost::start();
    let mut blocked = host.session(BLOCKED, 5432);
    let mut allowed = host.session(ALLOWED, 5432);
    host.ok("policy create abuse --block 10.66.0.0/16 --existing keep");
    assert!(lives(&mut blocked));
    // Another change denies another source: it does not concern those that were denied already.
    let other = host.json("policy alter abuse --add-block 10.67.0.0/16 --existing cut");
    assert_eq!(other["clients"]["closed"], 0, "{other}");
    assert!(lives(&mut blocked));

    host.write("all.toml", host.ok("export"));
    let kept = host.json("apply -f all.toml");
    assert_eq!(kept["clients"], json!(null), "{kept}");
    let preview = host.ok("apply -f all.toml --existing cut --dry-run");
    assert_has(&preview, &["would close 1 open connection\n"]);
    assert!(lives(&mut blocked));
    let out = host.ok("apply -f all.toml --existing cut");
    assert_has(
        &out,
        &[
            "10.66.0.1 on host",
            "closed 1 open connection\n",
            "nothing to change",
        ],
    );
    assert!(!lives(&mut blocked));
    assert!(lives(&mut allowed));
    let again = host.json("apply -f all.toml --existing cut");
    assert_eq!(again["clients"]["closed"], 0, "{again}");
}

#[test]
fn observing_and_bypasses_cut_no_connection() {
    let host = DatabaseHost::start();
    let mut stream = host.session(BLOCKED, 5432);
    let mut exempt = host.session("10.66.0.2", 5432);
    host.ok("bypass grant 10.66.0.2 --minutes 5");
    host.ok("host set --mode observe --yes");
    host.ok("policy create abuse --block 10.66.0.0/16 --existing cut");
    assert!(lives(&mut stream));
    let enforced = host.json("host set --mode enforce --existing cut");
    assert_eq!(enforced["clients"]["closed"], 1, "{enforced}");
    assert!(!lives(&mut stream));
    assert!(lives(&mut exempt));
    // A rollback cuts as well, when it denies.
    host.ok("rollback 0 --yes");
    let mut stream = host.session(BLOCKED, 5432);
    assert_has(
        &host.ok("rollback 3 --existing cut"),
        &["closed 1 open connection\n"],
    );
    assert!(!lives(&mut stream));
}
