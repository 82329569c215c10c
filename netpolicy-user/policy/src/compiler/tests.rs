//! The compiler against the oracle.

mod history;

use std::net::IpAddr;

use netpolicy_common::{FAILSAFE_SCOPE, HOST_SCOPE, Reason, ScopeFlags};
use proptest::prelude::*;

use super::{Compilation, Prefix4, compile};
use crate::model::arbitrary::{boundaries, cx, state};
use crate::model::change::{Change, SourceText};
use crate::model::{OnDeny, State, evaluate};

fn state_of(toml: &str) -> State {
    let file = SourceText {
        name: "test.toml".into(),
        text: toml.into(),
    };
    let change = Change::Apply {
        file,
        lists: vec![],
        skip_invalid: false,
        allow_empty: false,
        keep_others: false,
    };
    State::empty().apply(&change, &cx()).unwrap().state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn compiled_rules_agree_with_the_oracle(
        state in state(),
        more in prop::collection::vec(any::<IpAddr>(), 8),
    ) {
        let ruleset = compile(&state);
        let mut sources = boundaries(&state);
        sources.extend(more);
        let scopes = std::iter::once(None).chain(state.services.iter().map(Some));
        for service in scopes {
            let id = service.map_or(HOST_SCOPE, |service| service.id);
            for &source in &sources {
                prop_assert_eq!(
                    ruleset.lookup(id, source),
                    evaluate(&state, service, source).reason,
                    "{} in scope {}", source, id
                );
            }
        }
    }

    #[test]
    fn drop_is_answered_exactly_where_the_scope_of_its_port_says_so(
        state in state(),
        more in prop::collection::vec(any::<IpAddr>(), 8),
    ) {
        let ruleset = compile(&state);
        let mut sources = boundaries(&state);
        sources.extend(more);
        let scopes = std::iter::once(None).chain(state.services.iter().map(Some));
        for service in scopes {
            let id = service.map_or(HOST_SCOPE, |service| service.id);
            let wanted = service.map_or(state.host.on_deny, |service| service.on_deny);
            let rules = ruleset.scope(id).unwrap();
            let flags = rules.config.flags;
            let (own, host) = (ScopeFlags::OWN_RESET, ScopeFlags::HOST_RESET);
            // As the program looks at them: a reset stands in place of a silent drop.
            prop_assert!(!(flags.has(own) && flags.has(ScopeFlags::OWN_ENFORCE)));
            prop_assert!(!(flags.has(host) && flags.has(ScopeFlags::HOST_ENFORCE)));
            for &source in &sources {
                let reason = evaluate(&state, service, source).reason;
                let is_dropped = matches!(reason, Reason::Blocked | Reason::NotAllowed);
                let not_allowed = flags.has(ScopeFlags::OWN_ONLY) && !rules.allow.contains(source);
                let is_own = flags.has(ScopeFlags::OWN_LISTS)
                    && (rules.block.contains(source) || not_allowed);
                let is_answered = is_dropped && flags.has(if is_own { own } else { host });
                prop_assert_eq!(
                    is_answered,
                    is_dropped && wanted == OnDeny::Reset,
                    "{} in scope {}", source, id
                );
            }
        }
    }

    #[test]
    fn prefixes_are_sorted_disjoint_and_not_covered_by_a_block(state in state()) {
        for scope in &compile(&state).scopes {
            for list in [&scope.block, &scope.allow] {
                let nets: Vec<_> = list.nets().collect();
                prop_assert_eq!(nets.len(), list.len());
                for pair in nets.windows(2) {
                    prop_assert!(pair[0] < pair[1]);
                    prop_assert!(!pair[0].contains(&pair[1]), "{:?}", pair);
                }
            }
            let blocked: Vec<_> = scope.block.nets().collect();
            for pair in blocked.windows(2) {
                // Two halves of one prefix would have been merged.
                let joined = pair[0].supernet().filter(|net| Some(*net) == pair[1].supernet());
                prop_assert_eq!(joined, None);
            }
            for net in scope.allow.nets() {
                prop_assert!(!blocked.iter().any(|block| block.contains(&net)));
            }
        }
    }
}

#[test]
fn lists_are_merged_and_allow_inside_block_is_left_out() {
    let state = state_of(
        r#"
        [[policy]]
        name = "one"
        allow = ["10.0.0.0/25", "10.0.0.128/25", "10.9.0.0/16", "10.1.2.3"]
        block = ["10.9.0.0/17"]
        [[policy]]
        name = "two"
        allow = ["10.1.2.3/32"]
        block = ["10.9.128.0/17", "10.9.1.1"]
        "#,
    );
    let ruleset = compile(&state);
    let host = &ruleset.scopes[0];
    assert_eq!(
        host.block.v4.iter().copied().collect::<Vec<_>>(),
        [Prefix4 {
            addr: 0x0a09_0000,
            len: 16
        }]
    );
    assert_eq!(
        host.allow.v4.iter().copied().collect::<Vec<_>>(),
        [
            Prefix4 {
                addr: 0x0a00_0000,
                len: 24
            },
            Prefix4 {
                addr: 0x0a01_0203,
                len: 32
            }
        ]
    );
    assert_eq!(ruleset.entries(), 3);
}

