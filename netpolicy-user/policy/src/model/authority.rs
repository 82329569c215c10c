//! Who may change what: privileges, their holders, and what a change requires.
//!
//! Decides by the difference between two states, so that it does not matter in which
//! words a change was requested. Who the caller is and which grants there are is the
//! caller's affair.

mod privilege;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

pub use privilege::Privilege;

use super::database::{lacks_bypass, same_databases};
use super::error::{Excerpt, ModelError, Problem};
use super::plan::{renamed, renamed_lists};
use super::{Host, ListKind, Mode, Name, NamedList, OnDeny, Policy, PolicyTest, PortSet, State};

/// The user who refreshes feeds, by the package; has the privilege `feed` without a grant.
pub const FEED_USER: &str = "netpolicy-feed";

/// The user who reads what a fleet says, by the package; has the privilege `fleet` without a grant.
pub const FLEET_USER: &str = "netpolicy-fleet";

/// An OS user or group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Principal {
    /// A user, by name.
    User(String),
    /// A group, by name.
    Group(String),
}

impl Principal {
    /// The owner that [`Policy::owner`] names: a user, or a group after `group:`.
    #[must_use]
    pub fn of_owner(owner: &str) -> Self {
        match owner.strip_prefix("group:") {
            Some(name) => Self::Group(name.to_owned()),
            None => Self::User(owner.to_owned()),
        }
    }

    /// What [`Policy::owner`] holds for it.
    #[must_use]
    pub fn to_owner(&self) -> String {
        match self {
            Self::User(name) => name.clone(),
            Self::Group(name) => format!("group:{name}"),
        }
    }
}

impl fmt::Display for Principal {
    /// "user:alice", "group:dba".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
        }
    }
}

impl FromStr for Principal {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let named = |prefix| {
            let name: &str = text.strip_prefix(prefix)?;
            // As useradd(8) has them, and no characters that would garble a listing.
            let fits = (1..=64).contains(&name.len())
                && !name.contains([':', ',', '"'])
                && !name.chars().any(|c| c.is_whitespace() || c.is_control());
            fits.then(|| name.to_owned())
        };
        named("user:")
            .map(Self::User)
            .or_else(|| named("group:").map(Self::Group))
            .ok_or_else(|| {
                Problem::Principal {
                    text: Excerpt::new(text),
                }
                .into()
            })
    }
}

impl TryFrom<String> for Principal {
    type Error = ModelError;

    fn try_from(text: String) -> Result<Self, ModelError> {
        text.parse()
    }
}

impl From<Principal> for String {
    fn from(principal: Principal) -> Self {
        principal.to_string()
    }
}

/// A privilege that was granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Grant {
    /// What the holder may do.
    pub privilege: Privilege,
    /// Who.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "user:alice"))]
    pub to: Principal,
    /// Only with this policy; `None`: with all. Goes with [`Privilege::Attach`].
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub policy: Option<Name>,
    /// Who granted it: an OS user's name.
    pub granted_by: String,
    /// When.
    pub granted: Timestamp,
}

/// A caller, and what they may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// The OS user's name.
    pub user: String,
    /// The names of the user's groups.
    pub groups: Vec<String>,
    /// What was granted to the user or to one of the groups.
    granted: Vec<(Privilege, Option<Name>)>,
}

