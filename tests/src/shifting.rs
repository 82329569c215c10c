//! Policies that change step by step, made so that a mixture of two steps shows.
//!
//! The *probes* are packets of which it is known by design what may happen to them:
//! some are denied in every step, some in none, some in turns; and how they are
//! denied changes all the time.

use std::net::IpAddr;

use ipnet::{Ipv4Net, Ipv6Net};
use netpolicy_common::Reason;
use netpolicy_user::model::change::Change;
use netpolicy_user::model::{Combine, ListEdit, Mode, State, evaluate};

use crate::rules::{self, policy, service};

/// What no step may break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Always {
    /// Denied in every step.
    Denied,
    /// Denied in no step.
    Passed,
    /// In every step some of these are denied, and some are not.
    InTurns,
    /// Denied in some steps.
    Changes,
}

/// A connection attempt that is made over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Where from.
    pub source: IpAddr,
    /// To which port.
    pub port: u16,
    /// What no step may break.
    pub always: Always,
}

/// A port that belongs to no service.
const HOST: u16 = 8080;
/// Of a service whose policy replaces the host's.
pub(crate) const DB: u16 = 5432;
/// Of a service that combines with the host by `and`.
const POOL: u16 = 6432;
/// Of the one service, of none and of the other service in turn.
const MOVING: u16 = 7005;

/// The lists of a step.
#[derive(Default)]
struct Lists {
    host_allow: Vec<String>,
    host_block: Vec<String>,
    db_allow: Option<Vec<String>>,
    db_block: Vec<String>,
    pool_allow: Option<Vec<String>>,
    pool_block: Vec<String>,
}

/// Both families' addresses of a probe: 10.A.B.C, and fd00:A:B::C with A as it is written.
#[derive(Clone, Copy)]
struct At(u8, u8, u8);

impl At {
    fn v4(self) -> String {
        format!("10.{}.{}.{}", self.0, self.1, self.2)
    }

    fn v6(self) -> String {
        format!("fd00:{}:{}::{}", self.0, self.1, self.2)
    }

    /// Prefixes around it, of these lengths.
    fn nets(self, v4: u8, v6: u8) -> [String; 2] {
        let v4 = Ipv4Net::new(self.v4().parse().expect("an address"), v4);
        let v6 = Ipv6Net::new(self.v6().parse().expect("an address"), v6);
        let (v4, v6) = (v4.expect("a length"), v6.expect("a length"));
        [v4.trunc().to_string(), v6.trunc().to_string()]
    }

    fn hosts(self) -> [String; 2] {
        [self.v4(), self.v6()]
    }

    /// Prefixes around it, of a length that changes with the step.
    fn nets_of(self, step: usize) -> [String; 2] {
        let (v4, v6) = [(32, 128), (24, 64), (20, 48), (16, 32)][step % 4];
        self.nets(v4, v6)
    }
}

fn hosts(all: &[At]) -> Vec<String> {
    all.iter().flat_map(|at| at.hosts()).collect()
}

// Hosts, whose neighbours in the background come and go.
const DENIED: At = At(1, 7, 2);
const PASSED: At = At(1, 9, 2);
/// One of them is denied.
const TURNS: [At; 3] = [At(2, 11, 2), At(2, 13, 2), At(2, 19, 2)];
/// One of the families is denied.
const CROSS: At = At(2, 15, 2);
const DB_DENIED: [At; 3] = [At(1, 7, 6), At(3, 7, 6), At(5, 7, 6)];
const DB_PASSED: [At; 3] = [At(1, 9, 6), At(3, 9, 6), At(5, 9, 6)];
const DB_TURN: At = At(2, 11, 6);
const POOL_DENIED: At = At(0, 7, 2);
const POOL_PASSED: [At; 3] = [At(0, 11, 2), At(2, 21, 2), At(4, 21, 2)];
const MOVED_DENIED: At = At(7, 7, 2);
const MOVED_PASSED: At = At(7, 9, 2);
// In networks of their own.
const DENIED_BY_NETS: At = At(200, 7, 7);
const DENIED_FOR_REASONS: [At; 2] = [At(210, 7, 7), At(211, 7, 7)];
const PASSED_IN_A_GAP: At = At(202, 7, 7);
const PASSED_BY_NETS: At = At(212, 7, 7);

/// The step's number in binary: the host whose bit is set is denied.
const BITS: [At; 6] = [
    At(3, 15, 2),
    At(3, 17, 2),
    At(4, 15, 2),
    At(4, 17, 2),
    At(5, 15, 2),
    At(5, 17, 2),
];

/// Denied by no step: for changes by a single rule.
const SINGLE: At = At(2, 17, 2);