#[test]
fn ports_map_to_scopes_and_failsafe_ports_win() {
    let state = state_of("[[service]]\nname = \"pg_\"\nports = [\"5432\", \"7000-7002\"]\n");
    let ruleset = compile(&state);
    for (port, scope) in [
        (5432, 1),
        (7000, 1),
        (7002, 1),
        (7003, 0),
        (22, FAILSAFE_SCOPE),
        (0, 0),
    ] {
        assert_eq!(ruleset.ports[port], scope, "{port}");
    }
    assert_eq!(
        ruleset.scopes.len(),
        2,
        "a service has an entry also without rules"
    );
}

#[test]
fn scope_flags_depend_only_on_what_is_enforced() {
    let flags = |toml: &str| {
        let scopes = compile(&state_of(toml)).scopes;
        scopes
            .iter()
            .map(|scope| scope.config.flags)
            .collect::<Vec<_>>()
    };
    let service = "[[service]]\nname = \"pg_\"\nports = [\"5432\"]\n";
    assert_eq!(
        flags(service),
        [ScopeFlags(0), ScopeFlags(0)],
        "no policy, no lists"
    );

    let host = "[[policy]]\nname = \"one\"\nallow = []\n";
    let own = ScopeFlags::OWN_LISTS
        .with(ScopeFlags::OWN_ENFORCE)
        .with(ScopeFlags::OWN_ONLY);
    let by_host = ScopeFlags::HOST_LISTS
        .with(ScopeFlags::HOST_ENFORCE)
        .with(ScopeFlags::HOST_ONLY);
    assert_eq!(flags(&format!("{service}{host}")), [own, by_host]);

    let observed = format!("[host]\nmode = \"observe\"\n{service}{host}");
    let expected = [
        ScopeFlags::OWN_LISTS
            .with(ScopeFlags::OWN_ONLY)
            .with(ScopeFlags::BANS_OBSERVED),
        ScopeFlags::HOST_LISTS.with(ScopeFlags::HOST_ONLY),
    ];
    assert_eq!(flags(&observed), expected);
}

#[test]
fn scope_of_the_port_says_whether_a_denial_is_answered() {
    let flags = |toml: &str| {
        let scopes = compile(&state_of(toml)).scopes;
        let of = scopes.iter().map(|scope| scope.config.flags);
        let all = ScopeFlags(!(ScopeFlags::OWN_LISTS.0 | ScopeFlags::HOST_LISTS.0));
        of.map(|flags| ScopeFlags(flags.0 & all.0))
            .collect::<Vec<_>>()
    };
    use ScopeFlags as F;
    let policy = "[[policy]]\nname = \"one\"\nblock = [\"10.0.0.0/8\"]\n";
    let service =
        |keys: &str| format!("[[service]]\nname = \"pg_\"\nports = [\"5432\"]\n{keys}{policy}");
    let reset = "on_deny = \"reset\"\n";
    let own = |keys: &str| service(keys) + "bind = [\"pg_\"]\n";
    assert_eq!(flags(&service(reset)), [F::OWN_ENFORCE, F::HOST_RESET]);
    assert_eq!(flags(&own(reset)), [F::default(), F::OWN_RESET]);
    let host = format!("[host]\n{reset}");
    assert_eq!(
        flags(&(host.clone() + &service(""))),
        [F::OWN_RESET, F::HOST_ENFORCE]
    );
    // What is only observed passes, and is not answered.
    let observed = format!("{reset}mode = \"observe\"\n");
    assert_eq!(flags(&own(&observed)), [F::default(), F::BANS_OBSERVED]);
    let observed = format!("[host]\nmode = \"observe\"\n{reset}");
    assert_eq!(
        flags(&(observed + &service(reset))),
        [F::BANS_OBSERVED, F::default()]
    );
}

#[test]
fn digest_depends_only_on_what_is_enforced() {
    let base = "[[service]]\nname = \"pg_\"\nports = [\"5432\"]\n[[policy]]\nname = \"one\"\n";
    let digest = |tail: &str| compile(&state_of(&format!("{base}{tail}"))).digest();
    let one = digest("block = [\"10.0.0.0/8\"]");
    assert_eq!(
        one,
        digest("block = [\"10.128.0.0/9\", \"10.0.0.0/9\"]\ncomment = \"x\"")
    );
    assert_ne!(one, digest("block = [\"10.0.0.0/9\"]"));
    assert_ne!(one, digest("allow = [\"10.0.0.0/8\"]"));
    assert_ne!(
        one,
        digest("block = [\"10.0.0.0/8\"]\n[host]\nfailsafe_ports = []")
    );
    assert_ne!(
        one,
        digest("block = [\"10.0.0.0/8\"]\n[host]\nmode = \"observe\"")
    );
}

#[test]
fn progress_ends_at_the_total() {
    let state = state_of("[[policy]]\nname = \"one\"\nblock = [\"10.0.0.0/8\", \"::1\"]\n");
    let mut calls = Vec::new();
    let empty = Compilation::new(&State::empty());
    let _ = empty.next(&state, &mut |done, total| calls.push((done, total)));
    assert_eq!(calls, [(2, 2)]);
}
