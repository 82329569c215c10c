//! Attempts by scope, policy and reason since the agent started, for metrics.

use std::collections::BTreeMap;

use super::names::{NO_NAME, NameId};

/// Of more scopes, policies and reasons the policy is left out: each becomes a series in every
/// scrape.
const MOST: usize = 1000;

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

    /// All sums, with their scope, policy and number of the reason.
    pub(super) fn sums(&self) -> impl Iterator<Item = (NameId, CountedPolicy, u8, u64)> {
        self.counts.iter().map(|(key, attempts)| {
            let policy = match key.is_others {
                true => CountedPolicy::Others,
                false => CountedPolicy::Name(key.policy),
            };
            (key.scope, policy, key.reason, *attempts)
        })
    }
}

/// What a sum stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CountedPolicy {
    /// The policy of this name; [`NO_NAME`]: none decided, or several together.
    Name(NameId),
    /// Policies beyond the most that are counted apart.
    Others,
}

#[cfg(test)]
mod tests {
    use netpolicy_common::Reason;

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
