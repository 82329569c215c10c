//! Metrics as a test asks for them: over the agent's socket or TCP, as samples by name and labels.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::NetNs;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scraped {
    /// The status, as in "200 OK".
    pub status: String,
    /// The media type.
    pub media_type: String,
    /// The body.
    pub text: String,
}

impl Scraped {
    /// Asks over a unix socket.
    ///
    /// # Panics
    /// When there is no answer.
    #[must_use]
    pub fn over_socket(socket: &Path, path: &str, accept: &str) -> Self {
        let stream = UnixStream::connect(socket).expect("connect to the agent");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        ask(stream, "GET", path, accept)
    }

    /// Asks over TCP in a namespace.
    ///
    /// # Panics
    /// When there is no answer.
    #[must_use]
    pub fn over_tcp(
        ns: &NetNs,
        address: SocketAddr,
        method: &str,
        path: &str,
        accept: &str,
    ) -> Self {
        let stream = ns.run(|| TcpStream::connect(address).expect("connect to the exporter"));
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        ask(stream, method, path, accept)
    }

    /// The value of the sample with this name and exactly these labels, as it is written.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let pairs = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{value}\""));
        let pairs: Vec<_> = pairs.collect();
        let series = match pairs.is_empty() {
            true => name.to_owned(),
            false => format!("{name}{{{}}}", pairs.join(",")),
        };
        self.samples().get(&series).copied()
    }

    /// All samples by series.
    ///
    /// # Panics
    /// When a line cannot be read, or a series comes twice.
    #[must_use]
    pub fn samples(&self) -> BTreeMap<String, f64> {
        let mut samples = BTreeMap::new();
        for line in self.text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').expect(line);
            let value = value.parse().expect(line);
            let before = samples.insert(series.to_owned(), value);
            assert_eq!(before, None, "twice: {series}");
        }
        samples
    }
}

fn ask(mut stream: impl Read + Write, method: &str, path: &str, accept: &str) -> Scraped {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("send a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let header = |name: &str| {
        let mut lines = head.lines();
        let line = lines.find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        });
        line.unwrap_or_default()
    };
    assert_ne!(
        header("transfer-encoding"),
        "chunked",
        "the body is sent whole"
    );
    let status = head.lines().next().unwrap_or_default();
    Scraped {
        status: status.trim_start_matches("HTTP/1.1 ").to_owned(),
        media_type: header("content-type"),
        text: body.to_owned(),
    }
}

/// What `promtool check metrics` finds wrong with a text.
///
/// # Panics
/// When there is no promtool.
#[must_use]
pub fn promtool_findings(text: &str) -> String {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed by `cargo xtask setup --for test`");
    let mut stdin = promtool.stdin.take().expect("a pipe");
    stdin.write_all(text.as_bytes()).expect("write to promtool");
    drop(stdin);
    let out = promtool.wait_with_output().expect("promtool ends");
    let said = [out.stdout, out.stderr].concat();
    let mut said = String::from_utf8_lossy(&said).into_owned();
    if !out.status.success() && said.is_empty() {
        said = out.status.to_string();
    }
    said
}
