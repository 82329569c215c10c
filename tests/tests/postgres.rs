//! PostgreSQL as the protected server.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::{Duration, Instant};

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::host::NIC;
use netpolicy_tests::packet::{HOST_V4, HOST_V6};
use netpolicy_tests::process::Process;
use nix::sys::signal::Signal;

/// Not one of the echo server's.
const PORT: u16 = 5433;

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const ALLOWED6: &str = "fd00::1";
const BLOCKED6: &str = "fd00:bad::1";

#[test]
fn psql_from_allowed_and_blocked_addresses() {
    let host = DatabaseHost::start();
    let mut server = start_server(&host);
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
    let mut server = start_server(&host);
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

fn start_server(host: &DatabaseHost) -> Process {
    let bin = installation();
    let data = host.file("pgdata");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(host.file("."), fs::Permissions::from_mode(0o755)).unwrap();
    let user = nix::unistd::User::from_name("postgres")
        .unwrap()
        .expect("a user named postgres");
    chown(&data, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    let as_postgres = |program: &Path| {
        let mut command = host.db().command("setpriv");
        command.args([
            "--reuid",
            "postgres",
            "--regid",
            "postgres",
            "--init-groups",
            "--pdeathsig",
            "KILL",
        ]);
        command
            .arg("--")
            .arg(program)
            .current_dir(&data)
            .env("LC_ALL", "C.UTF-8");
        command
    };
    let mut initdb = as_postgres(&bin.join("initdb"));
    let out = initdb
        .args(["--no-sync", "--auth", "trust", "--pgdata"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let nets = "host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n";
    fs::write(data.join("pg_hba.conf"), nets).unwrap();
    let mut server = as_postgres(&bin.join("postgres"));
    server
        .arg("-D")
        .arg(&data)
        .args(["-p", &PORT.to_string(), "-h", "*", "-k", "", "-F"]);
    let server = Process::start(server, &host.file("postgres.log"));
    let deadline = Instant::now() + Duration::from_secs(20);
    while !server.log().contains("ready to accept connections") {
        assert!(
            Instant::now() < deadline,
            "PostgreSQL does not start:\n{}",
            server.log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    server
}

/// Where Debian puts the server's programs: the newest version.
fn installation() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let bins = versions
        .map(|v| v.path().join("bin"))
        .filter(|b| b.join("initdb").exists());
    bins.max()
        .expect("PostgreSQL is installed: apt-get install postgresql (cargo xtask setup does)")
}

/// psql from a source address: libpq cannot choose one, the route does.
fn psql(host: &DatabaseHost, source: &str) -> Command {
    let (server, prefix) = if source.contains(':') {
        (HOST_V6, 128)
    } else {
        (HOST_V4, 32)
    };
    let to = format!("{server}/{prefix}");
    // A preferred source address has to be assigned.
    let flag: &[&str] = if prefix == 128 { &["nodad"] } else { &[] };
    let assigned = format!("{source}/{prefix}");
    host.clients()
        .ip(&[&["addr", "replace", &assigned, "dev", NIC], flag].concat());
    host.clients()
        .ip(&["route", "replace", &to, "dev", NIC, "src", source]);
    let mut command = host.clients().command("psql");
    command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]);
    command.args(["-h", server, "-p", &PORT.to_string(), "-U", "postgres"]);
    command
        .env("PGCONNECT_TIMEOUT", "2")
        .env("PGSSLMODE", "disable")
        .env("LC_ALL", "C.UTF-8");
    command
}

fn query(host: &DatabaseHost, source: &str, sql: &str) -> Output {
    psql(host, source).args(["-c", sql]).output().unwrap()
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
        let mut child = psql(host, source)
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
