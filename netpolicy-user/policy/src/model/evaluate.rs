//! What a state means for a source: the oracle.
//!
//! Linear scans over the rules as written, so that it is obviously right; the
//! compiler and the kernel are tested against it.

use std::fmt;
use std::net::IpAddr;

use netpolicy_common::Reason;
use serde::{Deserialize, Serialize};

use super::{AllowPart, Binding, Combine, Mode, NamedList, Policy, Rule, RuleList, Service, State};

mod governed;
mod many;

pub(crate) use governed::{Governed, governed};
pub use many::{evaluate_all, governing_policies};

/// Which list of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ListKind {
    /// The allow list.
    Allow,
    /// The block list.
    Block,
    /// The exceptions: what the policy's block list does not block.
    Except,
}

impl ListKind {
    /// All of them, in the order in which they are written.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Block, Self::Except];
}

impl fmt::Display for ListKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Block => "block",
            Self::Except => "except",
        })
    }
}

/// A rule's place in a [`State`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleRef {
    /// Index into [`State::policies`].
    pub policy: usize,
    /// Which of its lists.
    pub list: ListKind,
    /// Index into [`State::lists`] of the named list that brought it; `None`: the policy's own.
    pub named: Option<usize>,
    /// Index into the policy's list, or into all entries of the named one.
    pub rule: usize,
}

/// A rule, and what it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedRule<'s> {
    /// The policy.
    pub policy: &'s Policy,
    /// The named list that brought it to the policy.
    pub named: Option<&'s NamedList>,
    /// The list that knows its place.
    pub list: &'s RuleList,
    /// The rule.
    pub rule: &'s Rule,
}

impl RuleRef {
    /// The rule and what it belongs to, unless the state is another one.
    #[must_use]
    pub fn resolve(self, state: &State) -> Option<ResolvedRule<'_>> {
        let policy = state.policies.get(self.policy)?;
        if let Some(named) = self.named {
            let named = state.lists.get(named)?;
            let in_entries = self.rule.checked_sub(named.entries.len());
            let (list, index) = match in_entries {
                None => (&named.entries, self.rule),
                Some(index) => (&named.every, index),
            };
            return Some(ResolvedRule {
                policy,
                named: Some(named),
                list,
                rule: list.get(index)?,
            });
        }
        let list = match (self.list, &policy.allow) {
            (ListKind::Block, _) => &policy.block,
            (ListKind::Except, _) => &policy.except,
            (ListKind::Allow, AllowPart::Only(list)) => list,
            (ListKind::Allow, AllowPart::Any) => return None,
        };
        Some(ResolvedRule {
            policy,
            named: None,
            list,
            rule: list.get(self.rule)?,
        })
    }
}

impl ResolvedRule<'_> {
    /// "'10.0.0.0/8' of policy 'office' (office.toml:3)", with the named list that it is on, and
    /// its comment.
    #[must_use]
    pub fn in_words(&self) -> String {
        let place = self.list.place(self.rule);
        let place = place.map(|place| place.to_string());
        let comment = self.rule.comment().map(ToOwned::to_owned);
        let place: Vec<String> = place.into_iter().chain(comment).collect();
        let place = match place.is_empty() {
            true => String::new(),
            false => format!(" ({})", place.join(": ")),
        };
        let end = self.rule.expires().map(|end| format!(" until {end}"));
        let place = place + &end.unwrap_or_default();
        let text = self.rule.text();
        let policy = &self.policy.name;
        match self.named {
            Some(named) => {
                let list = named.reference();
                format!("'{text}' of list {list} in policy '{policy}'{place}")
            }
            None => format!("'{text}' of policy '{policy}'{place}"),
        }
    }
}

/// What the policies say of a source, without failsafe ports and bypasses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Why it passes or not.
    pub reason: Reason,
    /// The rule that decided, if one did: the longest prefix, then the first.
    pub rule: Option<RuleRef>,
}

/// Judges `source` in the scope of `service`, or in the host's.
///
/// An IPv4-mapped IPv6 source is judged as the IPv6 address that it is, as the
/// kernel program does; [`super::explain()`] judges the IPv4 address that is
/// meant by it.
#[must_use]
pub fn evaluate(state: &State, service: Option<&Service>, source: IpAddr) -> Verdict {
    let host = Governed::by(governing(state, &Binding::Host));
    let Some(service) = service else {
        let verdict = judge(state, &host, source);
        return verdict.observed_unless(state.host.mode == Mode::Enforce);
    };
    let enforced = service.mode == Mode::Enforce;
    let host_enforced = enforced && state.host.mode == Mode::Enforce;

    let own = governed(state, service);
    if own.policies.is_empty() {
        return judge(state, &host, source).observed_unless(host_enforced);
    }
    let enforced = own.enforced(state, enforced);
    let verdict = judge(state, &own, source);
    if verdict.reason.is_denial() {
        return verdict.observed_unless(enforced);
    }
    if service.combine == Combine::Override || host.policies.is_empty() {
        return verdict;
    }
    let host_verdict = judge(state, &host, source);
    if host_verdict.reason.is_denial() {
        return host_verdict.observed_unless(host_enforced);
    }
    if verdict.reason == Reason::Allowed {
        verdict
    } else {
        host_verdict
    }
}

