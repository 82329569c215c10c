//! The model as the API shows it.

use netpolicy_common::{Action, Reason};

use crate::api::{
    Cause, ExplainView, HostView, MatchView, PacketAction, Paged, PoliciesSay, PolicyView,
    RuleItem, RuleView, RulesQuery, ServiceView, Verdict,
};
use crate::arrival::Filtering;
use crate::model::{
    AllowPart, Binding, Explanation, ListKind, Policy, Rule, RuleList, RuleRef, Service, State,
};

/// A policy in short.
#[must_use]
pub fn policy(policy: &Policy) -> PolicyView {
    PolicyView {
        name: policy.name.to_string(),
        active: policy.active,
        bindings: policy.bindings.iter().map(binding).collect(),
        allow_count: match &policy.allow {
            AllowPart::Any => None,
            AllowPart::Only(list) => Some(list.len()),
        },
        block_count: policy.block.len(),
        allow: None,
        block: None,
        comment: policy.comment.clone(),
        owner: policy.owner.clone(),
        created: policy.created,
        altered: policy.altered,
    }
}

/// A policy with its lists.
#[must_use]
pub fn whole_policy(whole: &Policy) -> PolicyView {
    PolicyView {
        allow: match &whole.allow {
            AllowPart::Any => None,
            AllowPart::Only(list) => Some(rules(list)),
        },
        block: Some(rules(&whole.block)),
        ..policy(whole)
    }
}

fn rules(list: &RuleList) -> Vec<RuleView> {
    list.iter().map(|r| rule(list, r)).collect()
}

fn rule(list: &RuleList, rule: &Rule) -> RuleView {
    RuleView {
        text: rule.text().into_owned(),
        cidr: rule.net.to_string(),
        name: rule.name().map(str::to_owned),
        comment: rule.comment().map(str::to_owned),
        place: list.place(rule).map(|place| place.to_string()),
    }
}

/// Some of a policy's rules. Takes time in proportion to its rules: some 10 ms a million, with
/// a text ten times that.
#[must_use]
pub fn rules_page(policy: &Policy, query: &RulesQuery, limit: usize) -> Paged<RuleItem> {
    let allow = match &policy.allow {
        AllowPart::Any => None,
        AllowPart::Only(list) => Some((ListKind::Allow, list)),
    };
    let lists = allow.into_iter().chain([(ListKind::Block, &policy.block)]);
    let rules = lists.flat_map(|(kind, list)| list.iter().map(move |rule| (kind, list, rule)));
    let text = query.text.as_ref().map(|text| text.to_ascii_lowercase());
    let covers = query.covers.map(|address| address.to_canonical());
    let mut page = Paged {
        items: Vec::new(),
        total: 0,
        next: None,
    };
    for (number, (kind, list, found)) in (1..).zip(rules) {
        let matches = query.list.is_none_or(|wanted| wanted == kind)
            && covers.is_none_or(|address| found.net.contains(&address))
            && text.as_deref().is_none_or(|text| mentions(found, text));
        if !matches {
            continue;
        }
        page.total += 1;
        if query.after.is_some_and(|after| number <= after) {
            continue;
        }
        if page.items.len() < limit {
            page.items.push(RuleItem {
                number,
                list: kind,
                rule: rule(list, found),
            });
        } else {
            page.next = page.items.last().map(|item| item.number);
        }
    }
    page
}

/// Whether a rule's text, name or comment contains a text in lower case.
fn mentions(rule: &Rule, text: &str) -> bool {
    let contains = |part: &str| part.to_ascii_lowercase().contains(text);
    contains(&rule.text())
        || contains(&rule.net.to_string())
        || rule.name().is_some_and(contains)
        || rule.comment().is_some_and(contains)
}

/// A service.
#[must_use]
pub fn service(state: &State, service: &Service) -> ServiceView {
    ServiceView {
        name: service.name.to_string(),
        ports: service.ports.to_string(),
        combine: service.combine,
        mode: service.mode,
        policies: bound(state, &Binding::Service(service.name.clone())),
        comment: service.comment.clone(),
    }
}

/// The host.
#[must_use]
pub fn host(state: &State) -> HostView {
    HostView {
        mode: state.host.mode,
        failsafe_ports: state.host.failsafe_ports.to_string(),
        policies: bound(state, &Binding::Host),
    }
}

fn bound(state: &State, scope: &Binding) -> Vec<String> {
    state.bound_to(scope).map(|p| p.name.to_string()).collect()
}

fn binding(binding: &Binding) -> String {
    match binding {
        Binding::Host => "host".to_owned(),
        Binding::Service(name) => name.to_string(),
    }
}

/// What the policies say of an attempt where they are enforced; the kernel was not asked
/// yet.
#[must_use]
pub fn explanation(state: &State, explanation: &Explanation, filtering: &Filtering) -> ExplainView {
    let reason = explanation.reason;
    let sentence = explanation.sentence(state);
    let observed = matches!(reason, Reason::ObservedBlocked | Reason::ObservedNotAllowed);
    let policies = match observed {
        true => Action::Drop,
        false => reason.action(),
    };
    ExplainView {
        source: explanation.source,
        port: explanation.port,
        interface: filtering.interface.clone(),
        arrival: filtering.arrival,
        enforced: !observed,
        verdict: PacketAction::from(reason.action()).into(),
        reason: reason.into(),
        policies: PoliciesSay {
            verdict: policies.into(),
            reason: reason.into(),
            sentence: sentence.clone(),
        },
        sentence,
        scope: explanation.scope_name.clone(),
        matched: explanation.rule.and_then(|r| matched(state, r)),
        consulted: explanation
            .consulted
            .iter()
            .filter_map(|&index| state.policies.get(index))
            .map(consulted)
            .collect(),
        kernel: None,
        kernel_error: None,
        agrees: true,
        other_rules_in_force: false,
    }
}

/// Says that the policies' verdict is not what becomes of the attempt, and why.
pub fn not_enforced(view: &mut ExplainView, verdict: Verdict, reason: Cause, why: String) {
    view.enforced = false;
    view.verdict = verdict;
    view.reason = reason;
    view.sentence = why;
}

fn matched(state: &State, found: RuleRef) -> Option<MatchView> {
    let (policy, list, matched) = found.resolve(state)?;
    Some(MatchView {
        policy: policy.name.to_string(),
        list: found.list,
        rule: rule(list, matched),
    })
}

/// "office (allow 2, block 1)"
fn consulted(policy: &Policy) -> String {
    let allow = match &policy.allow {
        AllowPart::Any => "any".to_owned(),
        AllowPart::Only(list) => list.len().to_string(),
    };
    format!(
        "{} (allow {allow}, block {})",
        policy.name,
        policy.block.len()
    )
}
