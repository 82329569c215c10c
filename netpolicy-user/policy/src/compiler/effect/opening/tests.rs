//! Openings, compared with look-ups at every boundary, and their sentences.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netpolicy_common::Action;
use proptest::prelude::*;

use super::*;
use crate::compiler::compile;
use crate::model::arbitrary::{boundaries, cx, net, state};
use crate::model::change::{Change, SourceText};
use crate::model::effect::openings_in_words;
use crate::model::{Mode, PortSet, State};

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

fn opened(old: &str, new: &str) -> String {
    let (old, new) = (compile(&state_of(old)), compile(&state_of(new)));
    let exempt = &Exempt::default();
    let [old, new] = [&old, &new].map(|rules| Doors { rules, exempt });
    openings_in_words(&openings(old, new))
}

const OFFICE: &str = "[[policy]]\nname = \"office\"\nallow = [\"10.0.0.0/8\"]\n";
const ABUSE: &str = "[[policy]]\nname = \"abuse\"\nblock = [\"203.0.113.0/24\"]\n";
const DUAL: &str = "[[policy]]\nname = \"office\"\nallow = [\"10.0.0.0/8\", \"fd00::/8\"]\n";

#[test]
fn removed_restriction_opens_the_host() {
    let every = "the host to every source";
    assert_eq!(opened(OFFICE, ""), every);
    assert_eq!(
        opened(OFFICE, &format!("[host]\nmode = \"observe\"\n{OFFICE}")),
        every
    );
    let inactive = format!("{OFFICE}active = false\n");
    assert_eq!(opened(OFFICE, &inactive), every);
    // What is blocked is IPv4 alone, and IPv6 was open before.
    assert_eq!(opened(ABUSE, ""), "the host to every IPv4 source");
    // All but some begin to pass.
    assert_eq!(
        opened(OFFICE, ABUSE),
        "the host to every IPv6 source, the host to 99 % of all IPv4 sources"
    );
    assert_eq!(
        opened(DUAL, &DUAL.replace("fd00::/8", "2000::/3")),
        "the host to 99 % of all IPv6 sources"
    );
    assert_eq!(
        opened(DUAL, &DUAL.replace("10.0.0.0/8", "0.0.0.0/1")),
        "the host to 50 % of all IPv4 sources"
    );
    assert_eq!(
        opened(
            OFFICE,
            &format!("[host]\nfailsafe_ports = [\"22\", \"5432-5434\"]\n{OFFICE}")
        ),
        "the host (ports 5432-5434) to every source"
    );
}

#[test]
fn change_that_leaves_most_sources_denied_opens_nothing() {
    assert_eq!(opened("", OFFICE), "");
    assert_eq!(opened("", ABUSE), "");
    assert_eq!(opened(OFFICE, OFFICE), "");
    assert_eq!(opened(OFFICE, DUAL), "");
    assert_eq!(
        opened(OFFICE, &OFFICE.replace("10.0.0.0/8", "64.0.0.0/3")),
        ""
    );
    assert_eq!(opened(&format!("{OFFICE}{ABUSE}"), OFFICE), "");
    let inactive = format!("{OFFICE}active = false\n");
    assert_eq!(opened(&inactive, ""), "");
    let observed = format!("[host]\nmode = \"observe\"\n{OFFICE}");
    assert_eq!(opened(&observed, ""), "");
    assert_eq!(
        opened(
            "[host]\nfailsafe_ports = [\"22\"]\n",
            "[host]\nfailsafe_ports = []\n"
        ),
        ""
    );
}

