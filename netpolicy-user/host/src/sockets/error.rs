//! Errors of listing and ending connections.

use std::io;

use nix::errno::Errno;

/// Why connections cannot be listed or ended.
#[derive(Debug, thiserror::Error)]
pub enum SocketsError {
    /// The kernel's socket diagnostics are missing.
    #[error(
        "this kernel does not list TCP sockets: load the module tcp_diag, or use a kernel with CONFIG_INET_DIAG"
    )]
    NoDiag,
    /// Sockets are listed but not ended.
    #[error(
        "this kernel cannot end connections of others: it is built without CONFIG_INET_DIAG_DESTROY; restart the server, or let it end them"
    )]
    NoDestroy,
    /// Connections are tracked, and the kernel does not list them.
    #[error(
        "this kernel does not list tracked connections: load the module nf_conntrack_netlink, or use a kernel with CONFIG_NF_CT_NETLINK"
    )]
    NoConntrack,
    /// There is no routing table.
    #[error("this kernel does not list routes (NETLINK_ROUTE)")]
    NoRoutes,
    /// The caller may not.
    #[error(
        "not permitted to end connections: CAP_NET_ADMIN was expected, in the user namespace that owns the network namespace; run the agent as root"
    )]
    NotPermitted,
    /// Sockets came and went while they were listed, again and again.
    #[error(
        "the list of TCP connections changed while it was read, {attempts} times in a row: try again"
    )]
    Changing {
        /// How often it was tried.
        attempts: u32,
    },
    /// A system call failed.
    #[error("cannot {what}")]
    System {
        /// What was tried: "open a netlink socket for sock_diag".
        what: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The kernel refused for a reason that is none of the above.
    #[error("the kernel refused to {what}")]
    Refused {
        /// What it was asked: "list TCP sockets".
        what: &'static str,
        /// Why not.
        #[source]
        source: Errno,
    },
    /// The kernel's answer is none.
    #[error("the kernel's answer on TCP connections cannot be read: {0}")]
    Malformed(String),
}

impl SocketsError {
    /// Why a thread of its own did not start.
    pub(super) fn no_thread(source: io::Error) -> Self {
        Self::System {
            what: "start a thread",
            source,
        }
    }

    /// With all causes, in one line.
    pub(super) fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }

    /// A refusal to list. `ENOENT` is the absence of a handler for the protocol or
    /// family (`inet_diag_lock_handler`, `__sock_diag_cmd`), `EINVAL` of the whole
    /// message type (`sock_diag_rcv_msg`).
    pub(super) fn of_list(errno: Errno) -> Self {
        match errno {
            Errno::ENOENT | Errno::EINVAL => Self::NoDiag,
            source => Self::Refused {
                what: "list TCP sockets",
                source,
            },
        }
    }

    /// A refusal to list tracked connections. `EINVAL` is the absence of ctnetlink
    /// (`nfnetlink_rcv_msg`).
    pub(super) fn of_conntrack(errno: Errno) -> Self {
        match errno {
            Errno::EINVAL | Errno::EOPNOTSUPP => Self::NoConntrack,
            Errno::EPERM => Self::NotPermitted,
            source => Self::Refused {
                what: "list tracked connections",
                source,
            },
        }
    }

    /// A refusal to end a connection that is there.
    pub(super) fn of_destroy(errno: Errno) -> Self {
        match errno {
            // EINVAL: a kernel before 4.5 does not know the message.
            Errno::EOPNOTSUPP | Errno::EINVAL => Self::NoDestroy,
            Errno::EPERM => Self::NotPermitted,
            source => Self::Refused {
                what: "end a connection",
                source,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_distinct_kinds() {
        assert!(matches!(
            SocketsError::of_list(Errno::ENOENT),
            SocketsError::NoDiag
        ));
        assert!(matches!(
            SocketsError::of_list(Errno::EACCES),
            SocketsError::Refused {
                source: Errno::EACCES,
                ..
            }
        ));
        let hint = SocketsError::of_destroy(Errno::EOPNOTSUPP).to_string();
        assert!(hint.contains("CONFIG_INET_DIAG_DESTROY"), "{hint}");
        let hint = SocketsError::of_destroy(Errno::EPERM).to_string();
        assert!(hint.contains("CAP_NET_ADMIN"), "{hint}");
        assert!(matches!(
            SocketsError::of_destroy(Errno::ENOBUFS),
            SocketsError::Refused { .. }
        ));
    }
}
