//! Effects, compared with single look-ups of sources, and their sentences.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::compiler::{Compilation, compile};
use crate::model::arbitrary::{boundaries, cx, state};
use crate::model::change::{Change, SourceText};
use crate::model::{Mode, PortSet, State};

const UNBOUNDED: Bounds = Bounds {
    listed: usize::MAX,
    differing: usize::MAX,
    pieces: usize::MAX,
    at_least: 0,
};

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

fn sentences(old: &str, new: &str) -> Vec<String> {
    let effects = effects(&compile(&state_of(old)), &compile(&state_of(new)));
    assert!(!effects.is_cut);
    effects.found.iter().map(Effect::sentence).collect()
}

fn drops(rules: &Ruleset, scope: ScopeId, source: IpAddr) -> bool {
    scope != FAILSAFE_SCOPE && rules.lookup(scope, source).action() == Action::Drop
}

/// What happens to a source by uncut effects; `old`: what passed before.
fn reported(effects: &[Effect], source: IpAddr, dropped_before: bool) -> bool {
    let verdicts = effects.iter().filter(|effect| {
        let parse = |net: &String| {
            net.parse::<IpNet>()
                .or_else(|_| net.parse().map(IpAddr::into))
        };
        let listed = effect
            .sources
            .networks
            .iter()
            .any(|net| parse(net).unwrap().contains(&source));
        assert_eq!((effect.sources.more, effect.sources.at_least), (0, false));
        match effect.sources.kind {
            SourcesKind::Networks => listed,
            SourcesKind::All => !listed,
            SourcesKind::AllIpv4 => source.is_ipv4() && !listed,
            SourcesKind::AllIpv6 => source.is_ipv6() && !listed,
        }
    });
    let mut dropped = dropped_before;
    for effect in verdicts {
        dropped = effect.becomes == Becomes::Denied;
    }
    dropped
}

fn check(old: &State, new: &State, more: &[IpAddr]) -> Result<(), TestCaseError> {
    let (old_rules, new_rules) = (compile(old), compile(new));
    let effects = effects_within(&old_rules, &new_rules, UNBOUNDED).found;
    let mut sources = boundaries(old);
    sources.extend(boundaries(new));
    sources.extend(more);
    for (pair, ports) in pairs(&old_rules, &new_rules) {
        let (scope, _) = scope_of(&old_rules, &new_rules, pair);
        let of_pair: Vec<_> = effects
            .iter()
            .filter(|effect| effect.scope == scope && effect.ports == ports)
            .cloned()
            .collect();
        for effect in of_pair
            .iter()
            .filter(|e| e.sources.kind == SourcesKind::Networks)
        {
            // Listed are those that change, and no others.
            for net in &effect.sources.networks {
                let net: IpNet = net
                    .parse()
                    .unwrap_or_else(|_| net.parse::<IpAddr>().unwrap().into());
                for source in [net.network(), net.broadcast()] {
                    let change = (
                        drops(&old_rules, pair.0, source),
                        drops(&new_rules, pair.1, source),
                    );
                    let denied = effect.becomes == Becomes::Denied;
                    prop_assert_eq!(change, (!denied, denied), "{}", source);
                }
            }
        }
        for &source in &sources {
            let (before, after) = (
                drops(&old_rules, pair.0, source),
                drops(&new_rules, pair.1, source),
            );
            prop_assert_eq!(
                reported(&of_pair, source, before),
                after,
                "{} at {:?}: {:?}",
                source,
                pair,
                of_pair
            );
        }
    }
    // What is cut says the same of how many there are.
    let few = Bounds {
        listed: 2,
        ..UNBOUNDED
    };
    let cut = effects_within(&old_rules, &new_rules, few).found;
    let count = |effects: &[Effect]| -> Vec<_> {
        effects
            .iter()
            .map(|effect| (effect.becomes, effect.sources.kind, effect.sources.count()))
            .collect()
    };
    prop_assert_eq!(count(&cut), count(&effects));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn sources_are_reported_if_and_only_if_their_verdict_changes(
        old in state(),
        new in state(),
        more in prop::collection::vec(any::<IpAddr>(), 8),
    ) {
        check(&old, &new, &more)?;
    }

    #[test]
    fn small_changes_are_reported(
        old in state(),
        other in state(),
        what in 0..5_u8,
        more in prop::collection::vec(any::<IpAddr>(), 8),
    ) {
        let mut new = old.clone();
        match (what, new.policies.first_mut(), new.services.first_mut()) {
            (0, Some(policy), _) => policy.active = !policy.active,
            (1, Some(policy), _) => if let Some(other) = other.policies.first() {
                policy.block = other.block.clone();
            },
            (2, _, Some(service)) => service.ports = PortSet::single(6000),
            (3, ..) => new.host.mode = match old.host.mode {
                Mode::Enforce => Mode::Observe,
                Mode::Observe => Mode::Enforce,
            },
            (4, _, Some(service)) => {
                new.host.failsafe_ports = service.ports.clone();
                service.ports = PortSet::single(6000);
            }
            _ => {}
        }
        check(&old, &new, &more)?;
        let rules = compile(&old);
        prop_assert_eq!(effects(&rules, &rules.clone()), Effects::default());
    }
}

