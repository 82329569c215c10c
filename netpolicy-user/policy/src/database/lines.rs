//! A state to the lines of each database, fewest first: what a user may not come from, as far as
//! the packet filter lets it through.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;

use super::{AddressSet, HbaLine, HbaUser};
use crate::compiler::Ruleset;
use crate::model::evaluate::governed;
use crate::model::{
    Binding, Database, DatabaseKind, DatabaseUser, Mode, Name, Policy, State, UserKind,
};

/// Networks that one user or role is rejected from, at most.
pub const LINES_OF_USER: usize = 1_000;
/// Lines of one database at most: every line costs every connection.
pub const LINES_OF_ALL: usize = 5_000;

/// Lines of one database at most that keep out all but some users. PostgreSQL keeps a regular
/// expression for each, and a connection pays for its memory: some 15 µs a line, 1 µs for others
/// (18.4).
pub const LINES_OF_OTHERS: usize = 100;

/// Networks that are looked at to reject a user from fewer, larger ones; from more than these it is
/// rejected altogether.
const CONSIDERED: usize = 50_000;

/// What a database is to enforce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabasePlan {
    /// The database.
    pub database: Name,
    /// Its lines, ascending.
    pub lines: Vec<HbaLine>,
    /// Users and roles that policies are bound to: they have to exist.
    pub users: Vec<DatabaseUser>,
    /// The policy that allows a user more than the service's do, if one does: then lines keep all
    /// others out, which PostgreSQL can be told from version 16 on.
    pub widened_by: Option<String>,
    /// When a bypass ends, and with it this plan.
    pub until: Option<Timestamp>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Why a database cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanProblem {
    /// A user's policy needs too many lines.
    #[error(
        "the policies of {user} come to more than {LINES_OF_USER} lines of pg_hba.conf, and every line costs every connection: a host alone takes some 30 where the service is open; bind them to the service instead, whose lists have no such limit"
    )]
    UserLines {
        /// The user.
        user: String,
    },
    /// All together need too many lines.
    #[error(
        "the policies of users of database '{database}' come to {count} lines of pg_hba.conf, more than {LINES_OF_ALL}, and every line costs every connection; bind some of them to the service instead"
    )]
    Lines {
        /// The database.
        database: String,
        /// How many lines.
        count: usize,
    },
    /// All but some users are to be kept out of too many networks.
    #[error(
        "policies of users of database '{database}' allow networks that the policies of the service do not, and more than {LINES_OF_OTHERS} lines of pg_hba.conf were needed to keep all others out of them; each holds a regular expression, which costs every connection; let fewer, larger networks be allowed, or let the service allow them and bind narrower policies"
    )]
    Others {
        /// The database.
        database: String,
    },
    /// A pooler cannot be told to keep all but some out.
    #[error(
        "policy '{policy}' allows a user of '{database}' what the policies of the service do not, and PgBouncer's hba file cannot say \"all but\" that user; let the service allow it and bind narrower policies"
    )]
    PoolerWidens {
        /// The pooler.
        database: String,
        /// The policy.
        policy: String,
    },
    /// A role's policy allows what the service's does not.
    #[error(
        "policy '{policy}' allows members of {role} what the policies of the service do not: pg_hba.conf cannot name all but the members of a role; bind it to the users, or let the service allow it and bind narrower policies"
    )]
    RoleWidens {
        /// The role.
        role: String,
        /// Its policy.
        policy: String,
    },
}

/// The plans of all databases. `ruleset`: what the state is compiled to.
///
/// # Errors
/// The first that cannot be carried out.
pub fn plans(
    state: &State,
    ruleset: &Ruleset,
    now: Timestamp,
) -> Result<Vec<DatabasePlan>, PlanProblem> {
    let databases = state.databases.iter();
    databases
        .map(|database| plan(state, ruleset, database, now))
        .collect()
}

/// The plan of one database.
///
/// # Errors
/// It cannot be carried out.
pub fn plan(
    state: &State,
    ruleset: &Ruleset,
    database: &Database,
    now: Timestamp,
) -> Result<DatabasePlan, PlanProblem> {
    match closed_plan(state, ruleset, database, now) {
        (plan, None) => Ok(plan),
        (_, Some(problem)) => Err(problem),
    }
}

