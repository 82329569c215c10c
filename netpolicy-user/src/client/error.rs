//! Why a request has no answer: each cause by its own name.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::StatusCode;
use nix::errno::Errno;

use super::ANSWER_TIMEOUT;
use super::http::ExchangeError;
use crate::api::{ErrorCode, ProblemDetails};

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no socket, or none that an agent listens on.
    #[error("no agent answers on {}: {why}", socket.display())]
    NoAgent {
        /// Which of both.
        why: &'static str,
        /// The socket.
        socket: PathBuf,
        /// What connecting to it ended in.
        #[source]
        source: io::Error,
    },
    /// An agent listens, but accepts no more connections: its queue is full.
    #[error("the agent on {} accepts no connections: its queue is full", socket.display())]
    Busy {
        /// The socket.
        socket: PathBuf,
        /// What connecting to it ended in.
        #[source]
        source: io::Error,
    },
    /// What is at the path can be no agent's socket.
    #[error("{} is not an agent's socket: {why}", socket.display())]
    NotASocket {
        /// The path.
        socket: PathBuf,
        /// What it is.
        why: &'static str,
        /// What connecting to it ended in.
        #[source]
        source: io::Error,
    },
    /// Another program listens on the socket.
    #[error("what answers on {} is not a netpolicy agent: {why}", socket.display())]
    OtherProgram {
        /// The socket.
        socket: PathBuf,
        /// What it answered.
        why: String,
    },
    /// This process may not do what connecting requires: it has too many open files, or
    /// the system lacks memory.
    #[error("cannot connect to {}", socket.display())]
    Resources {
        /// The socket.
        socket: PathBuf,
        /// What connecting to it ended in.
        #[source]
        source: io::Error,
    },
    /// An agent listens, but did not answer in time.
    #[error("the agent on {} did not answer within {} s", socket.display(), waited.as_secs())]
    Silent {
        /// The socket.
        socket: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The socket may not be opened by this user.
    #[error("no permission to talk to the agent on {}", socket.display())]
    Permission {
        /// The socket.
        socket: PathBuf,
        /// What connecting to it ended in.
        #[source]
        source: io::Error,
    },
    /// The agent said no.
    #[error("{}", .body.errors.join("; "))]
    Refused {
        /// HTTP status.
        status: u16,
        /// Why, and what to do.
        body: Box<ProblemDetails>,
    },
    /// Request or answer were lost or garbled on the way.
    #[error("{what}: the answer of the agent on {} is unusable", socket.display())]
    Transport {
        /// "GET /v1/status"
        what: String,
        /// The socket.
        socket: PathBuf,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The agent ended the event stream.
    #[error("the agent ended the stream of events")]
    StreamEnded,
}

impl ClientError {
    /// Whether no agent is at work: none is there, it is only starting, or it hangs.
    #[must_use]
    pub fn is_agent_missing(&self) -> bool {
        match self {
            Self::NoAgent { .. } | Self::Silent { .. } | Self::Busy { .. } => true,
            Self::Refused { body, .. } => body.code == ErrorCode::Starting,
            _ => false,
        }
    }
}

/// Sorts errors by their cause.
pub(super) fn failure(socket: &Path, what: &str, error: ExchangeError) -> ClientError {
    let socket = socket.to_owned();
    match error {
        ExchangeError::Timeout => ClientError::Silent {
            socket,
            waited: ANSWER_TIMEOUT,
        },
        ExchangeError::Connect(source) => unconnected(socket, source),
        ExchangeError::NotHttp(_) => ClientError::OtherProgram {
            socket,
            why: "it does not speak HTTP".to_owned(),
        },
        error
        @ (ExchangeError::Unsent(_) | ExchangeError::Broken(_) | ExchangeError::Unmade(_)) => {
            ClientError::Transport {
                what: what.to_owned(),
                socket,
                source: error.into(),
            }
        }
    }
}

/// What an answer says that is no success. An agent's refusals are JSON, also those of
/// other versions.
pub(super) fn refused(socket: &Path, what: &str, status: StatusCode, text: &str) -> ClientError {
    match serde_json::from_str(text) {
        Ok(body) => ClientError::Refused {
            status: status.as_u16(),
            body,
        },
        Err(_) => ClientError::OtherProgram {
            socket: socket.to_owned(),
            why: format!("it answers {what} with {status}: {}", first_line(text))
                .trim_end_matches([':', ' '])
                .to_owned(),
        },
    }
}

/// Why a connection to the socket failed, by what the system says (`connect(2)`,
/// `unix(7)`).
fn unconnected(socket: PathBuf, source: io::Error) -> ClientError {
    let is_socket =
        || std::fs::metadata(&socket).map_or(true, |about| about.file_type().is_socket());
    match source.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) => ClientError::NoAgent {
            why: "there is no such socket",
            socket,
            source,
        },
        Some(Errno::ECONNREFUSED) if is_socket() => ClientError::NoAgent {
            why: "no process listens on it",
            socket,
            source,
        },
        Some(Errno::ECONNREFUSED) => ClientError::NotASocket {
            why: "it is another kind of file",
            socket,
            source,
        },
        Some(Errno::ENOTDIR) => ClientError::NotASocket {
            why: "a part of the path is not a directory",
            socket,
            source,
        },
        Some(Errno::EPROTOTYPE) => ClientError::NotASocket {
            why: "it is a socket of another type",
            socket,
            source,
        },
        Some(Errno::EACCES | Errno::EPERM) => ClientError::Permission { socket, source },
        Some(Errno::EAGAIN) => ClientError::Busy { socket, source },
        None if source.kind() == io::ErrorKind::InvalidInput => ClientError::NotASocket {
            why: "the path is too long for a socket",
            socket,
            source,
        },
        _ => ClientError::Resources { socket, source },
    }
}

fn first_line(text: &str) -> &str {
    const SHOWN: usize = 200;
    let line = text.trim().lines().next().unwrap_or("");
    line.char_indices()
        .nth(SHOWN)
        .map_or(line, |(end, _)| &line[..end])
}
