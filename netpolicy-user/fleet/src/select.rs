//! Which revision a host takes: decided by each host for itself, of signed records alone.

use crate::HostId;
use crate::record::{Group, Head, Pin, Rollout, RolloutState};

/// What a host does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// It takes a revision.
    Take(Pin),
    /// It stays with what it has.
    Stay(&'static str),
}

/// A host's place in a roll-out, below 10,000.
#[must_use]
pub fn bucket(salt: &str, host: &HostId) -> u16 {
    let mut hasher = blake3::Hasher::new_derive_key("netpolicy fleet: place in a roll-out");
    // The salt's length, so that no salt and host are another's.
    hasher.update(&(salt.len() as u64).to_be_bytes());
    hasher.update(salt.as_bytes());
    hasher.update(host.as_str().as_bytes());
    let hash = hasher.finalize();
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(hash.as_bytes()) {
        *to = *from;
    }
    // Below 10,000.
    u16::try_from(u64::from_be_bytes(first) % 10_000).unwrap_or(0)
}

/// The stage of all hosts.
pub const ALL: u16 = 10_000;

/// Whether a roll-out says what hosts of its group take: no pin does, and no newer revision was
/// pushed at once. One that was pushed for roll-outs later changes nothing of it.
#[must_use]
pub fn decides(head: &Head, group: &Group, rollout: &Rollout) -> bool {
    let to = rollout.to.revision;
    let is_newest = match head.staged {
        true => head.base.as_ref().is_none_or(|base| to > base.revision),
        false => to >= head.newest.revision,
    };
    group.pinned.is_none() && is_newest
}

/// The revision that all hosts of a group had reached when this was its last roll-out.
#[must_use]
pub fn reached<'a>(head: &'a Head, group: &Group, last: Option<&'a Rollout>) -> Option<&'a Pin> {
    let base = match head.staged {
        true => head.base.as_ref(),
        false => Some(&head.newest),
    };
    let last = last.filter(|last| decides(head, group, last));
    let by_rollout = last.and_then(|last| match last.state {
        RolloutState::RolledBack => last.from.as_ref(),
        RolloutState::Done => Some(&last.to),
        _ if last.stage >= ALL => Some(&last.to),
        _ => last.from.as_ref(),
    });
    by_rollout.or(base)
}

