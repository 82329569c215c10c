//! Attributes attempts, and puts them into what is remembered.
//!
//! Rules are looked up for all sources at once, in one pass over each list, and only for sources
//! that the same rules did not decide for the same reason before. Meanwhile nothing is locked.
//!
//! What was counted and not reported is spread over what was reported of the same scope and
//! reason, in proportion and to the last attempt, and is marked as estimated.

use std::collections::HashMap;
use std::net::IpAddr;

use jiff::Timestamp;
use netpolicy_common::{Reason, ScopeId};

use super::deciders::{Decided, DeciderId, DeciderKey, NO_DECIDER};
use super::ledger::CountedKind;
use super::memory::SourceMemory;
use super::models::{ModelId, Models, NO_MODEL, service};
use super::names::{NO_NAME, NameId};
use super::pending::{PendingAttempts, PendingKey, SeenAttempts};
use super::rates::AttemptCount;
use super::shared::Observations;
use super::source_record::Judgement;
use super::sources::Judged;
use super::trials::{WouldBeDenied, would_deny};
use crate::agent::snapshot::Snapshot;
use crate::model::{ListKind, Policy, State, evaluate_all, governing_policies};

/// What an attempt's decider is known by before it is looked up.
enum Attribution {
    Already(DeciderId),
    Found(Decided),
}

/// Attributes what waits, with what was counted and not reported.
pub(super) fn settle(
    observations: &Observations,
    pending: PendingAttempts,
    unreported: HashMap<CountedKind, u64>,
    models: &Models,
    most: usize,
    now: Timestamp,
) {
    let mut shares = Shares::new(&pending, unreported);
    let mut groups: HashMap<(u64, ScopeId), Vec<(PendingKey, SeenAttempts)>> = HashMap::new();
    for (key, seen) in pending {
        let group = groups.entry((key.generation, key.scope)).or_default();
        group.push((key, seen));
    }
    for ((generation, scope), attempts) in groups {
        let (number, model) = models.at(generation).cloned().unzip();
        let number = number.unwrap_or(NO_MODEL);
        let name = scope_name(model.as_deref(), scope);
        let numbered = model.as_deref().map(|model| (number, model));
        let known = attribute(observations, numbered, scope, &name, &attempts);
        let trials = trials(model.as_deref(), scope, &attempts);
        let mut stand_for = Vec::with_capacity(attempts.len());
        let memory = &mut *observations.lock();
        let scope = memory.names.id(&name);
        let mut rates: HashMap<(u8, DeciderId, i64), AttemptCount> = HashMap::new();
        for ((key, seen), known) in attempts.iter().copied().zip(known) {
            let decider = match known {
                Attribution::Already(decider) => decider,
                Attribution::Found(decided) => memory.decider(&decided).0,
            };
            let attempts = shares.of(key.kind(), u64::from(seen.count));
            stand_for.push(attempts);
            let is_sampled = attempts != u64::from(seen.count);
            memory.sources.add(
                &Judged {
                    source: key.source,
                    scope,
                    judgement: Judgement::of(key.reason),
                    reason: key.reason as u8,
                    decider,
                    generation: key.generation,
                    model: number,
                    reported: seen.count,
                    attempts,
                    span: seen.span,
                },
                most,
            );
            memory
                .deciders
                .add(decider, attempts, is_sampled, seen.span);
            let minute = seen.span.last.div_euclid(60_000);
            let tally = rates
                .entry((key.reason as u8, decider, minute))
                .or_default();
            tally.attempts += attempts;
            tally.is_sampled |= is_sampled;
            memory.count_by_policy(scope, decider, key.reason, attempts);
        }
        memory.count_trials(&trials, &attempts, &stand_for);
        for ((reason, decider, minute), tally) in rates {
            let at = Timestamp::from_second(minute * 60).unwrap_or(now);
            let whole = memory.deciders.whole_of(decider);
            memory
                .rates
                .add(at, (scope, reason), (decider, whole), tally);
        }
    }
    // Of these no source is known at all.
    let model = models.at(u64::MAX).map(|(_, model)| model.clone());
    for ((scope, reason), attempts) in shares.left() {
        let name = scope_name(model.as_deref(), scope);
        let memory = &mut *observations.lock();
        let scope = memory.names.id(&name);
        let tally = AttemptCount {
            attempts,
            is_sampled: true,
        };
        let none = (NO_DECIDER, NO_DECIDER);
        memory.count_by_policy(scope, NO_DECIDER, reason, attempts);
        memory.rates.add(now, (scope, reason as u8), none, tally);
    }
}

/// What policies that are only observed would have denied of attempts in one scope.
fn trials(
    model: Option<&Snapshot>,
    scope: ScopeId,
    attempts: &[(PendingKey, SeenAttempts)],
) -> Vec<WouldBeDenied> {
    let is_any = |model: &&Snapshot| model.state.policies.iter().any(Policy::is_observed);
    let found = model.filter(is_any);
    let found = found.and_then(|model| Some((&*model.state, service(&model.state, scope)?)));
    found.map_or_else(Vec::new, |(state, service)| {
        would_deny(state, service, attempts)
    })
}

fn scope_name(model: Option<&Snapshot>, scope: ScopeId) -> String {
    match model {
        Some(model) => model.scope_name(scope),
        None => format!("service {scope} (removed)"),
    }
}