/// The plan of one database, also where its policies cannot be expressed: then it rejects more than
/// they say, within the same limits. With the first reason for that.
#[must_use]
pub fn closed_plan(
    state: &State,
    ruleset: &Ruleset,
    database: &Database,
    now: Timestamp,
) -> (DatabasePlan, Option<PlanProblem>) {
    let mut plan = DatabasePlan {
        database: database.name.clone(),
        lines: Vec::new(),
        users: Vec::new(),
        widened_by: None,
        until: None,
        notes: Vec::new(),
    };
    let bound = users(state, database);
    let mut services = state.services.iter();
    let Some(service) = services.find(|one| one.name == database.service) else {
        return (plan, None);
    };
    if bound.is_empty() {
        return (plan, None);
    }
    plan.users = bound.iter().map(|(user, _)| (*user).clone()).collect();
    let governed = governed(state, service);
    let (mut own, mut by_host) = (governed.own(state), governed.by_host);
    if own.is_empty() {
        own = state.governing(&Binding::Host).collect();
        by_host = !own.is_empty();
    }
    let observes = service.mode == Mode::Observe || by_host && state.host.mode == Mode::Observe;
    if observes {
        plan.notes.push(format!(
            "service '{}' observes: its users' policies reject no source",
            service.name
        ));
        return (plan, None);
    }
    let mut unexpired: Vec<_> = database.bypasses.iter().collect();
    unexpired.retain(|one| one.until > now);
    plan.until = unexpired.iter().map(|one| one.until).min();
    let is_bypassed = |user: &DatabaseUser| {
        let mut unexpired = unexpired.iter();
        unexpired.any(|one| one.kind == user.kind && one.name == user.name)
    };

    // What reaches the database: what the packet filter lets through, and what it never sees.
    let arriving = AddressSet::reaching(ruleset, service.id);
    let arriving = arriving.with(&AddressSet::loopback());
    let of_service = AddressSet::allowed_by(state, own.iter().copied());
    let of_service = of_service.with(&AddressSet::loopback());

    let mut problem = None;
    let mut rejected = Vec::new();
    for (user, policies) in &bound {
        let allowed = AddressSet::allowed_by(state, policies.iter().copied());
        if user.kind == UserKind::Role {
            let beyond = allowed.without(&of_service);
            if let Some(policy) = policies.first().filter(|_| !beyond.is_empty()) {
                problem.get_or_insert_with(|| PlanProblem::RoleWidens {
                    role: user.to_string(),
                    policy: policy.name.to_string(),
                });
            }
        }
        let nets = within(&allowed, &arriving, LINES_OF_USER).unwrap_or_else(|nets| {
            let user = user.to_string();
            problem.get_or_insert(PlanProblem::UserLines { user });
            nets
        });
        let name = user.name.clone();
        let hba = match user.kind {
            UserKind::User => HbaUser::User(name),
            UserKind::Role => HbaUser::Role(name),
        };
        rejected.push((hba, is_bypassed(user), nets));
    }
    let others = within(&of_service, &arriving, LINES_OF_OTHERS).unwrap_or_else(|nets| {
        problem.get_or_insert_with(|| PlanProblem::Others {
            database: database.name.to_string(),
        });
        nets
    });
    if !others.is_empty() {
        let is_user = |user: &&DatabaseUser| user.kind == UserKind::User;
        let bypassed = unexpired.iter().filter(|one| one.kind == UserKind::User);
        let mut names: Vec<String> = bypassed.map(|one| one.name.clone()).collect();
        let users = bound.iter().map(|(user, _)| *user).filter(is_user);
        names.extend(users.map(|user| user.name.clone()));
        names.sort();
        names.dedup();
        plan.widened_by = widening(state, &bound, &of_service);
        let others_than = match database.kind {
            DatabaseKind::PostgreSql => HbaUser::AllBut(names),
            DatabaseKind::PgBouncer => {
                problem.get_or_insert_with(|| PlanProblem::PoolerWidens {
                    database: database.name.to_string(),
                    policy: plan.widened_by.clone().unwrap_or_default(),
                });
                HbaUser::Everyone
            }
        };
        rejected.push((others_than, false, others));
    }
    // With the lines of bypassed users: those come back without a change.
    let count = |rejected: &[Rejected]| {
        let nets = rejected.iter().flat_map(|(_, _, nets)| nets);
        nets.collect::<BTreeSet<_>>().len()
    };
    let mut limit = LINES_OF_USER;
    while count(&rejected) > LINES_OF_ALL && limit > 2 {
        let (database, count) = (database.name.to_string(), count(&rejected));
        problem.get_or_insert(PlanProblem::Lines { database, count });
        limit /= 2;
        for (_, _, nets) in &mut rejected {
            *nets = coarser(nets, limit);
        }
    }
    if count(&rejected) > LINES_OF_ALL {
        for (_, _, nets) in &mut rejected {
            *nets = everything();
        }
    }
    let mut lines: BTreeMap<IpNet, Vec<HbaUser>> = BTreeMap::new();
    for (user, _, nets) in rejected.into_iter().filter(|(_, bypassed, _)| !bypassed) {
        for net in nets {
            lines.entry(net).or_default().push(user.clone());
        }
    }
    plan.lines = lines
        .into_iter()
        .map(|(net, mut users)| {
            users.sort();
            HbaLine { net, users }
        })
        .collect();
    (plan, problem)
}

