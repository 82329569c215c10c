//! What was found, who is connected, parts of a network, scopes, and history with changes.

use super::*;
use crate::model::Containment;
use crate::testing::word;

fn rule(text: &str, place: Option<&str>) -> RuleView {
    RuleView {
        text: text.into(),
        cidr: text.into(),
        name: None,
        comment: None,
        place: place.map(Into::into),
        expires: None,
    }
}

#[test]
fn found_items_say_where_they_count_and_who_made_them() {
    let item = |kind, relation, text: &str| FoundItem {
        kind,
        relation,
        name: None,
        side: None,
        used_by: Vec::new(),
        scopes: vec!["host".into()],
        rule: rule(text, None),
        by: None,
        until: None,
    };
    let found = FindView {
        network: "203.0.113.0/25".into(),
        items: vec![
            FoundItem {
                name: Some("office".into()),
                side: Some(ListKind::Allow),
                rule: rule("203.0.113.0/24", Some("office.toml:3")),
                scopes: vec!["host".into(), "postgres".into()],
                ..item(FoundKind::Policy, Containment::Holds, "")
            },
            FoundItem {
                by: Some("fail2ban".into()),
                until: Some(at("12:30:00")),
                ..item(FoundKind::Ban, Containment::Within, "203.0.113.9")
            },
            FoundItem {
                name: Some("drop".into()),
                scopes: Vec::new(),
                ..item(FoundKind::Feed, Containment::Within, "203.0.113.64/26")
            },
            FoundItem {
                name: Some("own".into()),
                used_by: vec!["office (except)".into()],
                ..item(FoundKind::List, Containment::Equal, "203.0.113.0/25")
            },
        ],
        total: 4,
    };
    shows(
        &found,
        "
RELATION   IN                     NETWORK           COUNTS ON        ABOUT
holds it   policy office, allow   203.0.113.0/24    host, postgres   office.toml:3
in it      ban                    203.0.113.9       host             by fail2ban; until 2026-11-20 12:30:00
in it      feed @drop             203.0.113.64/26   nowhere          no policy uses it
equal      list @own              203.0.113.0/25    host             used by office (except)
",
    );
    reads_back(&found);
    let nothing = FindView {
        items: Vec::new(),
        total: 0,
        ..found
    };
    shows(
        &nothing,
        "\nno policy, list, feed, ban or bypass holds or overlaps 203.0.113.0/25\n",
    );
}

#[test]
fn clients_say_since_when_they_are_connected_and_what_a_new_attempt_would_get() {
    let allowed = ConnectedClient {
        source: "203.0.113.10".parse().unwrap(),
        scope: "postgres".into(),
        ports: vec![5432],
        connections: 12,
        forwarded: 0,
        since: Some(at("11:00:00")),
        idle_ms: Some(1_999),
        verdict: word("pass"),
        reason: word("allowed"),
        sentence: "unused".into(),
        matched: Some(MatchView {
            policy: "office".into(),
            list: ListKind::Allow,
            named_list: Some("vpn".into()),
            rule: rule("203.0.113.0/24", None),
        }),
        ban: None,
    };
    let denied = ConnectedClient {
        source: "2001:db8::7".parse().unwrap(),
        ports: vec![5432, 6432],
        connections: 2,
        forwarded: 1,
        since: None,
        idle_ms: None,
        verdict: word("drop"),
        reason: word("not-allowed"),
        sentence: "2001:db8::7 is not on the allow list of office".into(),
        matched: None,
        ..allowed.clone()
    };
    let clients = ConnectedView {
        items: vec![allowed, denied],
        total: 2,
        watched_since: at("08:00:00"),
    };
    shows(
        &clients,
        "
SOURCE         SCOPE      PORTS       CONNECTIONS   SINCE                        IDLE   A NEW ATTEMPT   BY
203.0.113.10   postgres   5432                 12   2026-11-20 11:00:00          1s     pass            office allow @vpn 203.0.113.0/24
2001:db8::7    postgres   5432,6432             2   before 2026-11-20 08:00:00   -      drop            2001:db8::7 is not on the allow list of office (1 forwarded)

2 clients, 14 connections
",
    );
    reads_back(&clients);
}