/// What decided each of these attempts of one scope and generation.
fn attribute(
    observations: &Observations,
    model: Option<(ModelId, &Snapshot)>,
    scope: ScopeId,
    name: &str,
    attempts: &[(PendingKey, SeenAttempts)],
) -> Vec<Attribution> {
    let nothing = || Attribution::Found(Decided::default());
    let found = model.and_then(|(number, m)| Some((number, m, service(&m.state, scope)?)));
    let Some((number, model, service)) = found else {
        return attempts.iter().map(|_| nothing()).collect();
    };
    let mut known = Vec::with_capacity(attempts.len());
    let mut sources: Vec<IpAddr> = Vec::new();
    {
        let memory = observations.lock();
        let scope = memory.names.known(name).unwrap_or(NO_NAME);
        for (key, _) in attempts {
            let judgement = Judgement::of(key.reason);
            let found = memory.sources.get(key.source, scope, judgement);
            let found = found.filter(|row| row.model == number && row.reason == key.reason as u8);
            if found.is_none() && has_rule(key.reason) {
                sources.push(key.source);
            }
            known.push(found.map(|row| Attribution::Already(row.decider)));
        }
    }
    let sole = sole_policy(&model.state, &governing_policies(&model.state, service));
    let verdicts = match sources.is_empty() {
        true => Vec::new(),
        false => evaluate_all(&model.state, service, &sources),
    };
    let mut verdicts = verdicts.into_iter();
    let found = attempts.iter().zip(known).map(|((key, _), known)| {
        if let Some(known) = known {
            return known;
        }
        if !has_rule(key.reason) {
            return Attribution::Found(without_rule(key.reason, sole.as_deref()));
        }
        let verdict = verdicts.next();
        // What the rules would not have decided so, they did not.
        let rule = verdict
            .filter(|verdict| verdict.reason == key.reason)
            .and_then(|verdict| verdict.rule)
            .and_then(|rule| Some((rule.list, rule.resolve(&model.state)?)));
        let Some((list, rule)) = rule else {
            return nothing();
        };
        Attribution::Found(Decided {
            policy: Some(rule.policy.name.to_string()),
            list: Some(list),
            named: rule.named.map(|named| named.name.to_string()),
            net: Some(rule.rule.net),
            is_unmatched: false,
        })
    });
    found.collect()
}

/// Whether a rule decides for this reason.
fn has_rule(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Blocked | Reason::ObservedBlocked | Reason::Allowed
    )
}

/// The only one of these policies.
fn sole_policy(state: &State, policies: &[usize]) -> Option<String> {
    let [only] = policies else { return None };
    Some(state.policies.get(*only)?.name.to_string())
}

/// What decides where no rule matches: the policy's list, if there is only one policy.
fn without_rule(reason: Reason, sole: Option<&str>) -> Decided {
    let list = match reason {
        Reason::NotAllowed | Reason::ObservedNotAllowed => Some(ListKind::Allow),
        Reason::NotBlocked => None,
        _ => return Decided::default(),
    };
    Decided {
        policy: sole.map(str::to_owned),
        is_unmatched: list.is_some(),
        list: list.filter(|_| sole.is_some()),
        ..Decided::default()
    }
}

impl SourceMemory {
    /// Counts attempts for the policy that decided them.
    fn count_by_policy(
        &mut self,
        scope: NameId,
        decider: DeciderId,
        reason: Reason,
        attempts: u64,
    ) {
        let decider = self.deciders.get(decider);
        let policy = decider.map_or(NO_NAME, |decider| decider.key.policy);
        self.by_policy.add(scope, policy, reason as u8, attempts);
    }

    /// The number of what decided, and that of the same without its rule.
    pub(super) fn decider(&mut self, decided: &Decided) -> (DeciderId, DeciderId) {
        let Some(policy) = &decided.policy else {
            return (NO_DECIDER, NO_DECIDER);
        };
        let policy = self.names.id(policy);
        let named = decided.named.as_ref();
        let named = named.map_or(NO_NAME, |named| self.names.id(named));
        if policy == NO_NAME {
            return (NO_DECIDER, NO_DECIDER);
        }
        self.deciders.ids(DeciderKey {
            policy,
            list: decided.list,
            named,
            net: decided.net,
            is_unmatched: decided.is_unmatched,
        })
    }
}

/// How many attempts each reported one stands for.
struct Shares {
    kinds: HashMap<CountedKind, KindShare>,
}

#[derive(Default)]
struct KindShare {
    /// Reported.
    reported: u64,
    /// Not reported.
    more: u64,
    /// Of those reported, how many were asked for, and how many they stood for.
    asked: u64,
    given: u64,
}

impl Shares {
    fn new(pending: &PendingAttempts, unreported: HashMap<CountedKind, u64>) -> Self {
        let mut kinds: HashMap<CountedKind, KindShare> = HashMap::new();
        for (key, seen) in pending {
            kinds.entry(key.kind()).or_default().reported += u64::from(seen.count);
        }
        for (kind, more) in unreported {
            kinds.entry(kind).or_default().more = more;
        }
        Self { kinds }
    }

    /// For how many these reported ones stand.
    fn of(&mut self, kind: CountedKind, reported: u64) -> u64 {
        let Some(share) = self.kinds.get_mut(&kind) else {
            return reported;
        };
        share.asked += reported;
        let all = u128::from(share.reported) + u128::from(share.more);
        let due = u128::from(share.asked) * all / u128::from(share.reported.max(1));
        let due = u64::try_from(due).unwrap_or(u64::MAX);
        let given = due.saturating_sub(share.given);
        share.given = due;
        given
    }

    /// What was counted of kinds of which nothing was reported.
    fn left(self) -> impl Iterator<Item = (CountedKind, u64)> {
        let left = self.kinds.into_iter();
        left.filter(|(_, share)| share.reported == 0 && share.more > 0)
            .map(|(kind, share)| (kind, share.more))
    }
}
