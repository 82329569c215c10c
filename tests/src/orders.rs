//! A host with PostgreSQL, whose users have policies, and the helper that carries these in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::DatabaseHost;
use crate::postgres::{self, PORT, as_postgres, psql};
use crate::process::Process;

/// Lets every user in.
pub const HBA: &str = "local all all peer\nhost all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n";
const ROLES: &str = "create role alice login; create role bob login; create role carol login; \
                     create role staff; grant staff to bob";
/// How long a helper may take for anything.
pub const LIMIT: Duration = Duration::from_secs(10);

/// A host with PostgreSQL, its helper, a service and a database.
pub struct Orders {
    /// The host.
    pub host: DatabaseHost,
    bin: PathBuf,
    /// The server.
    pub server: Option<Process>,
    /// The helper.
    pub helper: Option<Process>,
}

impl Orders {
    /// Makes and starts a server of these programs, with this `pg_hba.conf`.
    pub fn start(bin: &Path, hba: &str) -> Self {
        let host = DatabaseHost::start();
        postgres::make(bin, &host, hba);
        // A server does not start without a directory that its file includes.
        let included = host.file("pgdata/netpolicy.d");
        let mut made = as_postgres(&host, Path::new("mkdir"));
        let made = made.arg(included).status().expect("run mkdir");
        assert!(made.success());
        let mut orders = Self {
            host,
            bin: bin.to_owned(),
            server: None,
            helper: None,
        };
        orders.start_server();
        orders.sql(ROLES);
        orders
    }

    /// Starts the server.
    pub fn start_server(&mut self) {
        let sockets = format!(
            "unix_socket_directories={}",
            self.host.file("pgdata").display()
        );
        let _ = fs::remove_file(self.host.file(postgres::LOG));
        self.server = Some(postgres::run(&self.bin, &self.host, &[&sockets]));
    }

    /// Stops the server.
    pub fn stop_server(&mut self) {
        let mut server = self.server.take().expect("as the test makes it");
        server.signal(Signal::SIGINT);
        server.wait(LIMIT);
    }

    /// Starts the helper.
    pub fn start_helper(&mut self) {
        let mut command = self.host.command_as("postgres", "postgres");
        command.args(["db", "run", "orders", "--check-every", "1s"]);
        self.helper = Some(Process::start(command, &self.host.file("helper.log")));
    }

    /// Runs SQL on the server itself.
    pub fn sql(&self, text: &str) -> String {
        let mut command = as_postgres(&self.host, Path::new("psql"));
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]);
        command.arg("-h").arg(self.host.file("pgdata"));
        command.args(["-p", &PORT.to_string(), "-d", "postgres", "-c", text]);
        let out = command.output().expect("run psql");
        let error = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{error}");
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    /// What comes of a log-in.
    pub fn log_in(&self, user: &str, source: &str) -> Output {
        psql(&self.host, source, user)
            .args(["-d", "postgres", "-c", "select 1"])
            .output()
            .expect("run psql")
    }

    /// A user gets in.
    #[track_caller]
    pub fn admits(&self, user: &str, source: &str) {
        let out = self.log_in(user, source);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{user} from {source}: {said}");
    }

    /// The database keeps a user out.
    #[track_caller]
    pub fn rejects(&self, user: &str, source: &str) {
        let out = self.log_in(user, source);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(
            !out.status.success() && said.contains("pg_hba.conf rejects connection"),
            "{user} from {source}: {said}"
        );
    }

    /// A user does not get in.
    #[track_caller]
    pub fn rejects_or_drops(&self, user: &str, source: &str) {
        let out = self.log_in(user, source);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success(), "{user} from {source}: {said}");
    }

    /// The packet filter drops it.
    #[track_caller]
    pub fn drops(&self, user: &str, source: &str) {
        let out = self.log_in(user, source);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(
            !out.status.success() && said.contains("timeout expired"),
            "{user} from {source}: {said}"
        );
    }

    /// Applies policies.
    pub fn apply(&self, policies: &str) {
        self.write(policies);
        self.host.ok("apply -f policy.toml --yes");
    }

    /// Policies that are refused; why.
    #[track_caller]
    pub fn refused(&self, policies: &str) -> String {
        self.write(policies);
        let out = self.host.line("apply -f policy.toml --yes");
        out.failed(1).to_owned()
    }

    /// Writes a policy file with the service, the database and these policies.
    pub fn write(&self, policies: &str) {
        let socket = self.host.file("pgdata");
        let text = format!(
            "[[service]]\nname = \"postgres\"\nports = [\"{PORT}\"]\n\n[[database]]\nname = \
             \"orders\"\nkind = \"postgresql\"\nservice = \"postgres\"\nsocket = \"{}\"\n{policies}",
            socket.display()
        );
        self.host.write("policy.toml", text);
    }

    /// Waits until the database is like that.
    #[track_caller]
    pub fn wait(&self, what: &str, is_so: impl Fn(&serde_json::Value) -> bool) {
        let begun = Instant::now();
        loop {
            let database = self.host.json("db list")[0].clone();
            if is_so(&database) {
                return;
            }
            let log = self.helper.as_ref().map(Process::log);
            assert!(begun.elapsed() < LIMIT, "{what}: {database:#}\n{log:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The server's `pg_hba.conf`.
    pub fn hba(&self) -> String {
        fs::read_to_string(self.host.file("pgdata/pg_hba.conf")).expect("read a file")
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            server.signal(Signal::SIGQUIT);
            server.wait(LIMIT);
        }
    }
}

/// A policy with one allowed network and one binding.
#[must_use]
pub fn policy(name: &str, allow: &str, bind: &str) -> String {
    format!("\n[[policy]]\nname = \"{name}\"\nallow = [\"{allow}\"]\nbind = [\"{bind}\"]\n")
}
