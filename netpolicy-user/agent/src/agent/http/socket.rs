//! The unix socket: made, guarded, served, removed.
//!
//! Knows the caller (from the kernel, `SO_PEERCRED`) and admits only root and
//! callers with a grant. What is served is the router's business.

use std::fs::{DirBuilder, FileType, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::UnixListener;

/// Connections that may wait to be accepted (the kernel takes `net.core.somaxconn` for more).
/// A short queue would be full of one user's attempts, and refuse root's.
const BACKLOG: i32 = 4096;

/// Why there is no socket to serve on.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another process answers on it.
    #[error("another agent answers on {}: stop it first, or choose another socket", .0.display())]
    Taken(PathBuf),
    /// Something else has its name.
    #[error("{} is {kind}, where a socket was to be made: move it away, or choose another socket", path.display())]
    NotASocket {
        /// The socket's path.
        path: PathBuf,
        /// "a directory", "a file".
        kind: &'static str,
    },
    /// The path cannot be a socket's.
    #[error("{} is too long for a unix socket's path: at most 107 bytes were expected", .0.display())]
    TooLong(PathBuf),
    /// The system refused.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried: "make the directory", "listen on".
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// The listening socket; its file goes away with it.
#[derive(Debug)]
pub struct ListeningSocket {
    listener: UnixListener,
    file: SocketFile,
}

/// Removes the socket's file when dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(socket = %self.0.display(), %error, "the socket could not be removed");
        }
    }
}

impl ListeningSocket {
    /// Listens on `path`: only its owner may connect. A directory that is missing is
    /// made; a socket that no process listens on is replaced. To be called on a tokio
    /// runtime.
    ///
    /// # Errors
    /// The path is taken by an agent or by something that is no socket, or the
    /// system refuses.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let io = |what| {
            move |source: io::Error| SocketError::Io {
                what,
                path: path.to_owned(),
                source,
            }
        };
        let address = SocketAddrUnix::new(path).map_err(|e| match e {
            rustix::io::Errno::NAMETOOLONG => SocketError::TooLong(path.to_owned()),
            e => io("listen on")(e.into()),
        })?;
        if let Some(dir) = path.parent() {
            make_dir(dir).map_err(|source| SocketError::Io {
                what: "make the directory",
                path: dir.to_owned(),
                source,
            })?;
        }
        clear(path)?;
        let listener = listen(&address).map_err(io("listen on"))?;
        Ok(Self {
            listener,
            file: SocketFile(path.to_owned()),
        })
    }

    /// The listener, and the guard that removes the file.
    #[must_use]
    pub fn into_parts(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }
}

fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o755).create(dir)
}

/// Makes room for the socket, unless another process or another kind of file is there.
fn clear(path: &Path) -> Result<(), SocketError> {
    let io = |what| {
        move |source| SocketError::Io {
            what,
            path: path.to_owned(),
            source,
        }
    };
    let kind = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io("look at")(e)),
    };
    if !kind.is_socket() {
        return Err(SocketError::NotASocket {
            path: path.to_owned(),
            kind: describe(kind),
        });
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(SocketError::Taken(path.to_owned())),
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(socket = %path.display(), "a socket that no process listens on is replaced");
            std::fs::remove_file(path).map_err(io("remove the stale socket"))
        }
        Err(e) => Err(io("ask who answers on")(e)),
    }
}

fn describe(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else {
        "a file"
    }
}

fn listen(address: &SocketAddrUnix) -> io::Result<UnixListener> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    // The file that bind() makes inherits the socket's own mode (unix_bind_bsd in the
    // kernel's net/unix/af_unix.c), so no process can connect before a chmod of the file.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    UnixListener::from_std(socket.into())
}

/// Lets all users connect, or only the socket's owner: the others are of no use while nothing
/// was granted.
///
/// # Errors
/// The file's mode cannot be set.
pub fn open_to_all(socket: &Path, open: bool) -> io::Result<()> {
    let mode = if open { 0o666 } else { 0o600 };
    std::fs::set_permissions(socket, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn only_the_owner_may_connect_and_the_file_goes_with_the_guard() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run").join("agent.sock");
        let (listener, file) = ListeningSocket::bind(&path).unwrap().into_parts();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o755);
        let (accepted, connected) =
            tokio::join!(listener.accept(), tokio::net::UnixStream::connect(&path));
        accepted.unwrap();
        connected.unwrap();
        drop(file);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_living_agent_is_not_pushed_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        let first = ListeningSocket::bind(&path).unwrap();
        let error = ListeningSocket::bind(&path).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("another agent answers on {}", path.display())),
            "{error}"
        );
        assert!(path.exists());
        drop(first);
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "std leaves the file");
        ListeningSocket::bind(&path).unwrap();
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        std::fs::write(&path, "precious").unwrap();
        let error = ListeningSocket::bind(&path).unwrap_err().to_string();
        assert!(error.contains("is a file, where a socket"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        let error = ListeningSocket::bind(dir.path()).unwrap_err().to_string();
        assert!(error.contains("is a directory"), "{error}");
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_named() {
        let path = Path::new("/tmp").join("x".repeat(120));
        let error = ListeningSocket::bind(&path).unwrap_err().to_string();
        assert!(error.contains("too long"), "{error}");
    }
}
