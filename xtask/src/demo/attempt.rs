//! Real connection attempts, made as a client makes them.

use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, setns};

use crate::process;

/// How long a client waits. Long enough for one SYN to be sent again, after a second.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What an attempt should come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// It gets through.
    Connects,
    /// Nothing answers: its SYN was dropped.
    TimesOut,
}

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A connection, over which the server answered.
    Connected,
    /// No answer.
    TimedOut,
    /// Anything else.
    Failed(String),
}

/// An attempt that was made.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) client: &'static str,
    pub(super) from: IpAddr,
    pub(super) to: SocketAddr,
    pub(super) expected: Expected,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
}

impl Attempt {
    /// Whether it came out as it should.
    pub(super) fn as_expected(&self) -> bool {
        matches!(
            (self.expected, &self.outcome),
            (Expected::Connects, Outcome::Connected) | (Expected::TimesOut, Outcome::TimedOut)
        )
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Connects => "connects",
            Self::TimesOut => "times out",
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Connected => "connects",
            Self::TimedOut => "times out",
            Self::Failed(why) => why,
        })
    }
}

/// Makes an attempt in a namespace, on a thread of its own: a thread can be moved into a
/// namespace without the process.
pub(super) fn start(
    namespace: PathBuf,
    client: &'static str,
    from: IpAddr,
    to: SocketAddr,
    expected: Expected,
) -> JoinHandle<Result<Attempt>> {
    thread::spawn(move || {
        enter(&namespace)?;
        let started = Instant::now();
        let outcome = match Session::connect(to) {
            Ok(_) => Outcome::Connected,
            Err(error) if is_timeout(&error) => Outcome::TimedOut,
            Err(error) => Outcome::Failed(error.to_string()),
        };
        Ok(Attempt {
            client,
            from,
            to,
            expected,
            outcome,
            took: started.elapsed(),
        })
    })
}

/// The result of a thread, or its panic as an error.
///
/// # Errors
/// What the thread's work returned.
pub(super) fn join<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread
        .join()
        .unwrap_or_else(|_| Err(anyhow!("a client's thread panicked")))
}

/// Moves the calling thread into a namespace, for good.
///
/// # Errors
/// When the namespace is not there or this is not root.
pub(super) fn enter(namespace: &Path) -> Result<()> {
    let file = process::open_namespace(namespace)?;
    setns(file, CloneFlags::CLONE_NEWNET)
        .with_context(|| format!("enter the network namespace {}", namespace.display()))
}

/// An open connection to the server.
#[derive(Debug)]
pub(super) struct Session(TcpStream);

impl Session {
    /// Connects from a namespace.
    ///
    /// # Errors
    /// When it does not get through.
    pub(super) fn open(namespace: PathBuf, to: SocketAddr) -> Result<Self> {
        join(thread::spawn(move || {
            enter(&namespace)?;
            Self::connect(to).with_context(|| format!("connect to {to}"))
        }))
    }

    fn connect(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut session = Self(stream);
        session.exchange()?;
        Ok(session)
    }

    /// Sends the server a line and reads its answer.
    ///
    /// # Errors
    /// When none comes.
    pub(super) fn exchange(&mut self) -> io::Result<()> {
        const LINE: &[u8; 5] = b"ping\n";
        self.0.write_all(LINE)?;
        let mut answer = [0; LINE.len()];
        self.0.read_exact(&mut answer)?;
        if answer == *LINE {
            Ok(())
        } else {
            Err(ErrorKind::InvalidData.into())
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(expected: Expected, outcome: Outcome) -> bool {
        let to = SocketAddr::from(([192, 0, 2, 10], 5432));
        let took = Duration::ZERO;
        Attempt {
            client: "x",
            from: to.ip(),
            to,
            expected,
            outcome,
            took,
        }
        .as_expected()
    }

    #[test]
    fn only_the_outcome_that_was_expected_will_do() {
        assert!(attempt(Expected::Connects, Outcome::Connected));
        assert!(attempt(Expected::TimesOut, Outcome::TimedOut));
        assert!(!attempt(Expected::Connects, Outcome::TimedOut));
        assert!(!attempt(Expected::TimesOut, Outcome::Connected));
        // A refusal is the network stack's answer: the SYN did reach it.
        assert!(!attempt(
            Expected::TimesOut,
            Outcome::Failed("connection refused".into())
        ));
    }

    #[test]
    fn a_session_is_more_than_a_handshake() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        // Accepts, and says nothing.
        let silent = Session::connect(to);
        assert!(is_timeout(&silent.unwrap_err()));
        drop(listener);
        assert_eq!(
            Session::connect(to).unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
    }
}
