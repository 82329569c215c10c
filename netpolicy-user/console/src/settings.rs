//! How a console is started.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// How a console is started.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub listen: Listen,
    /// The agent's socket.
    pub agent: PathBuf,
    /// Whether nothing can be changed.
    pub read_only: bool,
    /// How long it runs without a request of the person; `None`: until it is stopped.
    pub end_idle: Option<Duration>,
    /// Names under which it is reached, in addition to those of loopback.
    pub hosts: Vec<String>,
    /// The header in which a reverse proxy names the person it authenticated; over a unix socket
    /// alone.
    pub proxy_header: Option<String>,
    /// What examines the host for the page.
    pub examiner: Examiner,
    /// netpolicy's version.
    pub version: &'static str,
}

/// Examines the host as the console's user, and gives a report as JSON, or why there is none. It
/// blocks, for seconds at worst.
#[derive(Clone)]
pub struct Examiner(Arc<dyn Fn() -> Result<Vec<u8>, String> + Send + Sync>);

impl Examiner {
    /// One that does this.
    #[must_use]
    pub fn new(examine: impl Fn() -> Result<Vec<u8>, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(examine))
    }

    pub(crate) fn examine(&self) -> Result<Vec<u8>, String> {
        (self.0)()
    }
}

impl fmt::Debug for Examiner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Examiner")
    }
}

/// Where a console listens: on loopback, or on a unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address of loopback.
    Loopback(SocketAddr),
    /// A unix socket, that only its owner and group may connect to.
    Unix(PathBuf),
}

/// Why a text names no place to listen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// It is malformed.
    #[error("'{0}' is no place to listen; expected 127.0.0.1:PORT, [::1]:PORT or unix:PATH")]
    Malformed(String),
    /// It is not on loopback.
    #[error(
        "{0} is not an address of loopback: the console speaks no TLS and listens on 127.0.0.1, \
         [::1] or unix:PATH alone; from another machine use ssh -L"
    )]
    NotLoopback(SocketAddr),
}

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.is_empty() {
                true => Err(ListenError::Malformed(text.to_owned())),
                false => Ok(Self::Unix(path.into())),
            };
        }
        let text = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => text.to_owned(),
        };
        let address: SocketAddr = text
            .parse()
            .map_err(|_| ListenError::Malformed(text.clone()))?;
        match address.ip().is_loopback() {
            true => Ok(Self::Loopback(address)),
            false => Err(ListenError::NotLoopback(address)),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_unix_sockets_are_listened_on() {
        let good = [
            "127.0.0.1:7071",
            "127.0.0.9:1",
            "[::1]:7071",
            "unix:/run/netpolicy/console.sock",
        ];
        for text in good {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        let localhost: Listen = "localhost:0".parse().unwrap();
        assert_eq!(localhost.to_string(), "127.0.0.1:0");
        for text in ["0.0.0.0:7071", "192.0.2.1:1", "[::]:1", "[2001:db8::1]:1"] {
            let error = text.parse::<Listen>().unwrap_err();
            assert!(matches!(error, ListenError::NotLoopback(_)), "{text}");
        }
        for text in [
            "",
            "7071",
            "unix:",
            "db1:7071",
            "127.0.0.1",
            "127.0.0.1:65536",
        ] {
            let error = text.parse::<Listen>().unwrap_err();
            assert!(matches!(error, ListenError::Malformed(_)), "{text}");
        }
    }
}
