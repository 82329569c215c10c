//! All that proves which revision a host takes. The fleet process hands it to the agent, which
//! believes nothing else of it.

use serde::{Deserialize, Serialize};

use crate::counters::{Backward, Counters};
use crate::record::{Group, Head, HostSpec, Pin, Revision, Rollout};
use crate::select::{Selection, select};
use crate::signed::{SignedError, open};
use crate::{FleetName, HostId, Keyring};

/// The signed records as they are in etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The host's record, which names its group.
    pub spec: String,
    /// The fleet's newest revision.
    pub head: String,
    /// The host's group, with a pin if it has one.
    pub group: String,
    /// The roll-out of the group, if there is one.
    pub rollout: Option<String>,
    /// The revision that these lead to; left out: only what is to be taken is asked.
    pub revision: Option<String>,
}

/// What evidence proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What the host does.
    pub selection: Selection,
    /// The revision that it takes, if evidence has it.
    pub revision: Option<Revision>,
    /// Its group.
    pub group: Group,
    /// The fleet's newest revision.
    pub head: Head,
    /// The roll-out, if there is one.
    pub rollout: Option<Rollout>,
    /// What was seen now: to be kept, together with what was done.
    pub counters: Counters,
}

/// Why evidence is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A record is not what it has to be.
    #[error(transparent)]
    Record(#[from] SignedError),
    /// A record is older than one that was seen: replayed, or etcd was restored from a backup.
    #[error("{0}")]
    Older(String),
    /// Two records have one counter: two operators' tools, or a key in wrong hands.
    #[error("{0}")]
    Forked(String),
    /// The revision is not the one to be taken.
    #[error("revision {found} was handed over, the records say {expected}")]
    NotSelected {
        /// Which one it is.
        found: u64,
        /// What the records say.
        expected: String,
    },
}

impl Evidence {
    /// What it proves to this host, which has seen `seen`.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn judge(
        &self,
        fleet: &FleetName,
        host: &HostId,
        keys: &Keyring,
        seen: &Counters,
    ) -> Result<Judged, Refusal> {
        let mut counters = seen.clone();
        let spec = open::<HostSpec>(&self.spec, fleet, keys)?;
        same("host", "host", &spec.record.host, host)?;
        counters.take(format!("host {host}"), &spec)?;
        let head = open::<Head>(&self.head, fleet, keys)?;
        counters.take("head".to_owned(), &head)?;
        let group = open::<Group>(&self.group, fleet, keys)?;
        let name = &spec.record.group;
        same("group", "group", &group.record.group, name)?;
        counters.take(format!("group {name}"), &group)?;
        let rollout = self.rollout.as_deref();
        let rollout = rollout.map(|text| open::<Rollout>(text, fleet, keys));
        let rollout = rollout.transpose()?;
        let of_rollout = format!("rollout {name}");
        match &rollout {
            Some(rollout) => {
                same("rollout", "group", &rollout.record.group, name)?;
                counters.take(of_rollout, rollout)?;
            }
            // A roll-out is never removed: without it, hosts that it has not reached would go
            // on to the newest revision.
            None if seen.of(&of_rollout) > 0 => {
                return Err(Refusal::Older(format!("{of_rollout} is gone, it was seen")));
            }
            None => {}
        }
        let rollout = rollout.map(|rollout| rollout.record);
        let selection = select(&head.record, &group.record, rollout.as_ref(), host);
        let revision = self.revision(fleet, keys, &selection)?;
        Ok(Judged {
            selection,
            revision,
            group: group.record,
            head: head.record,
            rollout,
            counters,
        })
    }

    fn revision(
        &self,
        fleet: &FleetName,
        keys: &Keyring,
        selection: &Selection,
    ) -> Result<Option<Revision>, Refusal> {
        let Some(text) = &self.revision else {
            return Ok(None);
        };
        let revision = open::<Revision>(text, fleet, keys)?.record;
        let found = Pin {
            revision: revision.revision,
            root: revision.root.clone(),
        };
        let expected = match selection {
            Selection::Take(pin) if *pin == found => return Ok(Some(revision)),
            Selection::Take(pin) => format!("{} with state {}", pin.revision, pin.root),
            Selection::Stay(why) => format!("to stay: {why}"),
        };
        let found = found.revision;
        Err(Refusal::NotSelected { found, expected })
    }
}

