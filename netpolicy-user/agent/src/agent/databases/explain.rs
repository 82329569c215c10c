//! What a database makes of a user: by policies, and by the lines that it was seen to have.

use std::net::IpAddr;

use jiff::Timestamp;

use super::board::OrderBoard;
use crate::api::DatabaseVerdict;
use crate::compiler::Ruleset;
use crate::database::{AddressSet, HbaLine, HbaUser, closed_plan};
use crate::model::{
    Binding, Bypass, Database, DatabaseKind, DatabaseUser, Policy, State, UserKind, evaluate,
    governing_policies,
};

/// What becomes of a user who comes from an address, if the packet filter lets it through.
#[must_use]
pub fn explain(
    state: &State,
    ruleset: &Ruleset,
    database: &Database,
    (board, bypasses): (&OrderBoard, &[Bypass]),
    (user, source): (&str, IpAddr),
) -> DatabaseVerdict {
    let now = Timestamp::now();
    let (arrives, address_bypassed_until) = arrival(state, ruleset, database, bypasses, source);
    let (plan, _) = closed_plan(state, ruleset, database, now);
    let named = DatabaseUser {
        database: database.name.clone(),
        kind: UserKind::User,
        name: user.to_owned(),
    };
    let bypassed_until = state.user_bypass(&named).filter(|until| *until > now);
    let scope = Binding::User(named);
    let policies: Vec<&Policy> = state.governing(&scope).collect();
    let own = !policies.is_empty();
    let names = |policies: &[&Policy]| -> Vec<String> {
        policies
            .iter()
            .map(|policy| policy.name.to_string())
            .collect()
    };
    let (names, by_policies) = match own {
        true => {
            let allowed = AddressSet::allowed_by(state, policies.iter().copied());
            (names(&policies), allowed.contains(source))
        }
        false => of_service(state, database, source),
    };
    let allowed = by_policies || bypassed_until.is_some();

    let mut rejecting = plan.lines.iter().filter(|line| line.net.contains(&source));
    let is_of_user = |one: &HbaUser| match one {
        HbaUser::User(name) => name == user,
        HbaUser::AllBut(names) => names.iter().all(|name| name != user),
        HbaUser::Everyone => true,
        HbaUser::Role(_) => false,
    };
    let roles = rejecting.clone().flat_map(|line| &line.users);
    let roles: Vec<String> = roles
        .filter_map(|one| match one {
            HbaUser::Role(name) => Some(name.clone()),
            _ => None,
        })
        .collect();
    let line = rejecting.find(|line| line.users.iter().any(is_of_user));
    let has = |line: &dyn std::fmt::Display| board.has(&database.name, &line.to_string());
    let in_force = match line {
        Some(line) => has(line),
        None => plan.lines.iter().all(|line| has(line)),
    };
    // Where no policy lets the address through, the database is not asked, or decides alone.
    let agrees = in_force && (!arrives || allowed == line.is_none());
    let written = |line: &HbaLine| match database.kind {
        DatabaseKind::PostgreSql => line.to_string(),
        // As its helper writes it.
        DatabaseKind::PgBouncer => line.to_string().replacen(",replication", "", 1),
    };
    let line = line.map(written);
    let whose = match own {
        true => "the user's policy",
        false => "the service's policies",
    };
    let listed = format!("{whose} {}", names.join(", "));
    let sentence = match (&line, bypassed_until) {
        _ if !arrives && address_bypassed_until.is_none() => {
            format!("no policy lets {source} through to the service: the database is not asked")
        }
        (Some(_), _) if !arrives => format!(
            "{source} is let through by a bypass of the address alone, and the database rejects \
             {user} from there: a bypass of the user lets it in"
        ),
        (None, _) if !arrives => format!(
            "{source} is let through by a bypass of the address alone, and the database does not \
             reject {user} from there: authentication decides"
        ),
        (_, Some(_)) => format!("{user} bypasses its policies; authentication decides"),
        (Some(_), _) => {
            format!("{source} is not allowed by {listed}: the database rejects {user}")
        }
        (None, _) if names.is_empty() => {
            "no policy governs the user; authentication decides".to_owned()
        }
        (None, _) => format!("{source} is allowed by {listed}; authentication decides"),
    };
    DatabaseVerdict {
        database: database.name.to_string(),
        user: user.to_owned(),
        source,
        policies: names,
        own,
        bypassed_until,
        allowed,
        arrives,
        address_bypassed_until,
        line,
        roles,
        in_force,
        agrees,
        sentence,
    }
}

/// Whether the packet filter lets an address through to a database by policies, and until when a
/// bypass of the address does.
fn arrival(
    state: &State,
    ruleset: &Ruleset,
    database: &Database,
    bypasses: &[Bypass],
    source: IpAddr,
) -> (bool, Option<Timestamp>) {
    let now = Timestamp::now();
    let mut services = state.services.iter();
    let service = services.find(|one| one.name == database.service);
    let reaching = service.map(|service| AddressSet::reaching(ruleset, service.id));
    let arrives = source.is_loopback() || reaching.is_some_and(|set| set.contains(source));
    let covering = bypasses.iter().filter(|bypass| {
        bypass.source.contains(&source) && bypass.covers(Some(&database.service), now)
    });
    (arrives, covering.map(|bypass| bypass.expires).max())
}

/// What the service's policies say, without those of users. Loopback they do not govern.
fn of_service(state: &State, database: &Database, source: IpAddr) -> (Vec<String>, bool) {
    let policies = state.policies.iter().map(|policy| Policy {
        bindings: policy
            .bindings
            .iter()
            .filter(|one| one.user().is_none())
            .cloned()
            .collect(),
        ..policy.clone()
    });
    let without = State {
        policies: policies.collect(),
        ..state.clone()
    };
    let mut services = without.services.iter();
    let service = services.find(|one| one.name == database.service);
    let policies = governing_policies(&without, service);
    let names = policies
        .iter()
        .filter_map(|&index| without.policies.get(index));
    let names = names.map(|policy| policy.name.to_string()).collect();
    let denied = evaluate(&without, service, source).reason.is_denial();
    (names, source.is_loopback() || !denied)
}
