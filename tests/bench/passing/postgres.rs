//! PostgreSQL on the filtered host: one cluster, which serves one site after the other.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use netpolicy_tests::{id, netns::NetNs, packet::HOST_V4, process::Process};
use nix::sys::signal::Signal;

use super::site::Site;

/// None of the host's echo server.
const PORT: &str = "5433";
const PATIENCE: Duration = Duration::from_secs(30);

/// Sessions of pgbench.
const CLIENTS: &str = "4";

/// Settings that keep the disk and other work of the server's own out of the figures.
const SETTINGS: [&str; 7] = [
    "shared_buffers=256MB",
    "autovacuum=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "bgwriter_lru_maxpages=0",
    "checkpoint_timeout=1h",
    "synchronous_commit=off",
];

/// What the cluster holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// pgbench's scale: 100,000 accounts each.
    pub(super) scale: usize,
    /// Of the table that is dumped.
    pub(super) megabytes: usize,
}

/// The files of a cluster, and PostgreSQL's programs.
pub(super) struct Cluster {
    bin: PathBuf,
    dir: tempfile::TempDir,
    size: Size,
}

impl Cluster {
    /// A new one, filled by a server on the site. `None`: PostgreSQL is not installed.
    pub(super) fn new(site: &Site, size: Size) -> Option<Self> {
        let bin = installation()?;
        let user = nix::unistd::User::from_name("postgres").ok().flatten()?;
        let dir = tempfile::Builder::new()
            .prefix(&format!("{}-", id::unique()))
            .tempdir()
            .expect("make a temporary directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))
            .expect("let the server in");
        let cluster = Self { bin, dir, size };
        let data = cluster.data();
        fs::create_dir(&data).expect("make the server's directory");
        chown(&data, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            .expect("give the server its directory");
        let mut initdb = cluster.as_postgres(site.db(), "initdb");
        initdb.args(["--no-sync", "--auth", "trust", "--pgdata"]);
        output(initdb.arg(&data));
        let all = "host all all 0.0.0.0/0 trust\n";
        fs::write(data.join("pg_hba.conf"), all).expect("let all clients in");
        cluster.fill(site);
        Some(cluster)
    }

    fn fill(&self, site: &Site) {
        let server = self.serve(site);
        let scale = self.size.scale.to_string();
        let mut pgbench = self.client(site, "pgbench");
        output(pgbench.args(["-i", "-q", "--unlogged-tables", "-s", &scale]));
        // Rows of some 1,000 bytes, which are not compressed: 32 hexadecimal digits 30 times.
        let rows = self.size.megabytes * 1000;
        let sql = format!(
            "create unlogged table dumped as select i as id, repeat(md5(i::text), 30) || \
             repeat('x', 30) as body from generate_series(1, {rows}) as i"
        );
        for sql in [sql.as_str(), "vacuum (freeze, analyze) dumped"] {
            output(self.client(site, "psql").args(["-q", "-c", sql]));
        }
        server.stop();
    }

    /// Transactions a second of pgbench's select-only script, and megabytes a second of a
    /// pg_dump; with the server on this site.
    pub(super) fn rates(&self, site: &Site, time: Duration) -> [f64; 2] {
        let server = self.serve(site);
        let select = || {
            let mut pgbench = self.client(site, "pgbench");
            pgbench.args(["-n", "-S", "-M", "prepared", "-c", CLIENTS, "-j", "1"]);
            pgbench
        };
        output(select().args(["-t", "500"]));
        let seconds = time.as_secs().max(1).to_string();
        let said = output(select().args(["-T", &seconds]));
        let transactions = said.lines().find_map(|line| {
            let number = line.strip_prefix("tps = ")?.split_whitespace().next()?;
            number.parse().ok()
        });
        let begin = Instant::now();
        let mut dump = self.client(site, "pg_dump");
        output(dump.args(["-t", "dumped", "-f", "/dev/null"]));
        let megabytes = self.size.megabytes as f64 / begin.elapsed().as_secs_f64();
        server.stop();
        [transactions.expect("pgbench's rate"), megabytes]
    }

    fn serve(&self, site: &Site) -> Server {
        let log = self.dir.path().join("server.log");
        let _ = fs::remove_file(&log);
        let mut command = self.as_postgres(site.db(), "postgres");
        command.arg("-D").arg(self.data());
        command.args(["-p", PORT, "-h", HOST_V4, "-k", "", "-F"]);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        let process = Process::start(command, &log);
        let deadline = Instant::now() + PATIENCE;
        while !process.log().contains("ready to accept connections") {
            assert!(
                Instant::now() < deadline,
                "PostgreSQL does not start:\n{}",
                process.log()
            );
            thread::sleep(Duration::from_millis(10));
        }
        Server(process)
    }

    /// One of PostgreSQL's programs on the clients' side.
    fn client(&self, site: &Site, program: &str) -> Command {
        let mut command = site.clients().command(&self.path(program));
        command
            .env("PGHOST", HOST_V4)
            .env("PGPORT", PORT)
            .env("PGUSER", "postgres")
            .env("PGDATABASE", "postgres")
            .env("PGSSLMODE", "disable")
            .env("LC_ALL", "C.UTF-8")
            .current_dir(self.dir.path());
        command
    }

    /// One of them as the user who owns the cluster.
    fn as_postgres(&self, ns: &NetNs, program: &str) -> Command {
        let mut command = ns.command("setpriv");
        command.args([
            "--reuid",
            "postgres",
            "--regid",
            "postgres",
            "--init-groups",
        ]);
        command.args(["--pdeathsig", "KILL", "--", &self.path(program)]);
        command
            .env("LC_ALL", "C.UTF-8")
            .current_dir(self.dir.path());
        command
    }

    fn path(&self, program: &str) -> String {
        self.bin.join(program).display().to_string()
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }
}

/// A running server; it leaves the cluster clean if it is stopped.
struct Server(Process);

impl Server {
    fn stop(mut self) {
        // Fast shutdown.
        self.0.signal(Signal::SIGINT);
        self.0.wait(PATIENCE);
    }
}

/// Where Debian puts the programs of a version: the newest.
fn installation() -> Option<PathBuf> {
    let versions = fs::read_dir(Path::new("/usr/lib/postgresql")).ok()?;
    let bins = versions
        .flatten()
        .map(|version| version.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists() && bin.join("pgbench").exists());
    bins.max()
}

/// What a command that succeeds prints.
fn output(command: &mut Command) -> String {
    let out = command.output().expect("start a command");
    assert!(
        out.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).into_owned()
}