#[test]
fn parts_of_a_network_are_ranges_or_networks() {
    let part = |first: &str, last: &str, verdict: &str, reason: &str| NetworkPart {
        first: first.parse().unwrap(),
        last: last.parse().unwrap(),
        verdict: word(verdict),
        reason: word(reason),
        sentence: "it is what it is".into(),
        matched: None,
        ban: None,
    };
    let view = ExplainNetworkView {
        network: "203.0.113.0/24".into(),
        port: Some(5432),
        scope: "postgres".into(),
        uniform: false,
        parts: vec![
            part("203.0.113.0", "203.0.113.65", "pass", "allowed"),
            part("203.0.113.66", "203.0.113.66", "drop", "blocked"),
            part("203.0.113.128", "203.0.113.255", "drop", "banned"),
        ],
        more: false,
        revision: Some(41),
    };
    shows(
        &view,
        "
203.0.113.0/24 on port 5432, scope postgres, by revision 41: split into 3 parts

SOURCES                    VERDICT   REASON    WHY
203.0.113.0-203.0.113.65   pass      allowed   it is what it is
203.0.113.66               drop      blocked   it is what it is
203.0.113.128/25           drop      banned    it is what it is
",
    );
    reads_back(&view);
    let uniform = ExplainNetworkView {
        port: None,
        uniform: true,
        revision: None,
        parts: vec![part("203.0.113.0", "203.0.113.255", "pass", "allowed")],
        ..view
    };
    let text = table(&uniform);
    let head = "203.0.113.0/24 on a port of no service, scope postgres: uniform: ";
    assert!(text.starts_with(head), "{text}");
    assert!(text.contains("\n203.0.113.0/24   pass "), "{text}");
}

#[test]
fn status_says_what_scopes_let_through_which_ports_are_open_and_what_has_no_effect() {
    let mut status = status();
    let agent = status.agent.as_mut().unwrap();
    agent.without_effect = 3;
    agent.revision = 8;
    agent.open_ports = Some(vec![
        OpenPort {
            port: 22,
            addresses: vec!["0.0.0.0".into()],
            service: None,
            failsafe: true,
        },
        OpenPort {
            port: 5432,
            addresses: vec!["0.0.0.0".into(), "::".into()],
            service: Some("postgres".into()),
            failsafe: false,
        },
        OpenPort {
            port: 9100,
            addresses: vec!["::".into()],
            service: None,
            failsafe: false,
        },
    ]);
    let scope = |scope: &str, rule, sentence: &str| ScopeStatus {
        scope: scope.into(),
        ports: None,
        rule,
        mode: Mode::Enforce,
        sentence: sentence.into(),
        policies: Vec::new(),
        entries: 4,
        dropped_last_minute: Some(0),
    };
    agent.scopes = vec![
        scope("host", ScopeRule::Open, "open: no policy governs it"),
        ScopeStatus {
            ports: Some("3306".into()),
            dropped_last_minute: Some(1),
            ..scope(
                "mysql",
                ScopeRule::AllowOnly,
                "only sources that office allows",
            )
        },
    ];
    let text = table(&status);
    let lines = "
Scopes        host: open: no policy governs it
              mysql (3306): only sources that office allows; 4 entries; 1 packet dropped in the last minute
Open ports    5432 (postgres), 9100: no policy governs them
              22: failsafe: nothing is judged on it
In force ";
    assert!(text.contains(lines), "{text}");
    let desired = "revision 8 (3 revisions since 5 without effect on packets), 3 policies";
    assert!(text.contains(desired), "{text}");
    reads_back(&status);
}

#[test]
fn history_with_changes_is_a_line_for_each_revision_and_what_changed() {
    let revision = |revision, changes: &[&str]| RevisionView {
        revision,
        created: at("12:00:00"),
        actor: "root".into(),
        action: "policy alter office".into(),
        changes: changes.iter().map(|line| (*line).into()).collect(),
    };
    shows(
        [
            revision(7, &["~ policy office", "    + block 203.0.113.9"]),
            revision(6, &[]),
        ]
        .as_slice(),
        "
7  2026-11-20 12:00:00  root: policy alter office
    ~ policy office
        + block 203.0.113.9
6  2026-11-20 12:00:00  root: policy alter office
",
    );
}
