//! A candidate, judged over the sources that came.

use std::cmp::Reverse;

use jiff::Timestamp;
use netpolicy_common::{Reason, ScopeId};

use super::seen::{SeenSource, SourcesSeen, time};
use super::span::HOST;
use crate::api::{EvaluatedSource, Evaluation};
use crate::compiler::{Rehearsed, Ruleset, rehearse, scope_of};
use crate::model::effect::Becomes;
use crate::model::rule::canonical;
use crate::model::{Bypass, Mode, Name, State, explain};

/// Rules that are searched for the ones that decide: a second, about.
const SEARCHED: u64 = 50_000_000;
/// Sources that are explained at most.
const EXPLAINED: u64 = 20;

/// A state and what it was compiled to.
#[derive(Clone, Copy)]
pub struct CandidateRules<'a> {
    /// The state.
    pub state: &'a State,
    /// What it was compiled to.
    pub rules: &'a Ruleset,
}

/// Judges what was seen by a candidate, and by what is in force. `bypasses`: who is exempt at
/// `now`.
#[must_use]
pub fn evaluate(
    seen: &SourcesSeen,
    since: Timestamp,
    (in_force, candidate): (CandidateRules<'_>, CandidateRules<'_>),
    (bypasses, now): (&[Bypass], Timestamp),
    limit: usize,
) -> Evaluation {
    let mut evaluation = Evaluation {
        since,
        remembered_since: seen.remembered_since.filter(|begin| *begin > since),
        judged: 0,
        denied: 0,
        denied_already: 0,
        allowed: 0,
        allowed_already: 0,
        sources: Vec::new(),
        notes: notes(in_force.state, candidate.state),
    };
    let scopes = seen.scopes.iter();
    let scopes = scopes.map(|name| JudgedScope::of(name, in_force, candidate));
    let scopes: Vec<JudgedScope<'_>> = scopes.collect();
    let mut found: Vec<(&SeenSource, Becomes, Reason)> = Vec::new();
    for source in seen.sources.iter().filter(|source| source.by_policies) {
        let Some(pair) = scopes.get(usize::from(source.scope)) else {
            continue;
        };
        evaluation.judged += 1;
        if pair.exempts(source, bypasses, now) {
            continue;
        }
        let judged = rehearse(
            &source.net,
            source.got_in,
            (in_force.rules, pair.in_force),
            (candidate.rules, pair.candidate),
        );
        match judged {
            Rehearsed::Same => {}
            Rehearsed::Denied { already: true, .. } => evaluation.denied_already += 1,
            Rehearsed::Allowed { already: true, .. } => evaluation.allowed_already += 1,
            Rehearsed::Denied { reason, .. } => {
                evaluation.denied += 1;
                found.push((source, Becomes::Denied, reason));
            }
            Rehearsed::Allowed { reason, .. } => {
                evaluation.allowed += 1;
                found.push((source, Becomes::Allowed, reason));
            }
        }
    }
    let order = |(source, becomes, _): &(&SeenSource, Becomes, Reason)| {
        (*becomes, Reverse(source.attempts), source.net, source.scope)
    };
    if limit < found.len() {
        found.select_nth_unstable_by_key(limit, order);
        found.truncate(limit);
    }
    found.sort_unstable_by_key(order);
    let explained = (SEARCHED / candidate.state.rule_count().max(1)).clamp(1, EXPLAINED);
    let sources = found.into_iter().zip(0..);
    evaluation.sources = sources
        .map(|((source, becomes, reason), at)| EvaluatedSource {
            source: canonical(&source.net),
            scope: seen.scope_of(source).to_owned(),
            becomes,
            reason: reason.into(),
            sentence: (at < explained)
                .then(|| sentence(candidate.state, source, seen.scope_of(source))),
            attempts: source.attempts,
            sampled: source.sampled,
            last_seen: time(source.last),
        })
        .collect();
    evaluation
}

/// A scope in both rulesets.
struct JudgedScope<'a> {
    in_force: ScopeId,
    candidate: ScopeId,
    service: Option<&'a Name>,
}

impl<'a> JudgedScope<'a> {
    fn of(name: &str, in_force: CandidateRules<'a>, candidate: CandidateRules<'a>) -> Self {
        Self {
            in_force: scope_of(in_force.rules, name),
            candidate: scope_of(candidate.rules, name),
            service: candidate.state.service(name).map(|service| &service.name),
        }
    }

    fn exempts(&self, source: &SeenSource, bypasses: &[Bypass], now: Timestamp) -> bool {
        let mut bypasses = bypasses.iter();
        bypasses
            .any(|bypass| bypass.source.contains(&source.net) && bypass.covers(self.service, now))
    }
}

