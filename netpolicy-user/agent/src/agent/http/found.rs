//! What holds or overlaps a network, as the API shows it.

use ipnet::IpNet;

use crate::agent::banned;
use crate::agent::http::views;
use crate::agent::snapshot::Snapshot;
use crate::api::{BanView, FindView, FoundItem, FoundKind, RuleView};
use crate::model::{
    Bypass, Containment, FoundIn, FoundRule, ListKind, Name, NamedList, Policy, State, canonical,
    find as of,
};

/// Finds rules, entries, bans and bypasses that have an address of a network; the first `most`.
/// Looks at every rule.
#[must_use]
pub fn find(snapshot: &Snapshot, network: IpNet, most: usize) -> FindView {
    let state = &snapshot.state;
    let rules = of(state, &network, most);
    let (bans, banned) = banned::overlapping(&snapshot.bans, network, most, &snapshot.clock);
    let mut total = rules.total + banned;
    let mut items = Vec::new();
    for found in &rules.rules {
        items.push((found.relation.order(&found.rule.net), rule(state, found)));
    }
    for (net, view) in bans {
        if let Some(relation) = Containment::of(&net, &network) {
            items.push((relation.order(&net), ban(relation, &net, view)));
        }
    }
    for bypass in snapshot.live_bypasses() {
        let net = &bypass.source;
        if let Some(relation) = Containment::of(net, &network) {
            total += 1;
            items.push((relation.order(net), exempt(snapshot, relation, bypass)));
        }
    }
    items.sort_by(|(a, one), (b, other)| (a, one.kind).cmp(&(b, other.kind)));
    items.truncate(most);
    FindView {
        network: network.to_string(),
        items: items.into_iter().map(|(_, item)| item).collect(),
        total,
    }
}

fn rule(state: &State, found: &FoundRule<'_>) -> FoundItem {
    let item = FoundItem {
        kind: FoundKind::Policy,
        relation: found.relation,
        name: None,
        side: None,
        used_by: Vec::new(),
        scopes: Vec::new(),
        rule: views::rule(found.list, found.rule),
        by: None,
        until: None,
    };
    match found.place {
        FoundIn::Policy(policy, kind) => FoundItem {
            name: Some(policy.name.to_string()),
            side: Some(kind),
            scopes: scopes([policy]),
            ..item
        },
        FoundIn::List(list) => FoundItem {
            kind: match list.feed {
                Some(_) => FoundKind::Feed,
                None => FoundKind::List,
            },
            name: Some(list.name.to_string()),
            used_by: used_by(state, list),
            scopes: scopes(state.referring_to(&list.name)),
            ..item
        },
    }
}

/// The scopes that some policies govern, the host first.
fn scopes<'s>(policies: impl IntoIterator<Item = &'s Policy>) -> Vec<String> {
    let governing = policies.into_iter().filter(|policy| policy.is_enforced());
    let mut scopes: Vec<_> = governing.flat_map(|policy| &policy.bindings).collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes.into_iter().map(ToString::to_string).collect()
}

/// "office (block)" for each policy that refers to a list.
fn used_by(state: &State, list: &NamedList) -> Vec<String> {
    let uses = |policy: &Policy| {
        let kinds = ListKind::ALL.into_iter();
        let kinds = kinds.filter(|kind| policy.lists(*kind).contains(&list.name));
        let kinds: Vec<_> = kinds.map(|kind| kind.to_string()).collect();
        format!("{} ({})", policy.name, kinds.join(", "))
    };
    state.referring_to(&list.name).map(uses).collect()
}

fn ban(relation: Containment, net: &IpNet, ban: BanView) -> FoundItem {
    FoundItem {
        kind: FoundKind::Ban,
        relation,
        name: None,
        side: None,
        used_by: Vec::new(),
        scopes: vec![ban.scope],
        rule: network(net, ban.reason),
        by: ban.by,
        until: ban.until,
    }
}

fn exempt(snapshot: &Snapshot, relation: Containment, bypass: &Bypass) -> FoundItem {
    let scope = bypass.service.as_ref().map_or("host", Name::as_str);
    FoundItem {
        kind: FoundKind::Bypass,
        relation,
        name: None,
        side: None,
        used_by: Vec::new(),
        scopes: vec![scope.to_owned()],
        rule: network(&bypass.source, None),
        by: Some(bypass.granted_by.clone()),
        until: Some(snapshot.clock.shown(bypass.expires)),
    }
}

/// The network of a ban or bypass.
fn network(net: &IpNet, comment: Option<String>) -> RuleView {
    RuleView {
        text: canonical(net),
        cidr: net.to_string(),
        name: None,
        comment,
        place: None,
        expires: None,
    }
}
