//! The memory of sources: who came, hits of rules, rates.

use super::*;
use crate::testing::word;

fn source(source: &str, verdict: SourceVerdict, reason: &str) -> SourceView {
    SourceView {
        source: source.into(),
        sources: 1,
        scope: "postgres".into(),
        verdict,
        reason: word(reason),
        policy: None,
        list: None,
        named_list: None,
        rule: None,
        generation: 4,
        first_seen: at("10:00:00"),
        last_seen: at("11:59:58"),
        attempts: 7,
        sampled: false,
    }
}

fn page() -> SourcesPage {
    let blocked = SourceView {
        policy: Some("abuse".into()),
        list: Some(ListKind::Block),
        named_list: Some("bad-hosts".into()),
        rule: Some("203.0.113.0/24".into()),
        attempts: 120_000,
        sampled: true,
        ..source("203.0.113.9", SourceVerdict::Denied, "blocked")
    };
    let unlisted = SourceView {
        policy: Some("office".into()),
        list: Some(ListKind::Allow),
        ..source("2001:db8::/64", SourceVerdict::Denied, "not-allowed")
    };
    SourcesPage {
        sources: vec![
            blocked,
            unlisted,
            source("10.0.0.1", SourceVerdict::Allowed, "bypass"),
        ],
        total: 3,
        next: None,
        since: at("09:00:00"),
        lost_before: None,
        lost_from: None,
        displaced: 0,
    }
}

#[test]
fn sources_are_lines_with_verdict_and_rule() {
    shows(
        &page(),
        "
SOURCE          SCOPE      VERDICT   REASON        ATTEMPTS   FIRST                 LAST                  RULE
203.0.113.9     postgres   denied    blocked        ~120000   2026-11-20 10:00:00   2026-11-20 11:59:58   abuse block @bad-hosts 203.0.113.0/24
2001:db8::/64   postgres   denied    not-allowed          7   2026-11-20 10:00:00   2026-11-20 11:59:58   office
10.0.0.1        postgres   allowed   bypass               7   2026-11-20 10:00:00   2026-11-20 11:59:58   -
",
    );
    reads_back(&page());
    let mut networks = page();
    networks.sources.truncate(1);
    networks.sources[0].source = "203.0.113.0/24".into();
    networks.sources[0].sources = 12;
    assert!(table(&networks).starts_with("SOURCE           SOURCES   SCOPE"));
    let none = SourcesPage {
        sources: Vec::new(),
        ..page()
    };
    shows(&none, "\nno such source since 2026-11-20 09:00:00\n");
}

#[test]
fn rules_are_lines_with_hits() {
    let line = |rule: Option<&str>, hits| HitLine {
        policy: "office".into(),
        list: ListKind::Allow,
        named_list: None,
        rule: rule.map(Into::into),
        unmatched: rule.is_none(),
        hits,
        sampled: hits > 1000,
        first_hit: (hits > 0).then(|| at("10:00:00")),
        last_hit: (hits > 0).then(|| at("11:00:00")),
    };
    let mut report = HitsReport {
        rules: vec![
            line(Some("10.0.0.0/8"), 1204),
            line(Some("192.0.2.1"), 0),
            line(None, 31),
        ],
        counted_since: at("09:00:00"),
        unused_since: None,
        incomplete: false,
    };
    shows(
        &report,
        "
POLICY   LIST    RULE                HITS    FIRST                 LAST
office   allow   10.0.0.0/8          ~1204   2026-11-20 10:00:00   2026-11-20 11:00:00
office   allow   192.0.2.1               0   -                     -
office   allow   (no rule matched)      31   2026-11-20 10:00:00   2026-11-20 11:00:00
",
    );
    report.unused_since = Some(at("09:30:00"));
    report.rules.retain(|rule| rule.hits == 0);
    report.rules[0].named_list = Some("bad-hosts".into());
    report.rules[0].rule = None;
    shows(
        &report,
        "
1 rule or list without a hit since 2026-11-20 09:30:00
POLICY   LIST    RULE         HITS   FIRST   LAST
office   allow   @bad-hosts      0   -       -
",
    );
    report.rules.clear();
    shows(
        &report,
        "\n0 rules and lists without a hit since 2026-11-20 09:30:00\n",
    );
}

#[test]
fn rates_are_lines_in_the_order_of_time() {
    let bucket = |time: &str, policy: Option<&str>, sampled| RateBucket {
        time: at(time),
        scope: "host".into(),
        policy: policy.map(Into::into),
        reason: word("blocked"),
        verdict: SourceVerdict::Denied,
        attempts: 800,
        sampled,
    };
    let rates = RatesView {
        step: RateStep::Hour,
        since: at("09:00:00"),
        remembered_since: at("08:00:00"),
        buckets: vec![
            bucket("10:00:00", Some("office"), false),
            bucket("11:00:00", None, true),
        ],
    };
    shows(
        &rates,
        "
HOUR                  SCOPE   VERDICT   REASON    ATTEMPTS   POLICY
2026-11-20 10:00:00   host    denied    blocked        800   office
2026-11-20 11:00:00   host    denied    blocked       ~800   -
",
    );
    reads_back(&rates);
}
