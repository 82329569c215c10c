//! Findings about whole policies, about the scopes that they govern, and about names.

use jiff::Timestamp;

use super::families::{FamilySummary, family, passes_both};
use super::finding::{Code, Finding, Severity};
use super::sweep::{Group, Ranks, RuleEntry};
use super::{Findings, State};
use crate::model::{AllowPart, Binding, Combine, ListKind, Policy};

/// The blocked part of a family from which on there is a finding.
const HALF: f64 = 0.5;

/// The rules of both families, sorted.
type Both<'a> = (&'a [RuleEntry<u32>], &'a [RuleEntry<u128>]);

/// Policies that govern together.
struct GoverningPolicies<'a> {
    /// `None`: a policy that governs nothing now, by itself.
    scope: Option<&'a Binding>,
    /// Indices of the policies.
    members: Vec<usize>,
}

/// Scopes, and policies that govern none, in which no source or only one family passes.
pub(super) fn scopes(state: &State, rules: Both<'_>, ranks: &Ranks, findings: &mut Findings) {
    let bindings: Vec<Binding> = std::iter::once(Binding::Host)
        .chain(
            state
                .services
                .iter()
                .map(|service| Binding::Service(service.name.clone())),
        )
        .collect();
    let policies = || state.policies.iter().enumerate();
    let governed = bindings.iter().map(|scope| GoverningPolicies {
        scope: Some(scope),
        members: policies()
            .filter(|(_, policy)| policy.is_enforced() && policy.bindings.contains(scope))
            .map(|(at, _)| at)
            .collect(),
    });
    let idle = policies()
        .filter(|(_, policy)| !policy.is_in_force())
        .map(|(at, _)| GoverningPolicies {
            scope: None,
            members: vec![at],
        });
    // Scopes with the same policies are reported once each, but examined once.
    let mut known: Vec<(Vec<usize>, [FamilySummary; 2])> = Vec::new();
    for together in governed.chain(idle) {
        let deciding = together.deciding(state);
        let Some(first) = deciding.first() else {
            continue;
        };
        let only = together.policies(state).any(says_only);
        let seen = known
            .iter()
            .find(|(members, _)| *members == together.members);
        let families = seen.map(|(_, families)| *families).unwrap_or_else(|| {
            let group = Group::of(&together.members, ranks);
            let families = [family(rules.0, &group, only), family(rules.1, &group, only)];
            known.push((together.members.clone(), families));
            families
        });
        for (name, family) in ["IPv4", "IPv6"].into_iter().zip(families) {
            if family.is_allowed_together {
                findings.add(Some(*first), together.allows_all(state, name));
            }
        }
        if let Some(finding) = together.finding(state, only, families.map(|f| f.passes)) {
            findings.add(Some(*first), finding);
        } else if let Some(finding) = together.denied_with_host(state, rules, ranks) {
            findings.add(Some(*first), finding);
        } else if !only {
            for (name, family) in ["IPv4", "IPv6"].into_iter().zip(families) {
                if let Some(finding) = together.blocked(state, name, family) {
                    findings.add(Some(*first), finding);
                }
            }
        }
    }
    if bindings
        .first()
        .is_some_and(|host| governing(state, host).next().is_none())
    {
        for scope in bindings.iter().skip(1) {
            if governing(state, scope).next().is_none() {
                findings.add(None, ungoverned(scope));
            }
        }
    }
}

fn governing<'a>(state: &'a State, scope: &'a Binding) -> impl Iterator<Item = &'a Policy> {
    state.governing(scope)
}

fn says_only(policy: &Policy) -> bool {
    matches!(policy.allow, AllowPart::Only(_))
}

