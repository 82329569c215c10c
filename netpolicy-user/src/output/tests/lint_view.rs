//! What lint found, grouped by policy.

use super::*;
use crate::model::lint::{Code, Finding, RuleAt, Severity};

fn finding(severity: Severity, code: Code, policies: &[&str], message: &str) -> Finding {
    Finding {
        code,
        severity,
        policies: policies.iter().map(|&name| name.to_owned()).collect(),
        scope: None,
        rule: None,
        other: None,
        message: message.into(),
        more: 0,
    }
}

#[test]
fn findings_are_grouped_by_policy() {
    let rule = |policy: &str, text: &str, line: u8| {
        Some(RuleAt {
            named: None,
            policy: policy.into(),
            list: "block".into(),
            text: text.into(),
            place: Some(format!("hosts.txt:{line}")),
        })
    };
    let covered = |text, line| Finding {
        rule: rule("office", text, line),
        other: rule("one", "10.0.0.0/24", 2),
        ..finding(Severity::Warning, Code::CoveredRule, &["office"], "covered")
    };
    let denies_all = finding(
        Severity::Error,
        Code::DeniesAll,
        &["office"],
        "no source passes",
    );
    let findings = [
        denies_all,
        covered("10.0.0.7", 7),
        Finding {
            more: 1234,
            ..covered("10.0.0.70", 9)
        },
        finding(
            Severity::Note,
            Code::MissingFamily,
            &["one", "two"],
            "no\nIPv6",
        ),
        Finding {
            scope: Some("postgres".into()),
            ..finding(Severity::Note, Code::Ungoverned, &[], "open")
        },
    ];
    shows(
        &findings[..],
        "
policy office
  error: no source passes [denies-all]
  warning: covered by another rule of the same list: remove the narrower [covered-rule]
    block hosts.txt:7   10.0.0.7    in block 10.0.0.0/24 (hosts.txt:2) of policy one
    block hosts.txt:9   10.0.0.70   in block 10.0.0.0/24 (hosts.txt:2) of policy one
    and 1234 more

policies one, two
  note: no\\nIPv6 [missing-family]

service postgres
  note: open [ungoverned]

1 error, 1236 warnings, 2 notes
",
    );
    assert_eq!(table(&[] as &[Finding]), "no findings\n");
}
