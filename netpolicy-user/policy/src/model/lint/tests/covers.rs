//! Ranges that several rules cover together are found like those that one rule covers.

use super::*;
use crate::model::lint::lint_on;

/// The messages about rules that cover something together.
fn together(toml: &str) -> Vec<String> {
    let findings = lint(&state_of(toml));
    let of_none = findings.iter().filter(|f| f.rule.is_none());
    of_none
        .map(|f| format!("{}: {}", f.code.name(), f.message))
        .collect()
}

fn blocks(nets: &[&str]) -> String {
    format!("block = [\"{}\"]", nets.join("\", \""))
}

const WHY: &str =
    "your own machines and this network's services may be there; remove what is not intended";

#[test]
fn local_ranges_that_several_blocks_cover_are_found() {
    for (nets, range) in [
        (
            &["10.0.0.0/9", "10.128.0.0/9"][..],
            "10.0.0.0/8, private (RFC 1918)",
        ),
        (
            &["192.168.128.0/17", "192.168.0.0/18", "192.168.64.0/18"],
            "192.168.0.0/16, private (RFC 1918)",
        ),
        (
            &["126.0.0.0/8", "127.0.0.0/9", "127.128.0.0/9"],
            "127.0.0.0/8, loopback (RFC 1122)",
        ),
        (
            &["fc00::/8", "fd00::/8"],
            "fc00::/7, unique local (RFC 4193)",
        ),
        (
            &["fe80::/11", "fea0::/11"],
            "fe80::/10, link-local (RFC 4291)",
        ),
    ] {
        let expected = format!("special-range: the blocks cover all of {range}: {WHY}");
        assert_eq!(
            together(&policy("bad_hosts", &blocks(nets))),
            [expected],
            "{nets:?}"
        );
    }
    // One address is left.
    let but_last = [
        "10.0.0.0/9",
        "10.128.0.0/10",
        "10.192.0.0/11",
        "10.224.0.0-10.255.255.254",
    ];
    assert_eq!(together(&policy("bad_hosts", &blocks(&but_last))), [""; 0]);
    let but_first = ["10.0.0.1-10.127.255.255", "10.128.0.0/9"];
    assert_eq!(together(&policy("bad_hosts", &blocks(&but_first))), [""; 0]);
}

#[test]
fn wide_blocks_name_the_local_ranges_in_them() {
    let found = together(&policy("wide", &blocks(&["0.0.0.0/2"])));
    assert_eq!(
        found,
        [format!(
            "special-range: the blocks cover all of 10.0.0.0/8, private (RFC 1918): {WHY}"
        )]
    );
}

#[test]
fn policies_of_a_scope_cover_a_local_range_together() {
    let one = policy("one", &blocks(&["10.0.0.0/9"]));
    let two = policy("two", &blocks(&["10.128.0.0/9"]));
    let findings = lint(&state_of(&format!("{one}{two}")));
    let [finding] = &findings[..] else {
        panic!("{findings:?}")
    };
    assert_eq!(finding.policies, ["one", "two"]);
    assert_eq!(finding.scope.as_deref(), Some("host"));
    assert_eq!(finding.code, Code::SpecialRange);
    // Not where they never govern together, nor where one has an allow list.
    assert_eq!(together(&format!("{one}{two}active = false\n")).len(), 1);
    let allow = policy("three", &format!("allow = [{BOTH}\"10.0.0.0/8\"]"));
    let with_allow = codes(&format!("{one}{two}{allow}"));
    assert!(!with_allow.contains(&Code::SpecialRange), "{with_allow:?}");
    // A range that is reported of one policy by itself is not reported again of the scope.
    let whole = policy("two", &blocks(&["10.0.0.0/8"]));
    let found = codes(&format!("{one}{whole}"));
    assert_eq!(
        found.iter().filter(|c| **c == Code::SpecialRange).count(),
        1
    );
}

#[test]
fn blocks_that_cover_a_network_of_the_host_are_found() {
    let own = [
        ("203.0.113.0/24".parse().unwrap(), "eth0".to_owned()),
        ("198.51.100.1/32".parse().unwrap(), "ppp0".to_owned()),
        ("10.0.0.0/8".parse().unwrap(), "eth1".to_owned()),
    ];
    let nets = ["203.0.113.0/25", "203.0.113.128/25", "198.51.100.0/24"];
    let state = state_of(&policy("bad_hosts", &blocks(&nets)));
    assert_eq!(lint(&state), []);
    let findings = lint_on(&state, &own);
    let [finding] = &findings[..] else {
        panic!("{findings:?}")
    };
    assert_eq!(
        finding.message,
        format!("the blocks cover all of 203.0.113.0/24, this host's own network on eth0: {WHY}")
    );
}

#[test]
fn allow_rules_that_cover_a_family_together_are_found() {
    let halves = format!("allow = [{BOTH}\"0.0.0.0/1\", \"128.0.0.0/1\"]");
    assert_eq!(
        together(&policy("office", &halves)),
        [
            "allows-everything: the allow rules cover all of IPv4 together, so they restrict nothing there on the host: name the networks that are meant"
        ]
    );
    let most = format!("allow = [{BOTH}\"0.0.0.0/1\", \"128.0.0.0/2\"]");
    assert_eq!(together(&policy("office", &most)), [""; 0]);
}

#[test]
fn service_that_shares_no_source_with_the_host_denies_every_source() {
    let service = |combine: &str| {
        format!("[[service]]\nname = \"postgres\"\nports = [\"5432\"]\ncombine = \"{combine}\"\n")
    };
    let host = policy("office", "allow = [\"10.0.0.0/8\", \"2001:db8::/32\"]");
    let own = |allow: &str| {
        policy(
            "dba",
            &format!("allow = [\"{allow}\", \"fd00::/8\"]\nbind = [\"postgres\"]"),
        )
    };
    let all = |combine, allow: &str| codes(&format!("{}{host}{}", service(combine), own(allow)));
    assert_eq!(all("and", "192.0.2.0/24"), [Code::DeniesAll]);
    assert_eq!(all("override", "192.0.2.0/24"), []);
    assert_eq!(all("and", "10.1.0.0/16"), []);
    // What the host allows but for a block.
    let host = policy(
        "office",
        "allow = [\"10.0.0.0/8\", \"2001:db8::/32\"]\nblock = [\"10.1.0.0/17\", \"10.1.128.0/17\"]",
    );
    let toml = format!("{}{host}{}", service("and"), own("10.1.0.0/16"));
    assert_eq!(codes(&toml), [Code::DeniesAll]);
    let toml = format!("{}{host}{}", service("and"), own("10.0.0.0/15"));
    assert_eq!(codes(&toml), []);
}
