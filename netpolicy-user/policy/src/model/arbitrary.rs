//! Random states for property tests.
//!
//! Addresses come from few small neighbourhoods, so that prefixes nest, touch and
//! repeat as often as not.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::model::rule::{Note, Spelling};
use crate::model::{
    AllowPart, Binding, ChangeContext, Combine, Host, Limits, Mode, Name, NamedList, NetworkRule,
    OnDeny, Policy, PortSet, Rule, RuleList, Service, State,
};

/// A context for changes in tests.
pub(crate) fn cx() -> ChangeContext<'static> {
    ChangeContext {
        now: Timestamp::UNIX_EPOCH,
        actor: "tester",
        limits: Limits::default(),
        force: false,
    }
}

/// Any prefix length, mostly a long one.
fn length(max: u8) -> impl Strategy<Value = u8> {
    prop_oneof![6 => max - 8..=max, 2 => 1..=max, 1 => Just(max)]
}

pub(crate) fn net() -> impl Strategy<Value = IpNet> {
    let v4 = (
        prop_oneof![
            0_u32..64,
            Just(u32::MAX),
            0x0a00_0000_u32..0x0a00_0020,
            any::<u32>()
        ],
        length(32),
    )
        .prop_map(|(addr, len)| IpNet::V4(Ipv4Net::new_assert(addr.into(), len).trunc()));
    let base = 0x2001_0db8_u128 << 96;
    let v6 = (
        prop_oneof![0_u128..64, Just(u128::MAX), base..base + 32, any::<u128>()],
        length(128),
    )
        .prop_map(|(addr, len)| IpNet::V6(Ipv6Net::new_assert(addr.into(), len).trunc()))
        // Mapped addresses are IPv4 by the time they are rules.
        .prop_filter("mapped", |net| {
            let mapped: Ipv6Net = "::ffff:0:0/96".parse().unwrap();
            !matches!(net, IpNet::V6(net) if mapped.contains(net))
        });
    prop_oneof![3 => v4, 2 => v6]
}

fn text() -> impl Strategy<Value = Option<Box<str>>> {
    option::weighted(
        0.2,
        "\\PC{1,8}|[\"\\\\\n\t#=\u{1}]{1,4}".prop_map(Into::into),
    )
}

fn end() -> impl Strategy<Value = Option<Timestamp>> {
    let end = |seconds| Timestamp::from_second(seconds).unwrap();
    option::weighted(0.1, (0..4_000_000_000_i64).prop_map(end))
}

fn list(most: usize) -> impl Strategy<Value = RuleList> {
    vec((net(), text(), text(), end()), 0..most).prop_map(|rules| {
        let mut seen = BTreeSet::new();
        let rules = rules.into_iter().filter(|(net, ..)| seen.insert(*net)).map(
            |(net, name, comment, expires)| {
                let host = net.prefix_len() == net.max_prefix_len();
                let spelling = match &name {
                    Some(_) if host => Spelling::WithLength,
                    Some(_) => Spelling::Text(net.to_string().replace("::", ":0::").into()),
                    None => Spelling::Canonical,
                };
                // Not every address has a second spelling of that form.
                let spelling = match spelling {
                    Spelling::Text(text)
                        if *text == *net.to_string() || text.parse::<IpNet>().is_err() =>
                    {
                        Spelling::Canonical
                    }
                    spelling => spelling,
                };
                let note = Note {
                    spelling,
                    name,
                    comment,
                    expires,
                }
                .share();
                Rule {
                    net,
                    source: 0,
                    line: 0,
                    note,
                }
            },
        );
        let rules: Vec<_> = rules.collect();
        let sources = if rules.is_empty() {
            vec![]
        } else {
            vec!["--allow".into()]
        };
        RuleList::from_parts(rules, sources)
    })
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![3 => Just(Mode::Enforce), 1 => Just(Mode::Observe)]
}

fn on_deny() -> impl Strategy<Value = OnDeny> {
    prop_oneof![2 => Just(OnDeny::Drop), 1 => Just(OnDeny::Reset)]
}

/// A named list without its name; some are network rules, perhaps with a whole family.
fn named_list() -> impl Strategy<Value = NamedList> {
    let rule = prop_oneof![
        4 => Just(None),
        2 => any::<bool>().prop_map(|six| Some(NetworkRule {
            kind: if six { "IPV6" } else { "IPV4" }.to_owned(),
            mode: "INGRESS".to_owned(),
            ..NetworkRule::default()
        })),
        1 => Just(Some(NetworkRule {
            kind: "HOST_PORT".to_owned(),
            mode: "EGRESS".to_owned(),
            database: Some("DB".to_owned()),
            schema: None,
            values: vec!["example.org:443".to_owned()],
        })),
    ];
    (list(8), rule, prop::bool::weighted(0.3), text()).prop_map(
        |(entries, rule, every, comment)| {
            let mut rules: Vec<Rule> = entries.iter().cloned().collect();
            if let Some(rule) = &rule {
                rules.retain(|entry| rule.takes(&entry.net) && entry.net.prefix_len() > 0);
                if every && rule.is_judged() {
                    let net = if rule.kind == "IPV6" {
                        "::/0"
                    } else {
                        "0.0.0.0/0"
                    };
                    rules.push(Rule {
                        net: net.parse().unwrap(),
                        source: 0,
                        line: 0,
                        note: None,
                    });
                }
            }
            let mut list = NamedList {
                name: Name::new("unnamed").unwrap(),
                entries: RuleList::default(),
                every: RuleList::default(),
                rule,
                feed: None,
                max_shrink: None,
                comment: comment.map(Into::into),
                owner: "tester".into(),
                created: Timestamp::UNIX_EPOCH,
                altered: Timestamp::UNIX_EPOCH,
            };
            let sources = match rules.is_empty() {
                true => vec![],
                false => vec!["--entry".into()],
            };
            list.set_entries(RuleList::from_parts(rules, sources));
            list
        },
    )
}

