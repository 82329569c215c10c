//! The order of judgement, asked of the loaded program: failsafe port, service,
//! bypass, lists, mode.

use std::time::Duration;

use netpolicy_common::HOST_SCOPE;
use netpolicy_common::Reason::{
    Allowed, Blocked, Bypass, Established, Failsafe, Malformed, NoPolicy, NotAllowed, NotBlocked,
    NotTcp, ObservedBlocked, ObservedNotAllowed, ObservedUnclassified, UnclassifiedDropped,
    UnclassifiedPassed,
};
use netpolicy_tests::fixtures::{
    ALLOWED, ALLOWED6, BARE, BLOCKED, BLOCKED6, FAILSAFE, HOST_PORT, LAB, METRICS, POSTGRES,
    UNLISTED, UNLISTED6, check, check_example, example,
};
use netpolicy_tests::packet::{DOT1AD, DOT1Q, Extension, Packet};
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_tests::shape::two;
use netpolicy_user::datapath::BypassEntry;
use netpolicy_user::model::{Combine, Mode};

#[rustfmt::skip] // One row a fixture.
#[test]
fn scopes_by_port() {
    let syn = |source, port| Packet::syn(source, port).build();
    check_example(vec![
        ("the failsafe port, from a blocked source", syn(BLOCKED, FAILSAFE), Failsafe),
        ("the failsafe port, over IPv6", syn(BLOCKED6, FAILSAFE), Failsafe),
        ("the port after the failsafe port", syn(BLOCKED, 23), Blocked),
        ("a port with the failsafe port's lowest bits", syn(BLOCKED, FAILSAFE + 64), Blocked),
        ("a port with a service's lower byte: the host's lists", syn(ALLOWED, POSTGRES + 256), Allowed),
        ("the same, blocked", syn(BLOCKED, POSTGRES + 256), Blocked),
        ("a port with a service's upper byte", syn(BLOCKED, POSTGRES - 1), Blocked),
        ("port 0", syn(BLOCKED, 0), Blocked),
        ("port 65535", syn(BLOCKED, 65535), Blocked),
        ("override: the service allows what the host does not", syn(UNLISTED, POSTGRES), Allowed),
        ("override: the service does not allow what the host allows", syn(ALLOWED, POSTGRES), NotAllowed),
        ("override: the service blocks", syn("8.8.8.99", POSTGRES), Blocked),
        ("override: the host's block does not count", syn(BLOCKED, POSTGRES), NotAllowed),
        ("override, IPv6", syn("fd00:1::1", POSTGRES), Allowed),
        ("a service without a policy: the host's lists", syn(ALLOWED, BARE), Allowed),
        ("the same, blocked", syn(BLOCKED, BARE), Blocked),
        ("the same, on no list", syn(UNLISTED, BARE), NotAllowed),
        ("and: both allow", syn("10.1.0.1", METRICS), Allowed),
        ("and: only the host allows", syn(ALLOWED, METRICS), NotAllowed),
        ("and: only the service allows", syn("172.16.0.1", METRICS), NotAllowed),
        ("and: the service allows, the host blocks", syn("10.66.1.1", METRICS), Blocked),
        ("the first port of a range", syn(ALLOWED, 7000), NotAllowed),
        ("the last port of a range", syn(ALLOWED, 7010), NotAllowed),
        ("the port before a range", syn(ALLOWED, 6999), Allowed),
        ("the port after a range", syn(ALLOWED, 7011), Allowed),
        ("observe: blocked, but passed", syn(ALLOWED, LAB), ObservedBlocked),
        ("observe: not blocked", syn(UNLISTED, LAB), NotBlocked),
    ]);
}

