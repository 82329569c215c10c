//! Every kind of finding, and states without one.

mod consequences;
mod covers;
mod exceptions;
mod named;

use std::fmt::Write as _;

use super::*;
use crate::model::RuleList;
use crate::model::arbitrary::cx;
use crate::model::change::{Change, SourceText};

pub(super) fn state_of(toml: &str) -> State {
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

pub(super) fn policy(name: &str, rest: &str) -> String {
    format!("[[policy]]\nname = \"{name}\"\n{rest}\n")
}

/// "severity code: message".
fn reported(toml: &str) -> Vec<String> {
    let findings = lint(&state_of(toml));
    let reported = findings
        .iter()
        .map(|f| format!("{} {}: {}", f.severity, f.code.name(), f.message));
    reported.collect()
}

fn codes(toml: &str) -> Vec<Code> {
    lint(&state_of(toml)).iter().map(|f| f.code).collect()
}

/// Lets a source of the other family through.
const BOTH: &str = "\"2001:db8::/32\", ";

#[test]
fn sound_policies_have_no_findings() {
    assert_eq!(reported(""), [""; 0]);
    let office = policy(
        "office",
        "allow = [\"10.0.0.0/8\", \"2001:db8::/32\"]\nblock = [\"10.1.0.0/16\", \"192.0.2.1/32\"]",
    );
    assert_eq!(reported(&office), [""; 0]);
    let blocks = policy(
        "bad_hosts",
        "block = [\"203.0.113.66\", \"198.51.100.0/24\"]",
    );
    assert_eq!(reported(&blocks), [""; 0]);
    assert!(!is_at_fault(&lint(&state_of(&office))));
}

#[test]
fn allow_inside_a_block_is_found() {
    let own = policy(
        "office",
        &format!("allow = [{BOTH}\"10.1.2.0/24\", \"192.0.2.0/24\"]\nblock = [\"10.1.0.0/16\"]"),
    );
    assert_eq!(
        reported(&own),
        [
            "warning allow-inside-block: 10.1.2.0/24 is allowed, but lies inside the block \
          10.1.0.0/16 (test.toml:4) and a block always wins: remove it, or the block"
        ]
    );
    let finding = &lint(&state_of(&own))[0];
    assert_eq!(finding.policies, ["office"]);
    let rule = finding.rule.as_ref().unwrap();
    assert_eq!((&*rule.list, &*rule.text), ("allow", "10.1.2.0/24"));
    assert_eq!(rule.place.as_deref(), Some("test.toml:3"));
    assert_eq!(finding.other.as_ref().unwrap().text, "10.1.0.0/16");

    let equal = own.replace("10.1.2.0/24", "10.1.0.0/16");
    assert_eq!(codes(&equal), [Code::AllowInsideBlock]);
    let wider = own.replace("10.1.2.0/24", "10.0.0.0/15");
    assert_eq!(codes(&wider), []);
    let halves = own.replace("[\"10.1.0.0/16\"]", "[\"10.1.2.0/25\", \"10.1.2.128/25\"]");
    assert_eq!(
        reported(&halves),
        [
            "warning allow-inside-block: 10.1.2.0/24 is allowed, but several blocks together cover \
          it and a block always wins: remove it, or the blocks"
        ]
    );
}

#[test]
fn allow_inside_a_block_of_another_policy_is_found() {
    let allow = policy(
        "office",
        &format!("allow = [{BOTH}\"10.1.2.0/24\", \"192.0.2.0/24\"]"),
    );
    let block = policy("bad_hosts", "block = [\"10.1.0.0/16\"]");
    let both = format!("{allow}{block}");
    assert_eq!(codes(&both), [Code::AllowInsideBlock]);
    assert!(reported(&both)[0].contains("10.1.0.0/16 (test.toml:6) of policy 'bad_hosts'"));
    // Not where the other does not govern.
    assert_eq!(codes(&format!("{both}active = false\n")), [Code::Inactive]);
    assert_eq!(
        codes(&format!("{both}mode = \"observe\"\n")),
        [Code::OnlyObserved]
    );
    let service = "[[service]]\nname = \"postgres\"\nports = [\"5432\"]\n";
    let elsewhere = format!("{service}{both}bind = [\"postgres\"]\n");
    assert_eq!(codes(&elsewhere), []);
    let wherever = format!("{service}{both}bind = [\"host\", \"postgres\"]\n");
    assert_eq!(codes(&wherever), [Code::AllowInsideBlock]);
}

#[test]
fn findings_of_both_families_are_counted_together() {
    let mut rules = vec!["\"10.0.0.0/24\"".to_owned(), "\"2001:db8::/64\"".to_owned()];
    rules.extend((1..=7).map(|n| format!("\"10.0.0.{n}\"")));
    rules.extend((1..=8).map(|n| format!("\"2001:db8::{n}\"")));
    let found = lint(&state_of(&policy(
        "office",
        &format!("allow = [{}]", rules.join(", ")),
    )));
    let covered: Vec<_> = found
        .iter()
        .filter(|finding| finding.code == Code::CoveredRule)
        .collect();
    let is_v6 = |finding: &&&Finding| finding.message.contains("2001:db8::");
    assert_eq!(covered.len() as u64, LISTED);
    assert_eq!(covered.iter().filter(is_v6).count(), 3);
    let more: Vec<_> = covered.iter().map(|finding| finding.more).collect();
    assert_eq!(more.iter().sum::<u64>(), 5, "{more:?}");
    assert_eq!(more.last(), Some(&5));
}

#[test]
fn rules_covered_by_others_are_found() {
    let one = policy(
        "office",
        &format!("allow = [{BOTH}\"10.1.2.3\", \"10.0.0.0/8\"]"),
    );
    assert_eq!(
        reported(&one),
        [
            "warning covered-rule: 10.1.2.3 lies inside 10.0.0.0/8 (test.toml:3) of the same list \
          and changes nothing: remove it"
        ]
    );
    let two = policy("bad_hosts", "block = [\"10.1.0.0/16\"]")
        + &policy("worse_hosts", "block = [\"10.1.0.0/16\", \"10.1.1.0/24\"]");
    let findings = lint(&state_of(&two));
    let found: Vec<_> = findings
        .iter()
        .map(|f| {
            (
                f.code,
                f.severity,
                &*f.policies[0],
                &*f.rule.as_ref().unwrap().text,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (
                Code::CoveredRule,
                Severity::Warning,
                "worse_hosts",
                "10.1.1.0/24"
            ),
            (
                Code::CoveredByPolicy,
                Severity::Note,
                "worse_hosts",
                "10.1.0.0/16"
            ),
        ]
    );
    let apart = policy("one", "block = [\"10.1.0.0/16\"]")
        + &policy("two", "block = [\"10.2.0.0/16\", \"10.0.0.0/16\"]");
    assert_eq!(codes(&apart), []);
}

#[test]
fn family_without_an_allow_entry_is_found() {
    let v4 = policy("office", "allow = [\"10.0.0.0/8\"]");
    assert_eq!(
        reported(&v4),
        [
            "warning missing-family: every IPv6 address is denied on the host, since no \
          allow list has one that is not blocked: add some if any is to pass"
        ]
    );
    let v6 = policy("office", "allow = [\"2001:db8::/32\"]");
    assert!(reported(&v6)[0].contains("every IPv4 address is denied"));
    // Another policy of the scope may name it.
    assert_eq!(
        codes(&format!("{v4}{}", v6.replace("office", "branch"))),
        []
    );
    let inactive = lint(&state_of(&format!("{v4}active = false\n")));
    let severities: Vec<_> = inactive.iter().map(|f| (f.code, f.severity)).collect();
    assert_eq!(
        severities,
        [
            (Code::MissingFamily, Severity::Note),
            (Code::Inactive, Severity::Note)
        ]
    );
}

#[test]
fn policies_that_deny_every_source_are_found() {
    let empty = policy("office", "allow = []");
    let findings = lint(&state_of(&empty));
    assert_eq!(
        (
            findings[0].code,
            findings[0].severity,
            findings[0].scope.as_deref()
        ),
        (Code::DeniesAll, Severity::Error, Some("host"))
    );
    assert!(is_at_fault(&findings));
    let blocked = policy(
        "office",
        "allow = [\"10.0.0.0/24\"]\nblock = [\"10.0.0.0/25\", \"10.0.0.128/25\"]",
    );
    assert_eq!(codes(&blocked), [Code::DeniesAll, Code::AllowInsideBlock]);
    let halves = "block = [\"0.0.0.0/1\", \"128.0.0.0/1\", \"::/1\", \"8000::/1\"]";
    assert_eq!(codes(&policy("office", halves)), [Code::DeniesAll]);
    // Another policy of the scope lets a source in.
    let other = policy("branch", &format!("allow = [{BOTH}\"10.0.0.0/8\"]"));
    assert_eq!(codes(&format!("{empty}{other}")), []);
    let idle = lint(&state_of(&format!("{empty}active = false\n")));
    assert_eq!(idle[0].severity, Severity::Warning);
}

#[test]
fn whole_family_on_a_list_is_found() {
    let allow = policy("office", "allow = [\"0.0.0.0/0\", \"::/0\"]");
    assert_eq!(
        codes(&allow),
        [Code::AllowsEverything, Code::AllowsEverything]
    );
    // A file may not block everything; what is stored may.
    let mut state = state_of(&policy("office", "block = [\"::1\"]"));
    let mut rule = state.policies[0].block[0].clone();
    rule.net = "::/0".parse().unwrap();
    state.policies[0].block = RuleList::from_parts(vec![rule], vec!["--block".into()]);
    let findings = lint(&state);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].code, Code::BlocksEverything);
    assert_eq!(
        codes(&policy("office", "block = [\"::/1\", \"0.0.0.0/1\"]")),
        [Code::SpecialRange, Code::BlocksHalf, Code::BlocksHalf]
    );
}

