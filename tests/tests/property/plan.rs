//! Random policies, services, lists and bans, and the sources on which they have something to say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netpolicy_common::{HOST_SCOPE, ScopeId};
use netpolicy_tests::fixtures::HOST_PORT;
use netpolicy_tests::rules;
use netpolicy_user::model::change::Change;
use netpolicy_user::model::{
    Combine, ListKind, Mode, OnDeny, ReferenceEdit, RuleList, Service, State,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// The port of the n-th service; the host's is one that no service has.
const SERVICE_PORTS: [u16; 3] = [5432, 6432, 7000];

#[derive(Clone, Debug)]
pub(crate) struct PolicyPlan {
    allow: Option<Vec<IpNet>>,
    block: Vec<IpNet>,
    except: Vec<IpNet>,
    /// Bit n: whether it blocks what is on the n-th list; from bit 3 on, whether it allows it;
    /// from bit 6 on, whether it excepts it.
    refers: u16,
    /// Bit 0: the host; bit n: the n-th service.
    bound: u8,
    active: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    services: Vec<(Combine, Mode)>,
    /// Named lists.
    lists: Vec<Vec<IpNet>>,
    pub(crate) policies: Vec<PolicyPlan>,
    host: Mode,
    /// Bit 0: the host answers denials by a reset; bit n: the n-th service does.
    resets: u8,
    /// Of the host (0), or of the n-th service if there is one.
    bans: Vec<(usize, IpNet)>,
    sources: Vec<IpAddr>,
}

/// Mostly from a few bytes around one place, so that prefixes nest, touch and repeat.
fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        8 => (0u32..4, 0u32..8).prop_map(|(a, b)| Ipv4Addr::from(0x0a00_0000 + (a << 8) + b).into()),
        2 => any::<u32>().prop_map(|a| Ipv4Addr::from(a).into()),
        8 => (0u128..4, 0u128..8)
            .prop_map(|(a, b)| Ipv6Addr::from((0xfd00 << 112) + (a << 64) + b).into()),
        2 => any::<u128>().prop_map(|a| Ipv6Addr::from(a).into()),
    ]
    .prop_map(|address: IpAddr| address.to_canonical())
}

fn net() -> impl Strategy<Value = IpNet> {
    (address(), prop_oneof![6 => 0u8..12, 2 => 12u8..128]).prop_map(|(address, host_bits)| {
        // A block of /0 is refused by the model, so the shortest is /1.
        match address {
            IpAddr::V4(a) => Ipv4Net::new_assert(a, 32 - host_bits.min(31))
                .trunc()
                .into(),
            IpAddr::V6(a) => Ipv6Net::new_assert(a, 128 - host_bits.min(127))
                .trunc()
                .into(),
        }
    })
}

fn nets() -> impl Strategy<Value = Vec<IpNet>> {
    vec(net(), 0..24).prop_map(|mut nets| {
        // Exact duplicates within a list are refused.
        nets.sort();
        nets.dedup();
        nets
    })
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![3 => Just(Mode::Enforce), 1 => Just(Mode::Observe)]
}

pub(crate) fn plan() -> impl Strategy<Value = Plan> {
    let combine = prop_oneof![Just(Combine::Override), Just(Combine::And)];
    let policy = (
        proptest::option::of(nets()),
        nets(),
        prop_oneof![2 => Just(Vec::new()), 1 => nets()],
        prop_oneof![1 => Just(0u16), 2 => 0u16..64, 1 => 0u16..512],
        0u8..16,
        proptest::bool::weighted(0.8),
    )
        .prop_map(|(allow, block, except, refers, bound, active)| PolicyPlan {
            allow,
            block,
            except,
            refers,
            bound,
            active,
        });
    let services = vec((combine, mode()), 0..=SERVICE_PORTS.len());
    let lists = vec(nets(), 0..4);
    let bans = vec((0..=SERVICE_PORTS.len(), net()), 0..8);
    let plan = (
        services,
        lists,
        vec(policy, 0..5),
        mode(),
        prop_oneof![Just(0u8), 0u8..16],
        prop_oneof![Just(Vec::new()), bans],
        vec(address(), 16),
    );
    plan.prop_map(
        |(services, lists, policies, host, resets, bans, sources)| Plan {
            services,
            lists,
            policies,
            host,
            resets,
            bans,
            sources,
        },
    )
}

fn service_name(n: usize) -> String {
    format!("service_{n}")
}

