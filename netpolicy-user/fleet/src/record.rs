//! What operators sign. Times are said for readers: nothing is decided by them, since clocks of
//! hosts may differ by days.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{FleetName, GroupName, HostId};

/// Labels of a host, or those that a group selects hosts by.
pub type Labels = BTreeMap<String, String>;

/// A revision and its state: both, so that no revision of the same number is taken for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The revision's number.
    pub revision: u64,
    /// The name of its state: 64 hexadecimal digits.
    pub root: String,
}

/// A state of the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// Its fleet.
    pub fleet: FleetName,
    /// Its number, from 1 and ascending.
    pub revision: u64,
    /// The name of its state.
    pub root: String,
    /// The revision that it was made of; `None`: the first.
    pub parent: Option<u64>,
    /// Whether hosts take it only by a roll-out of their group.
    pub staged: bool,
    /// Who made it.
    pub author: String,
    /// When.
    pub time: Timestamp,
    /// Why.
    pub message: String,
}

/// The newest revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Its fleet.
    pub fleet: FleetName,
    /// Higher than that of all records that were signed before.
    pub counter: u64,
    /// The newest revision.
    pub newest: Pin,
    /// Whether a host takes it only by a roll-out of its group.
    pub staged: bool,
    /// The newest revision that was pushed at once, if the newest of all is not: hosts that no
    /// roll-out leads to another take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Pin>,
    /// Who signed it.
    pub author: String,
    /// When.
    pub time: Timestamp,
}

/// A group of hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its fleet.
    pub fleet: FleetName,
    /// Its name.
    pub group: GroupName,
    /// Higher than that of all records that were signed before.
    pub counter: u64,
    /// Hosts that have all these labels are of the group, if no group asks for more of theirs.
    pub selector: Labels,
    /// The revision that its hosts take, whatever is newest.
    pub pinned: Option<Pin>,
    /// Sources and local ports that a revision has to admit, else a host rolls it back.
    pub must_admit: Vec<SocketAddr>,
    /// How long a host waits before it rolls a revision back that was not confirmed, seconds.
    pub confirm_within: u32,
    /// Who signed it.
    pub author: String,
    /// When.
    pub time: Timestamp,
}

/// How far a revision is rolled out in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// Its fleet.
    pub fleet: FleetName,
    /// Its group.
    pub group: GroupName,
    /// Higher than that of all records that were signed before.
    pub counter: u64,
    /// What hosts have that are not at it yet; `None`: what they have.
    pub from: Option<Pin>,
    /// What is rolled out.
    pub to: Pin,
    /// Of 10,000 hosts so many take it.
    pub stage: u16,
    /// By which hosts are drawn.
    pub salt: String,
    /// Seconds without a fault before the next stage.
    pub soak: u32,
    /// More hosts that fail stop it.
    pub max_failed: u32,
    /// More connected clients that the revision denies on a host stop it.
    pub max_denied_clients: u32,
    /// Whether it goes on.
    pub state: RolloutState,
    /// Why it does not.
    pub reason: Option<String>,
    /// Who signed it.
    pub author: String,
    /// When.
    pub time: Timestamp,
}

/// Whether a roll-out goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutState {
    /// It goes on to its next stage.
    Running,
    /// An operator holds it at its stage.
    Paused,
    /// It stopped by itself at its stage.
    Stopped,
    /// All hosts take it.
    Done,
    /// All hosts take what they had before it.
    RolledBack,
}

/// A host, as operators know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostSpec {
    /// Its fleet.
    pub fleet: FleetName,
    /// Its name.
    pub host: HostId,
    /// Its group: found when it is signed, so that a group that is missing moves no host.
    pub group: GroupName,
    /// Higher than that of all records that were signed before.
    pub counter: u64,
    /// Its labels.
    pub labels: Labels,
    /// Who signed it.
    pub author: String,
    /// When.
    pub time: Timestamp,
}

/// The group of a host with these labels: the one that asks for most of them, of several the
/// first by name.
#[must_use]
pub fn most_specific<'a>(
    groups: impl IntoIterator<Item = &'a Group>,
    labels: &Labels,
) -> Option<&'a Group> {
    let selected = groups.into_iter().filter(|group| {
        let mut wanted = group.selector.iter();
        wanted.all(|(label, value)| labels.get(label) == Some(value))
    });
    selected.min_by_key(|group| (usize::MAX - group.selector.len(), &group.group))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::group;

    #[test]
    fn host_is_of_the_group_that_asks_for_most_of_its_labels() {
        let with = |name: &str, selector: &[(&str, &str)]| Group {
            selector: labels(selector),
            ..group(name, 1)
        };
        let groups = [
            with("default", &[]),
            with("db", &[("role", "db")]),
            with("cb", &[("role", "db")]),
            with("eu-db", &[("role", "db"), ("zone", "eu")]),
        ];
        for (of, expected) in [
            (&[][..], "default"),
            (&[("zone", "eu")], "default"),
            (&[("role", "db")], "cb"),
            (&[("role", "db"), ("zone", "us")], "cb"),
            (&[("role", "db"), ("zone", "eu"), ("x", "y")], "eu-db"),
        ] {
            let found = most_specific(&groups, &labels(of)).unwrap();
            assert_eq!(found.group.as_str(), expected);
        }
        assert!(most_specific(&groups[1..], &Labels::new()).is_none());
    }

    fn labels(of: &[(&str, &str)]) -> Labels {
        let owned = of.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        owned.collect()
    }
}
