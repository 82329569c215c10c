//! The keys of a fleet in etcd.

use netpolicy_store::store::ObjectId;

use crate::{FleetName, GroupName, HostId};

/// Below it are all fleets of this layout.
const TOP: &str = "/netpolicy/v1/";

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FleetKey {
    /// An object of a state.
    Object(ObjectId),
    /// A revision.
    Revision(u64),
    /// The objects that a revision has and its parent has not, in one value.
    Bundle(u64),
    /// The newest revision.
    Head,
    /// A group.
    Group(GroupName),
    /// A group's roll-out.
    Rollout(GroupName),
    /// What operators say of a host.
    Spec(HostId),
    /// What a host says of itself.
    Status(HostId),
    /// There as long as the host's fleet process is.
    Alive(HostId),
    /// There while objects are pushed or swept.
    Lock,
    /// There if this etcd is a mirror of another.
    Mirror,
}

/// The keys of one fleet. A prefix ends in `/`, so that it is never one of a longer name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    prefix: String,
}

impl Layout {
    /// The keys of this fleet.
    #[must_use]
    pub fn new(fleet: &FleetName) -> Self {
        Self {
            prefix: format!("{TOP}{fleet}/"),
        }
    }

    /// Before all its keys.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Before the keys of its objects.
    #[must_use]
    pub fn objects(&self) -> String {
        format!("{}objects/", self.prefix)
    }

    /// Before the keys of its revisions.
    #[must_use]
    pub fn revisions(&self) -> String {
        format!("{}revisions/", self.prefix)
    }

    /// Before the keys of its bundles.
    #[must_use]
    pub fn bundles(&self) -> String {
        format!("{}bundles/", self.prefix)
    }

    /// Before the keys of its groups.
    #[must_use]
    pub fn groups(&self) -> String {
        format!("{}groups/", self.prefix)
    }

    /// Before the keys of its roll-outs.
    #[must_use]
    pub fn rollouts(&self) -> String {
        format!("{}rollout/", self.prefix)
    }

    /// Before the keys of its hosts.
    #[must_use]
    pub fn hosts(&self) -> String {
        format!("{}hosts/", self.prefix)
    }

    /// A key.
    #[must_use]
    pub fn key(&self, of: &FleetKey) -> String {
        let prefix = &self.prefix;
        match of {
            FleetKey::Object(id) => format!("{prefix}objects/{id}"),
            // As many digits, so that keys are in the order of numbers.
            FleetKey::Revision(revision) => format!("{prefix}revisions/{revision:020}"),
            FleetKey::Bundle(revision) => format!("{prefix}bundles/{revision:020}"),
            FleetKey::Head => format!("{prefix}head"),
            FleetKey::Group(group) => format!("{prefix}groups/{group}"),
            FleetKey::Rollout(group) => format!("{prefix}rollout/{group}"),
            FleetKey::Spec(host) => format!("{prefix}hosts/{host}/spec"),
            FleetKey::Status(host) => format!("{prefix}hosts/{host}/status"),
            FleetKey::Alive(host) => format!("{prefix}hosts/{host}/alive"),
            FleetKey::Lock => format!("{prefix}lock"),
            FleetKey::Mirror => format!("{prefix}mirror"),
        }
    }

    /// What a key holds; `None`: it is none of this fleet's.
    #[must_use]
    pub fn parse(&self, key: &str) -> Option<FleetKey> {
        let rest = key.strip_prefix(&self.prefix)?;
        let found = match rest.split_once('/') {
            None if rest == "head" => FleetKey::Head,
            None if rest == "lock" => FleetKey::Lock,
            None if rest == "mirror" => FleetKey::Mirror,
            None => return None,
            Some(("objects", id)) => FleetKey::Object(ObjectId::from_hex(id)?),
            Some(("revisions", revision)) => FleetKey::Revision(revision.parse().ok()?),
            Some(("bundles", revision)) => FleetKey::Bundle(revision.parse().ok()?),
            Some(("groups", group)) => FleetKey::Group(group.parse().ok()?),
            Some(("rollout", group)) => FleetKey::Rollout(group.parse().ok()?),
            Some(("hosts", rest)) => {
                let (host, what) = rest.split_once('/')?;
                let host = host.parse().ok()?;
                match what {
                    "spec" => FleetKey::Spec(host),
                    "status" => FleetKey::Status(host),
                    "alive" => FleetKey::Alive(host),
                    _ => return None,
                }
            }
            Some(_) => return None,
        };
        // One key for each: "1" is not revision 1.
        (self.key(&found) == key).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use netpolicy_store::store::ObjectKind;

    use super::*;

    #[test]
    fn each_key_is_read_back_and_no_other() {
        let layout = Layout::new(&"prod".parse().unwrap());
        let (group, host): (GroupName, HostId) = ("db".parse().unwrap(), "h.1".parse().unwrap());
        for key in [
            FleetKey::Object(ObjectKind::Chunk.id(b"x")),
            FleetKey::Revision(1),
            FleetKey::Revision(u64::MAX),
            FleetKey::Bundle(1),
            FleetKey::Head,
            FleetKey::Group(group.clone()),
            FleetKey::Rollout(group),
            FleetKey::Spec(host.clone()),
            FleetKey::Status(host.clone()),
            FleetKey::Alive(host),
            FleetKey::Lock,
            FleetKey::Mirror,
        ] {
            assert_eq!(layout.parse(&layout.key(&key)), Some(key));
        }
        assert_eq!(layout.key(&FleetKey::Head), "/netpolicy/v1/prod/head");
        for other in [
            "/netpolicy/v1/prod2/head",
            "/netpolicy/v1/prod/revisions/1",
            "/netpolicy/v1/prod/objects/00",
            "/netpolicy/v1/prod/groups/",
            "/netpolicy/v1/prod/hosts/a/b/spec",
            "/netpolicy/v1/prod/hosts/a/other",
            "/netpolicy/v1/prod/x",
        ] {
            assert_eq!(layout.parse(other), None, "{other}");
        }
    }
}
