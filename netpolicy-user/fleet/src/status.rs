//! What hosts report of themselves. Nothing that decides anything for another host.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::record::Pin;
use crate::{Counters, GroupName, HostId};

/// What a host is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It has the revision that it is to have.
    Current,
    /// It takes one.
    Applying,
    /// It took one and rolled it back.
    Failed,
    /// It was refused: forged, cut short, of a newer version.
    Refused,
    /// It has newer records than etcd, which was restored from a backup or is another's.
    Ahead,
    /// It stays with what it has until a roll-out reaches it.
    Waiting,
    /// Local changes are in force.
    Overridden,
}

impl Phase {
    /// In a word, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Applying => "applying",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Ahead => "ahead",
            Self::Waiting => "waiting",
            Self::Overridden => "overridden",
        }
    }
}

/// A host's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStatus {
    /// Its name.
    pub host: HostId,
    /// Its group.
    pub group: Option<GroupName>,
    /// Which of the processes of this name wrote it.
    pub instance: String,
    /// What it is at.
    pub phase: Phase,
    /// What it has in force.
    pub at: Option<Pin>,
    /// What it is to have, if that is another.
    pub to: Option<Pin>,
    /// The newest records that it has seen.
    pub counters: Counters,
    /// Connected clients that the last revision denied.
    pub denied_clients: u64,
    /// What is wrong, in lines.
    pub faults: Vec<String>,
    /// Since when local changes are in force.
    pub local_override: Option<Timestamp>,
    /// When it wrote this, by its own clock.
    pub time: Timestamp,
    /// The version of netpolicy.
    pub version: String,
}

/// There under a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    /// Which of the processes of this name it is.
    pub instance: String,
    /// Since when, by its own clock.
    pub since: Timestamp,
    /// Another process that says it is this host, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contender: Option<String>,
}