fn same<T: PartialEq + ToString>(
    what: &'static str,
    of: &'static str,
    found: &T,
    expected: &T,
) -> Result<(), Refusal> {
    if found == expected {
        return Ok(());
    }
    Err(Refusal::Record(SignedError::Other {
        what,
        of,
        found: found.to_string(),
        expected: expected.to_string(),
    }))
}

impl From<Backward> for Refusal {
    fn from(backward: Backward) -> Self {
        let said = backward.to_string();
        match backward {
            Backward::Older { .. } => Self::Older(said),
            Backward::Forked { .. } => Self::Forked(said),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Operator, group, head, pin, revision, rollout, spec};

    struct Fleet {
        operator: Operator,
        seen: Counters,
    }

    impl Fleet {
        fn evidence(&self, counter: u64, newest: u64) -> Evidence {
            let sign = &self.operator;
            Evidence {
                spec: sign.sign(&spec("h1", "db", 1)),
                head: sign.sign(&head(counter, newest)),
                group: sign.sign(&group("db", 2)),
                rollout: None,
                revision: Some(sign.sign(&revision(newest))),
            }
        }

        fn judge(&self, evidence: &Evidence) -> Result<Judged, Refusal> {
            let (fleet, host) = ("prod".parse().unwrap(), "h1".parse().unwrap());
            evidence.judge(&fleet, &host, &self.operator.keyring(), &self.seen)
        }

        fn refused(&self, evidence: &Evidence) -> String {
            self.judge(evidence).unwrap_err().to_string()
        }
    }

    fn fleet() -> Fleet {
        Fleet {
            operator: Operator::new(),
            seen: Counters::default(),
        }
    }

    #[test]
    fn records_prove_the_revision_and_counters_never_go_back() {
        let mut fleet = fleet();
        let old = fleet.evidence(5, 1);
        let judged = fleet.judge(&old).unwrap();
        assert_eq!(judged.selection, Selection::Take(pin(1)));
        assert_eq!(judged.revision.unwrap(), revision(1));
        fleet.seen = judged.counters;
        let new = fleet.evidence(6, 2);
        fleet.seen = fleet.judge(&new).unwrap().counters;
        assert_eq!(fleet.seen.highest(), 6);
        assert_eq!(
            fleet.refused(&old),
            "head goes back: its counter is 5, 6 was seen"
        );
        // The same again is no step back; another of the same counter is none either side's.
        fleet.judge(&new).unwrap();
        let fork = fleet.evidence(6, 3);
        assert_eq!(fleet.refused(&fork), "there are two of head with counter 6");
        // Of a restored etcd the next one is above.
        fleet.judge(&fleet.evidence(7, 3)).unwrap();
    }

    #[test]
    fn records_of_others_and_unproven_revisions_are_refused() {
        let fleet = fleet();
        let sign = &fleet.operator;
        let good = fleet.evidence(5, 2);
        let with = |edit: fn(&mut Evidence, &Operator)| {
            let mut evidence = good.clone();
            edit(&mut evidence, sign);
            fleet.refused(&evidence)
        };
        let host = with(|e, s| e.spec = s.sign(&spec("h2", "db", 1)));
        assert_eq!(host, "the host is of another host: h2, expected h1");
        let other = with(|e, s| e.group = s.sign(&group("web", 2)));
        assert_eq!(other, "the group is of another group: web, expected db");
        let older = with(|e, s| e.revision = Some(s.sign(&revision(1))));
        assert!(
            older.starts_with("revision 1 was handed over, the records say 2"),
            "{older}"
        );
        let forged = with(|e, _| e.revision = Some(Operator::new().sign(&revision(2))));
        assert!(forged.contains("signature is refused"), "{forged}");
        let swapped = with(|e, _| e.head = e.group.clone());
        assert!(swapped.contains("it begins with"), "{swapped}");
    }

    #[test]
    fn rollout_that_was_seen_is_not_left_out() {
        let mut fleet = fleet();
        let direct = fleet.evidence(5, 2);
        let mut staged = direct.clone();
        let mut begun = rollout(Some(1), 2);
        begun.stage = 0;
        staged.rollout = Some(fleet.operator.sign(&begun));
        staged.revision = Some(fleet.operator.sign(&revision(1)));
        let judged = fleet.judge(&staged).unwrap();
        assert_eq!(judged.selection, Selection::Take(pin(1)));
        fleet.seen = judged.counters;
        assert_eq!(fleet.refused(&direct), "rollout db is gone, it was seen");
    }
}
