//! Attempts by scope, policy and reason since the agent started, for metrics.

use std::collections::BTreeMap;

use netpolicy_common::Reason;

use super::names::{NO_NAME, NameId};
use super::shared::Observations;

/// Of more scopes, policies and reasons the policy is left out: each becomes a series in every
/// scrape.
const MOST: usize = 1000;

/// What stands for the policies that were left out.
const OTHERS: &str = "(others)";

/// Sums that only rise.
#[derive(Debug, Default)]
pub(super) struct PolicyAttempts {
    counts: BTreeMap<PolicyKey, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PolicyKey {
    scope: NameId,
    /// The policy's name; [`NO_NAME`]: no policy decided, or several together.
    policy: NameId,
    /// The number of the reason.
    reason: u8,
    /// Whether it stands for policies that were left out.
    is_others: bool,
}

impl PolicyAttempts {
    /// Counts attempts.
    pub(super) fn add(&mut self, scope: NameId, policy: NameId, reason: u8, attempts: u64) {
        let mut key = PolicyKey {
            scope,
            policy,
            reason,
            is_others: false,
        };
        if policy != NO_NAME && self.counts.len() >= MOST && !self.counts.contains_key(&key) {
            key = PolicyKey {
                policy: NO_NAME,
                is_others: true,
                ..key
            };
        }
        *self.counts.entry(key).or_default() += attempts;
    }
}

/// A sum, as metrics show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedByPolicy {
    /// "host" or the service's name.
    pub scope: String,
    /// The policy; nothing: no policy decided, or several together.
    pub policy: String,
    /// Why.
    pub reason: Reason,
    /// How many since the agent started.
    pub attempts: u64,
}

impl Observations {
    /// Attempts by scope, policy and reason since the agent started, each once.
    #[must_use]
    pub fn by_policy(&self) -> Vec<CountedByPolicy> {
        let memory = &*self.lock();
        let counts = memory.by_policy.counts.iter();
        let counted = counts.filter_map(|(key, attempts)| {
            let policy = match key.is_others {
                true => OTHERS,
                false => memory.names.text(key.policy).unwrap_or_default(),
            };
            Some(CountedByPolicy {
                scope: memory.scope(key.scope),
                policy: policy.to_owned(),
                reason: Reason::from_u8(key.reason)?,
                attempts: *attempts,
            })
        });
        counted.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_policies_the_names_are_left_out_and_sums_stay() {
        let mut attempts = PolicyAttempts::default();
        let many = NameId::try_from(MOST * 2).unwrap();
        for round in 1..=2 {
            for policy in 1..=many {
                attempts.add(1, policy, Reason::Blocked as u8, 3);
            }
            assert_eq!(attempts.counts.len(), MOST + 1);
            let sum: u64 = attempts.counts.values().sum();
            assert_eq!(sum, round * u64::from(many) * 3);
        }
        let others = attempts.counts.iter().find(|(key, _)| key.is_others);
        assert_eq!(others.map(|(_, count)| *count), Some(2 * 3 * 1000));
    }
}