#[test]
fn verdict_of_a_port_respects_failsafe_ports_and_services() {
    let rules = compile(&state_of(
        "[[service]]\nname = \"pg_\"\nports = [\"5432\"]\n\
         [[policy]]\nname = \"all\"\nblock = [\"10.0.0.0/8\"]\n\
         [[policy]]\nname = \"own\"\nallow = [\"10.0.0.0/8\"]\nbind = [\"pg_\"]\n",
    ));
    use netpolicy_common::Reason;
    let judge = |port| rules.judge_port(port, "10.0.0.1".parse().unwrap());
    assert_eq!(judge(22), (HOST_SCOPE, Reason::Failsafe));
    assert_eq!(judge(5432), (1, Reason::Allowed));
    assert_eq!(judge(80), (HOST_SCOPE, Reason::Blocked));
    let open = compile(&State::empty());
    let newly = |port| denied_newly(&open, &rules, port, "10.0.0.1".parse().unwrap());
    assert_eq!([22, 5432, 80].map(newly), [false, false, true]);
    assert!(!denied_newly(
        &rules,
        &rules,
        80,
        "10.0.0.1".parse().unwrap()
    ));
}

const PG: &str = "[[service]]\nname = \"postgres\"\nports = [\"5432\"]\n";

fn policy(name: &str, rest: &str) -> String {
    format!("[[policy]]\nname = \"{name}\"\n{rest}\n")
}

#[test]
fn blocked_network_becomes_denied() {
    let on_pg = |block: &str| {
        PG.to_owned() + &policy("own", &format!("bind = [\"postgres\"]\nblock = [{block}]"))
    };
    assert_eq!(
        sentences(&on_pg(""), &on_pg("\"203.0.113.0/24\"")),
        ["203.0.113.0/24 becomes denied on postgres"]
    );
    assert_eq!(
        sentences(
            &on_pg("\"203.0.113.7\", \"2001:db8::/32\""),
            &on_pg("\"203.0.113.0/24\"")
        ),
        [
            "203.0.113.0/30, 203.0.113.4/31, 203.0.113.6, 203.0.113.8/29, 203.0.113.16/28, \
             203.0.113.32/27, 203.0.113.64/26 and 203.0.113.128/25 become denied on postgres",
            "2001:db8::/32 becomes allowed on postgres"
        ]
    );
}

#[test]
fn first_allow_list_denies_the_other_sources() {
    let new = policy(
        "own",
        "bind = [\"postgres\"]\nallow = [\"203.0.113.0/24\", \"2001:db8:a::/64\"]",
    );
    assert_eq!(
        sentences(PG, &format!("{PG}{new}")),
        ["every source but 203.0.113.0/24 and 2001:db8:a::/64 becomes denied on postgres"]
    );
    assert_eq!(
        sentences(&format!("{PG}{new}"), PG),
        ["every source becomes allowed on postgres; 2 networks already were"],
    );
    let wide = policy("own", "bind = [\"postgres\"]\nallow = [\"0.0.0.0/0\"]");
    assert_eq!(
        sentences(PG, &format!("{PG}{wide}")),
        ["all IPv6 becomes denied on postgres"]
    );
    assert_eq!(
        sentences(
            &policy("own", "block = [\"10.0.0.0/8\"]"),
            &policy("own", "block = [\"10.0.0.0/8\"]\nallow = []")
        ),
        ["every source becomes denied on the host; 1 network already was"]
    );
}

#[test]
fn whole_family_and_part_of_the_other_are_both_named() {
    let old = policy("own", "allow = [\"0.0.0.0/0\", \"2001:db8::/32\"]");
    let new = policy("own", "allow = [\"203.0.113.0/24\"]");
    assert_eq!(
        sentences(&old, &new),
        [
            "all IPv4 but 203.0.113.0/24 becomes denied on the host",
            "2001:db8::/32 becomes denied on the host"
        ]
    );
}

#[test]
fn many_networks_are_named_in_part_and_counted() {
    let mut blocks = String::new();
    for i in 0..12_355 {
        let _ = write!(blocks, "\"10.{}.{}.1\",", i / 256, i % 256);
    }
    let old = policy("own", &format!("block = [{blocks}]"));
    let found = sentences(&old, &policy("own", ""));
    assert_eq!(
        found,
        [format!(
            "{} and 12,345 more networks become allowed on the host",
            (0..10)
                .map(|i| format!("10.0.{i}.1"))
                .collect::<Vec<_>>()
                .join(", ")
        )]
    );
}