impl GoverningPolicies<'_> {
    fn policies<'a>(&self, state: &'a State) -> impl Iterator<Item = &'a Policy> {
        let members = self.members.iter();
        let policies: Vec<_> = members.filter_map(|&at| state.policies.get(at)).collect();
        policies.into_iter()
    }

    /// Those whose allow lists count, if there are any; else all.
    fn deciding(&self, state: &State) -> Vec<usize> {
        let only = |at: &usize| state.policies.get(*at).is_some_and(says_only);
        let deciding: Vec<_> = self.members.iter().copied().filter(only).collect();
        if deciding.is_empty() {
            self.members.clone()
        } else {
            deciding
        }
    }

    fn finding(&self, state: &State, only: bool, passes: [bool; 2]) -> Option<Finding> {
        let (code, what) = match passes {
            [true, true] => return None,
            [false, false] => (Code::DeniesAll, "every source".to_owned()),
            // Without an allow list the block of everything is reported by itself.
            _ if !only => return None,
            [true, false] => (Code::MissingFamily, "every IPv6 address".to_owned()),
            [false, true] => (Code::MissingFamily, "every IPv4 address".to_owned()),
        };
        let on = self.place();
        let why = match (code, only) {
            (Code::MissingFamily, _) => {
                "no allow list has one that is not blocked: add some if any is to pass"
            }
            (_, true) => {
                "no allow list has an address that is not blocked: add the sources to allow, or deactivate the policy"
            }
            (_, false) => "everything is blocked: write an allow list instead",
        };
        let severity = match (code, self.scope) {
            (Code::DeniesAll, Some(_)) => Severity::Error,
            (Code::DeniesAll, None) | (_, Some(_)) => Severity::Warning,
            _ => Severity::Note,
        };
        let message = format!("{what} is denied {on}, since {why}");
        Some(self.of_scope(state, code, severity, message))
    }

    /// What is said of a family that blocks cover, whole or half, without an allow list.
    fn blocked(&self, state: &State, name: &str, family: FamilySummary) -> Option<Finding> {
        let on = self.place();
        // One rule that blocks everything has a finding of its own.
        if family.is_blocked_by_one || family.blocked < HALF {
            return None;
        }
        let (code, severity, message) = match family.passes {
            false => (
                Code::BlocksEverything,
                match self.scope {
                    Some(_) => Severity::Error,
                    None => Severity::Warning,
                },
                format!(
                    "every {name} address is denied {on}, since the blocks cover all of {name} together: write an allow list instead"
                ),
            ),
            true => (
                Code::BlocksHalf,
                Severity::Note,
                format!(
                    "{:.0} % of all {name} addresses are denied {on}: an allow list is shorter",
                    family.blocked * 100.0
                ),
            ),
        };
        Some(self.of_scope(state, code, severity, message))
    }

    /// What is said of a service that judges as the host does as well, where no source passes
    /// both.
    fn denied_with_host(&self, state: &State, rules: Both<'_>, ranks: &Ranks) -> Option<Finding> {
        let Some(Binding::Service(name)) = self.scope else {
            return None;
        };
        let service = state.services.iter().find(|s| s.name == *name)?;
        if service.combine != Combine::And {
            return None;
        }
        let bound = state.policies.iter().enumerate();
        let of_host: Vec<_> = bound
            .filter(|(_, p)| p.is_enforced() && p.bindings.contains(&Binding::Host))
            .map(|(at, _)| at)
            .collect();
        if of_host.is_empty() {
            return None;
        }
        let only = |members: &[usize]| {
            let mut policies = members.iter().filter_map(|&at| state.policies.get(at));
            policies.any(says_only)
        };
        let (one, other) = (Group::of(&self.members, ranks), Group::of(&of_host, ranks));
        let (one, other) = ((&one, only(&self.members)), (&other, only(&of_host)));
        if passes_both(rules.0, one, other) || passes_both(rules.1, one, other) {
            return None;
        }
        let message = format!(
            "every source is denied on {name}, since the host's policies apply there as well \
             (combine = \"and\") and no source passes both: allow the same sources on both, or \
             combine by override"
        );
        Some(self.of_scope(state, Code::DeniesAll, Severity::Error, message))
    }

    /// What is said of allow rules that cover a family together.
    fn allows_all(&self, state: &State, name: &str) -> Finding {
        let on = self.place();
        let message = format!(
            "the allow rules cover all of {name} together, so they restrict nothing there {on}: name the networks that are meant"
        );
        self.of_scope(state, Code::AllowsEverything, Severity::Warning, message)
    }

    fn place(&self) -> String {
        match self.scope {
            Some(Binding::Host) => "on the host".to_owned(),
            Some(Binding::Service(name)) => format!("on {name}"),
            Some(Binding::User(user)) => format!("for {user}"),
            None => "once it governs alone".to_owned(),
        }
    }

    fn of_scope(&self, state: &State, code: Code, severity: Severity, message: String) -> Finding {
        Finding {
            code,
            severity,
            policies: self
                .deciding(state)
                .into_iter()
                .filter_map(|at| state.policies.get(at))
                .map(|policy| policy.name.to_string())
                .collect(),
            scope: self.scope.map(Binding::to_string),
            rule: None,
            other: None,
            message,
            more: 0,
        }
    }
}

fn ungoverned(service: &Binding) -> Finding {
    Finding {
        code: Code::Ungoverned,
        severity: Severity::Note,
        policies: Vec::new(),
        scope: Some(service.to_string()),
        rule: None,
        other: None,
        message: format!(
            "no active policy governs service {service}, nor the host: every attempt passes; bind one with `netpolicy bind POLICY --service {service}`"
        ),
        more: 0,
    }
}