#[test]
fn opened_services_are_named_with_their_ports() {
    let service = "[[service]]\nname = \"postgres\"\nports = [\"5432\"]\n";
    let dba = "[[policy]]\nname = \"dba\"\nallow = [\"10.0.0.1\"]\nbind = [\"postgres\"]\n";
    let restricted = format!("{OFFICE}{service}{dba}");
    // The host governs it then, which denies as many.
    assert_eq!(opened(&restricted, &format!("{OFFICE}{service}")), "");
    assert_eq!(
        opened(&format!("{service}{dba}"), service),
        "service postgres to every source"
    );
    assert_eq!(
        opened(
            &format!("{service}{dba}"),
            &format!("{}{dba}", service.replace("5432", "5433"))
        ),
        "service postgres (port 5432) to every source"
    );
    let anyone = "[[policy]]\nname = \"open\"\nallow = [\"0.0.0.0/0\"]\nbind = [\"postgres\"]\n";
    assert_eq!(
        opened(
            &format!("{OFFICE}{service}"),
            &format!("{OFFICE}{service}{anyone}")
        ),
        "service postgres to every IPv4 source"
    );
    assert_eq!(
        opened(&format!("{OFFICE}{service}"), service),
        "the host and service postgres to every source"
    );
}

#[test]
fn many_opened_scopes_are_named_in_part_and_counted() {
    let services = |n: usize| -> String {
        (0..n)
            .map(|n| {
                format!(
                    "[[service]]\nname = \"svc{n}\"\nports = [\"{}\"]\n",
                    9000 + n
                )
            })
            .collect()
    };
    assert_eq!(
        opened(&format!("{OFFICE}{}", services(9)), &services(9)),
        "the host, service svc0, service svc1, service svc2 and 6 more scopes to every source"
    );
}

#[test]
fn bypasses_that_cover_a_family_open_it() {
    let rules = &compile(&state_of(DUAL));
    let nets = |nets: &[&str]| {
        let nets = nets.iter().map(|net| (HOST_SCOPE, net.parse().unwrap()));
        Exempt::new(&nets.collect::<Vec<_>>())
    };
    let opened = |old: &[&str], new: &[&str]| {
        let (old, new) = (&nets(old), &nets(new));
        let [old, new] = [old, new].map(|exempt| Doors { rules, exempt });
        openings_in_words(&openings(old, new))
    };
    assert_eq!(
        opened(&[], &["0.0.0.0/0", "::/0"]),
        "the host to every source"
    );
    assert_eq!(opened(&[], &["::/0"]), "the host to every IPv6 source");
    assert_eq!(
        opened(&[], &["128.0.0.0/1"]),
        "the host to 50 % of all IPv4 sources"
    );
    let eighths: Vec<String> = (0..8).map(|n| format!("{}.0.0.0/3", n * 32)).collect();
    let eighths: Vec<&str> = eighths.iter().map(String::as_str).collect();
    assert_eq!(
        opened(&eighths[..7], &eighths),
        "the host to every IPv4 source"
    );
    assert_eq!(opened(&eighths[..6], &eighths[..7]), "");
    assert_eq!(opened(&eighths, &eighths), "");
    assert_eq!(opened(&eighths, &eighths[..1]), "");
}

/// Whether a family is open, or how much of it passes, by looking up.
struct Seen {
    open: (bool, bool),
    begins: u128,
}

fn look<P: Measured>(points: &[P::Address], passes: impl Fn(bool, P::Address) -> bool) -> Seen {
    let mut seen = Seen {
        open: (true, true),
        begins: 0,
    };
    let mut points = points.to_vec();
    points.extend([P::Address::LOWEST, P::Address::HIGHEST]);
    points.sort_unstable();
    points.dedup();
    let mut visit = |range: Interval<P::Address>| {
        let (before, after) = (passes(false, range.0), passes(true, range.0));
        seen.open.0 &= before;
        seen.open.1 &= after;
        if !before && after {
            seen.begins += P::measure(range);
        }
    };
    for pair in points.windows(2) {
        visit((pair[0], pair[0]));
        let (first, last) = (pair[0].next().unwrap(), pair[1].previous().unwrap());
        if first <= last {
            visit((first, last));
        }
    }
    visit((P::Address::HIGHEST, P::Address::HIGHEST));
    seen
}

fn all<P: Measured>() -> u128 {
    P::measure((P::Address::LOWEST, P::Address::HIGHEST))
}

