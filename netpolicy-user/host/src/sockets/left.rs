//! Why a session is not over, in words.

use std::fmt;

/// Why a session is not over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Left {
    /// The kernel said that it ended it, and it is there.
    Lives,
    /// The kernel refused to end it.
    Refused(String),
    /// An MPTCP connection without subflows, which can be joined again for a while.
    Mptcp,
    /// Forwarded: a socket with its ends was closed, and nothing shows that it is over.
    Unverified(String),
    /// Forwarded, and no network namespace that it can go to has its socket.
    NoSocket,
    /// As before, and a network namespace could not be searched.
    Hidden(String),
    /// Forwarded, and more than one network namespace has a socket with its ends.
    Ambiguous,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lives => f.write_str("the kernel did not end it; restart the server to end it"),
            Self::Refused(cause) => {
                write!(
                    f,
                    "the kernel did not end it ({cause}); restart the server to end it"
                )
            }
            Self::Mptcp => f.write_str(
                "MPTCP connection whose subflows are closed, but which Linux keeps for \
                 net.mptcp.close_timeout seconds (60 by default) in which an allowed address of \
                 the client can join it; restart the server to end it at once",
            ),
            Self::Unverified(cause) => write!(
                f,
                "forwarded: a socket with its addresses and ports was closed, but {cause}; \
                 check it at its server",
            ),
            Self::NoSocket => f.write_str(
                "forwarded, and its socket is in no network namespace of this host that it can \
                 be forwarded to; end it at its server",
            ),
            Self::Hidden(cause) => write!(
                f,
                "forwarded, and its socket may be in a network namespace that the agent could \
                 not search ({cause}); end it at its server",
            ),
            Self::Ambiguous => f.write_str(
                "forwarded, and several network namespaces have a socket with its addresses and \
                 ports; restart the server to end it",
            ),
        }
    }
}