impl Rights {
    /// The rights of a user by the grants that there are; root has all.
    #[must_use]
    pub fn of<'a>(
        user: &str,
        groups: Vec<String>,
        is_root: bool,
        grants: impl IntoIterator<Item = &'a Grant>,
    ) -> Self {
        let mut rights = Self {
            user: user.to_owned(),
            groups,
            granted: Vec::new(),
        };
        if is_root {
            rights.granted.push((Privilege::Admin, None));
        }
        for (of, privilege) in [(FEED_USER, Privilege::Feed), (FLEET_USER, Privilege::Fleet)] {
            if user == of {
                rights.granted.push((privilege, None));
            }
        }
        for grant in grants {
            if rights.is(&grant.to) {
                rights.granted.push((grant.privilege, grant.policy.clone()));
            }
        }
        rights
    }

    /// Whether the caller is that user, or in that group.
    #[must_use]
    pub fn is(&self, principal: &Principal) -> bool {
        match principal {
            Principal::User(name) => *name == self.user,
            Principal::Group(name) => self.groups.contains(name),
        }
    }

    /// Whether the caller has a privilege for everything, by itself or as an admin.
    #[must_use]
    pub fn has(&self, privilege: Privilege) -> bool {
        self.granted.iter().any(|(granted, policy)| {
            policy.is_none() && [Privilege::Admin, privilege].contains(granted)
        })
    }

    /// Whether a privilege was granted, for everything or for one policy.
    #[must_use]
    pub fn has_any(&self, privilege: Privilege) -> bool {
        let mut granted = self.granted.iter();
        granted.any(|(granted, _)| [Privilege::Admin, privilege].contains(granted))
    }

    /// Whether the caller may read: has any privilege but `feed`, `metrics` and `fleet`, or owns a
    /// policy or a named list.
    #[must_use]
    pub fn may_read(&self, state: &State) -> bool {
        let mut granted = self.granted.iter();
        let narrow = [
            Privilege::Feed,
            Privilege::Metrics,
            Privilege::Fleet,
            Privilege::Database,
        ];
        granted.any(|(privilege, _)| !narrow.contains(privilege))
            || state.policies.iter().any(|policy| self.owns(policy))
            || state.lists.iter().any(|list| self.owns_list(list))
    }

    /// Whether the caller may alter and drop a policy as its owner.
    #[must_use]
    pub fn owns(&self, policy: &Policy) -> bool {
        self.has(Privilege::Admin) || self.is(&Principal::of_owner(&policy.owner))
    }

    fn may_attach(&self, policy: &Policy) -> bool {
        self.has(Privilege::Attach)
            || self.granted.iter().any(|(privilege, only)| {
                *privilege == Privilege::Attach && only.as_ref() == Some(&policy.name)
            })
    }

    /// What the caller lacks to make `new` of `old`: a sentence each; empty: it is permitted.
    #[must_use]
    pub fn lacks(&self, old: &State, new: &State) -> Vec<String> {
        let mut lacks = Vec::new();
        if self.has(Privilege::Admin) {
            return lacks;
        }
        let user = &self.user;
        if settings(&old.host) != settings(&new.host)
            || old.services != new.services
            || !same_databases(old, new)
        {
            lacks.push(format!(
                "{user} may not alter services, databases or the host's settings: that requires the privilege admin"
            ));
        }
        lacks.extend(lacks_bypass(self, old, new));
        let same = |(old, new): (&PolicyTest, &PolicyTest)| old.same_words(new);
        if old.tests.len() != new.tests.len() || !old.tests.iter().zip(&new.tests).all(same) {
            lacks.push(format!(
                "{user} may not alter policy tests: that requires the privilege admin"
            ));
        }
        if let Some(action) = new.host.compat.action(old.host.compat)
            && !self.has(Privilege::Create)
        {
            lacks.push(format!(
                "{user} may not {action}: that requires the privilege create"
            ));
        }
        self.lacks_of_lists(old, new, &mut lacks);
        let renamed_lists = renamed_lists(old, new);
        let renamed = renamed(old, new);
        let before = |policy: &Policy| {
            let same = old.policies.iter().find(|other| other.name == policy.name);
            let from = renamed.iter().find(|(_, to)| to.name == policy.name);
            same.or(from.map(|(from, _)| *from))
        };
        for policy in &new.policies {
            match before(policy) {
                Some(old) => self.lacks_to_alter(old, policy, &renamed_lists, &mut lacks),
                None => self.lacks_to_make(policy, &mut lacks),
            }
        }
        for policy in &old.policies {
            let stays = new.policies.iter().any(|other| other.name == policy.name)
                || renamed.iter().any(|(from, _)| from.name == policy.name);
            if !stays && !self.owns(policy) {
                lacks.push(self.not_owner("drop", policy));
            }
        }
        lacks
    }

    fn lacks_to_make(&self, policy: &Policy, lacks: &mut Vec<String>) {
        let (user, name) = (&self.user, &policy.name);
        if !self.has(Privilege::Create) {
            lacks.push(format!(
                "{user} may not make policy '{name}': that requires the privilege create"
            ));
        }
        if policy.is_in_force() && !self.may_attach(policy) {
            lacks.push(format!(
                "{user} may not put policy '{name}' into force: that requires the privilege attach; make it inactive (--inactive)"
            ));
        }
    }

    /// What the caller lacks to make the named lists of `new` of those of `old`. Policies that
    /// refer to a list follow its owner.
    fn lacks_of_lists(&self, old: &State, new: &State, lacks: &mut Vec<String>) {
        let user = &self.user;
        let renamed = renamed_lists(old, new);
        for list in &new.lists {
            let same = old.lists.iter().find(|other| other.name == list.name);
            let from = renamed.iter().find(|(_, to)| to.name == list.name);
            match same.or(from.map(|(from, _)| *from)) {
                None if !self.has(Privilege::Create) => lacks.push(format!(
                    "{user} may not make list '{}': that requires the privilege create",
                    list.name
                )),
                Some(old) if old != list && !self.owns_list(old) => {
                    lacks.push(self.not_list_owner("alter", old));
                }
                _ => {}
            }
        }
        for list in &old.lists {
            let stays = new.lists.iter().any(|other| other.name == list.name)
                || renamed.iter().any(|(from, _)| from.name == list.name);
            if !stays && !self.owns_list(list) {
                lacks.push(self.not_list_owner("drop", list));
            }
        }
    }

    /// Whether the caller may alter and drop a named list as its owner.
    #[must_use]
    pub fn owns_list(&self, list: &NamedList) -> bool {
        self.has(Privilege::Admin) || self.is(&Principal::of_owner(&list.owner))
    }

    fn not_list_owner(&self, what: &str, list: &NamedList) -> String {
        format!(
            "{} may not {what} list '{}': it belongs to {}",
            self.user, list.name, list.owner
        )
    }

    fn lacks_to_alter(
        &self,
        old: &Policy,
        new: &Policy,
        lists: &[(&NamedList, &NamedList)],
        lacks: &mut Vec<String>,
    ) {
        if old.owner != new.owner && !self.owns(old) {
            lacks.push(self.not_owner("give away", old));
        }
        let altered = old.name != new.name
            || old.allow != new.allow
            || old.block != new.block
            || old.except != new.except
            || refers_otherwise(old, new, lists)
            || old.compat != new.compat
            || old.comment != new.comment;
        if altered && !self.owns(old) {
            lacks.push(self.not_owner("alter", old));
        }
        let attached =
            (old.active, old.mode, &old.bindings) != (new.active, new.mode, &new.bindings);
        if attached && !self.may_attach(old) {
            lacks.push(format!(
                "{} may not activate, deactivate, observe or bind policy '{}': that requires the privilege attach",
                self.user, old.name
            ));
        }
    }

    fn not_owner(&self, what: &str, policy: &Policy) -> String {
        format!(
            "{} may not {what} policy '{}': it belongs to {}",
            self.user, policy.name, policy.owner
        )
    }
}

/// The host's settings that an admin alone may alter; what SQL's dialects keep there is none.
fn settings(host: &Host) -> (Mode, OnDeny, &PortSet) {
    // No field is left out: a new one is either a setting or named here as none.
    let Host {
        mode,
        on_deny,
        failsafe_ports,
        compat: _,
    } = host;
    (*mode, *on_deny, failsafe_ports)
}

/// Whether a policy refers to other lists than before; a list that was renamed is the same.
fn refers_otherwise(old: &Policy, new: &Policy, renamed: &[(&NamedList, &NamedList)]) -> bool {
    let now = |names: &[Name]| -> Vec<Name> {
        let now = |name: &Name| {
            let pair = renamed.iter().find(|(from, _)| from.name == *name);
            pair.map_or(name, |(_, to)| &to.name).clone()
        };
        names.iter().map(now).collect()
    };
    let mut kinds = ListKind::ALL.into_iter();
    kinds.any(|kind| now(old.lists(kind)) != *new.lists(kind))
}

#[cfg(test)]
mod tests;