#[rustfmt::skip] // One row a fixture.
#[test]
fn an_observing_host_drops_nothing() {
    let mut changes = example();
    changes.push(rules::host_mode(Mode::Observe));
    let mut loaded = Loaded::new(&rules::ruleset(&changes));
    let syn = |source, port| Packet::syn(source, port).build();
    let unclassified = |source| Packet::syn(source, HOST_PORT).cut_transport(8).build();
    check(
        &mut loaded,
        vec![
            ("blocked by the host", syn(BLOCKED, HOST_PORT), ObservedBlocked),
            ("not allowed by the host", syn(UNLISTED6, HOST_PORT), ObservedNotAllowed),
            ("allowed by the host", syn(ALLOWED, HOST_PORT), Allowed),
            ("unclassifiable: a service that enforces its own lists drops", unclassified(BLOCKED), UnclassifiedDropped),
            ("unclassifiable, allowed by the host: so it is", unclassified(ALLOWED), UnclassifiedDropped),
            ("a service that enforces its own lists", syn(ALLOWED, POSTGRES), NotAllowed),
            ("a service without lists of its own: the host's only observe", syn(BLOCKED, BARE), ObservedBlocked),
            ("and: the service's own denial drops", syn(ALLOWED, METRICS), NotAllowed),
            ("and: the host's denial is only observed", syn("172.16.0.1", METRICS), ObservedNotAllowed),
        ],
    );
}

#[rustfmt::skip] // One row a fixture.
#[test]
fn unclassified_packet_is_dropped_if_any_scope_denies_its_source() {
    let changes = |mode| vec![
        rules::service("postgres", &["5432"], Combine::Override, mode),
        rules::service("lab", &["8080"], Combine::Override, Mode::Observe),
        rules::policy("office", None, &["203.0.113.7", "fd00:bad::/32"], &[]),
        rules::policy("dba", Some(&["10.0.0.0/8", "fd00::/16"]), &[], &["postgres"]),
        rules::policy("trial", None, &["10.0.0.0/24"], &["lab"]),
    ];
    let state = rules::state(&changes(Mode::Enforce));
    let postgres = state.service("postgres").unwrap().id;
    let mut loaded = Loaded::new(&rules::ruleset(&changes(Mode::Enforce)));
    let cut = |source| Packet::syn(source, HOST_PORT).cut_transport(3).build();
    check(
        &mut loaded,
        vec![
            ("blocked by the host", cut("203.0.113.7"), UnclassifiedDropped),
            ("blocked by the host, IPv6", cut("fd00:bad::1"), UnclassifiedDropped),
            ("not allowed by a service", cut("198.51.100.9"), UnclassifiedDropped),
            ("not allowed by a service, IPv6", cut(UNLISTED6), UnclassifiedDropped),
            ("the same, a first fragment", Packet::syn(UNLISTED6, HOST_PORT).fragment(0, true).cut_transport(0).build(), UnclassifiedDropped),
            ("blocked by a service that observes", cut(ALLOWED), ObservedUnclassified),
            ("denied by no scope", cut("10.0.1.1"), UnclassifiedPassed),
            ("the same, IPv6", cut(ALLOWED6), UnclassifiedPassed),
        ],
    );
    let grant = BypassEntry {
        scope: postgres,
        source: "198.51.100.0/24".parse().unwrap(),
        remaining: Duration::from_secs(60),
    };
    loaded.datapath().set_bypasses(&[grant]).unwrap();
    check(
        &mut loaded,
        vec![
            ("a bypass of the only service that denies", cut("198.51.100.9"), Bypass),
            ("another source", cut("198.51.101.9"), UnclassifiedDropped),
        ],
    );
    loaded.datapath().set_bypasses(&[]).unwrap();
    loaded.apply(&rules::ruleset(&changes(Mode::Observe)));
    check(
        &mut loaded,
        vec![
            ("not allowed by a service that now observes", cut("198.51.100.9"), ObservedUnclassified),
            ("blocked by the host, which enforces", cut("203.0.113.7"), UnclassifiedDropped),
        ],
    );
}