/// Judges a packet whose port cannot be found, by every scope that could govern it: the host,
/// and each service with a port on which something is judged. The first that drops it
/// decides, else the first that would, were it not observing.
#[must_use]
pub fn evaluate_unclassified(state: &State, source: IpAddr) -> (Option<&Service>, Reason) {
    let failsafe = &state.host.failsafe_ports;
    let is_judged = |service: &&Service| service.ports.iter().any(|port| !failsafe.contains(port));
    let mut services: Vec<_> = state.services.iter().filter(is_judged).collect();
    services.sort_by_key(|service| service.id);
    let scopes = [None].into_iter().chain(services.into_iter().map(Some));
    let mut observed = None;
    for scope in scopes {
        match evaluate(state, scope, source).reason {
            Reason::Blocked | Reason::NotAllowed => return (scope, Reason::UnclassifiedDropped),
            Reason::ObservedBlocked | Reason::ObservedNotAllowed if observed.is_none() => {
                observed = Some((scope, Reason::ObservedUnclassified));
            }
            _ => {}
        }
    }
    observed.unwrap_or((None, Reason::UnclassifiedPassed))
}

/// Indices of the policies that govern a scope.
pub(super) fn governing(state: &State, scope: &Binding) -> Vec<usize> {
    let policies = state.policies.iter().enumerate();
    policies
        .filter(|(_, policy)| policy.is_enforced() && policy.bindings.contains(scope))
        .map(|(index, _)| index)
        .collect()
}

/// Judges a source by some policies: any block match denies, unless the same policy excepts the
/// source; else, once a policy says `only`, what is on none of those lists is denied.
fn judge(state: &State, governed: &Governed, source: IpAddr) -> Verdict {
    let policies = &governed.policies;
    if policies.is_empty() {
        return Verdict {
            reason: Reason::NoPolicy,
            rule: None,
        };
    }
    let blocking: Vec<usize> = policies
        .iter()
        .copied()
        .filter(|&policy| {
            !state.policies[policy].has_exceptions()
                || best_match(state, ListKind::Except, &[policy], source).is_none()
        })
        .collect();
    if let Some(rule) = best_match(state, ListKind::Block, &blocking, source) {
        return Verdict {
            reason: Reason::Blocked,
            rule: Some(rule),
        };
    }
    if !governed.says_only(state) {
        return Verdict {
            reason: Reason::NotBlocked,
            rule: None,
        };
    }
    match best_match(state, ListKind::Allow, &governed.allowing(), source) {
        Some(rule) => Verdict {
            reason: Reason::Allowed,
            rule: Some(rule),
        },
        None => Verdict {
            reason: Reason::NotAllowed,
            rule: None,
        },
    }
}

/// Block rules that would deny `source`, were it not for exceptions: for each policy that excepts
/// it from one of its blocks the block, then the exception.
pub(super) fn excepted(
    state: &State,
    policies: &[usize],
    source: IpAddr,
) -> Vec<(RuleRef, RuleRef)> {
    let of = |policy: &usize| {
        let exception = best_match(state, ListKind::Except, &[*policy], source)?;
        let block = best_match(state, ListKind::Block, &[*policy], source)?;
        Some((block, exception))
    };
    policies.iter().filter_map(of).collect()
}

/// The longest prefix of that kind that holds `source`; of equally long ones the first.
fn best_match(
    state: &State,
    kind: ListKind,
    policies: &[usize],
    source: IpAddr,
) -> Option<RuleRef> {
    let mut best: Option<(u8, RuleRef)> = None;
    for &policy in policies {
        let counted = state.counted(&state.policies[policy]);
        for counted in counted.iter().filter(|one| one.kind == kind) {
            for (index, rule) in counted.entries.iter().enumerate() {
                let length = rule.net.prefix_len();
                if rule.net.contains(&source) && best.is_none_or(|(longest, _)| length > longest) {
                    let rule = RuleRef {
                        policy,
                        list: kind,
                        named: counted.named,
                        rule: counted.rule_index(state, index),
                    };
                    best = Some((length, rule));
                }
            }
        }
    }
    best.map(|(_, rule)| rule)
}

impl Verdict {
    /// The same; but a denial that does not drop is only observed.
    fn observed_unless(self, enforced: bool) -> Self {
        Self {
            reason: observed_unless(self.reason, enforced),
            ..self
        }
    }
}

/// What a reason becomes in a scope that does or does not enforce.
pub(crate) fn observed_unless(reason: Reason, enforced: bool) -> Reason {
    match reason {
        Reason::Blocked if !enforced => Reason::ObservedBlocked,
        Reason::NotAllowed if !enforced => Reason::ObservedNotAllowed,
        reason => reason,
    }
}

#[cfg(test)]
mod tests;
