//! The whole judgement of a connection attempt, in the order of the kernel program.

use std::net::IpAddr;

use jiff::Timestamp;
use netpolicy_common::{HOST_SCOPE, Reason, ScopeId};

use super::evaluate::{evaluate, excepted, governed, governing};
use super::{AllowPart, Binding, Bypass, Combine, Policy, RuleRef, Service, State};

/// Why an attempt passes or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The source that was judged: an IPv4-mapped address as IPv4.
    pub source: IpAddr,
    /// The destination port; `None`: one of no service.
    pub port: Option<u16>,
    /// The scope in which it was judged.
    pub scope: ScopeId,
    /// "host" or the service's name.
    pub scope_name: String,
    /// The reason.
    pub reason: Reason,
    /// The rule that decided, if one did.
    pub rule: Option<RuleRef>,
    /// The bypass that let it pass, if one did.
    pub bypass: Option<Bypass>,
    /// Whether the host's policies decided, not a service's own.
    pub by_host: bool,
    /// Indices of the active policies that were consulted.
    pub consulted: Vec<usize>,
    /// Of each consulted policy that excepts the source from one of its blocks: the block, then
    /// the exception.
    pub excepted: Vec<(RuleRef, RuleRef)>,
}

/// Judges an attempt from `source` to `port`: failsafe port, service, bypass, verdict, mode.
#[must_use]
pub fn explain(
    state: &State,
    bypasses: &[Bypass],
    now: Timestamp,
    source: IpAddr,
    port: Option<u16>,
) -> Explanation {
    let mut explanation = judged(state, bypasses, now, source, port);
    // Of a user's policy the allow list alone counts.
    let blocks = |&index: &usize| {
        let mut bindings = state.policies[index].bindings.iter();
        bindings.any(|binding| binding.user().is_none())
    };
    let blocking: Vec<usize> = explanation
        .consulted
        .iter()
        .copied()
        .filter(blocks)
        .collect();
    explanation.excepted = excepted(state, &blocking, explanation.source);
    explanation
}

fn judged(
    state: &State,
    bypasses: &[Bypass],
    now: Timestamp,
    source: IpAddr,
    port: Option<u16>,
) -> Explanation {
    let source = source.to_canonical();
    let service = port.and_then(|port| state.service_of_port(port));
    let mut explanation = Explanation {
        source,
        port,
        scope: service.map_or(HOST_SCOPE, |service| service.id),
        scope_name: service
            .map_or("host", |service| service.name.as_str())
            .to_owned(),
        reason: Reason::Failsafe,
        rule: None,
        bypass: None,
        by_host: false,
        consulted: Vec::new(),
        excepted: Vec::new(),
    };
    if port.is_some_and(|port| state.host.failsafe_ports.contains(port)) {
        return explanation;
    }
    let name = service.map(|service| &service.name);
    let bypass = bypasses
        .iter()
        .find(|bypass| bypass.source.contains(&source) && bypass.covers(name, now));
    if let Some(bypass) = bypass {
        explanation.reason = Reason::Bypass;
        explanation.bypass = Some(bypass.clone());
        return explanation;
    }
    let verdict = evaluate(state, service, source);
    explanation.reason = verdict.reason;
    explanation.rule = verdict.rule;

    explanation.consulted = governing(state, &Binding::Host);
    explanation.by_host = true;
    let Some(service) = service else {
        return explanation;
    };
    let own = governed(state, service);
    if own.policies.is_empty() {
        return explanation;
    }
    let alone = Service {
        combine: Combine::Override,
        ..service.clone()
    };
    let passed = !evaluate(state, Some(&alone), source).reason.is_denial();
    if service.combine == Combine::And && passed {
        explanation.by_host = verdict.reason.is_denial();
        explanation.consulted.extend(own.policies);
        explanation.consulted.sort_unstable();
        explanation.consulted.dedup();
    } else {
        explanation.by_host = own.by_host;
        explanation.consulted = own.allowing();
        explanation.consulted.sort_unstable();
    }
    explanation
}

impl Explanation {
    /// The reason in a sentence.
    #[must_use]
    pub fn sentence(&self, state: &State) -> String {
        self.sentence_of(state, &self.source.to_string())
    }

    /// The same, of what `source` names.
    #[must_use]
    pub fn sentence_of(&self, state: &State, source: &str) -> String {
        let mut sentence = self.verdict_sentence(state, source);
        for (block, exception) in &self.excepted {
            if let (Some(block), Some(exception)) = (block.resolve(state), exception.resolve(state))
            {
                sentence.push_str(&format!(
                    "; {} does not block it, excepted by {}",
                    block.in_words(),
                    exception.in_words()
                ));
            }
        }
        sentence
    }

    fn verdict_sentence(&self, state: &State, source: &str) -> String {
        let rule = self.rule.and_then(|rule| rule.resolve(state));
        let rule = rule.map(|rule| rule.in_words());
        let rule = rule.unwrap_or_default();
        let observed = "; only observed, so it passes";
        match self.reason {
            Reason::Failsafe => {
                format!(
                    "port {} is a failsafe port: nothing is judged there",
                    self.port.unwrap_or(0)
                )
            }
            Reason::Bypass => match &self.bypass {
                Some(bypass) => format!(
                    "{source} is exempt until {} by the bypass for {}, which {} granted",
                    bypass.expires.strftime("%Y-%m-%d %H:%M:%S UTC"),
                    bypass.source,
                    bypass.granted_by
                ),
                None => format!("{source} is exempt by a bypass"),
            },
            Reason::NoPolicy => format!("no active policy governs {}", self.scope_in_words()),
            Reason::Allowed => format!("{source} is on the allow list, by {rule}"),
            Reason::NotBlocked if !self.excepted.is_empty() => {
                format!("{source} is not blocked, and no consulted policy has an allow list")
            }
            Reason::NotBlocked => {
                format!("{source} is on no block list, and no consulted policy has an allow list")
            }
            Reason::Blocked => format!("{source} is on the block list, by {rule}"),
            Reason::ObservedBlocked => {
                format!("{source} is on the block list, by {rule}{observed}")
            }
            Reason::NotAllowed => self.not_allowed(state, source),
            Reason::ObservedNotAllowed => self.not_allowed(state, source) + observed,
            other => other.name().to_owned(),
        }
    }

    /// The policies whose allow lists do not hold the source, where that denies it.
    pub fn not_allowing<'s>(&'s self, state: &'s State) -> impl Iterator<Item = &'s Policy> {
        let policies = self
            .consulted
            .iter()
            .filter_map(|&index| state.policies.get(index));
        let decides = move |scope: &Binding| match scope {
            Binding::Host => self.by_host,
            Binding::Service(name) => !self.by_host && name.as_str() == self.scope_name,
            // The database decides who it is.
            Binding::User(_) => false,
        };
        policies
            .filter(|policy| matches!(policy.allow, AllowPart::Only(_)))
            .filter(move |policy| policy.bindings.iter().any(decides))
    }

    fn not_allowed(&self, state: &State, source: &str) -> String {
        let names: Vec<_> = self
            .not_allowing(state)
            .map(|policy| policy.name.as_str())
            .collect();
        format!(
            "{source} is not on the allow list of {}",
            names.join(" or ")
        )
    }

    fn scope_in_words(&self) -> String {
        if self.scope == HOST_SCOPE {
            "the host".to_owned()
        } else {
            format!("service '{}', nor the host", self.scope_name)
        }
    }
}

#[cfg(test)]
mod tests;