#[rustfmt::skip] // One row a fixture.
#[test]
fn without_a_policy_everything_passes() {
    let mut loaded = Loaded::new(&rules::ruleset(&[]));
    let syn = |source, port| Packet::syn(source, port).build();
    check(
        &mut loaded,
        vec![
            ("IPv4", syn(BLOCKED, HOST_PORT), NoPolicy),
            ("IPv6", syn(BLOCKED6, HOST_PORT), NoPolicy),
            ("the failsafe port", syn(BLOCKED, FAILSAFE), Failsafe),
            ("unclassifiable", Packet::syn(BLOCKED, HOST_PORT).cut_transport(8).build(), UnclassifiedPassed),
        ],
    );
    loaded.apply(&rules::ruleset(&[rules::policy("nobody", Some(&[]), &[], &[])]));
    check(&mut loaded, vec![("an empty allow list denies every source", syn(ALLOWED, HOST_PORT), NotAllowed)]);
    loaded.apply(&rules::ruleset(&[rules::policy("all_v4", Some(&["0.0.0.0/0"]), &[], &[])]));
    check(
        &mut loaded,
        vec![
            ("all of IPv4 allowed", syn(UNLISTED, HOST_PORT), Allowed),
            ("then IPv6, with no entry, is denied", syn(UNLISTED6, HOST_PORT), NotAllowed),
        ],
    );
}

#[rustfmt::skip] // One row a fixture.
#[test]
fn bypasses() {
    let state = rules::state(&example());
    let postgres = state.service("postgres").unwrap().id;
    let mut loaded = Loaded::new(&rules::ruleset(&example()));
    let grant = |scope, source: &str, millis| BypassEntry {
        scope,
        source: source.parse().unwrap(),
        remaining: Duration::from_millis(millis),
    };
    let syn = |source, port| Packet::syn(source, port).build();
    let live = [
        grant(HOST_SCOPE, "10.66.0.0/24", 60_000),
        grant(HOST_SCOPE, "fd00:bad::1/128", 60_000),
        grant(postgres, "203.0.113.0/24", 60_000),
    ];
    loaded.datapath().set_bypasses(&live).unwrap();
    check(
        &mut loaded,
        vec![
            ("a bypass of the host", syn(BLOCKED, HOST_PORT), Bypass),
            ("a bypass of the host, IPv6", syn(BLOCKED6, HOST_PORT), Bypass),
            ("a bypass of the host holds for its services", syn(BLOCKED, POSTGRES), Bypass),
            ("a bypass of the host, unclassifiable", Packet::syn(BLOCKED, HOST_PORT).cut_transport(8).build(), Bypass),
            ("outside the bypass", syn("10.66.1.0", HOST_PORT), Blocked),
            ("outside the bypass, IPv6", syn("fd00:bad::2", HOST_PORT), Blocked),
            ("a bypass of a service", syn("203.0.113.7", POSTGRES), Bypass),
            ("a bypass of a service does not hold for the host", syn("203.0.113.7", HOST_PORT), Blocked),
            ("a bypass of a service does not hold for another", syn("203.0.113.7", METRICS), NotAllowed),
            ("the failsafe port comes first", syn(BLOCKED, FAILSAFE), Failsafe),
        ],
    );
    loaded.apply(&rules::ruleset(&example()));
    check(&mut loaded, vec![("a bypass outlives an apply", syn(BLOCKED, HOST_PORT), Bypass)]);

    loaded.datapath().set_bypasses(&[grant(HOST_SCOPE, "10.66.0.1/32", 150)]).unwrap();
    check(
        &mut loaded,
        vec![
            ("a short bypass", syn(BLOCKED, HOST_PORT), Bypass),
            ("what is no longer granted is gone", syn("10.66.0.2", HOST_PORT), Blocked),
            ("the same, of a service", syn("203.0.113.7", POSTGRES), NotAllowed),
        ],
    );
    std::thread::sleep(Duration::from_millis(200));
    check(&mut loaded, vec![("a bypass that has expired", syn(BLOCKED, HOST_PORT), Blocked)]);
}

