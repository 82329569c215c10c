//! How much a caller is trusted with before a request is read: by privileges alone.
//!
//! Decides no request; what a change requires is said by `model/authority.rs`.

use super::quota::Bound;
use crate::model::{Privilege, Rights, State};

/// What [`Narrow::feeds`] may use.
const FEEDS: &str = "/v1/feeds";

/// What [`Narrow::databases`] may use.
const DATABASES: &str = "/v1/databases";

/// What [`Narrow::metrics`] may use.
const WATCHED: [&str; 2] = ["/metrics", "/v1/notices"];

const MIB: usize = 1024 * 1024;

/// Bytes of the largest body that anyone may send: room for the largest policy file with
/// all its lists.
pub const BODY_LIMIT: usize = 512 * MIB;

/// Bytes of bodies under way of all callers who are not admins.
pub const BODIES: usize = 64 * MIB;

/// Privileges that do not let the caller read everything; one of them at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Narrow {
    /// May hand over the content of feeds, and see which there are.
    pub feeds: bool,
    /// May read metrics and notices.
    pub metrics: bool,
    /// May carry orders into databases, and see which there are.
    pub databases: bool,
}

/// What a caller's privileges amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// May do what these privileges are for, and nothing else.
    Narrow(Narrow),
    /// May see everything and change nothing.
    Reader,
    /// May make some changes: holds a privilege for it, or owns a policy or a
    /// named list.
    Editor,
    /// Root, or who has the privilege admin.
    Admin,
}

impl Standing {
    /// The standing that comes with rights; `None`: the caller may not even read. Who has other
    /// rights than the privileges `feed` and `metrics` has the standing of those.
    #[must_use]
    pub fn of(rights: &Rights, state: &State) -> Option<Self> {
        let edits = [
            Privilege::Create,
            Privilege::Attach,
            Privilege::Bypass,
            Privilege::Ban,
            Privilege::Feed,
        ];
        let narrow = Narrow {
            feeds: rights.has(Privilege::Feed),
            metrics: rights.has(Privilege::Metrics),
            databases: rights.has(Privilege::Database),
        };
        if rights.has(Privilege::Admin) {
            Some(Self::Admin)
        } else if !rights.may_read(state) {
            let any = narrow.feeds || narrow.metrics || narrow.databases;
            any.then_some(Self::Narrow(narrow))
        } else if edits.into_iter().any(|privilege| rights.has_any(privilege))
            || state.policies.iter().any(|policy| rights.owns(policy))
            || state.lists.iter().any(|list| rights.owns_list(list))
        {
            Some(Self::Editor)
        } else {
            Some(Self::Reader)
        }
    }

    /// Whether a path is one of the caller's at all.
    #[must_use]
    pub fn may_use(self, path: &str) -> bool {
        match self {
            Self::Narrow(Narrow {
                feeds,
                metrics,
                databases,
            }) => {
                let is_of_databases = path == DATABASES || path.starts_with("/v1/databases/");
                let is_of_feeds = path == FEEDS || path.starts_with("/v1/feeds/");
                (feeds && is_of_feeds)
                    || (metrics && WATCHED.contains(&path))
                    || (databases && is_of_databases)
            }
            Self::Reader | Self::Editor | Self::Admin => true,
        }
    }

    /// Bytes of one body. A reader's change can only be tried (`dry_run`): of any other
    /// no more is read than it takes to say, and to log, what is refused.
    #[must_use]
    pub fn body_limit(self, is_dry_run: bool) -> usize {
        match self {
            Self::Reader if is_dry_run => 4 * MIB,
            Self::Narrow(Narrow { feeds: true, .. }) | Self::Editor => 32 * MIB,
            Self::Reader | Self::Narrow(_) => MIB / 16,
            Self::Admin => BODY_LIMIT,
        }
    }

    /// Bytes of all the caller's bodies that are under way.
    #[must_use]
    pub fn bodies(self) -> Bound {
        Bound {
            each: match self {
                Self::Narrow(Narrow { feeds: true, .. }) | Self::Editor => 32 * MIB,
                Self::Reader | Self::Narrow(_) => 4 * MIB,
                Self::Admin => 2 * BODY_LIMIT,
            },
            is_shared: self != Self::Admin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_privileges_add_up() {
        let may_use = |feeds, metrics| {
            let standing = Standing::Narrow(Narrow {
                feeds,
                metrics,
                databases: false,
            });
            ["/v1/feeds/drop", "/metrics", "/v1/status"].map(|path| standing.may_use(path))
        };
        assert_eq!(may_use(true, false), [true, false, false]);
        assert_eq!(may_use(false, true), [false, true, false]);
        assert_eq!(may_use(true, true), [true, true, false]);
        let both = Narrow {
            feeds: true,
            metrics: true,
            databases: false,
        };
        assert_eq!(Standing::Narrow(both).body_limit(false), 32 * MIB);
    }
}