/// What a host of this group does. A pin of the group comes first, then its roll-out, then the
/// newest revision that was pushed at once.
#[must_use]
pub fn select(head: &Head, group: &Group, rollout: Option<&Rollout>, host: &HostId) -> Selection {
    const WAITS: &str = "the roll-out has not reached this host";
    if let Some(pin) = &group.pinned {
        return Selection::Take(pin.clone());
    }
    let base = match head.staged {
        true => head.base.as_ref(),
        false => Some(&head.newest),
    };
    let to_base = |why| match base {
        Some(base) => Selection::Take(base.clone()),
        None => Selection::Stay(why),
    };
    let Some(rollout) = rollout.filter(|rollout| decides(head, group, rollout)) else {
        return to_base("no roll-out of the newest revision has begun");
    };
    let takes = match rollout.state {
        RolloutState::Done => true,
        RolloutState::RolledBack => false,
        RolloutState::Running | RolloutState::Paused | RolloutState::Stopped => {
            bucket(&rollout.salt, host) < rollout.stage
        }
    };
    match (&rollout.from, takes) {
        (_, true) => Selection::Take(rollout.to.clone()),
        (Some(from), false) => Selection::Take(from.clone()),
        (None, false) if head.staged => to_base(WAITS),
        (None, false) => Selection::Stay(WAITS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{group, head, pin, rollout};

    fn host(i: u32) -> HostId {
        format!("h{i}").parse().unwrap()
    }

    #[test]
    fn stage_takes_its_share_and_a_larger_one_all_of_it() {
        let places: Vec<_> = (0..20_000).map(|i| bucket("s", &host(i))).collect();
        assert!(places.iter().all(|place| *place < 10_000));
        let below = |stage| places.iter().filter(|place| **place < stage).count();
        assert!((140..260).contains(&below(100)), "{}", below(100));
        assert!((9_700..10_300).contains(&below(5_000)), "{}", below(5_000));
        let others = (0..20_000).filter(|i| bucket("t", &host(*i)) < 100);
        let same = others.filter(|i| bucket("s", &host(*i)) < 100).count();
        assert!(same < 20, "another salt draws other hosts: {same}");
        // Written down: every host and every version draws the same.
        assert_eq!(bucket("2026-11-30", &host(1)), 4_651);
    }

    #[test]
    fn pin_comes_before_rollout_and_rollout_before_head() {
        let id = host(1);
        let place = bucket("s", &id);
        let of = |head: &Head, pinned: Option<u64>, rollout: Option<Rollout>| {
            let group = Group {
                pinned: pinned.map(pin),
                ..group("db", 1)
            };
            match select(head, &group, rollout.as_ref(), &id) {
                Selection::Take(pin) => Some(pin.revision),
                Selection::Stay(_) => None,
            }
        };
        let at = |stage, state| {
            Some(Rollout {
                stage,
                state,
                ..rollout(Some(1), 2)
            })
        };
        use RolloutState::{Done, Paused, RolledBack, Running, Stopped};
        let direct = head(1, 2);
        let staged = Head {
            staged: true,
            ..head(1, 2)
        };
        assert_eq!(of(&direct, None, None), Some(2));
        assert_eq!(of(&staged, None, None), None);
        assert_eq!(of(&staged, Some(1), at(10_000, Running)), Some(1));
        for state in [Running, Paused, Stopped] {
            assert_eq!(of(&staged, None, at(place, state)), Some(1));
            assert_eq!(of(&staged, None, at(place + 1, state)), Some(2));
            assert_eq!(of(&direct, None, at(place, state)), Some(1));
        }
        assert_eq!(of(&staged, None, at(0, Done)), Some(2));
        assert_eq!(of(&staged, None, at(10_000, RolledBack)), Some(1));
        let first = Rollout {
            stage: 0,
            ..rollout(None, 2)
        };
        assert_eq!(of(&staged, None, Some(first)), None);
        // A roll-out keeps no host from a newer revision that was pushed at once.
        let newer = head(2, 3);
        assert_eq!(of(&newer, None, at(10_000, Done)), Some(3));
        let newer = Head {
            staged: true,
            ..newer
        };
        // One that is only staged leaves the last roll-out's outcome in force.
        assert_eq!(of(&newer, None, at(10_000, Done)), Some(2));
    }

    #[test]
    fn staged_revision_leaves_what_was_pushed_at_once_or_rolled_out_in_force() {
        let (id, group) = (host(1), group("db", 1));
        let head = Head {
            staged: true,
            base: Some(pin(2)),
            ..head(1, 4)
        };
        let back = |from, to| Rollout {
            state: RolloutState::RolledBack,
            ..rollout(from, to)
        };
        let of = |rollout: Option<Rollout>| select(&head, &group, rollout.as_ref(), &id);
        assert_eq!(of(None), Selection::Take(pin(2)));
        assert_eq!(of(Some(back(Some(1), 2))), Selection::Take(pin(2)));
        assert_eq!(of(Some(back(Some(1), 3))), Selection::Take(pin(1)));
        assert_eq!(of(Some(back(None, 3))), Selection::Take(pin(2)));
        let all = |stage, state| Rollout {
            stage,
            state,
            ..rollout(Some(2), 3)
        };
        use RolloutState::{Paused, Running, Stopped};
        for state in [Running, Paused, Stopped] {
            assert_eq!(
                reached(&head, &group, Some(&all(ALL, state))),
                Some(&pin(3))
            );
            assert_eq!(reached(&head, &group, Some(&all(50, state))), Some(&pin(2)));
        }
        assert!(!decides(&head, &group, &rollout(Some(1), 2)));
    }
}
