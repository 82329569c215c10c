//! The model as the API shows it.

use std::net::IpAddr;

use netpolicy_common::{Action, ScopeId};

use crate::api::{
    BanView, Cause, EntriesQuery, EntryItem, ExceptionView, ExplainView, HostView, ListView,
    MatchView, PacketAction, Paged, PoliciesSay, PolicyView, RuleItem, RuleView, RulesQuery,
    ServiceView, Verdict,
};
use crate::arrival::Filtering;
use crate::model::{
    AllowPart, Binding, Explanation, ListKind, Name, NamedList, OnDeny, Policy, Rule, RuleList,
    RuleRef, Service, State, reference,
};

/// A policy in short.
#[must_use]
pub fn policy(policy: &Policy) -> PolicyView {
    PolicyView {
        name: policy.name.to_string(),
        active: policy.active,
        mode: policy.mode,
        bindings: policy.bindings.iter().map(binding).collect(),
        allow_count: match &policy.allow {
            AllowPart::Any => None,
            AllowPart::Only(list) => Some(list.len()),
        },
        block_count: policy.block.len(),
        allow_lists: policy.allow_lists.iter().map(Name::to_string).collect(),
        block_lists: policy.block_lists.iter().map(Name::to_string).collect(),
        except_count: policy.except.len(),
        except_lists: policy.except_lists.iter().map(Name::to_string).collect(),
        allow: None,
        block: None,
        except: None,
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
        except: whole.has_exceptions().then(|| rules(&whole.except)),
        ..policy(whole)
    }
}

/// A named list in short.
#[must_use]
pub fn list(state: &State, list: &NamedList) -> ListView {
    let policies = state.referring_to(&list.name);
    ListView {
        name: list.name.to_string(),
        entry_count: list.len(),
        policies: policies.map(|policy| policy.name.to_string()).collect(),
        entries: None,
        network_rule: list.rule.clone(),
        feed: list.feed.as_deref().cloned(),
        max_shrink: list.max_shrink,
        comment: list.comment.clone(),
        owner: list.owner.clone(),
        created: list.created,
        altered: list.altered,
    }
}

/// A named list with its entries.
#[must_use]
pub fn whole_list(state: &State, whole: &NamedList) -> ListView {
    let entries = whole.iter().map(|(list, entry)| rule(list, entry));
    ListView {
        entries: Some(entries.collect()),
        ..list(state, whole)
    }
}

/// Some of a named list's entries. Takes time in proportion to its entries.
#[must_use]
pub fn entries_page(list: &NamedList, query: &EntriesQuery, limit: usize) -> Paged<EntryItem> {
    let wanted = RuleSearch::new(query.text.as_deref(), query.covers);
    let entries = (1..).zip(list.iter());
    let found = entries.filter(|(_, (_, entry))| wanted.is_met_by(entry));
    paged(found, query.after, limit, |(number, (list, entry))| {
        let entry = rule(list, entry);
        EntryItem { number, entry }
    })
}

/// What entries or rules are looked for.
struct RuleSearch {
    text: Option<String>,
    covers: Option<IpAddr>,
}

impl RuleSearch {
    fn new(text: Option<&str>, covers: Option<IpAddr>) -> Self {
        Self {
            text: text.map(str::to_ascii_lowercase),
            covers: covers.map(|address| address.to_canonical()),
        }
    }

    fn is_met_by(&self, rule: &Rule) -> bool {
        let text = self.text.as_deref();
        self.covers
            .is_none_or(|address| rule.net.contains(&address))
            && text.is_none_or(|text| mentions(rule, text))
    }
}

/// The part of what was found that follows number `after`.
fn paged<T, I: Copy>(
    found: impl Iterator<Item = (u64, I)>,
    after: Option<u64>,
    limit: usize,
    item: impl Fn((u64, I)) -> T,
) -> Paged<T> {
    let mut page = Paged {
        items: Vec::new(),
        total: 0,
        next: None,
    };
    let mut last = None;
    for (number, one) in found {
        page.total += 1;
        if after.is_some_and(|after| number <= after) {
            continue;
        }
        if page.items.len() < limit {
            page.items.push(item((number, one)));
            last = Some(number);
        } else {
            page.next = last;
        }
    }
    page
}

fn rules(list: &RuleList) -> Vec<RuleView> {
    list.iter().map(|r| rule(list, r)).collect()
}

/// A rule of a list.
pub fn rule(list: &RuleList, rule: &Rule) -> RuleView {
    RuleView {
        text: rule.text().into_owned(),
        cidr: rule.net.to_string(),
        name: rule.name().map(str::to_owned),
        comment: rule.comment().map(str::to_owned),
        expires: rule.expires(),
        place: list.place(rule).map(|place| place.to_string()),
    }
}