/// The rule that decides, in words.
fn sentence(state: &State, source: &SeenSource, scope: &str) -> String {
    let service = state.service(scope);
    let failsafe = &state.host.failsafe_ports;
    let port = service.and_then(|service| service.ports.iter().find(|p| !failsafe.contains(*p)));
    let explanation = explain(state, &[], Timestamp::UNIX_EPOCH, source.net.addr(), port);
    explanation.sentence(state)
}

/// What the memory cannot tell of a candidate.
fn notes(in_force: &State, candidate: &State) -> Vec<String> {
    let mut notes = Vec::new();
    for service in &candidate.services {
        match in_force.service(service.name.as_str()) {
            None => notes.push(format!(
                "service {0} is new: attempts on its ports are remembered as the host's, and judged \
                 by the host's policies",
                service.name
            )),
            Some(old) if old.ports != service.ports => notes.push(format!(
                "service {} gets other ports: attempts are remembered by service, not by port",
                service.name
            )),
            Some(_) => {}
        }
    }
    let mut observing = Vec::new();
    if candidate.host.mode == Mode::Observe {
        observing.push(HOST);
    }
    let services = candidate.services.iter();
    let services = services.filter(|service| service.mode == Mode::Observe);
    observing.extend(services.map(|service| service.name.as_str()));
    if !observing.is_empty() {
        notes.push(format!(
            "only observed, so nothing is dropped: {}; judged as if it were enforced",
            observing.join(", ")
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::state_with_policy;
    use crate::compiler::compile;
    use crate::model::parse_source;

    fn came(source: &str, got_in: bool, attempts: u64) -> SeenSource {
        SeenSource {
            net: parse_source(source).unwrap(),
            scope: 0,
            got_in,
            by_policies: true,
            attempts,
            sampled: false,
            first: 0,
            last: 0,
        }
    }

    fn judged(sources: Vec<SeenSource>, bypasses: &[Bypass], limit: usize) -> Evaluation {
        let now = State::empty();
        let next = state_with_policy("office", &["192.0.2.0/24"], &["192.0.2.66"]);
        let (rules, next_rules) = (compile(&now), compile(&next));
        let in_force = CandidateRules {
            state: &now,
            rules: &rules,
        };
        let candidate = CandidateRules {
            state: &next,
            rules: &next_rules,
        };
        let seen = SourcesSeen {
            sources,
            scopes: vec![HOST.to_owned()],
            remembered_since: Some(Timestamp::UNIX_EPOCH),
        };
        let now = Timestamp::UNIX_EPOCH;
        evaluate(&seen, now, (in_force, candidate), (bypasses, now), limit)
    }

    #[test]
    fn sources_that_got_in_and_would_be_denied_are_listed_by_attempts_with_the_rule() {
        let sources = vec![
            came("192.0.2.1", true, 9),
            came("192.0.2.66", true, 2),
            came("198.51.100.1", true, 5),
        ];
        let evaluation = judged(sources.clone(), &[], 10);
        let counts = (evaluation.judged, evaluation.denied, evaluation.allowed);
        assert_eq!(counts, (3, 2, 0));
        let listed: Vec<_> = evaluation.sources.iter().map(|s| &*s.source).collect();
        assert_eq!(listed, ["198.51.100.1", "192.0.2.66"]);
        let sentence = evaluation.sources[1].sentence.as_deref().unwrap();
        assert!(
            sentence.contains("by '192.0.2.66' of policy 'office'"),
            "{sentence}"
        );
        let short = judged(sources, &[], 1);
        assert_eq!((short.sources.len(), short.denied), (1, 2));
    }

    #[test]
    fn source_that_was_denied_before_and_gets_in_already_is_no_news() {
        let evaluation = judged(vec![came("192.0.2.1", false, 1)], &[], 10);
        assert_eq!((evaluation.allowed, evaluation.allowed_already), (0, 1));
        assert!(evaluation.sources.is_empty());
    }

    #[test]
    fn exempt_and_banned_sources_are_not_the_policies_concern() {
        let bypass = Bypass {
            source: parse_source("198.51.100.0/24").unwrap(),
            service: None,
            granted: Timestamp::UNIX_EPOCH,
            expires: Timestamp::MAX,
            granted_by: "root".into(),
        };
        let mut banned = came("203.0.113.1", false, 1);
        banned.by_policies = false;
        let sources = vec![came("198.51.100.1", true, 5), banned];
        let evaluation = judged(sources, &[bypass], 10);
        assert_eq!((evaluation.judged, evaluation.denied), (1, 0));
    }
}
