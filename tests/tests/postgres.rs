//! PostgreSQL as the protected server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Output, Stdio};
use std::time::{Duration, Instant};

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::postgres::{self, PORT, psql};
use nix::sys::signal::Signal;

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const ALLOWED6: &str = "fd00::1";
const BLOCKED6: &str = "fd00:bad::1";

#[test]
fn psql_from_allowed_and_blocked_addresses() {
    let host = DatabaseHost::start();
    let mut server = postgres::start(&host, "trust", &[]);
    host.ok(&format!("service add postgres --port {PORT}"));
    host.ok(
        "policy create dba --service postgres --allow 10.0.0.0/8 --allow fd00::/16 \
         --block 10.66.0.0/16 --block fd00:bad::/32",
    );
    for source in [ALLOWED, ALLOWED6] {
        assert_eq!(
            answer(&query(&host, source, "select 6 * 7")),
            "42",
            "{source}"
        );
    }
    for source in [BLOCKED, BLOCKED6] {
        let out = query(&host, source, "select 6 * 7");
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(
            !out.status.success() && said.contains("timeout expired"),
            "{source}: {said}"
        );
    }
    assert!(host.counter("postgres", "blocked") >= 2);

    // An open session lives on after its source is blocked; a new one does not begin.
    let mut session = Session::open(&host, ALLOWED);
    assert_eq!(session.ask("select 'before'"), "before");
    host.ok(&format!("policy alter dba --add-block {ALLOWED}"));
    assert!(!query(&host, ALLOWED, "select 1").status.success());
    assert_eq!(session.ask("select 'after'"), "after");
    assert_eq!(
        session.ask("select count(*) from generate_series(1, 100000)"),
        "100000"
    );
    host.ok(&format!("policy alter dba --remove-block {ALLOWED} --yes"));
    assert_eq!(answer(&query(&host, ALLOWED, "select 1")), "1");
    drop(session);
    // Immediate shutdown: nothing of this is to be kept.
    server.signal(Signal::SIGQUIT);
    server.wait(Duration::from_secs(10));
}

#[test]
fn a_session_is_cut_or_lives_as_the_change_says() {
    let host = DatabaseHost::start();
    let mut server = postgres::start(&host, "trust", &[]);
    host.ok(&format!("service add postgres --port {PORT}"));
    host.ok("policy create dba --service postgres --allow 10.0.0.0/8 --allow fd00::/16");
    // One after the other: the route says from where, and psql takes its time.
    let sessions = [ALLOWED, "10.0.0.2", ALLOWED6].map(|source| {
        let mut session = Session::open(&host, source);
        assert_eq!(session.ask("select 'before'"), "before");
        session
    });
    let [mut kept, mut cut, mut other] = sessions;

    host.ok(&format!(
        "policy alter dba --add-block {ALLOWED} --existing keep"
    ));
    assert_eq!(kept.ask("select 'kept'"), "kept");
    let preview = host.ok("policy alter dba --add-block 10.0.0.2 --existing cut --dry-run");
    assert!(
        preview.contains("would close 1 open connection\n"),
        "{preview}"
    );
    assert_eq!(cut.ask("select 'still'"), "still");

    let begun = Instant::now();
    let done = host.ok("policy alter dba --add-block 10.0.0.2 --existing cut");
    assert!(done.contains("closed 1 open connection\n"), "{done}");
    // psql hears of it with its next word, and finds no way back in.
    assert_eq!(cut.ask("select 'gone'"), "");
    let ended = cut.child.wait().unwrap();
    assert!(!ended.success(), "{ended}");
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(kept.ask("select 'kept'"), "kept");
    assert_eq!(other.ask("select 'other'"), "other");
    // The server's side of it is gone, too.
    let count = "select count(*) from pg_stat_activity where client_addr = '10.0.0.2'";
    let deadline = Instant::now() + Duration::from_secs(5);
    while other.ask(count) != "0" {
        assert!(Instant::now() < deadline, "the server still serves it");
        std::thread::sleep(Duration::from_millis(50));
    }
    drop((kept, other));
    server.signal(Signal::SIGQUIT);
    server.wait(Duration::from_secs(10));
}

fn query(host: &DatabaseHost, source: &str, sql: &str) -> Output {
    psql(host, source, "postgres")
        .args(["-c", sql])
        .output()
        .unwrap()
}

fn answer(out: &Output) -> String {
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// An interactive psql.
struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<std::process::ChildStdout>,
}

impl Session {
    fn open(host: &DatabaseHost, source: &str) -> Self {
        let mut child = psql(host, source, "postgres")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            input,
            output,
        }
    }

    fn ask(&mut self, sql: &str) -> String {
        writeln!(self.input, "{sql};").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