#[test]
fn frames_of_any_size() {
    let mut loaded = Loaded::new(&rules::ruleset(&example()));
    // The kernel refuses to test-run what is no Ethernet frame: an error, no crash.
    assert!(loaded.datapath().probe(&[]).is_err());
    assert!(loaded.datapath().probe(&[0; 13]).is_err());
    assert_eq!(loaded.judge(&[0; 14]), NotTcp);

    let jumbo = Packet::syn(BLOCKED, HOST_PORT).payload(9000 - 40).build();
    assert_eq!(
        loaded.judge(&jumbo),
        Blocked,
        "a jumbo frame, in several buffers"
    );
    let jumbo6 = Packet::tcp(BLOCKED6, HOST_PORT, "A")
        .payload(9000 - 60)
        .build();
    assert_eq!(loaded.judge(&jumbo6), Established);

    // Cut anywhere, a packet from a blocked source is never taken for an allowed one.
    let whole = Packet::syn(BLOCKED6, HOST_PORT)
        .tag(DOT1AD)
        .tag(DOT1Q)
        .extension(Extension::HopByHop(8))
        .extension(Extension::Auth(12))
        .build();
    for len in 14..=whole.len() {
        let said = loaded.judge(&whole[..len]);
        let fits = [NotTcp, Malformed, UnclassifiedDropped, Blocked].contains(&said);
        assert!(fits, "cut to {len} bytes: {said:?}");
    }
}

#[test]
fn packet_that_reads_as_two_gets_the_stricter_verdict() {
    let neither = ["203.0.113.0/24"].as_slice();
    let first = [two::SOURCES_V4, two::SOURCE_NET_V6].as_slice();
    // Its destination; or what is in the middle of its source.
    let other = ["198.51.100.1/32", "0.0.0.0/32"].as_slice();
    let mut loaded = Loaded::new(&rules::ruleset(&[]));
    for (blocked, mode, other_port, syn, chain) in [
        (neither, Mode::Enforce, 1000, NotBlocked, UnclassifiedPassed),
        (first, Mode::Enforce, 1000, Blocked, UnclassifiedDropped),
        (other, Mode::Enforce, 1000, Blocked, Blocked),
        (first, Mode::Enforce, FAILSAFE, Blocked, UnclassifiedDropped),
        (
            other,
            Mode::Enforce,
            FAILSAFE,
            NotBlocked,
            UnclassifiedPassed,
        ),
        (
            first,
            Mode::Observe,
            1000,
            ObservedBlocked,
            ObservedUnclassified,
        ),
        (other, Mode::Observe, 1000, ObservedBlocked, ObservedBlocked),
    ] {
        let changes = [
            rules::policy("office", None, blocked, &[]),
            rules::host_mode(mode),
        ];
        loaded.apply(&rules::ruleset(&changes));
        for (shape, expected) in [
            (two::attempt(false, 40_000, HOST_PORT, other_port), syn),
            (two::attempt(true, 40_000, HOST_PORT, other_port), syn),
            (two::chain(other_port), chain),
        ] {
            let frame = shape.build();
            let sentence = format!("{blocked:?}, {mode:?}, {other_port}, {}", shape.source);
            assert_eq!(loaded.judge_ip(&frame), expected, "{sentence}");
        }
    }
    // A packet that the frame does not hold in whole is none to Linux: the other alone is judged.
    loaded.apply(&rules::ruleset(&[rules::policy(
        "office",
        None,
        first,
        &[],
    )]));
    for shape in [
        two::attempt(false, 40_000, HOST_PORT, 1000),
        two::chain(1000),
    ] {
        let mut frame = shape.build();
        frame.pop();
        assert_eq!(loaded.judge_ip(&frame), NotBlocked, "{}", shape.source);
    }
}
