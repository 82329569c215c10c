//! What holds a network, who is connected, what becomes of a network's sources, and of the past.

use netpolicy_common::Event;

use super::*;
use crate::api::{
    ConnectedView, ExplainNetworkView, FindView, FoundKind, RatesView, RevisionView, ScopeRule,
    SourcesPage,
};
use crate::clock::since_boot;

async fn ban(agent: &mut Agent, source: &str) {
    let body = json!({"source": source, "for": 3600, "by": "fail2ban", "reason": "log-ins"});
    let (status, _): (_, Value) = agent.ask("POST", "/v1/bans", body).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn address_that_the_operator_names_is_not_banned() {
    let mut agent = Agent::new();
    let body = json!({"source": "198.51.100.0/24", "for": 3600});
    let from = "/v1/bans?from=198.51.100.7";
    let (_, refused): (_, Value) = agent.ask("POST", from, body.clone()).await;
    assert_eq!(refused["result"], "refused", "{refused}");
    let (_, made): (_, Value) = agent.ask("POST", "/v1/bans", body).await;
    assert_eq!(made["result"], "banned", "{made}");
}

#[tokio::test]
async fn found_are_rules_bans_and_bypasses_the_nearest_first() {
    let mut agent = Agent::new();
    agent
        .create(
            "office",
            &["203.0.113.0/24"],
            &["203.0.113.64/26", "10.0.0.0/8"],
        )
        .await;
    ban(&mut agent, "203.0.113.0/28").await;
    let bypass = json!({"source": "203.0.113.7", "minutes": 30});
    let (status, _): (_, Value) = agent.ask("POST", "/v1/bypasses?opens=any", bypass).await;
    assert_eq!(status, StatusCode::OK);

    let found: FindView = agent.get("/v1/find?network=203.0.113.7/25").await;
    assert_eq!((found.network.as_str(), found.total), ("203.0.113.0/25", 4));
    let told: Vec<_> = found
        .items
        .iter()
        .map(|item| (item.kind, item.rule.cidr.as_str(), item.scopes.join(",")))
        .collect();
    let host = || "host".to_owned();
    assert_eq!(
        told,
        [
            (FoundKind::Policy, "203.0.113.0/24", host()),
            (FoundKind::Ban, "203.0.113.0/28", host()),
            (FoundKind::Bypass, "203.0.113.7/32", host()),
            (FoundKind::Policy, "203.0.113.64/26", host()),
        ]
    );
    assert_eq!(found.items[1].by.as_deref(), Some("fail2ban"));
    let first: FindView = agent.get("/v1/find?network=203.0.113.0/25&limit=1").await;
    assert_eq!((first.items.len(), first.total), (1, 4));
    assert_eq!(first.items[0], found.items[0]);
    let none: FindView = agent.get("/v1/find?network=2001:db8::/32").await;
    assert_eq!((none.items.len(), none.total), (0, 0));
    let (status, why) = agent
        .refused("GET", "/v1/find?network=office", Value::Null)
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{why}");
}

#[tokio::test]
async fn network_is_divided_where_rules_and_bans_begin_and_end() {
    let mut agent = Agent::new();
    agent
        .create("office", &["203.0.113.0/24"], &["203.0.113.66"])
        .await;
    ban(&mut agent, "203.0.113.128/25").await;
    let whole: ExplainNetworkView = agent
        .get("/v1/explain/network?network=203.0.113.0/26")
        .await;
    assert!(whole.uniform && !whole.more, "{whole:?}");
    assert_eq!(
        whole.parts[0].sentence,
        "it is on the allow list, by '203.0.113.0/24' of policy 'office' (--allow)"
    );
    let split: ExplainNetworkView = agent
        .get("/v1/explain/network?network=203.0.112.0/23")
        .await;
    assert!(!split.uniform && !split.more);
    let told: Vec<_> = split
        .parts
        .iter()
        .map(|part| {
            format!(
                "{}-{} {} {}",
                part.first, part.last, part.verdict, part.reason
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "203.0.112.0-203.0.112.255 drop not-allowed",
            "203.0.113.0-203.0.113.65 pass allowed",
            "203.0.113.66-203.0.113.66 drop blocked",
            "203.0.113.67-203.0.113.127 pass allowed",
            "203.0.113.128-203.0.113.255 drop banned",
        ]
    );
    let some: ExplainNetworkView = agent
        .get("/v1/explain/network?network=203.0.112.0/23&limit=2")
        .await;
    assert!(some.more && some.parts.len() == 2 && some.parts[..] == split.parts[..2]);

    agent.create("abuse", &[], &["203.0.113.0/30"]).await;
    let then: ExplainNetworkView = agent
        .get("/v1/explain/network?network=203.0.113.0/30&revision=1")
        .await;
    assert_eq!(then.revision, Some(1));
    assert_eq!(then.parts[0].reason.as_str(), "allowed");
    let now: ExplainNetworkView = agent
        .get("/v1/explain/network?network=203.0.113.0/30")
        .await;
    assert_eq!(now.parts[0].reason.as_str(), "blocked");
}

#[tokio::test]
async fn past_revision_explains_by_its_policies_alone() {
    let mut agent = Agent::new();
    agent.create("office", &["10.0.0.0/8"], &[]).await;
    agent.create("abuse", &[], &["10.0.0.1"]).await;
    let then: ExplainView = agent.get("/v1/explain?source=10.0.0.1&revision=1").await;
    assert_eq!((then.revision, then.reason.as_str()), (Some(1), "allowed"));
    assert!(then.kernel.is_none() && then.agrees);
    let now: ExplainView = agent.get("/v1/explain?source=10.0.0.1").await;
    assert_eq!((now.revision, now.reason.as_str()), (None, "blocked"));
    let unknown = agent.refused("GET", "/v1/explain?source=10.0.0.1&revision=9", Value::Null);
    assert_eq!(unknown.await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn clients_are_told_with_the_rule_that_lets_them_in_or_would_not() {
    let mut agent = Agent::new();
    agent.create("office", &["10.0.0.0/8"], &["10.0.0.9"]).await;
    for (source, port) in [("10.0.0.9", 5432), ("10.0.0.1", 8080), ("10.0.0.1", 5432)] {
        agent.sockets.open(source, port);
    }
    agent.sockets.open_subflow("10.0.0.2", 5432, 77);
    agent.sockets.open_subflow("10.0.0.2", 5432, 77);
    agent.sockets.open_forwarded("10.0.0.3", 5432);
    // No policy governs it there.
    agent.sockets.open("10.0.0.4", 22);

    let clients: ConnectedView = agent.get("/v1/clients").await;
    let told: Vec<_> = clients
        .items
        .iter()
        .map(|c| {
            let rule = c.matched.as_ref().map(|found| found.rule.cidr.as_str());
            (
                c.source.to_string(),
                c.connections,
                c.verdict.as_str(),
                rule,
                c.idle_ms,
            )
        })
        .collect();
    let row = |source: &str, n, verdict, rule, idle| (source.to_owned(), n, verdict, rule, idle);
    let (eight, idle) = (Some("10.0.0.0/8"), Some(1500));
    assert_eq!(
        told,
        [
            row("10.0.0.1", 2, "pass", eight, idle),
            row("10.0.0.2", 1, "pass", eight, idle),
            row("10.0.0.3", 1, "pass", eight, None),
            row("10.0.0.9", 1, "drop", Some("10.0.0.9/32"), idle),
        ]
    );
    assert_eq!(clients.items[0].ports, [5432, 8080]);
    assert_eq!(clients.items[2].forwarded, 1);
    assert!(clients.items.iter().all(|client| client.since.is_none()));
    agent.sockets.open("10.0.0.1", 9090);
    agent.sockets.open("10.0.0.5", 9090);
    let later: ConnectedView = agent.get("/v1/clients?source=10.0.0.5").await;
    assert_eq!(later.total, 1);
    assert!(
        later.items[0]
            .since
            .is_some_and(|since| since > clients.watched_since)
    );
    let denied: ConnectedView = agent.get("/v1/clients?denied=true").await;
    assert_eq!(denied.items.len(), 1);
    let host: ConnectedView = agent.get("/v1/clients?service=HOST").await;
    assert_eq!(host.total, 5);
    agent.sockets.fail();
    let (status, why) = agent.refused("GET", "/v1/clients", Value::Null).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(why.starts_with("who is connected is not known"), "{why}");
}

#[tokio::test]
async fn unknown_service_or_policy_is_an_error_and_no_empty_answer() {
    let mut agent = Agent::new();
    agent.create("office", &["10.0.0.0/8"], &[]).await;
    let (service, policy) = (
        "unknown service 'ofice'",
        "unknown policy 'ofice'; did you mean",
    );
    for (path, expected) in [
        ("/v1/sources?service=ofice", service),
        ("/v1/rates?scope=ofice", service),
        ("/v1/rates?policy=ofice", policy),
        ("/v1/clients?service=ofice", service),
        ("/v1/events?service=ofice", service),
        ("/v1/events?policy=ofice", policy),
    ] {
        let (status, why) = agent.refused("GET", path, Value::Null).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert!(why.contains(expected), "{path}: {why}");
    }
    let page: SourcesPage = agent.get("/v1/sources?service=Host").await;
    assert_eq!(page.total, 0);
    let rates: RatesView = agent.get("/v1/rates?policy=OFFICE").await;
    assert!(rates.buckets.is_empty());
}

#[tokio::test]
async fn status_says_what_each_scope_lets_through_and_which_ports_are_open() {
    let mut agent = Agent::new();
    agent.sockets.listen("0.0.0.0", 5432);
    agent.sockets.listen("127.0.0.1", 6379);
    agent.sockets.listen("::", 22);
    let status: Status = agent.get("/v1/status").await;
    let own = status.agent.unwrap();
    assert_eq!(own.scopes.len(), 1);
    assert_eq!(
        (own.scopes[0].rule, own.without_effect),
        (ScopeRule::Open, 0)
    );
    let open: Vec<_> = own
        .open_ports
        .unwrap()
        .iter()
        .map(|p| (p.port, p.failsafe))
        .collect();
    assert_eq!(open, [(22, true), (5432, false)]);

    agent
        .create("office", &["10.0.0.0/8", "192.0.2.1"], &["10.0.0.9"])
        .await;
    let comment = json!({"change": "alter-policy", "name": "office", "comment": "x"});
    let (status, _): (_, Value) = agent.ask("POST", "/v1/changes", comment).await;
    assert_eq!(status, StatusCode::OK);
    let status: Status = agent.get("/v1/status").await;
    let own = status.agent.unwrap();
    assert_eq!(own.without_effect, 1, "a comment reaches no packet");
    let host = &own.scopes[0];
    assert_eq!(
        (host.rule, host.policies.join(",")),
        (ScopeRule::AllowOnly, "office".into())
    );
    assert_eq!(host.sentence, "only sources that office allows");
    let open: Vec<_> = own.open_ports.unwrap().iter().map(|p| p.port).collect();
    assert_eq!(open, [22]);
    agent.sockets.fail();
    let status: Status = agent.get("/v1/status").await;
    assert_eq!(status.agent.unwrap().open_ports, None);
}

#[tokio::test]
async fn history_is_of_a_policy_a_user_and_a_time_with_what_changed() {
    let mut agent = Agent::new();
    agent.create("office", &["10.0.0.0/8"], &[]).await;
    agent.create("office2", &["10.0.0.0/8"], &[]).await;
    let alter = json!({"change": "alter-policy", "name": "office", "comment": "head office"});
    let (status, _): (_, Value) = agent.ask("POST", "/v1/changes", alter).await;
    assert_eq!(status, StatusCode::OK);
    let of: Paged<RevisionView> = agent.get("/v1/revisions?policy=OFFICE&changes=true").await;
    let numbers: Vec<_> = of.items.iter().map(|revision| revision.revision).collect();
    assert_eq!((numbers, of.total), (vec![3, 1], 2));
    assert_eq!(of.items[0].changes[0], "~ policy office");
    assert!(
        of.items[1]
            .changes
            .contains(&"    + allow 10.0.0.0/8".to_owned()),
        "{of:?}"
    );
    let plain: Paged<RevisionView> = agent.get("/v1/revisions?user=root&limit=1").await;
    assert_eq!((plain.items[0].changes.len(), plain.total), (0, 3));
    let other: Paged<RevisionView> = agent.get("/v1/revisions?user=alice").await;
    assert_eq!(other.total, 0);
    let future: Paged<RevisionView> = agent.get("/v1/revisions?since=2200-01-01T00:00:00Z").await;
    assert_eq!(future.total, 0);
    let past: Paged<RevisionView> = agent.get("/v1/revisions?since=2020-01-01T00:00:00Z").await;
    assert_eq!(past.total, 3);
}

#[tokio::test]
async fn attempts_of_late_are_told_to_who_asks_for_them() {
    let mut agent = Agent::new();
    agent
        .create("office", &["192.168.0.0/16"], &["10.0.0.0/8"])
        .await;
    let now = u64::try_from(since_boot().as_nanos()).unwrap();
    for n in 1..=3_u8 {
        let mut event: Event = crate::agent::events::denied::tests::event();
        event.time_ns = now;
        event.source[3] = n;
        agent.hub.keep(event);
    }
    let path =
        "/v1/events?since=2020-01-01T00:00:00Z&past_only=true&source=10.0.0.2/31&policy=office";
    let response = agent.send(0, "GET", path, Body::empty()).await;
    let bytes = axum::body::to_bytes(response.into_body(), 65_536)
        .await
        .unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let lines: Vec<EventLine> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let [
        EventLine::Known { .. },
        EventLine::Denied(two),
        EventLine::Denied(three),
    ] = &lines[..]
    else {
        panic!("{lines:?}");
    };
    assert_eq!(
        (two.source.to_string(), three.source.to_string()),
        ("10.0.0.2".into(), "10.0.0.3".into())
    );
    assert_eq!(two.policies, ["office"]);
    let path = "/v1/events?reason=nonsense";
    assert_eq!(
        agent.refused("GET", path, Value::Null).await.0,
        StatusCode::BAD_REQUEST
    );
}
