//! Callers: the OS user and groups at the other end of the socket.

use std::ffi::CString;
use std::fmt;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

/// The process at the other end of the socket, as it was when it connected
/// (`SO_PEERCRED`, `unix(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id: that of a setgid program, too.
    pub gid: u32,
    /// Process id in the agent's namespace, `None` if it has none there. The process may
    /// be gone, and the number another's: good for hints, never for rights.
    pub pid: Option<i32>,
    /// The person on whose behalf the caller says that it acts.
    pub person: Option<Person>,
}

/// A person that a caller names, such as the one that a reverse proxy authenticated. Selects no
/// rights: the audit log records it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Person {
    length: u8,
    bytes: [u8; Self::MOST],
}

impl Person {
    /// The most bytes of a name.
    pub const MOST: usize = 64;

    /// A name of visible ASCII characters; `None`: it is none.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let mut bytes = [0; Self::MOST];
        bytes
            .get_mut(..name.len())?
            .copy_from_slice(name.as_bytes());
        Some(Self {
            length: u8::try_from(name.len()).ok()?,
            bytes,
        })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length));
        bytes
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Person({:?})", self.name())
    }
}

impl Caller {
    /// root, without a process: the agent itself.
    #[must_use]
    pub fn root() -> Self {
        Self {
            uid: 0,
            gid: 0,
            pid: None,
            person: None,
        }
    }

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

    /// The names of the groups that the caller is in, the effective one first, each
    /// once; "gid N" for a group that the system does not know.
    ///
    /// Apart from the effective group they are the user's as the user database has them
    /// now, not the process's groups: it may have dropped some (`setpriv`), and one that
    /// was started before the database changed lacks the new ones. The process's own
    /// (`SO_PEERGROUPS`) can be read by a raw system call only, and would have to
    /// be asked for at each connection. Asks the name service: may take its time,
    /// so not for an async task's thread.
    #[must_use]
    pub fn groups(self) -> Vec<String> {
        let mut gids = vec![Gid::from_raw(self.gid)];
        if let Ok(Some(user)) = User::from_uid(Uid::from_raw(self.uid))
            && let Ok(name) = CString::new(user.name)
            && let Ok(all) = getgrouplist(&name, user.gid)
        {
            gids.extend(all);
        }
        let mut names: Vec<String> = Vec::with_capacity(gids.len());
        for gid in gids {
            let name = match Group::from_gid(gid) {
                Ok(Some(group)) => group.name,
                _ => format!("gid {gid}"),
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::process::Command;

    use super::*;

    const STRANGER: u32 = 3_999_999_999;

    fn caller(uid: u32, gid: u32) -> Caller {
        Caller {
            uid,
            gid,
            pid: None,
            person: None,
        }
    }

    #[test]
    fn persons_have_short_visible_names() {
        let longest = "a".repeat(Person::MOST);
        for name in ["alice", "alice@db.example", &longest] {
            assert_eq!(Person::new(name).unwrap().name(), name);
        }
        for name in ["", "al ice", "ali\nce", "\u{e9}", &format!("{longest}a")] {
            assert_eq!(Person::new(name), None, "{name:?}");
        }
    }

    #[test]
    fn users_have_names_and_strangers_numbers() {
        assert_eq!(caller(0, 0).name(), "root");
        assert_eq!(caller(STRANGER, 0).name(), "uid 3999999999");
    }

    #[test]
    fn the_groups_are_those_of_the_database() {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
        for line in passwd.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let (name, uid, gid) = (fields[0], fields[2], fields[3]);
            let out = Command::new("id").args(["-nG", name]).output().unwrap();
            let expected = String::from_utf8(out.stdout).unwrap();
            let expected: BTreeSet<&str> = expected.split_whitespace().collect();
            let groups = caller(uid.parse().unwrap(), gid.parse().unwrap()).groups();
            let found: BTreeSet<&str> = groups.iter().map(String::as_str).collect();
            assert_eq!(found, expected, "{name}");
            assert_eq!(found.len(), groups.len(), "{name} has one twice");
        }
    }

    #[test]
    fn the_effective_group_comes_first_and_hides_none() {
        let root = Group::from_gid(Gid::from_raw(0)).unwrap().unwrap().name;
        assert_eq!(caller(0, STRANGER).groups(), ["gid 3999999999", &root]);
        assert_eq!(caller(STRANGER, 0).groups(), [root]);
    }
}