/// The state that a plan describes, made by the changes that a user would make.
pub(crate) fn state_of(plan: &Plan) -> State {
    let on_deny = |scope: usize| match plan.resets >> scope & 1 {
        0 => OnDeny::Drop,
        _ => OnDeny::Reset,
    };
    let mut changes = vec![Change::SetHost {
        mode: Some(plan.host),
        on_deny: Some(on_deny(0)),
        failsafe_ports: None,
    }];
    for (n, (combine, mode)) in plan.services.iter().enumerate() {
        let port = SERVICE_PORTS[n].to_string();
        let mut made = rules::service(&service_name(n), &[&port], *combine, *mode);
        if let Change::AddService {
            on_deny: answer, ..
        } = &mut made
        {
            *answer = on_deny(n + 1);
        }
        changes.push(made);
    }
    let text = |nets: &[IpNet]| nets.iter().map(ToString::to_string).collect::<Vec<_>>();
    for (n, nets) in plan.lists.iter().enumerate() {
        changes.push(rules::named_list(&format!("list_{n}"), text(nets)));
    }
    for (n, policy) in plan.policies.iter().enumerate() {
        let (allow, block) = (policy.allow.as_deref().map(text), text(&policy.block));
        let allow = allow
            .as_ref()
            .map(|a| a.iter().map(String::as_str).collect::<Vec<_>>());
        let block: Vec<&str> = block.iter().map(String::as_str).collect();
        let name = format!("policy_{n}");
        changes.push(rules::policy(&name, allow.as_deref(), &block, &[]));
        let except = text(&policy.except);
        let except: Vec<&str> = except.iter().map(String::as_str).collect();
        changes.push(rules::except(&name, &except));
        for (kind, bits) in [
            (ListKind::Block, policy.refers),
            (ListKind::Allow, policy.refers >> 3),
            (ListKind::Except, policy.refers >> 6),
        ] {
            let lists = (0..plan.lists.len()).filter(|n| bits >> n & 1 != 0);
            let lists: Vec<_> = lists.map(|n| format!("list_{n}")).collect();
            if !lists.is_empty() {
                changes.push(Change::AlterReferences {
                    policy: name.clone(),
                    list: kind,
                    edit: ReferenceEdit::Add { lists },
                });
            }
        }
        for service in (0..plan.services.len()).filter(|s| policy.bound >> (s + 1) & 1 != 0) {
            let service = Some(service_name(service));
            changes.push(Change::Bind {
                policy: name.clone(),
                service,
            });
        }
        if policy.bound & 1 == 0 {
            changes.push(Change::Unbind {
                policy: name.clone(),
                service: None,
            });
        }
        if !policy.active {
            changes.push(Change::SetActive {
                name,
                active: false,
            });
        }
    }
    rules::state(&changes)
}

/// The plan's own sources, and both sides of every boundary of every rule.
pub(crate) fn sources_of(plan: &Plan, state: &State) -> Vec<IpAddr> {
    let mut sources = plan.sources.clone();
    let lists = state.policies.iter().flat_map(|policy| {
        let of = move |kind| policy.rules(kind);
        ListKind::ALL.into_iter().filter_map(of)
    });
    let rules = lists.flat_map(RuleList::iter).map(|rule| rule.net);
    for net in rules.chain(plan.bans.iter().map(|(_, net)| *net)) {
        match net {
            IpNet::V4(net) => {
                let (first, last) = (u32::from(net.network()), u32::from(net.broadcast()));
                let around = [first.wrapping_sub(1), first, last, last.wrapping_add(1)];
                sources.extend(around.map(|a| IpAddr::V4(a.into())));
            }
            IpNet::V6(net) => {
                let (first, last) = (u128::from(net.network()), u128::from(net.broadcast()));
                let around = [first.wrapping_sub(1), first, last, last.wrapping_add(1)];
                sources.extend(around.map(|a| IpAddr::V6(a.into()).to_canonical()));
            }
        }
    }
    sources.sort();
    sources.dedup();
    sources
}

/// Every scope with a port of its own, the host first.
pub(crate) fn scopes(state: &State) -> Vec<(Option<&Service>, u16)> {
    let port = |s: &Service| {
        SERVICE_PORTS
            .into_iter()
            .find(|p| s.ports.contains(*p))
            .unwrap()
    };
    let services = state.services.iter().map(|s| (Some(s), port(s)));
    [(None, HOST_PORT)].into_iter().chain(services).collect()
}

/// The bans of a plan by scope, without those of services that there are not.
pub(crate) fn bans_of(plan: &Plan, state: &State) -> Vec<(ScopeId, IpNet)> {
    let scope = |number: usize| match number.checked_sub(1) {
        None => Some(HOST_SCOPE),
        Some(n) => {
            let name = service_name(n);
            state
                .services
                .iter()
                .find(|s| s.name.as_str() == name)
                .map(|s| s.id)
        }
    };
    let bans = plan.bans.iter();
    bans.filter_map(|(number, net)| Some((scope(*number)?, *net)))
        .collect()
}