/// Users of a line, whether they bypass their policies, and where they are rejected from.
type Rejected = (HbaUser, bool, Vec<IpNet>);

/// The networks around what is allowed that have what arrives.
///
/// # Errors
/// They are more than the limit: as many that have more.
fn within(
    allowed: &AddressSet,
    arriving: &AddressSet,
    limit: usize,
) -> Result<Vec<IpNet>, Vec<IpNet>> {
    let nets = allowed.around(arriving, limit);
    if nets.len() <= limit {
        return Ok(nets);
    }
    let nets = allowed.around(arriving, CONSIDERED);
    Err(match nets.len() > CONSIDERED {
        true => everything(),
        false => coarser(&nets, limit),
    })
}

fn everything() -> Vec<IpNet> {
    vec![Ipv4Net::default().into(), Ipv6Net::default().into()]
}

/// Networks that have all of these, `limit` at most and no fewer than one of each family.
fn coarser(nets: &[IpNet], limit: usize) -> Vec<IpNet> {
    let mut nets = nets.to_vec();
    for length in (0..32).rev() {
        if nets.len() <= limit {
            break;
        }
        let shorter = nets.iter().map(|net| shortened(*net, length));
        nets = shorter.collect::<BTreeSet<_>>().into_iter().collect();
    }
    nets
}

/// A network with so many thirty-seconds of its address's bits at most.
fn shortened(net: IpNet, length: u8) -> IpNet {
    let most = net.max_prefix_len() / 32 * length;
    let shorter = IpNet::new(net.addr(), net.prefix_len().min(most));
    shorter.map_or(net, |net| net.trunc())
}

/// The users and roles of a database that enforced policies are bound to, with these policies.
fn users<'s>(state: &'s State, database: &Database) -> Vec<(&'s DatabaseUser, Vec<&'s Policy>)> {
    let mut users: Vec<(&DatabaseUser, Vec<&Policy>)> = Vec::new();
    for (user, policy) in state.bound_users() {
        if user.database != database.name || !policy.is_enforced() {
            continue;
        }
        match users.last_mut() {
            Some((last, policies)) if *last == user => policies.push(policy),
            _ => users.push((user, vec![policy])),
        }
    }
    users
}

/// The first policy of a user that allows more than the service's do.
fn widening(
    state: &State,
    bound: &[(&DatabaseUser, Vec<&Policy>)],
    of_service: &AddressSet,
) -> Option<String> {
    let policies = bound
        .iter()
        .filter(|(user, _)| user.kind == UserKind::User)
        .flat_map(|(_, policies)| policies);
    let mut policies = policies.copied();
    let widens = |policy: &&Policy| {
        let allowed = AddressSet::allowed_by(state, std::iter::once(*policy));
        !allowed.without(of_service).is_empty()
    };
    policies.find(widens).map(|policy| policy.name.to_string())
}
