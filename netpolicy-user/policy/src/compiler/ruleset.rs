//! The compiled form of all active policies.

use std::net::IpAddr;
use std::sync::Arc;

use netpolicy_common::{
    Action, FAILSAFE_SCOPE, HOST_SCOPE, Reason, ScopeConfig, ScopeFlags, ScopeId,
};

use rayon::prelude::*;
use zerocopy::IntoBytes as _;

use super::scope::MANY;
use super::{Prefix, PrefixSet, Prefixes};
use crate::model::evaluate::observed_unless;

/// What one generation enforces, in all scopes and both families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    /// Port to scope, as the kernel holds it.
    pub ports: Arc<[ScopeId; 65536]>,
    /// Ascending by id; the host (id 0) is always first. Every service has an entry.
    pub scopes: Vec<ScopeRules>,
}

/// One scope's part of a [`Ruleset`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeRules {
    /// The scope's number.
    pub id: ScopeId,
    /// "host" or the service's name, for display.
    pub name: String,
    /// What governs it. Only bits that matter are set: `HOST_LISTS` only while an
    /// active policy is bound to the host, and `*_ENFORCE`, `*_RESET` and `*_ONLY` only together
    /// with the `*_LISTS` that they qualify. No `*_LISTS` at all: no policy.
    pub config: ScopeConfig,
    /// Merged block lists: sorted, disjoint, maximal prefixes.
    pub block: PrefixSet,
    /// Merged allow lists of the policies that say `only`, without what lies
    /// wholly inside `block`: sorted, disjoint prefixes.
    pub allow: PrefixSet,
}

/// Names the meaning of the bytes that [`Ruleset::digest`] is made over.
const DIGEST_CONTEXT: &[u8] = b"netpolicy ruleset 2\n";

impl Ruleset {
    /// What the policies say of a source, as [`crate::model::evaluate()`] does;
    /// [`Reason::NoPolicy`] in a scope that is not there.
    #[must_use]
    pub fn lookup(&self, scope: ScopeId, source: IpAddr) -> Reason {
        let Some(rules) = self.scope(scope) else {
            return Reason::NoPolicy;
        };
        let flags = rules.config.flags;
        let mut reason = Reason::NoPolicy;
        if flags.has(ScopeFlags::OWN_LISTS) {
            reason = rules.judge(source, flags.has(ScopeFlags::OWN_ONLY));
            if reason.is_denial() {
                return observed_unless(reason, flags.own_drops());
            }
        }
        if flags.has(ScopeFlags::HOST_LISTS)
            && let Some(host) = self.scopes.first()
        {
            let by_host = host.judge(source, flags.has(ScopeFlags::HOST_ONLY));
            if by_host.is_denial() {
                return observed_unless(by_host, flags.host_drops());
            }
            if reason != Reason::Allowed {
                reason = by_host;
            }
        }
        reason
    }

    /// How an attempt at a destination port is judged, and in which scope: what the
    /// kernel does, but for bypasses. On a failsafe port nothing is judged; the scope is
    /// the host's then.
    #[must_use]
    pub fn judge_port(&self, port: u16, source: IpAddr) -> (ScopeId, Reason) {
        match self.ports.get(usize::from(port)) {
            Some(&FAILSAFE_SCOPE) => (HOST_SCOPE, Reason::Failsafe),
            Some(&scope) => (scope, self.lookup(scope, source)),
            None => (HOST_SCOPE, self.lookup(HOST_SCOPE, source)),
        }
    }

    /// How a packet whose port cannot be found is judged, and in which scope: what the kernel
    /// does, but for bypasses, and as [`crate::model::evaluate_unclassified`] says.
    #[must_use]
    pub fn judge_unclassified(&self, source: IpAddr) -> (ScopeId, Reason) {
        let has_port =
            |scope: &&ScopeRules| scope.id == HOST_SCOPE || self.ports.contains(&scope.id);
        let mut found = (HOST_SCOPE, Reason::UnclassifiedPassed);
        for scope in self.scopes.iter().filter(has_port) {
            let reason = self.lookup(scope.id, source);
            if !reason.is_denial() {
                continue;
            }
            if reason.action() == Action::Drop {
                return (scope.id, Reason::UnclassifiedDropped);
            }
            if !found.1.is_denial() {
                found = (scope.id, Reason::ObservedUnclassified);
            }
        }
        found
    }

    /// Denies every source on every port.
    #[must_use]
    pub fn closed() -> Self {
        use ScopeFlags as F;
        Self {
            ports: Arc::new([HOST_SCOPE; 65536]),
            scopes: vec![ScopeRules {
                id: HOST_SCOPE,
                name: "host".to_owned(),
                config: ScopeConfig {
                    flags: F::OWN_LISTS.with(F::OWN_ENFORCE).with(F::OWN_ONLY),
                    ..ScopeConfig::default()
                },
                block: PrefixSet::default(),
                allow: PrefixSet::default(),
            }],
        }
    }

    /// The rules of a scope.
    #[must_use]
    pub fn scope(&self, id: ScopeId) -> Option<&ScopeRules> {
        let index = self
            .scopes
            .binary_search_by_key(&id, |scope| scope.id)
            .ok()?;
        self.scopes.get(index)
    }

    /// Prefixes in all lists together.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.scopes
            .iter()
            .map(|scope| (scope.block.len() + scope.allow.len()) as u64)
            .sum()
    }

    /// BLAKE3 over everything that the kernel enforces: ports, scopes, their
    /// configurations and lists. Names do not enter.
    ///
    /// Needs time in proportion to the chunks of lists that were not queried for their
    /// hash yet: little for a ruleset that shares most with one before.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        if self.entries() >= MANY as u64 {
            for scope in &self.scopes {
                for list in [&scope.block, &scope.allow] {
                    hash_chunks(&list.v4);
                    hash_chunks(&list.v6);
                }
            }
        }
        let mut bytes = DIGEST_CONTEXT.to_vec();
        const {
            assert!(
                cfg!(target_endian = "little"),
                "the digest is of little-endian bytes"
            );
        };
        bytes.extend_from_slice(self.ports.as_bytes());
        for scope in &self.scopes {
            bytes.extend(scope.id.to_le_bytes());
            bytes.extend(scope.config.flags.0.to_le_bytes());
            for list in [&scope.block, &scope.allow] {
                bytes.extend(list.v4.hash());
                bytes.extend(list.v6.hash());
            }
        }
        blake3::hash(&bytes).into()
    }
}

/// Computes the hashes of a list's chunks, where they are not known yet, on all processors.
fn hash_chunks<P: Prefix>(list: &Prefixes<P>) {
    let chunks: Vec<_> = list.chunks().collect();
    chunks.par_iter().for_each(|chunk| {
        chunk.hash();
    });
}

impl ScopeRules {
    /// Judges by this scope's lists; `only`: what the allow list does not hold is denied.
    fn judge(&self, source: IpAddr, only: bool) -> Reason {
        if self.block.contains(source) {
            Reason::Blocked
        } else if !only {
            Reason::NotBlocked
        } else if self.allow.contains(source) {
            Reason::Allowed
        } else {
            Reason::NotAllowed
        }
    }
}