/// Sources of probes, one of each family, that no step denies: for changes by a single
/// rule.
#[must_use]
pub fn singles() -> [String; 2] {
    SINGLE.hosts()
}

/// Every probe, of both families.
#[must_use]
pub fn probes() -> Vec<Probe> {
    use Always::{Changes, Denied, InTurns, Passed};
    let roles: [(&[At], u16, Always); 17] = [
        (&[DENIED], HOST, Denied),
        (&[PASSED], HOST, Passed),
        (&TURNS, HOST, InTurns),
        (&[CROSS], HOST, InTurns),
        (&BITS, HOST, Changes),
        (&[SINGLE], HOST, Changes),
        (&[DENIED_BY_NETS], HOST, Denied),
        (&DENIED_FOR_REASONS, HOST, Denied),
        (&[PASSED_IN_A_GAP], HOST, Passed),
        (&[PASSED_BY_NETS], HOST, Passed),
        (&DB_DENIED, DB, Denied),
        (&DB_PASSED, DB, Passed),
        (&[DB_TURN], DB, InTurns),
        (&[POOL_DENIED], POOL, Denied),
        (&POOL_PASSED, POOL, Passed),
        (&[MOVED_DENIED], MOVING, Denied),
        (&[MOVED_PASSED], MOVING, Passed),
    ];
    let roles = roles
        .iter()
        .flat_map(|(all, port, always)| all.iter().map(|at| (*at, *port, *always)));
    let both = |(at, port, always): (At, u16, Always)| {
        at.hosts().map(|source| Probe {
            source: source.parse().expect("an address"),
            port,
            always,
        })
    };
    roles.flat_map(both).collect()
}

impl Lists {
    /// Turns are three, so that a step differs from the next and the one after that:
    /// two slots take turns too.
    fn of(step: usize) -> Self {
        let turn = step % 3;
        let mut lists = Self::default();
        lists.of_host(step, turn);
        lists.of_services(turn);
        lists
    }

    fn of_host(&mut self, step: usize, turn: usize) {
        // The network that the background is in.
        let (v4, v6) = [(12, 24), (11, 23), (13, 25)][turn];
        self.host_allow.extend(At(0, 0, 0).nets(v4, v6));
        for around in [DENIED_BY_NETS, PASSED_IN_A_GAP] {
            self.host_allow.extend(around.nets(16, 32));
        }
        self.host_allow.extend(PASSED_BY_NETS.nets_of(step));
        self.host_block.extend(DENIED_BY_NETS.nets_of(step));
        for (shift, at) in DENIED_FOR_REASONS.into_iter().enumerate() {
            match (turn + shift) % 3 {
                0 => {
                    self.host_allow.extend(at.nets(16, 48));
                    self.host_block.extend(at.hosts());
                }
                1 => self.host_block.extend(at.nets(24, 64)),
                // On no list.
                _ => {}
            }
        }
        let At(a, b, c) = PASSED_IN_A_GAP;
        let gap = match step % 4 {
            0 => At(a, b, c - 1).hosts(),
            1 => At(a, b, c + 1).hosts(),
            2 => At(a, b - 1, c).nets(24, 48),
            _ => At(a, b + 1, c).nets(24, 48),
        };
        self.host_block.extend(gap);

        self.host_block.extend(DENIED.hosts());
        self.host_block.extend(TURNS[turn].hosts());
        let cross = if turn == 0 { CROSS.v4() } else { CROSS.v6() };
        self.host_block.push(cross);
        for (bit, at) in BITS.into_iter().enumerate() {
            if step >> bit & 1 == 1 {
                self.host_block.extend(at.hosts());
            }
        }
    }

    fn of_services(&mut self, turn: usize) {
        // Denied by a block list, or for not being on the allow list.
        let (denied, passed) = (hosts(&DB_DENIED), hosts(&DB_PASSED));
        match turn {
            0 => {
                self.db_block.extend(denied);
                // The service's own policy replaces the host's.
                self.host_block.extend(passed);
            }
            1 => self.db_block.extend([denied, hosts(&[DB_TURN])].concat()),
            _ => self.db_allow = Some([passed, hosts(&[DB_TURN])].concat()),
        }
        // The same, and by the host's list.
        let (denied, passed) = (hosts(&[POOL_DENIED]), hosts(&POOL_PASSED));
        match turn {
            0 => self.pool_block.extend(denied),
            1 => self.pool_allow = Some(passed),
            _ => {
                self.host_block.extend_from_slice(&denied);
                self.pool_allow = Some([denied, passed, hosts(&[MOVED_PASSED])].concat());
            }
        }
        // The scope that has the port denies the one; the scope that has not, the other.
        let (denied, passed) = (MOVED_DENIED.hosts(), MOVED_PASSED.hosts());
        match turn {
            0 => {
                self.db_block.extend(denied);
                self.host_block.extend_from_slice(&passed);
                self.pool_block.extend(passed);
            }
            1 => {
                self.host_block.extend(denied);
                self.db_block.extend_from_slice(&passed);
                self.pool_block.extend(passed);
            }
            _ => {
                self.pool_block.extend(denied);
                // The host's list counts as well.
                self.db_block.extend(passed);
            }
        }
    }
}