#[test]
fn special_ranges_on_public_lists_are_found() {
    let mut public = String::new();
    for i in 1..=9 {
        let _ = write!(public, "\"8.8.{i}.0/24\", ");
    }
    let with = |net: &str| policy("bad_hosts", &format!("block = [{public}\"{net}\"]"));
    assert_eq!(
        reported(&with("10.0.0.0/8")),
        [
            "warning special-range: 10.0.0.0/8 is private (RFC 1918), on a list of public addresses: \
          your own machines may be there; remove it unless it is meant"
        ]
    );
    assert_eq!(codes(&with("fe80::/10")), [Code::SpecialRange]);
    assert_eq!(codes(&with("9.9.9.9")), []);
    // On a short list, or one that is mostly private, only a whole range is found.
    let lan = |net: &str| codes(&policy("lan", &format!("block = [\"{net}\", \"8.8.8.8\"]")));
    assert_eq!(lan("10.0.0.0/8"), [Code::SpecialRange]);
    assert_eq!(lan("10.0.0.0/9"), []);
}

#[test]
fn host_bits_are_found() {
    let masked = policy(
        "office",
        "block = [\"192.168.1.7/24\", \"::ffff:10.0.0.1\", \"10.0.0.1/32\"]",
    );
    let found = reported(&masked.replace("\"::ffff:10.0.0.1\", ", ""));
    assert_eq!(
        found,
        [
            "warning host-bits: 192.168.1.7/24 means all of 192.168.1.0/24: write 192.168.1.0/24, \
          or the address without its length if only that is meant"
        ]
    );
    assert_eq!(
        codes(&policy(
            "office",
            "block = [\"::ffff:10.0.0.1\", \"10.1.0.0-10.1.0.9\"]"
        )),
        []
    );
}