fn wide_net() -> impl Strategy<Value = IpNet> {
    let wide = proptest::sample::select(vec![
        "0.0.0.0/0",
        "0.0.0.0/1",
        "128.0.0.0/1",
        "::/0",
        "::/1",
        "2000::/3",
        "8000::/1",
    ]);
    prop_oneof![wide.prop_map(|net| net.parse().unwrap()), net()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn openings_are_those_found_by_lookup(
        mut old in state(),
        mut new in state(),
        same in any::<bool>(),
        modes in (any::<bool>(), any::<bool>()),
        exempt in (proptest::collection::vec(wide_net(), 0..3), proptest::collection::vec(wide_net(), 0..3)),
    ) {
        if same {
            new = old.clone();
            new.policies.pop();
        }
        for (state, observe) in [(&mut old, modes.0), (&mut new, modes.1)] {
            if observe {
                state.host.mode = Mode::Observe;
            }
            state.host.failsafe_ports = PortSet::parse(&["22"]).unwrap();
        }
        let mut points: BTreeSet<IpAddr> = boundaries(&old);
        points.extend(boundaries(&new));
        let host = |nets: &[IpNet]| Exempt::new(&nets.iter().map(|&net| (HOST_SCOPE, net)).collect::<Vec<_>>());
        let (old_exempt, new_exempt) = (host(&exempt.0), host(&exempt.1));
        for net in exempt.0.iter().chain(&exempt.1) {
            points.extend([net.network(), net.broadcast()]);
            match net.broadcast() {
                IpAddr::V4(last) => drop(points.insert(IpAddr::V4(u32::from(last).wrapping_add(1).into()))),
                IpAddr::V6(last) => drop(points.insert(IpAddr::V6(u128::from(last).wrapping_add(1).into()))),
            }
        }
        let (old_rules, new_rules) = (compile(&old), compile(&new));
        let found = openings(
            Doors { rules: &old_rules, exempt: &old_exempt },
            Doors { rules: &new_rules, exempt: &new_exempt },
        );
        for (pair, ports) in pairs(&old_rules, &new_rules) {
            let passes = |after: bool, source: IpAddr| {
                let (rules, scope, nets) = match after {
                    false => (&old_rules, pair.0, &exempt.0),
                    true => (&new_rules, pair.1, &exempt.1),
                };
                scope == FAILSAFE_SCOPE
                    || rules.lookup(scope, source).action() != Action::Drop
                    || nets.iter().any(|net| net.contains(&source))
            };
            let v4: Vec<u32> = points.iter().filter_map(|p| match p { IpAddr::V4(a) => Some(u32::from(*a)), IpAddr::V6(_) => None }).collect();
            let v6: Vec<u128> = points.iter().filter_map(|p| match p { IpAddr::V6(a) => Some(u128::from(*a)), IpAddr::V4(_) => None }).collect();
            let v4 = look::<Prefix4>(&v4, |after, address| passes(after, IpAddr::V4(address.into())));
            let v6 = look::<Prefix6>(&v6, |after, address| passes(after, IpAddr::V6(address.into())));
            let percent = |seen: &Seen, all: u128| match seen.open {
                (before, true) => (!before).then_some(100),
                _ if seen.begins / (all / 100) < 25 => None,
                _ => u8::try_from(((seen.begins + all / 200) / (all / 100)).min(99)).ok(),
            };
            let (v4, v6) = (percent(&v4, all::<Prefix4>()), percent(&v6, all::<Prefix6>()));
            let expected: Vec<(OpenTo, u8)> = match (v4, v6) {
                (Some(v4), Some(v6)) if v4 == v6 => vec![(OpenTo::Every, v4)],
                _ => {
                    let v4 = v4.map(|percent| (OpenTo::Ipv4, percent));
                    v4.into_iter().chain(v6.map(|percent| (OpenTo::Ipv6, percent))).collect()
                }
            };
            let (_, scope) = scope_of(&old_rules, &new_rules, pair);
            let of_pair = found.iter().filter(|o| o.scope == scope && o.ports == ports);
            let of_pair: Vec<_> = of_pair.map(|o| (o.sources, o.percent)).collect();
            prop_assert_eq!(of_pair, expected, "{:?}", pair);
        }
    }
}
