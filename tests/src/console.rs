//! A running `netpolicy console`, and the URL that it printed.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{Answer, exchange};
use crate::{DatabaseHost, binary};

/// How long an answer may take.
const TIME: Duration = Duration::from_secs(10);

/// A console, killed when dropped.
pub struct Console {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    /// The port that it listens on.
    pub port: u16,
    /// The token of its first URL.
    pub token: String,
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command with the environment of those of a host, outside of its network namespace: what a
/// console listens on is the machine's loopback.
#[must_use]
pub fn outside(host: &DatabaseHost, mut command: Command) -> Command {
    for (name, value) in host.command().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

impl Console {
    /// Starts `netpolicy console` for the agent of a host with these options, as if over SSH from an
    /// address.
    #[must_use]
    pub fn of(host: &DatabaseHost, from: Option<&str>, options: &[&str]) -> Self {
        let mut command = outside(host, Command::new(binary::netpolicy()));
        if let Some(from) = from {
            command.env("SSH_CONNECTION", format!("{from} 50022 192.0.2.10 22"));
        }
        Self::start(command, options)
    }

    /// Starts `netpolicy console` on a free port, by a command of the host with these options.
    ///
    /// # Panics
    /// When it does not print its URL.
    #[must_use]
    pub fn start(mut command: Command, options: &[&str]) -> Self {
        command.args(["console", "--listen", "127.0.0.1:0"]);
        let mut child = command
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the console");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let line = lines.next().expect("a line").expect("a URL");
        let (port, token) = parts(&line);
        Self {
            child,
            lines,
            port,
            token,
        }
    }

    /// The URL that it printed first.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://localhost:{}/#token={}", self.port, self.token)
    }

    /// Another token, as Enter prints it.
    ///
    /// # Panics
    /// When it prints none.
    pub fn another(&mut self) -> String {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        stdin.write_all(b"\n").expect("send Enter");
        let line = self.lines.next().expect("a line").expect("a URL");
        parts(&line).1
    }

    /// The host as the browser names it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Sends a request with these headers alone.
    ///
    /// # Panics
    /// When there is no answer.
    #[must_use]
    pub fn raw(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let answer = exchange(self.port, method, target, headers, body.as_bytes(), TIME);
        answer.unwrap_or_else(|error| panic!("{method} {target}: {error}"))
    }

    /// Sends a request as the page does.
    #[must_use]
    pub fn ask(&self, secret: &str, method: &str, target: &str, body: &str) -> Answer {
        let (host, origin) = (self.host(), format!("http://{}", self.host()));
        let headers = [
            ("host", &*host),
            ("origin", &*origin),
            ("sec-fetch-site", "same-origin"),
            ("content-type", "application/json"),
            ("x-netpolicy-session", secret),
        ];
        self.raw(method, target, &headers, body)
    }

    /// Exchanges a token.
    #[must_use]
    pub fn exchange(&self, token: &str) -> Answer {
        let body = json!({ "token": token }).to_string();
        self.ask("", "POST", "/session", &body)
    }

    /// Begins a session with the first token; its secret.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn begin(&self) -> String {
        let answer = self.exchange(&self.token);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let Value::String(secret) = &answer.json()["session"] else {
            panic!("no secret: {}", answer.text());
        };
        secret.clone()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The running process.
    pub fn process(&mut self) -> &mut Child {
        &mut self.child
    }
}

/// Port and token of a URL.
fn parts(url: &str) -> (u16, String) {
    let rest = url.strip_prefix("http://localhost:").expect("a URL");
    let (port, token) = rest.split_once("/#token=").expect("a token");
    (port.parse().expect("a port"), token.to_owned())
}