#[test]
fn policies_without_effect_are_found() {
    assert_eq!(
        codes(&policy("office", "bind = []\nblock = [\"10.0.0.1\"]")),
        [Code::NotBound]
    );
    assert_eq!(
        codes(&policy("office", "active = false\nblock = [\"10.0.0.1\"]")),
        [Code::Inactive]
    );
    assert_eq!(codes(&policy("office", "")), [Code::RestrictsNothing]);
}

#[test]
fn services_without_a_policy_are_found() {
    let service = "[[service]]\nname = \"postgres\"\nports = [\"5432\"]\n";
    let found = lint(&state_of(service));
    assert_eq!(
        (found[0].code, found[0].scope.as_deref()),
        (Code::Ungoverned, Some("postgres"))
    );
    assert!(!is_at_fault(&found));
    let host = policy("office", "block = [\"10.0.0.1\"]");
    assert_eq!(codes(&format!("{service}{host}")), []);
    assert_eq!(
        codes(&format!("{service}{host}bind = [\"postgres\"]\n")),
        []
    );
}

#[test]
fn names_that_look_alike_are_found() {
    let block = "block = [\"10.0.0.1\"]";
    let two = |other: &str| policy("office1", block) + &policy(other, "block = [\"10.0.0.2\"]");
    assert_eq!(codes(&two("office_l")), [Code::SimilarNames]);
    assert_eq!(codes(&two("office2")), []);
}