/// What can be said of each policy as a whole.
pub(super) fn policies(state: &State, findings: &mut Findings) {
    for (at, policy) in state.policies.iter().enumerate() {
        let name = &policy.name;
        let scopes: Vec<_> = policy.bindings.iter().map(Binding::to_string).collect();
        let mut say =
            |code, message: String| findings.add(Some(at), note(code, &[policy], message));
        if policy.bindings.is_empty() {
            say(
                Code::NotBound,
                format!("is bound to nothing, so it governs nothing: `netpolicy bind {name}`"),
            );
        } else if !policy.active {
            say(
                Code::Inactive,
                format!(
                    "is inactive, so it does not govern {}: `netpolicy policy activate {name}`",
                    scopes.join(", ")
                ),
            );
        } else if policy.is_observed() {
            say(
                Code::OnlyObserved,
                format!(
                    "is only observed, so it denies nothing on {}: `netpolicy policy alter {name} --mode enforce`",
                    scopes.join(", ")
                ),
            );
        }
        if let Some(end) = allows_until(state, policy) {
            say(
                Code::AllowListEnds,
                format!(
                    "every rule of its allow list ends, the last at {end}: it allows no source then"
                ),
            );
        }
        if !says_only(policy) && policy.block.is_empty() && policy.block_lists.is_empty() {
            say(
                Code::RestrictsNothing,
                "has neither an allow list nor a block: it restricts nothing; add rules, or drop it"
                    .to_owned(),
            );
        }
    }
}

/// When the last rule of an allow list ends, if each of them does.
fn allows_until(state: &State, policy: &Policy) -> Option<Timestamp> {
    let counted = state.counted(policy);
    let allowing = counted.iter().filter(|one| one.kind == ListKind::Allow);
    let mut rules = allowing.flat_map(|one| one.entries.iter());
    // Few lists come beyond their first rule.
    rules.try_fold(None, |last, rule| Some(last.max(Some(rule.expires()?))))?
}

/// What can be said of each named list as a whole.
pub(super) fn lists(state: &State, findings: &mut Findings) {
    for list in &state.lists {
        let reference = list.reference();
        let referring: Vec<&Policy> = state.referring_to(&list.name).collect();
        if referring.is_empty() {
            let message = format!(
                "no policy refers to list {reference}, so it governs nothing: refer to it, or drop it"
            );
            findings.add(None, note(Code::UnusedList, &[], message));
        }
        let Some(rule) = list.rule.as_ref().filter(|rule| !rule.is_judged()) else {
            continue;
        };
        let policies = state.policies.iter().enumerate();
        for (at, policy) in policies.filter(|(_, policy)| referring.contains(policy)) {
            let message = format!(
                "list {reference} is a network rule of type {} and mode {}, which no filter of incoming packets can judge: it governs nothing here",
                rule.kind, rule.mode
            );
            findings.add(Some(at), note(Code::UnjudgedList, &[policy], message));
        }
    }
}

/// Names of policies, or of services, that look alike.
pub(super) fn names(state: &State, findings: &mut Findings) {
    for (at, policy) in state.policies.iter().enumerate() {
        let look = look(policy.name.as_str());
        let others = state.policies.iter().take(at);
        for other in others.filter(|other| self::look(other.name.as_str()) == look) {
            let message = similar("policies", policy.name.as_str(), other.name.as_str());
            findings.add(
                Some(at),
                note(Code::SimilarNames, &[policy, other], message),
            );
        }
    }
    for (at, service) in state.services.iter().enumerate() {
        let look = look(service.name.as_str());
        let others = state.services.iter().take(at);
        for other in others.filter(|other| self::look(other.name.as_str()) == look) {
            let message = similar("services", service.name.as_str(), other.name.as_str());
            let finding = Finding {
                scope: Some(service.name.to_string()),
                ..note(Code::SimilarNames, &[], message)
            };
            findings.add(None, finding);
        }
    }
}

fn similar(of_what: &str, one: &str, other: &str) -> String {
    format!("the {of_what} '{one}' and '{other}' are easily taken for each other: rename one")
}

/// A name without what is easily overlooked or misread.
fn look(name: &str) -> String {
    let read = |letter| match letter {
        '0' => 'o',
        '1' | 'i' => 'l',
        '5' => 's',
        other => other,
    };
    name.chars()
        .filter(|letter| *letter != '_')
        .map(read)
        .collect()
}

fn note(code: Code, policies: &[&Policy], message: String) -> Finding {
    Finding {
        code,
        severity: Severity::Note,
        policies: policies
            .iter()
            .map(|policy| policy.name.to_string())
            .collect(),
        scope: None,
        rule: None,
        other: None,
        message,
        more: 0,
    }
}
