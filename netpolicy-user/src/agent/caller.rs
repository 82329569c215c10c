//! Who asks for something.

use nix::unistd::{Uid, User};

/// The OS user at the other end of the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// User id.
    pub uid: u32,
}

impl Caller {
    /// Whether it is root, who may do everything.
    #[must_use]
    pub fn is_root(self) -> bool {
        self.uid == 0
    }

    /// The user's name, or "uid N" for a user that the system does not know.
    #[must_use]
    pub fn name(self) -> String {
        match User::from_uid(Uid::from_raw(self.uid)) {
            Ok(Some(user)) => user.name,
            _ => format!("uid {}", self.uid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names_and_strangers_numbers() {
        assert_eq!(Caller { uid: 0 }.name(), "root");
        assert_eq!(Caller { uid: 3_999_999_999 }.name(), "uid 3999999999");
    }
}
