//! How much a caller is trusted with before a request is read: by privileges alone.
//!
//! Decides no request; what a change requires is said by `model/authority.rs`.

use super::quota::Bound;
use crate::model::{Privilege, Rights, State};

/// What [`Narrow::feeds`] may use.
const FEEDS: &str = "/v1/feeds";

/// What [`Narrow::fleet`] may use: its own changes alone are confirmed.
const FLEET: [&str; 2] = ["/v1/fleet", "/v1/confirm"];
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
    /// May hand over what the host's fleet says.
    pub fleet: bool,
    /// May carry orders into databases, and see which there are.
    pub databases: bool,
}

impl Narrow {
    /// What it is for, in words: "refresh feeds".
    #[must_use]
    pub fn in_words(self) -> String {
        let all = [
            (self.feeds, "refresh feeds"),
            (self.metrics, "read metrics and notices"),
            (self.fleet, "hand over what the fleet says"),
            (self.databases, "carry policies into databases"),
        ];
        let all = all.into_iter().filter(|(may, _)| *may);
        all.map(|(_, what)| what).collect::<Vec<_>>().join(", ")
    }

    /// Whether bodies are large.
    const fn has_large_bodies(self) -> bool {
        self.feeds || self.fleet
    }
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
    /// rights than the privileges `feed`, `metrics`, `fleet` and `database` has the standing of those.
    #[must_use]
    pub fn of(rights: &Rights, state: &State) -> Option<Self> {
        let edits = [
            Privilege::Create,
            Privilege::Attach,
            Privilege::Bypass,
            Privilege::Ban,
            Privilege::Feed,
            Privilege::Fleet,
        ];
        let narrow = Narrow {
            feeds: rights.has(Privilege::Feed),
            metrics: rights.has(Privilege::Metrics),
            fleet: rights.has(Privilege::Fleet),
            databases: rights.has(Privilege::Database),
        };
        if rights.has(Privilege::Admin) {
            Some(Self::Admin)
        } else if !rights.may_read(state) {
            let any = narrow.feeds || narrow.metrics || narrow.fleet || narrow.databases;
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
                fleet,
                databases,
            }) => {
                let is_of_feeds = path == FEEDS || path.starts_with("/v1/feeds/");
                let is_of_fleet = FLEET.contains(&path) || path.starts_with("/v1/fleet/");
                let is_of_databases = path == DATABASES || path.starts_with("/v1/databases/");
                (feeds && is_of_feeds)
                    || (metrics && WATCHED.contains(&path))
                    || (fleet && is_of_fleet)
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
            Self::Narrow(narrow) if narrow.has_large_bodies() => 32 * MIB,
            Self::Editor => 32 * MIB,
            Self::Reader | Self::Narrow(_) => MIB / 16,
            Self::Admin => BODY_LIMIT,
        }
    }

    /// Bytes of all the caller's bodies that are under way.
    #[must_use]
    pub fn bodies(self) -> Bound {
        Bound {
            each: match self {
                Self::Narrow(narrow) if narrow.has_large_bodies() => 32 * MIB,
                Self::Editor => 32 * MIB,
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
        let paths = [
            "/v1/feeds/drop",
            "/metrics",
            "/v1/fleet/revision",
            "/v1/confirm",
            "/v1/status",
        ];
        let may_use = |narrow| paths.map(|path| Standing::Narrow(narrow).may_use(path));
        let of = |feeds, metrics, fleet| Narrow {
            feeds,
            metrics,
            fleet,
            databases: false,
        };
        assert_eq!(
            may_use(of(true, false, false)),
            [true, false, false, false, false]
        );
        assert_eq!(
            may_use(of(false, true, false)),
            [false, true, false, false, false]
        );
        assert_eq!(
            may_use(of(false, false, true)),
            [false, false, true, true, false]
        );
        let both = of(true, true, false);
        assert_eq!(may_use(both), [true, true, false, false, false]);
        assert_eq!(both.in_words(), "refresh feeds, read metrics and notices");
        assert_eq!(Standing::Narrow(both).body_limit(false), 32 * MIB);
    }
}