#[test]
fn many_findings_of_one_kind_are_listed_in_part_and_counted() {
    let mut blocks = String::from("\"10.0.0.0/9\"");
    for i in 0..50 {
        let _ = write!(blocks, ", \"10.0.0.{i}\"");
    }
    let findings = lint(&state_of(&policy(
        "bad_hosts",
        &format!("block = [{blocks}]"),
    )));
    assert_eq!(findings.len(), 10);
    assert_eq!(findings[8].more, 0);
    assert_eq!(findings[9].more, 40);
}

#[test]
fn local_ranges_on_a_block_list_are_found_without_any_public_ones() {
    let ranges = [
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "127.0.0.0/8",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "fc00::/7",
        "fe80::/10",
    ];
    let list = format!("block = [\"{}\"]", ranges.join("\", \""));
    let findings = lint(&state_of(&policy("firehol", &list)));
    let found: Vec<_> = findings
        .iter()
        .map(|f| (f.code, f.severity, f.rule.as_ref().unwrap().text.as_str()))
        .collect();
    let expected = ranges.map(|range| (Code::SpecialRange, Severity::Warning, range));
    assert_eq!(found, expected);
    assert_eq!(
        reported(&policy("wide", "block = [\"8.0.0.0/5\"]")),
        [
            "warning special-range: 8.0.0.0/5 holds 10.0.0.0/8, private (RFC 1918): your own \
             machines and this network's services may be there; remove it from the list unless \
             they are meant"
        ]
    );
    // A part of such a range is meant, and so is allowing one.
    assert_eq!(codes(&policy("part", "block = [\"10.1.0.0/16\"]")), []);
    let allow = format!("allow = [{BOTH}\"10.0.0.0/8\"]");
    assert_eq!(codes(&policy("office", &allow)), []);
}

#[test]
fn blocks_that_cover_a_family_together_are_found() {
    let halves = "block = [\"0.0.0.0/1\", \"128.0.0.0/1\"]";
    let findings = lint(&state_of(&policy("halves", halves)));
    let of_scope: Vec<_> = findings.iter().filter(|f| f.rule.is_none()).collect();
    assert_eq!(of_scope.len(), 1, "{findings:?}");
    assert_eq!(
        (
            of_scope[0].code,
            of_scope[0].severity,
            &*of_scope[0].message
        ),
        (
            Code::BlocksEverything,
            Severity::Error,
            "every IPv4 address is denied on the host, since the blocks cover all of IPv4 \
             together: write an allow list instead"
        )
    );
    let apart = policy("one", "block = [\"::/1\"]") + &policy("two", "block = [\"8000::/1\"]");
    assert!(codes(&apart).contains(&Code::BlocksEverything));
    let both = "block = [\"0.0.0.0/1\", \"128.0.0.0/1\", \"::/1\", \"8000::/1\"]";
    assert!(codes(&policy("all", both)).contains(&Code::DeniesAll));

    let half = lint(&state_of(&policy("half", "block = [\"128.0.0.0/1\"]")));
    let half: Vec<_> = half.iter().filter(|f| f.code == Code::BlocksHalf).collect();
    assert_eq!(half.len(), 1);
    assert_eq!(half[0].severity, Severity::Note);
    assert!(
        half[0]
            .message
            .starts_with("50 % of all IPv4 addresses are denied on the host")
    );
    assert!(!codes(&policy("less", "block = [\"64.0.0.0/2\"]")).contains(&Code::BlocksHalf));
}

#[test]
fn host_bits_are_found_with_blanks_at_the_slash() {
    for text in [
        "10.1.2.3/24",
        "10.1.2.3 /24",
        "10.1.2.3/ 24",
        " 10.1.2.3 / 24 ",
    ] {
        let toml = policy("office", &format!("block = [\"{text}\"]"));
        assert_eq!(codes(&toml), [Code::HostBits], "{text:?}");
    }
}