fn list_name(number: usize) -> Name {
    crate::model::name::list_name(&format!("list-{number}")).unwrap()
}

fn policy(services: usize, lists: usize) -> impl Strategy<Value = Policy> {
    let allow = prop_oneof![
        1 => Just(AllowPart::Any),
        2 => list(12).prop_map(AllowPart::Only),
    ];
    let bindings = vec(0..=services, 0..3);
    let references = || {
        let few = if lists == 0 { 0..1_usize } else { 0..3 };
        vec(0..lists.max(1), few).prop_map(|numbers| {
            let numbers: BTreeSet<_> = numbers.into_iter().collect();
            numbers.into_iter().map(list_name).collect::<Vec<_>>()
        })
    };
    // Most policies have no exceptions.
    let except = prop_oneof![2 => Just(RuleList::default()), 1 => list(6)];
    let except_lists = prop_oneof![3 => Just(Vec::new()), 1 => references()];
    let mode = prop_oneof![6 => Just(Mode::Enforce), 1 => Just(Mode::Observe)];
    let status = (prop::bool::weighted(0.85), mode);
    let fields = (allow, list(8), text(), status, bindings);
    let fields = (fields, references(), references(), except, except_lists);
    fields.prop_map(
        |(
            (allow, block, comment, (active, mode), bindings),
            allow_lists,
            block_lists,
            except,
            except_lists,
        )| Policy {
            name: Name::new("unnamed").unwrap(),
            allow_lists: match allow {
                AllowPart::Any => Vec::new(),
                AllowPart::Only(_) => allow_lists,
            },
            block_lists,
            except_lists,
            allow,
            block,
            except,
            compat: Default::default(),
            comment: comment.map(Into::into),
            owner: "tester".into(),
            created: Timestamp::UNIX_EPOCH,
            altered: Timestamp::UNIX_EPOCH,
            active,
            mode,
            bindings: bindings
                .into_iter()
                .map(|scope| match scope {
                    0 => Binding::Host,
                    service => Binding::Service(service_name(service)),
                })
                .collect(),
        },
    )
}

pub(crate) fn service_name(number: usize) -> Name {
    Name::new(&format!("svc{number}")).unwrap()
}

/// A state with some policies and up to three services, on ports 5001 to 5003.
pub(crate) fn state() -> impl Strategy<Value = State> {
    let combine = prop_oneof![Just(Combine::Override), Just(Combine::And)];
    let services = vec((combine, mode(), on_deny(), text()), 0..4);
    (services, vec(named_list(), 0..4)).prop_flat_map(|(services, lists)| {
        let policies = vec(policy(services.len(), lists.len()), 0..6);
        let parts = (Just(services), Just(lists), policies, mode(), on_deny());
        parts.prop_map(|(services, mut lists, mut policies, mode, answer)| {
            for (list, number) in lists.iter_mut().zip(0..) {
                list.name = list_name(number);
            }
            for (policy, number) in policies.iter_mut().zip(1..) {
                policy.name = Name::new(&format!("pol{number}")).unwrap();
            }
            let services =
                services
                    .into_iter()
                    .zip(1_u16..)
                    .map(|((combine, mode, on_deny, comment), id)| Service {
                        name: service_name(usize::from(id)),
                        id,
                        ports: PortSet::single(5000 + id),
                        combine,
                        mode,
                        on_deny,
                        comment: comment.map(Into::into),
                    });
            let host = Host {
                mode,
                on_deny: answer,
                failsafe_ports: PortSet::single(22),
                compat: Default::default(),
            };
            State {
                host,
                services: services.collect(),
                lists,
                policies,
                databases: Vec::new(),
                tests: Vec::new(),
            }
        })
    })
}

/// The addresses at both ends of every rule, and next to them.
pub(crate) fn boundaries(state: &State) -> BTreeSet<IpAddr> {
    let mut found = BTreeSet::new();
    let lists = state.lists.iter();
    let named = lists.flat_map(|list| list.iter().map(|(_, rule)| rule.net));
    let own = state.policies.iter().flat_map(|policy| {
        let allow = policy.allow_list().into_iter().flat_map(RuleList::iter);
        let except = policy.except.iter();
        policy
            .block
            .iter()
            .chain(allow)
            .chain(except)
            .map(|rule| rule.net)
    });
    for net in own.chain(named) {
        match net {
            IpNet::V4(net) => {
                let (first, last) = (u32::from(net.network()), u32::from(net.broadcast()));
                for address in [first.wrapping_sub(1), first, last, last.wrapping_add(1)] {
                    found.insert(IpAddr::V4(address.into()));
                }
            }
            IpNet::V6(net) => {
                let (first, last) = (u128::from(net.network()), u128::from(net.broadcast()));
                for address in [first.wrapping_sub(1), first, last, last.wrapping_add(1)] {
                    found.insert(IpAddr::V6(address.into()));
                }
            }
        }
    }
    found
}
