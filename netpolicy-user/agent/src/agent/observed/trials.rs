//! What policies that are only observed would have denied.
//!
//! Each is judged alone, in the scopes that it would govern if it were enforced, over the attempts
//! that are settled, whatever became of them. What it would have denied counts as hits of its rules.

use std::net::IpAddr;

use netpolicy_common::Reason;

use super::deciders::Decided;
use super::memory::SourceMemory;
use super::pending::{PendingKey, SeenAttempts};
use crate::model::{
    ListKind, Mode, Policy, Service, State, Verdict, evaluate_all, governing_policies,
};

/// An attempt that an observed policy would have denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WouldBeDenied {
    /// Which of the attempts.
    pub(super) attempt: usize,
    /// By what.
    pub(super) decided: Decided,
}

/// What the observed policies of a state would have denied of attempts in one scope.
pub(super) fn would_deny(
    state: &State,
    service: Option<&Service>,
    attempts: &[(PendingKey, SeenAttempts)],
) -> Vec<WouldBeDenied> {
    let observed = state.policies.iter().filter(|policy| policy.is_observed());
    let judged: Vec<(usize, IpAddr)> = attempts
        .iter()
        .enumerate()
        .filter(|(_, (key, _))| is_by_policies(key.reason))
        .map(|(at, (key, _))| (at, key.source))
        .collect();
    let sources: Vec<IpAddr> = judged.iter().map(|(_, source)| *source).collect();
    let of_policy = |policy: &Policy| {
        let alone = alone(state, policy, service)?;
        let verdicts = evaluate_all(&alone, service, &sources);
        let denied = judged
            .iter()
            .zip(verdicts)
            .filter_map(|((at, _), verdict)| {
                let decided = decided(&alone, policy, &verdict)?;
                Some(WouldBeDenied {
                    attempt: *at,
                    decided,
                })
            });
        Some(denied.collect::<Vec<_>>())
    };
    observed.filter_map(of_policy).flatten().collect()
}

/// Whether policies decide for this reason, or would have, had no bypass done so.
pub(super) fn is_by_policies(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Blocked | Reason::NotAllowed | Reason::ObservedBlocked | Reason::ObservedNotAllowed
    ) || reason.is_sampled()
}

/// A state with this policy alone, enforced; `None`: it would not govern the scope.
fn alone(state: &State, policy: &Policy, service: Option<&Service>) -> Option<State> {
    let enforced = Policy {
        mode: Mode::Enforce,
        ..policy.clone()
    };
    let mut with = state.clone();
    let place = with.policies.iter_mut().find(|p| p.name == policy.name)?;
    *place = enforced.clone();
    let governing = governing_policies(&with, service);
    let is_this = |at: &usize| {
        with.policies
            .get(*at)
            .is_some_and(|p| p.name == policy.name)
    };
    governing.iter().any(is_this).then(|| State {
        policies: vec![enforced],
        ..with
    })
}

/// The rule by which a policy would deny, or its allow list.
fn decided(alone: &State, policy: &Policy, verdict: &Verdict) -> Option<Decided> {
    if !verdict.reason.is_denial() {
        return None;
    }
    let rule = verdict
        .rule
        .and_then(|rule| Some((rule.list, rule.resolve(alone)?)));
    Some(Decided {
        policy: Some(policy.name.to_string()),
        list: Some(rule.map_or(ListKind::Allow, |(list, _)| list)),
        named: rule.and_then(|(_, rule)| Some(rule.named?.name.to_string())),
        net: rule.map(|(_, rule)| rule.rule.net),
        is_unmatched: rule.is_none(),
    })
}

impl SourceMemory {
    /// Counts what would have been denied. `shares`: for how many each attempt stands.
    pub(super) fn count_trials(
        &mut self,
        trials: &[WouldBeDenied],
        attempts: &[(PendingKey, SeenAttempts)],
        shares: &[u64],
    ) {
        for trial in trials {
            let (Some((_, seen)), Some(&share)) =
                (attempts.get(trial.attempt), shares.get(trial.attempt))
            else {
                continue;
            };
            let decider = self.decider(&trial.decided).0;
            let is_sampled = share != u64::from(seen.count);
            self.deciders.add(decider, share, is_sampled, seen.span);
        }
    }
}
