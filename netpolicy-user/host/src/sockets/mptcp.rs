//! MPTCP: which TCP connections are subflows of one connection, and its end.
//!
//! `SOCK_DESTROY` of a subflow resets that subflow and no more: the kernel answers that it
//! is done, and the connection lives, over other subflows or, without any, for
//! `net.mptcp.close_timeout` (60 s by default), in which a new subflow may join. Of the
//! connection itself it is refused (`mptcp_diag` has no `destroy`). What ends it at once is
//! a disconnect of the socket, which only a holder of its descriptor can do: so a copy is
//! taken from a process that has it (`pidfd_getfd(2)`). Both ends then hear at once: the
//! server's process reads the end, the peer gets `MP_FASTCLOSE` and a reset.
//!
//! Sources: `net/mptcp/protocol.c` (`mptcp_disconnect`, `mptcp_worker`), `diag.c` and
//! `mptcp_diag.c` of the kernel.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::thread;
use std::time::Duration;

use netlink_packet_core::NlasIterator;
use netlink_packet_sock_diag::inet::nlas::Nla;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// The connection's local token, from what `sock_diag` tells of a subflow if asked for
/// `INET_DIAG_INFO` (`inet_sk_diag_fill` in `net/ipv4/inet_diag.c`).
pub(super) fn token(nlas: &[Nla]) -> Option<u32> {
    /// `INET_DIAG_ULP_INFO`, `INET_ULP_INFO_MPTCP` in `linux/inet_diag.h`,
    /// `MPTCP_SUBFLOW_ATTR_TOKEN_LOC` in `linux/mptcp.h`.
    const ULP_INFO: u16 = 19;
    const MPTCP: u16 = 3;
    const TOKEN_LOCAL: u16 = 2;
    let ulp = nlas.iter().find_map(|nla| match nla {
        Nla::Other(nla) if netlink_packet_core::Nla::kind(nla) == ULP_INFO => Some(nla),
        _ => None,
    })?;
    let mut bytes = vec![0; netlink_packet_core::Nla::value_len(ulp)];
    netlink_packet_core::Nla::emit_value(ulp, &mut bytes);
    let subflow = attribute(&bytes, MPTCP)?;
    let token = attribute(&subflow, TOKEN_LOCAL)?;
    let token = u32::from_ne_bytes(token.try_into().ok()?);
    // 0: the connection fell back to TCP, or is over.
    (token != 0).then_some(token)
}

fn attribute(nlas: &[u8], kind: u16) -> Option<Vec<u8>> {
    let mut all = NlasIterator::new(nlas).map_while(Result::ok);
    all.find(|nla| nla.kind() == kind)
        .map(|nla| nla.value().to_vec())
}

/// Processes that hold sockets, by the sockets' inode numbers.
pub(super) struct Holders(HashMap<u64, Vec<(Pid, i32)>>);

impl Holders {
    /// Looks through all processes' descriptors that may be read.
    pub(super) fn of(inodes: &HashSet<u64>) -> Self {
        let mut holders: HashMap<_, Vec<_>> = HashMap::new();
        if inodes.is_empty() {
            return Self(holders);
        }
        for process in read_dir(Path::new("/proc")) {
            let name = process.file_name();
            let pid = name.to_str().and_then(|name| name.parse().ok());
            let Some(pid) = pid.and_then(Pid::from_raw) else {
                continue;
            };
            for entry in read_dir(&process.path().join("fd")) {
                let name = entry.file_name();
                let fd = name.to_str().and_then(|name| name.parse::<i32>().ok());
                let inode = fs::read_link(entry.path()).ok().and_then(|link| {
                    let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
                    inode.parse::<u64>().ok()
                });
                if let (Some(fd), Some(inode)) = (fd, inode)
                    && inodes.contains(&inode)
                {
                    holders.entry(inode).or_default().push((pid, fd));
                }
            }
        }
        Self(holders)
    }

    /// Disconnects a socket through one of its holders; whether that was done.
    pub(super) fn disconnect(&self, inode: u64) -> bool {
        let holders = self.0.get(&inode).into_iter().flatten();
        let mut copies = holders.filter_map(|&(pid, fd)| copy(pid, fd, inode));
        copies.next().is_some_and(|socket| disconnect(&socket))
    }
}

/// A copy of a process's descriptor, if it is still this socket.
fn copy(pid: Pid, fd: i32, inode: u64) -> Option<OwnedFd> {
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let copy = pidfd_getfd(&process, fd, PidfdGetfdFlags::empty()).ok()?;
    // The descriptor may be of another file by now; the inode of a socket that is held
    // is of no other.
    let is_same = rustix::fs::fstat(&copy).is_ok_and(|stat| stat.st_ino == inode);
    let protocol = rustix::net::sockopt::socket_protocol(&copy).ok().flatten();
    let is_mptcp = protocol == Some(rustix::net::ipproto::MPTCP);
    (is_same && is_mptcp).then_some(copy)
}

fn disconnect(socket: impl AsFd) -> bool {
    /// For a thread that is woken to leave the socket.
    const PAUSE: Duration = Duration::from_millis(10);
    if rustix::net::connect_unspec(&socket).is_ok() {
        return true;
    }
    // Some kernels refuse while a thread waits in the socket (Linux 6.4 to 6.6 and their
    // stable relatives, `sk_wait_pending`): the end of both directions wakes it.
    let _ = rustix::net::shutdown(&socket, rustix::net::Shutdown::Both);
    thread::sleep(PAUSE);
    rustix::net::connect_unspec(&socket).is_ok()
}

fn read_dir(path: &Path) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(path).into_iter().flatten().flatten()
}