/// The ports of the services in a step.
fn ports(step: usize) -> [(&'static str, Vec<String>); 2] {
    let of = |port: u16, turn| match step % 3 == turn {
        true => vec![port.to_string(), MOVING.to_string()],
        false => vec![port.to_string()],
    };
    [("base", of(DB, 0)), ("pool", of(POOL, 2))]
}

/// The changes that make a step's policies.
#[must_use]
pub fn changes(step: usize) -> Vec<Change> {
    let lists = Lists::of(step);
    let [(_, db), (_, pool)] = ports(step);
    let [db_allow, pool_allow] =
        [&lists.db_allow, &lists.pool_allow].map(|list| list.as_deref().map(refs));
    let (allow, block) = (refs(&lists.host_allow), refs(&lists.host_block));
    vec![
        service("base", &refs(&db), Combine::Override, Mode::Enforce),
        service("pool", &refs(&pool), Combine::And, Mode::Enforce),
        policy("of_host", Some(&allow), &block, &[]),
        policy(
            "of_base",
            db_allow.as_deref(),
            &refs(&lists.db_block),
            &["base"],
        ),
        policy(
            "of_pool",
            pool_allow.as_deref(),
            &refs(&lists.pool_block),
            &["pool"],
        ),
    ]
}

/// The changes that make the policies of step `to` of those of step `from`, rule by rule.
#[must_use]
pub fn alterations(from: usize, to: usize) -> Vec<Change> {
    let (old, new) = (Lists::of(from), Lists::of(to));
    let mut services = ports(to);
    // A port is given away before another service takes it.
    services.sort_by_key(|(_, ports)| ports.len());
    let services = services.map(|(name, ports)| Change::AlterService {
        name: name.to_owned(),
        ports: Some(ports),
        combine: None,
        mode: None,
        on_deny: None,
        comment: None,
    });
    let policies = [
        alter(
            "of_host",
            [Some(&old.host_allow), Some(&new.host_allow)],
            [&old.host_block, &new.host_block],
        ),
        alter(
            "of_base",
            [old.db_allow.as_deref(), new.db_allow.as_deref()],
            [&old.db_block, &new.db_block],
        ),
        alter(
            "of_pool",
            [old.pool_allow.as_deref(), new.pool_allow.as_deref()],
            [&old.pool_block, &new.pool_block],
        ),
    ];
    services.into_iter().chain(policies).collect()
}

/// Makes new lists of old ones, of allowed and of blocked sources.
fn alter(name: &str, allow: [Option<&[String]>; 2], block: [&[String]; 2]) -> Change {
    let allow = match allow {
        [_, None] => ListEdit::Any,
        [old, Some(new)] => edit(old.unwrap_or_default(), new),
    };
    rules::alter(name, allow, edit(block[0], block[1]))
}

/// Adds what only the new list has, and removes what only the old one has.
pub(crate) fn edit(old: &[String], new: &[String]) -> ListEdit {
    let without = |list: &[String], other: &[String]| {
        let left = list.iter().filter(|item| !other.contains(item));
        rules::list(&left.map(String::as_str).collect::<Vec<_>>())
    };
    ListEdit::Edit {
        add: without(new, old),
        remove: without(old, new),
    }
}

pub(crate) fn refs(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

/// What each probe gets by a step's state, as the oracle says.
///
/// # Panics
/// When that is not what the probes are made for.
#[must_use]
pub fn reasons(probes: &[Probe], step: usize, state: &State) -> Vec<Reason> {
    let reason = |probe: &Probe| {
        let reason = evaluate(state, state.service_of_port(probe.port), probe.source).reason;
        let is_fine = match probe.always {
            Always::Denied => reason.is_denial(),
            Always::Passed => !reason.is_denial(),
            Always::InTurns | Always::Changes => true,
        };
        assert!(is_fine, "step {step} gives {probe:?} {reason:?}");
        reason
    };
    let reasons: Vec<Reason> = probes.iter().map(reason).collect();
    let turns = probes.iter().zip(&reasons);
    let turns = turns.filter(|(probe, _)| probe.always == Always::InTurns);
    let denied = turns.clone().filter(|(_, reason)| reason.is_denial());
    let (turns, denied) = (turns.count(), denied.count());
    assert!(
        denied > 0 && denied < turns,
        "{denied} of {turns} in step {step}"
    );
    reasons
}
