//! The oracle, the compiler and the loaded program agree, whatever the policies:
//! `evaluate` == `compile().lookup` == what a SYN gets.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use etherparse::{LinkExtSlice, NetSlice, SlicedPacket, TransportSlice};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netpolicy_common::{HOST_SCOPE, Reason};
use netpolicy_tests::fixtures::{BLOCKED, BLOCKED6, HOST_PORT};
use netpolicy_tests::packet::{DOT1AD, DOT1Q, Packet};
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_user::compiler::{Extent, compile};
use netpolicy_user::model::change::Change;
use netpolicy_user::model::{
    Combine, ListKind, Mode, ReferenceEdit, RuleList, Service, State, evaluate,
    evaluate_unclassified,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// The port of the n-th service; the host's is one that no service has.
const SERVICE_PORTS: [u16; 3] = [5432, 6432, 7000];

#[derive(Clone, Debug)]
struct PolicyPlan {
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
struct Plan {
    services: Vec<(Combine, Mode)>,
    /// Named lists.
    lists: Vec<Vec<IpNet>>,
    policies: Vec<PolicyPlan>,
    host: Mode,
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

fn plan() -> impl Strategy<Value = Plan> {
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
    let plan = (
        services,
        lists,
        vec(policy, 0..5),
        mode(),
        vec(address(), 16),
    );
    plan.prop_map(|(services, lists, policies, host, sources)| Plan {
        services,
        lists,
        policies,
        host,
        sources,
    })
}

fn service_name(n: usize) -> String {
    format!("service_{n}")
}

/// The state that a plan describes, made by the changes that a user would make.
fn state_of(plan: &Plan) -> State {
    let mut changes = vec![rules::host_mode(plan.host)];
    for (n, (combine, mode)) in plan.services.iter().enumerate() {
        let port = SERVICE_PORTS[n].to_string();
        changes.push(rules::service(&service_name(n), &[&port], *combine, *mode));
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
fn sources_of(plan: &Plan, state: &State) -> Vec<IpAddr> {
    let mut sources = plan.sources.clone();
    for policy in &state.policies {
        let lists = ListKind::ALL
            .into_iter()
            .filter_map(|kind| policy.rules(kind));
        for rule in lists.flat_map(RuleList::iter) {
            match rule.net {
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
    }
    sources.sort();
    sources.dedup();
    sources
}

/// Every scope with a port of its own, the host first.
fn scopes(state: &State) -> Vec<(Option<&Service>, u16)> {
    let port = |s: &Service| {
        SERVICE_PORTS
            .into_iter()
            .find(|p| s.ports.contains(*p))
            .unwrap()
    };
    let services = state.services.iter().map(|s| (Some(s), port(s)));
    [(None, HOST_PORT)].into_iter().chain(services).collect()
}

fn agree(loaded: &mut Loaded, plan: &Plan) -> Result<(), TestCaseError> {
    let state = state_of(plan);
    let ruleset = Arc::new(compile(&state));
    loaded.apply(&ruleset);
    let differences = loaded.datapath().verify(&ruleset, Extent::Full).unwrap();
    prop_assert!(differences.is_empty(), "read back: {differences:?}");
    for source in sources_of(plan, &state) {
        for (service, port) in scopes(&state) {
            let said = evaluate(&state, service, source).reason;
            let scope = service.map_or(HOST_SCOPE, |s| s.id);
            let compiled = ruleset.lookup(scope, source);
            prop_assert_eq!(said, compiled, "compiled, {} to port {}", source, port);
            let kernel = loaded.judge_syn(source, port);
            prop_assert_eq!(said, kernel, "in the kernel, {} to port {}", source, port);
        }
        let (service, said) = evaluate_unclassified(&state, source);
        let scope = service.map_or(HOST_SCOPE, |s| s.id);
        let compiled = ruleset.judge_unclassified(source);
        prop_assert_eq!((scope, said), compiled, "compiled, {} unclassified", source);
        let cut = Packet::syn(&source.to_string(), HOST_PORT)
            .cut_transport(3)
            .build();
        let kernel = loaded.judge(&cut);
        prop_assert_eq!(said, kernel, "in the kernel, {} unclassified", source);
        let kernel = loaded.judge_ip(&cut[14..]);
        prop_assert_eq!(
            said,
            kernel,
            "without Ethernet header, {} unclassified",
            source
        );
    }
    Ok(())
}

/// Runs with a seed that is printed when the test fails; `NETPOLICY_SEED` sets another.
fn run<T: Debug>(
    cases: u32,
    inputs: impl Strategy<Value = T>,
    test: impl Fn(T) -> Result<(), TestCaseError>,
) {
    let seed: u64 = std::env::var("NETPOLICY_SEED")
        .ok()
        .map_or(20_260_101, |s| s.parse().unwrap());
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases,
        max_shrink_iters: 300,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let result = TestRunner::new_with_rng(config, rng).run(&inputs, test);
    if let Err(failure) = result {
        panic!("seed {seed} (NETPOLICY_SEED={seed}): {failure}");
    }
}

#[test]
fn oracle_compiler_and_program_agree() {
    // One program throughout, so that every case is also an apply over what was there
    // before: both slots, growing and shrinking lists, services that come and go.
    let loaded = std::cell::RefCell::new(Loaded::new(&rules::ruleset(&[])));
    run(96, plan(), |plan| agree(&mut loaded.borrow_mut(), &plan));
}

/// A valid packet from a blocked source, and what is done to it.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    use netpolicy_tests::packet::Extension::{Auth, Destination, Fragment, HopByHop, Routing};
    let extension = prop_oneof![
        (1usize..4).prop_map(|n| HopByHop(8 * n)),
        (1usize..4).prop_map(|n| Routing(8 * n)),
        (1usize..4).prop_map(|n| Destination(8 * n)),
        (3usize..8).prop_map(|n| Auth(4 * n)),
        Just(Fragment(0, false)),
    ];
    let flags = prop_oneof![
        Just("S"),
        Just("SA"),
        Just("A"),
        Just("R"),
        Just("SF"),
        Just("SEC")
    ];
    let tags = vec(prop_oneof![Just(DOT1Q), Just(DOT1AD)], 0..4);
    let v6 = (vec(extension, 0..5), flags.clone()).prop_map(|(extensions, flags)| {
        let packet = Packet::tcp(BLOCKED6, HOST_PORT, flags);
        extensions.into_iter().fold(packet, Packet::extension)
    });
    let v4 = (0usize..11, flags)
        .prop_map(|(words, flags)| Packet::tcp(BLOCKED, HOST_PORT, flags).options(4 * words));
    let packet = (prop_oneof![v4, v6], tags)
        .prop_map(|(packet, tags)| tags.into_iter().fold(packet, Packet::tag).build());
    let changes = vec((any::<proptest::sample::Index>(), any::<u8>()), 0..3);
    let cut = proptest::option::weighted(0.2, any::<proptest::sample::Index>());
    (packet, changes, cut).prop_map(|(mut packet, changes, cut)| {
        for (at, byte) in changes {
            let at = at.index(packet.len());
            packet[at] = byte;
        }
        if let Some(cut) = cut {
            packet.truncate(cut.index(packet.len()).max(14));
        }
        packet
    })
}

/// What `etherparse`, which knows nothing of this program, makes of a frame: whether
/// it is a TCP segment of a blocked source, and if so, whether a connection attempt.
fn read_by_another(frame: &[u8]) -> Option<bool> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    // It also takes 0x9100 for a tag, which Linux does not.
    let is_old_tag = |at: usize| frame.get(at..at + 2) == Some(&[0x91, 0x00]);
    if [12, 16, 20].into_iter().any(is_old_tag) {
        return None;
    }
    let is_vlan = |e: &LinkExtSlice<'_>| matches!(e, LinkExtSlice::Vlan(_));
    // It reads three tags at most.
    let only_tags = packet.link_exts.iter().all(is_vlan);
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else {
        return None;
    };
    let plain = match packet.net? {
        NetSlice::Ipv4(ip) => {
            let blocked: Ipv4Addr = BLOCKED.parse().unwrap();
            ip.header().source_addr() == blocked
                && !ip.is_payload_fragmented()
                // AH over IPv4 hides what is inside from the filter and from the stack.
                && ip.extensions().auth.is_none()
        }
        NetSlice::Ipv6(ip) => {
            let blocked: Ipv6Addr = BLOCKED6.parse().unwrap();
            ip.header().source_addr() == blocked && !ip.is_payload_fragmented()
        }
        NetSlice::Arp(_) => false,
    };
    (only_tags && plain && tcp.destination_port() == HOST_PORT).then(|| tcp.syn() && !tcp.ack())
}

#[test]
fn another_parser_finds_no_attempt_that_the_program_lets_through() {
    let ruleset = rules::ruleset(&[rules::policy("block", None, &[BLOCKED, BLOCKED6], &[])]);
    let loaded = std::cell::RefCell::new(Loaded::new(&ruleset));
    let understood = std::cell::Cell::new(0u32);
    run(20_000, mutated(), |frame| {
        let said = loaded.borrow_mut().judge(&frame);
        if let Some(attempt) = read_by_another(&frame) {
            understood.set(understood.get() + 1);
            let expected = if attempt {
                Reason::Blocked
            } else {
                Reason::Established
            };
            prop_assert_eq!(said, expected);
        }
        Ok(())
    });
    assert!(
        understood.get() > 4000,
        "only {} packets were compared",
        understood.get()
    );
}

#[test]
fn a_reason_s_meaning_does_not_depend_on_the_order_of_policies() {
    run(64, plan(), |plan| {
        let state = state_of(&plan);
        let mut reversed = plan.clone();
        reversed.policies.reverse();
        let other = state_of(&reversed);
        prop_assert_eq!(compile(&state).digest(), compile(&other).digest());
        Ok(())
    });
}

#[test]
fn applies_of_very_different_sizes_follow_each_other() {
    let mut loaded = Loaded::new(&rules::ruleset(&[]));
    let mut seen = Vec::new();
    for count in [0u32, 3000, 1, 500, 0, 4000, 2] {
        let blocked: Vec<String> = (0..count)
            .map(|i| Ipv4Addr::from(0x0a00_0000 + i * 512).to_string())
            .collect();
        let blocked: Vec<&str> = blocked.iter().map(String::as_str).collect();
        let state = rules::state(&[rules::policy("many", None, &blocked, &[])]);
        let ruleset = Arc::new(compile(&state));
        seen.push(loaded.apply(&ruleset));
        assert_eq!(
            loaded.datapath().enforced().unwrap().entries,
            u64::from(count)
        );
        assert_eq!(
            loaded.datapath().verify(&ruleset, Extent::Full).unwrap(),
            Vec::<String>::new()
        );
        // What an earlier generation blocked and this one does not passes again.
        for i in [0, 1, 499, 500, 2999, 3999, 4000] {
            let expected = if i < count {
                Reason::Blocked
            } else {
                Reason::NotBlocked
            };
            let source = Ipv4Addr::from(0x0a00_0000 + i * 512).into();
            assert_eq!(
                loaded.judge_syn(source, HOST_PORT),
                expected,
                "{i} of {count}"
            );
        }
    }
    assert!(
        seen.is_sorted_by(|a, b| a < b),
        "generations only grow: {seen:?}"
    );
}
