//! Giving rights up: what the internet sends is never read as root.

use nix::unistd::{Gid, Uid, User, setgid, setgroups, setuid};

/// Users to become, the first that is there.
const USERS: [&str; 2] = ["netpolicy-feed", "nobody"];

/// Why rights cannot be given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RightsError {
    /// There is no user to become.
    #[error("none of the users netpolicy-feed and nobody exists, and this does not run as root")]
    NoUser,
    /// The system refuses.
    #[error("cannot become user {user}: {source}")]
    Refused {
        /// The user.
        user: &'static str,
        /// Why not.
        source: nix::Error,
    },
}

/// Whether this is root.
pub(crate) fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Becomes a user without rights, if this is root. Before any thread is there.
///
/// # Errors
/// There is no such user, or the system refuses.
pub(crate) fn give_up() -> Result<(), RightsError> {
    if !is_root() {
        return Ok(());
    }
    for user in USERS {
        let Ok(Some(found)) = User::from_name(user) else {
            continue;
        };
        return become_user(found.uid, found.gid)
            .map_err(|source| RightsError::Refused { user, source });
    }
    Err(RightsError::NoUser)
}

fn become_user(uid: Uid, gid: Gid) -> Result<(), nix::Error> {
    setgroups(&[])?;
    setgid(gid)?;
    setuid(uid)
}