#[test]
fn effects_name_added_removed_and_moved_services() {
    let host = policy("all", "block = [\"10.0.0.0/8\"]");
    let own = policy("own", "bind = [\"postgres\"]\nblock = [\"192.0.2.0/24\"]");
    let with = format!("{PG}{host}{own}");
    assert_eq!(
        sentences(&host, &with),
        [
            "192.0.2.0/24 becomes denied on postgres (port 5432)",
            "10.0.0.0/8 becomes allowed on postgres (port 5432)"
        ]
    );
    assert_eq!(
        sentences(&with, &host),
        [
            "10.0.0.0/8 becomes denied on postgres (port 5432)",
            "192.0.2.0/24 becomes allowed on postgres (port 5432)"
        ]
    );
    let moved = with.replace("5432", "5432-5434");
    assert_eq!(
        sentences(&with, &moved),
        [
            "192.0.2.0/24 becomes denied on postgres (ports 5433-5434)",
            "10.0.0.0/8 becomes allowed on postgres (ports 5433-5434)"
        ]
    );
    let judged = format!("[host]\nfailsafe_ports = []\n{host}");
    assert_eq!(
        sentences(&host, &judged),
        ["10.0.0.0/8 becomes denied on the host (port 22)"]
    );
}

#[test]
fn observed_scope_has_no_effect() {
    let observed = "[host]\nmode = \"observe\"\n";
    let all = policy("all", "allow = []");
    assert_eq!(sentences(observed, &format!("{observed}{all}")), [""; 0]);
    assert_eq!(
        sentences(&format!("{observed}{all}"), &all),
        ["every source becomes denied on the host"]
    );
}

#[test]
fn comparison_stops_at_its_bound_and_is_marked_incomplete() {
    let hosts = |from: u32| {
        let mut blocks = String::new();
        for i in from..from + 5_000 {
            let _ = write!(blocks, "\"10.{}.{}.1\",", i / 256, i % 256);
        }
        let toml = policy("own", &format!("block = [{blocks}]"));
        compile(&state_of(&toml))
    };
    let bounds = Bounds {
        listed: 1,
        differing: 10,
        pieces: 1_000,
        at_least: 0,
    };
    let found = effects_within(&hosts(0), &hosts(100_000 % 60_000), bounds);
    assert!(found.is_cut && found.may_deny() && found.may_allow());
    let [effect] = &*found.found else {
        panic!("{found:?}");
    };
    assert_eq!(
        effect.sentence(),
        "10.0.0.1 and at least 499 more networks become allowed on the host"
    );
}

/// The difference lies behind what is looked at: nothing is found, and nothing is ruled out.
#[test]
fn comparison_stopped_before_a_finding_excludes_no_effect() {
    let rules = |last: &str| {
        let mut blocks = String::new();
        for i in 0..5_000 {
            let _ = write!(blocks, "\"10.{}.{}.1\",", i / 256, i % 256);
        }
        let block = format!("block = [{blocks}\"{last}\"]");
        compile(&state_of(&policy("own", &block)))
    };
    let bounds = Bounds {
        listed: 1,
        differing: 0,
        pieces: 1_000,
        at_least: 0,
    };
    let found = effects_within(&rules("192.0.2.1"), &rules("192.0.2.9"), bounds);
    assert_eq!(found.found, []);
    assert!(found.is_cut && found.may_deny() && found.may_allow());
    let whole = effects_within(&rules("192.0.2.1"), &rules("192.0.2.9"), UNBOUNDED);
    assert!(!whole.is_cut && whole.found.len() == 2, "{whole:?}");
    let more = effects_within(&compile(&State::empty()), &rules("192.0.2.9"), UNBOUNDED);
    assert!(more.may_deny() && !more.may_allow());
}

#[test]
fn effect_round_trips_through_json() {
    let old = Compilation::new(&State::empty());
    let new = old.next(
        &state_of(&policy("own", "block = [\"10.0.0.1\"]")),
        &mut |_, _| {},
    );
    let effects = effects(old.ruleset(), new.ruleset()).found;
    let json = serde_json::to_value(&effects).unwrap();
    assert_eq!(
        json,
        serde_json::json!([{
            "scope": 0,
            "scope_name": "host",
            "becomes": "denied",
            "sources": {
                "kind": "networks", "networks": ["10.0.0.1"], "more": 0,
                "at_least": false, "already": 0
            }
        }])
    );
    assert_eq!(
        serde_json::from_value::<Vec<Effect>>(json).unwrap(),
        effects
    );
}