/// Some of a policy's rules. Takes time in proportion to its rules: some 10 ms a million, with
/// a text ten times that.
#[must_use]
pub fn rules_page(policy: &Policy, query: &RulesQuery, limit: usize) -> Paged<RuleItem> {
    let lists = ListKind::ALL
        .into_iter()
        .filter_map(|kind| Some((kind, policy.rules(kind)?)));
    let rules = lists.flat_map(|(kind, list)| list.iter().map(move |rule| (kind, list, rule)));
    let wanted = RuleSearch::new(query.text.as_deref(), query.covers);
    let found = (1..).zip(rules).filter(|(_, (kind, _, rule))| {
        query.list.is_none_or(|wanted| wanted == *kind) && wanted.is_met_by(rule)
    });
    paged(
        found,
        query.after,
        limit,
        |(number, (kind, list, found))| RuleItem {
            number,
            list: kind,
            rule: rule(list, found),
        },
    )
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
        on_deny: service.on_deny,
        policies: bound(state, &Binding::Service(service.name.clone())),
        comment: service.comment.clone(),
    }
}

/// The host.
#[must_use]
pub fn host(state: &State) -> HostView {
    HostView {
        mode: state.host.mode,
        on_deny: state.host.on_deny,
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
        Binding::User(user) => user.to_string(),
    }
}

/// What the policies say of an attempt where they are enforced; the kernel was not asked
/// yet.
#[must_use]
pub fn explanation(state: &State, explanation: &Explanation, filtering: &Filtering) -> ExplainView {
    let reason = explanation.reason;
    let sentence = explanation.sentence(state);
    let observed = reason.is_denial() && reason.action() == Action::Pass;
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
        answered: reason.action() == Action::Drop
            && on_deny(state, explanation.scope) == OnDeny::Reset,
        reason: reason.into(),
        policies: PoliciesSay {
            verdict: policies.into(),
            reason: reason.into(),
            sentence: sentence.clone(),
        },
        sentence,
        scope: explanation.scope_name.clone(),
        ban: None,
        matched: explanation.rule.and_then(|r| matched(state, r)),
        consulted: explanation
            .consulted
            .iter()
            .filter_map(|&index| state.policies.get(index))
            .map(consulted)
            .collect(),
        excepted: explanation
            .excepted
            .iter()
            .filter_map(|(block, exception)| {
                Some(ExceptionView {
                    block: matched(state, *block)?,
                    exception: matched(state, *exception)?,
                })
            })
            .collect(),
        kernel: None,
        kernel_error: None,
        agrees: true,
        other_rules_in_force: false,
        revision: None,
    }
}

/// Says that a ban decides, before the policies.
pub fn banned(view: &mut ExplainView, ban: BanView) {
    view.sentence = ban_in_words(&ban, view.enforced);
    view.policies.sentence.clone_from(&view.sentence);
    view.consulted.clear();
    // The program answers what lists deny.
    view.answered = false;
    view.ban = Some(ban);
}

/// What a ban does, in a sentence; `enforced`: in a scope that drops what it denies.
#[must_use]
pub fn ban_in_words(ban: &BanView, enforced: bool) -> String {
    let by = ban.by.as_deref().map(|by| format!(" by {by}"));
    let until = ban.until.map_or_else(
        || "without end".to_owned(),
        |until| format!("until {}", until.strftime("%Y-%m-%d %H:%M:%S UTC")),
    );
    let scope = match ban.scope.as_str() {
        "host" => String::new(),
        service => format!(" on service {service}"),
    };
    let reason = ban.reason.as_deref().map(|reason| format!(": {reason}"));
    let observed = match enforced {
        true => "",
        false => "; only observed, so it passes",
    };
    format!(
        "{} is banned{scope}{} {until}{}{observed}",
        ban.source,
        by.unwrap_or_default(),
        reason.unwrap_or_default(),
    )
}

/// What the sender of an attempt gets that is denied in a scope.
fn on_deny(state: &State, scope: ScopeId) -> OnDeny {
    let service = state.services.iter().find(|service| service.id == scope);
    service.map_or(state.host.on_deny, |service| service.on_deny)
}

/// Says that the policies' verdict is not what becomes of the attempt, and why.
pub fn not_enforced(view: &mut ExplainView, verdict: Verdict, reason: Cause, why: String) {
    view.enforced = false;
    view.answered = false;
    view.verdict = verdict;
    view.reason = reason;
    view.sentence = why;
}

/// The rule that decided.
pub fn matched(state: &State, found: RuleRef) -> Option<MatchView> {
    let matched = found.resolve(state)?;
    Some(MatchView {
        policy: matched.policy.name.to_string(),
        list: found.list,
        named_list: matched.named.map(|list| list.name.to_string()),
        rule: rule(matched.list, matched.rule),
    })
}

/// "office (allow 2, block 1 and @bad-hosts)"
fn consulted(policy: &Policy) -> String {
    let allow = match &policy.allow {
        AllowPart::Any => "any".to_owned(),
        AllowPart::Only(list) => with_lists(list.len(), &policy.allow_lists),
    };
    let block = with_lists(policy.block.len(), &policy.block_lists);
    let except = match policy.has_exceptions() {
        true => format!(
            ", except {}",
            with_lists(policy.except.len(), &policy.except_lists)
        ),
        false => String::new(),
    };
    format!("{} (allow {allow}, block {block}{except})", policy.name)
}

fn with_lists(count: usize, lists: &[Name]) -> String {
    let names = lists.iter().map(reference);
    let parts: Vec<_> = std::iter::once(count.to_string()).chain(names).collect();
    parts.join(" and ")
}
