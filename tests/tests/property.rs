//! The oracle, the compiler and the loaded program agree, whatever the policies:
//! `evaluate` == `compile().lookup` == what a SYN gets.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "property/plan.rs"]
mod plan;

use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use etherparse::{LinkExtSlice, NetSlice, SlicedPacket, TransportSlice};
use ipnet::IpNet;
use netpolicy_common::{Action, HOST_SCOPE, Reason, ScopeId};
use netpolicy_tests::fixtures::{BLOCKED, BLOCKED6, HOST_PORT};
use netpolicy_tests::packet::{DOT1AD, DOT1Q, Packet};
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_user::compiler::{Extent, compile};
use netpolicy_user::datapath::BanLists;
use netpolicy_user::model::{Mode, Service, State, evaluate, evaluate_unclassified};
use plan::{Plan, bans_of, plan, scopes, sources_of, state_of};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// The verdict while there are bans: one of the host or of the service stands before policies,
/// and goes by the mode of the scope.
fn with_bans(
    state: &State,
    bans: &[(ScopeId, IpNet)],
    service: Option<&Service>,
    source: IpAddr,
) -> Reason {
    let id = service.map_or(HOST_SCOPE, |s| s.id);
    let is_banned = |(scope, net): &(ScopeId, IpNet)| {
        (*scope == HOST_SCOPE || *scope == id) && net.contains(&source)
    };
    if !bans.iter().any(is_banned) {
        return evaluate(state, service, source).reason;
    }
    match service.map_or(state.host.mode, |s| s.mode) {
        Mode::Enforce => Reason::Banned,
        Mode::Observe => Reason::ObservedBanned,
    }
}

/// The same of what cannot be classified: the strictest of all scopes.
fn unclassified_with_bans(state: &State, bans: &[(ScopeId, IpNet)], source: IpAddr) -> Reason {
    let scopes = std::iter::once(None).chain(state.services.iter().map(Some));
    let reasons: Vec<_> = scopes
        .map(|scope| with_bans(state, bans, scope, source))
        .filter(|reason| reason.is_denial())
        .collect();
    let drops = reasons.iter().any(|r| r.action() == Action::Drop);
    match (drops, reasons.is_empty()) {
        (true, _) => Reason::UnclassifiedDropped,
        (_, false) => Reason::ObservedUnclassified,
        (_, true) => Reason::UnclassifiedPassed,
    }
}

fn agree(loaded: &mut Loaded, plan: &Plan) -> Result<(), TestCaseError> {
    let state = state_of(plan);
    let ruleset = Arc::new(compile(&state));
    loaded.apply(&ruleset);
    let bans = bans_of(plan, &state);
    loaded.ban(&BanLists::of(bans.iter().copied()));
    let differences = loaded.datapath().verify(&ruleset, Extent::Full).unwrap();
    prop_assert!(differences.is_empty(), "read back: {differences:?}");
    for source in sources_of(plan, &state) {
        for (service, port) in scopes(&state) {
            let said = evaluate(&state, service, source).reason;
            let scope = service.map_or(HOST_SCOPE, |s| s.id);
            let compiled = ruleset.lookup(scope, source);
            prop_assert_eq!(said, compiled, "compiled, {} to port {}", source, port);
            let said = with_bans(&state, &bans, service, source);
            let kernel = loaded.judge_syn(source, port);
            prop_assert_eq!(said, kernel, "in the kernel, {} to port {}", source, port);
        }
        let (service, said) = evaluate_unclassified(&state, source);
        let scope = service.map_or(HOST_SCOPE, |s| s.id);
        let compiled = ruleset.judge_unclassified(source);
        prop_assert_eq!((scope, said), compiled, "compiled, {} unclassified", source);
        let said = unclassified_with_bans(&state, &bans, source);
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
