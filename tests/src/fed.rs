//! A database host with a feed: an HTTPS server, and the unprivileged process that reads it.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::https::{Answer, HttpsServer};
use crate::process::Process;
use crate::{DatabaseHost, binary};

/// The user of the process that reads feeds; every host has it.
pub const USER: (&str, &str) = ("nobody", "nogroup");
/// Where the server listens, in the host's own namespace.
pub const HTTPS: u16 = 8443;
/// Longer than any refresh takes here.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A host with the policy `abuse` that blocks what the feed `drop` has, and the process that reads
/// feeds.
pub struct Fed {
    /// The process that reads feeds.
    pub reader: Option<Process>,
    /// Where their content is.
    pub server: Option<HttpsServer>,
    /// The host.
    pub host: DatabaseHost,
}

impl Fed {
    /// With further lines for the feed.
    pub fn with(lines: &str, answer: Answer) -> Self {
        let host = DatabaseHost::start();
        let server = HttpsServer::start(host.db(), HTTPS);
        server.answer("/list.txt", answer);
        let mut fed = Self {
            reader: None,
            server: Some(server),
            host,
        };
        fed.host.write("ca.pem", fed.server().certificate());
        let open = fs::Permissions::from_mode(0o644);
        fs::set_permissions(fed.host.file("ca.pem"), open).expect("as the test makes it");
        fed.host.ok("grant feed --to user:nobody");
        fed.apply(&format!(
            "url = \"{}\"\n{lines}",
            fed.server().url("/list.txt")
        ));
        fed.start_reader();
        fed
    }

    /// The server.
    pub fn server(&self) -> &HttpsServer {
        self.server.as_ref().expect("as the test makes it")
    }

    /// Makes the feed what these lines say.
    pub fn apply(&self, lines: &str) {
        let text = format!(
            "[[feed]]\nname = \"drop\"\n{lines}\n\n[[policy]]\nname = \"abuse\"\nblock = [\"@drop\"]\n"
        );
        self.host.write("policy.toml", text);
        self.host.ok("apply -f policy.toml --yes");
    }

    /// `netpolicy-net feed …` as the user that reads feeds.
    pub fn reading(&self, args: &[&str]) -> Command {
        let own = self.host.command_as(USER.0, USER.1);
        let mut command = self.host.db().command("setpriv");
        command.args(["--reuid", USER.0, "--regid", USER.1, "--init-groups", "--"]);
        command.arg(binary::netpolicy_net());
        for (name, value) in own.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("SSL_CERT_FILE", self.host.file("ca.pem"));
        command.args(args).current_dir("/");
        command
    }

    /// Starts the process that reads feeds.
    pub fn start_reader(&mut self) {
        let command = self.reading(&["feed", "run"]);
        self.reader = Some(Process::start(command, &self.host.file("reader.log")));
    }

    /// The feed, as the agent has it.
    pub fn feed(&self) -> Value {
        self.host.json("feed list")[0].clone()
    }

    /// Waits until the feed is so.
    #[track_caller]
    pub fn wait(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let feed = self.feed();
            if is_so(&feed) {
                return feed;
            }
            assert!(begun.elapsed() < LIMIT, "{what}: {feed:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Refreshes the feed, which must fail; what is said.
    #[track_caller]
    pub fn refused(&self) -> String {
        let out = self.host.line("feed refresh drop");
        out.failed(1).to_owned()
    }

    /// The revision in force.
    pub fn revision(&self) -> u64 {
        self.host.json("status")["agent"]["revision"]
            .as_u64()
            .expect("as the test makes it")
    }

    /// The generation in force.
    pub fn generation(&self) -> u64 {
        let status = self.host.json("status");
        status["enforcement"]["generation"]
            .as_u64()
            .expect("as the test makes it")
    }
}

/// A list with so many hosts and these.
pub fn list(count: u32, others: &[&str]) -> String {
    let mut text = "# a list\n".to_owned();
    for i in 0..count {
        let _ = writeln!(text, "45.0.{}.{}", i / 256, i % 256);
    }
    for other in others {
        let _ = writeln!(text, "{other}  # noted");
    }
    text
}
