//! Giving rights up: what the internet sends is never read as root.

use nix::unistd::{Gid, Uid, User, setgid, setgroups, setuid};

/// The users to read feeds as, the first that is there.
pub(crate) const FEED_USERS: [&str; 2] = ["netpolicy-feed", "nobody"];

/// Why rights cannot be given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RightsError {
    /// There is no user to become.
    #[error("none of the users {0} exists, and this does not run as root")]
    NoUser(String),
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

/// Becomes the first of these users that is there, if this is root. Before any thread is there.
///
/// # Errors
/// There is no such user, or the system refuses.
pub(crate) fn give_up(users: &[&'static str]) -> Result<(), RightsError> {
    if !is_root() {
        return Ok(());
    }
    for &user in users {
        let Ok(Some(found)) = User::from_name(user) else {
            continue;
        };
        return become_user(found.uid, found.gid)
            .map_err(|source| RightsError::Refused { user, source });
    }
    Err(RightsError::NoUser(users.join(" and ")))
}

fn become_user(uid: Uid, gid: Gid) -> Result<(), nix::Error> {
    setgroups(&[])?;
    setgid(gid)?;
    setuid(uid)
}
