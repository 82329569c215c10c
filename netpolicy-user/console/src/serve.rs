//! The listener, and how long it listens.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::sleep;

use crate::connections::{Connection, Connections};
use crate::handle::handle;
use crate::rate::{Rate, Rates};
use crate::sessions::{NoRandom, Sessions};
use crate::settings::{Listen, Settings};

/// How long a request's head may take, and a connection may stand idle before it.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Bytes of a request's head. A browser sends the cookies of every port of the host: up to 180,
/// of 4 KiB each, which any other program's page may have set.
const HEAD_BYTES: usize = 1 << 20;

/// Connections at a time. A browser opens six.
const CONNECTIONS: usize = 128;

/// Between two tries to accept while there are no descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// What requests work with.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) sessions: Sessions,
    /// Requests of sessions.
    pub(crate) requests: Rate,
    /// Exchanges of tokens that failed.
    pub(crate) failures: Rate,
    /// Sessions that a person begins behind a reverse proxy.
    pub(crate) begun: Rates,
    /// The user that this process runs as.
    pub(crate) user: String,
    /// The host's name.
    pub(crate) host: String,
    last_used: Mutex<Instant>,
}

impl Shared {
    /// The person did something.
    pub(crate) fn used(&self) {
        *self
            .last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last_used(&self) -> Instant {
        *self
            .last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no console.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The place to listen on is taken, or the system refuses it.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// Where.
        listen: Listen,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A header for the person, where any process of the host could send it.
    #[error("--proxy-header is for a unix socket: over loopback every process could name anyone")]
    HeaderOverTcp,
    /// No token can be made.
    #[error(transparent)]
    Token(#[from] NoRandom),
}

/// A console that listens.
#[derive(Debug)]
pub struct Console {
    listener: Listener,
    listen: Listen,
    shared: Arc<Shared>,
    _file: Option<SocketFile>,
}

#[derive(Debug)]
enum Listener {
    Loopback(TcpListener),
    Unix(UnixListener),
}

/// Removes the socket's file when dropped.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It is stale; the next console replaces it.
        let _ = std::fs::remove_file(&self.0);
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Console {
    /// Listens as the settings say. To be called on a tokio runtime.
    ///
    /// # Errors
    /// [`ConsoleError`]
    pub async fn bind(settings: Settings) -> Result<Self, ConsoleError> {
        let is_tcp = matches!(settings.listen, Listen::Loopback(_));
        if is_tcp && settings.proxy_header.is_some() {
            return Err(ConsoleError::HeaderOverTcp);
        }
        let failed = |source| ConsoleError::Listen {
            listen: settings.listen.clone(),
            source,
        };
        let mut file = None;
        let (listener, listen) = match &settings.listen {
            Listen::Loopback(address) => {
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                let bound = listener.local_addr().map_err(failed)?;
                (Listener::Loopback(listener), Listen::Loopback(bound))
            }
            Listen::Unix(path) => {
                let listener = bind_unix(path).map_err(failed)?;
                file = Some(SocketFile(path.clone()));
                (Listener::Unix(listener), settings.listen.clone())
            }
        };
        let uid = nix::unistd::Uid::effective();
        let user = match nix::unistd::User::from_uid(uid) {
            Ok(Some(user)) => user.name,
            _ => format!("uid {uid}"),
        };
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        Ok(Self {
            listener,
            listen,
            _file: file,
            shared: Arc::new(Shared {
                settings,
                sessions: Sessions::default(),
                requests: Rate::new(400, 100),
                failures: Rate::new(20, 2),
                begun: Rates::new(20, 2),
                user,
                host,
                last_used: Mutex::new(Instant::now()),
            }),
        })
    }

    /// A URL with a new token, which is good once; `None`: it is reached through a proxy.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn url(&self) -> Result<Option<String>, ConsoleError> {
        if self.shared.settings.proxy_header.is_some() {
            return Ok(None);
        }
        let token = self.shared.sessions.offer()?;
        let place = match &self.listen {
            // What `ssh -L 7071:localhost:7071` reaches, too.
            Listen::Loopback(address) if address.ip() == std::net::Ipv4Addr::LOCALHOST => {
                format!("localhost:{}", address.port())
            }
            Listen::Loopback(address) => address.to_string(),
            Listen::Unix(_) => "localhost".to_owned(),
        };
        Ok(Some(format!("http://{place}/#token={token}")))
    }

    /// Where it listens.
    #[must_use]
    pub fn listen(&self) -> &Listen {
        &self.listen
    }

    /// Serves until the person was idle for as long as the settings say; forever without.
    pub async fn serve(&self) {
        let connections = Arc::new(Connections::new(CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                accepted = self.accept() => accepted,
                () = self.idle() => return,
            };
            match accepted {
                Ok(stream) => {
                    // All places are taken by sessions: the new one is closed.
                    let Some(connection) = connections.admit() else {
                        continue;
                    };
                    let (shared, connections) = (self.shared.clone(), connections.clone());
                    tokio::spawn(async move {
                        serve_one(shared, connection.clone(), stream).await;
                        connections.release(&connection);
                    });
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match &self.listener {
            Listener::Loopback(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Box::new(stream))
            }
        }
    }

    /// Waits until nothing was done for long enough.
    async fn idle(&self) {
        let Some(limit) = self.shared.settings.end_idle else {
            return std::future::pending().await;
        };
        loop {
            let end = self.shared.last_used() + limit;
            if Instant::now() >= end {
                return;
            }
            tokio::time::sleep_until(end.into()).await;
        }
    }
}

/// One connection, request by request, until it ends or makes room.
async fn serve_one(shared: Arc<Shared>, connection: Arc<Connection>, stream: Box<dyn Stream>) {
    let handled = connection.clone();
    let service = service_fn(move |request| {
        let answered = handle(shared.clone(), handled.clone(), request);
        async move { Ok::<_, std::convert::Infallible>(answered.await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // A browser that goes away in the middle is no event.
        _ = served => {}
        () = connection.displaced() => {}
    }
}

/// A socket that its owner and group may connect to; one that no process listens on is replaced.
fn bind_unix(path: &std::path::Path) -> io::Result<UnixListener> {
    // Connecting to a regular file is refused as well: that stays, and binding fails.
    let is_socket =
        std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    let is_stale = || {
        std::os::unix::net::UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    };
    if is_socket && is_stale() {
        std::fs::remove_file(path)?;
    }
    // Only the owner may connect before the mode is set.
    let before = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let bound = UnixListener::bind(path);
    nix::sys::stat::umask(before);
    let listener = bound?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stale_socket_is_replaced_and_a_regular_file_stays() {
        let name = format!("netpolicy-console-{}.test", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, "precious").unwrap();
        let error = bind_unix(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        std::fs::remove_file(&path).unwrap();
        drop(bind_unix(&path).unwrap());
        let bound = bind_unix(&path).unwrap();
        assert!(bind_unix(&path).is_err(), "another console listens");
        drop(bound);
        std::fs::remove_file(&path).unwrap();
    }
}
