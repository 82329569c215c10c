//! Replication and failover groups: the fleet that the host is in. What is asked of it is answered;
//! what is to become of it is for the fleet's own commands, since each host only follows.

use jiff::Timestamp;

use super::{Action, Cx, Refusal, ResultTable, Wrong};
use crate::sql::Ident;
use crate::sql::group::{GroupChange, GroupKind, GroupStatement, GroupVerb};

/// The fleet that a host follows, for SHOW.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowedFleet {
    /// The fleet: the source.
    pub fleet: String,
    /// The host's group in it.
    pub group: Option<String>,
    /// The host's own name in it: the target.
    pub host: Option<String>,
    /// The revision in force, and since when.
    pub revision: Option<(u64, Timestamp)>,
    /// Whether services are the fleet's as well as policies.
    pub with_services: bool,
    /// Whether a local change was made over it.
    pub is_overridden: bool,
}

const COLUMNS: [&str; 9] = [
    "created_on",
    "account_name",
    "name",
    "type",
    "comment",
    "is_primary",
    "primary",
    "object_types",
    "secondary_state",
];

impl Cx<'_, '_> {
    /// All statements about groups.
    pub(super) fn group(&self, statement: &GroupStatement<'_>) -> Result<Action, Refusal> {
        let kind = statement.kind;
        let refuse = |name: &Ident<'_>, what: &'static str, hint: &'static str| {
            let wrong = Wrong::GroupOfFleet {
                kind: kind_in_words(kind),
                name: name.folded(self.dialect()).into_owned(),
                what,
                hint,
            };
            Err(Refusal::of(self.statement, name.spot(), wrong))
        };
        match &statement.verb {
            GroupVerb::Show => Ok(Action::Table(self.groups(kind))),
            GroupVerb::Create {
                name,
                is_replica: false,
            } => refuse(
                name,
                "created",
                "a fleet is such a group: `netpolicy fleet init` makes one, \
                 `netpolicy fleet push` replicates policies and services (USERS) by it",
            ),
            GroupVerb::Create { name, .. } => refuse(
                name,
                "created as a replica",
                "`netpolicy fleet join` makes this host follow a fleet",
            ),
            GroupVerb::Drop(name) => refuse(
                name,
                "dropped",
                "`netpolicy fleet leave` ends that this host follows its fleet",
            ),
            GroupVerb::Alter { name, change } => match change {
                GroupChange::Primary => refuse(
                    name,
                    "made the primary",
                    "`netpolicy fleet promote` makes a fleet's mirror its source, for all hosts",
                ),
                GroupChange::Refresh => refuse(
                    name,
                    "refreshed",
                    "a host takes each revision as soon as its roll-out reaches it: \
                     `netpolicy fleet status` says where it is",
                ),
                GroupChange::Suspend => refuse(
                    name,
                    "suspended",
                    "`netpolicy fleet pause` pauses the roll-out of a group of hosts",
                ),
                GroupChange::Resume => refuse(
                    name,
                    "resumed",
                    "`netpolicy fleet resume` goes on with the roll-out of a group of hosts",
                ),
                GroupChange::Settings => refuse(
                    name,
                    "altered",
                    "`netpolicy fleet groups` shows and sets which hosts take what",
                ),
            },
        }
    }

    fn groups(&self, kind: GroupKind) -> ResultTable {
        let Some(fleet) = self.scene.fleet else {
            let mut table = ResultTable::of(&COLUMNS, Vec::new());
            let warning = "this host is in no fleet: `netpolicy fleet join` makes it follow one";
            table.warnings.push(warning.to_owned());
            return table;
        };
        let comment = match (fleet.revision, &fleet.group) {
            (None, _) => "nothing of it is in force yet".to_owned(),
            (Some((revision, _)), None) => format!("revision {revision}"),
            (Some((revision, _)), Some(group)) => format!("revision {revision}, group {group}"),
        };
        let overridden = if fleet.is_overridden {
            ", with a local change over it"
        } else {
            ""
        };
        let object_types = match fleet.with_services {
            true => "USERS, NETWORK POLICIES",
            false => "NETWORK POLICIES",
        };
        let row = vec![
            fleet.revision.map(|(_, since)| since.to_string()),
            fleet.host.clone(),
            Some(fleet.fleet.clone()),
            Some(kind.word().to_owned()),
            Some(comment + overridden),
            Some("false".to_owned()),
            Some(format!("fleet {}", fleet.fleet)),
            Some(object_types.to_owned()),
            fleet.revision.map(|_| "STARTED".to_owned()),
        ];
        ResultTable::of(&COLUMNS, vec![row])
    }
}

fn kind_in_words(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Replication => "Replication group",
        GroupKind::Failover => "Failover group",
    }
}
