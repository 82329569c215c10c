//! Ending connections: the peer gets a reset, the server's process `ECONNABORTED`.
//!
//! Ends what it is told to, by the kernel's own name for it, and nothing else.

use nix::errno::Errno;

use super::connection::{self, Connection};
use super::diag::Diag;
use super::error::SocketsError;

/// What became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Destroyed {
    /// How many were ended.
    pub closed: usize,
    /// How many were over before.
    pub gone: usize,
}

/// Ends these connections, one after the other, in the calling thread's network
/// namespace. What the host still had to send is lost. Some microseconds each.
///
/// A connection is named by its cookie, too: never is another one with the same ends
/// closed, nor a listener.
///
/// # Errors
/// At the first refusal that would meet all others as well: the kernel cannot
/// ([`SocketsError::NoDestroy`]), the caller may not ([`SocketsError::NotPermitted`]),
/// or another one. Those before it are ended.
pub fn destroy(connections: &[Connection]) -> Result<Destroyed, SocketsError> {
    let mut done = Destroyed::default();
    destroy_into(connections, &mut done).map(|()| done)
}

/// The same, which tells of those before an error, too.
pub(super) fn destroy_into(
    connections: &[Connection],
    done: &mut Destroyed,
) -> Result<(), SocketsError> {
    if connections.is_empty() {
        return Ok(());
    }
    let mut diag = Diag::open()?;
    let mut known_to_work = false;
    for connection in connections {
        match diag.destroy(connection.request())? {
            Ok(()) => {
                done.closed += 1;
                known_to_work = true;
            }
            // ESTALE: another socket has its ends.
            Err(Errno::ENOENT | Errno::ESTALE) => done.gone += 1,
            // Older kernels answer so for a socket that has just gone to TIME_WAIT
            // (`tcp_abort`), where nothing travels any more.
            Err(Errno::EOPNOTSUPP) if known_to_work || probe(&mut diag)? => {
                known_to_work = true;
                done.gone += 1;
            }
            Err(errno) => return Err(SocketsError::of_destroy(errno)),
        }
    }
    Ok(())
}

/// Whether this kernel can end connections at all. Ends nothing; whether the caller may
/// is not known before there is one.
///
/// # Errors
/// The kernel cannot be asked.
pub fn can_destroy() -> Result<bool, SocketsError> {
    probe(&mut Diag::open()?)
}

/// The kernel looks whether it can, before it looks for the socket.
fn probe(diag: &mut Diag) -> Result<bool, SocketsError> {
    match diag.destroy(connection::no_socket())? {
        Ok(()) | Err(Errno::ENOENT | Errno::ESTALE) => Ok(true),
        Err(errno) => match SocketsError::of_destroy(errno) {
            SocketsError::NoDestroy => Ok(false),
            error => Err(error),
        },
    }
}
