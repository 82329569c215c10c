//! Conditional changes, and lists in parts.

use super::*;
use crate::api::{EntryItem, ErrorCode, ListView, PROBLEM_JSON, Paged, RuleItem};

#[tokio::test]
async fn change_for_another_revision_is_refused() {
    let mut agent = Agent::new();
    agent.create("office", &[], &["192.0.2.0/24"]).await;
    let change = serde_json::to_string(&create("branch", &[], &["192.0.2.1"])).unwrap();
    for (if_match, expected) in [
        ("\"0\"", StatusCode::PRECONDITION_FAILED),
        ("\"2\"", StatusCode::PRECONDITION_FAILED),
        ("1", StatusCode::BAD_REQUEST),
        ("\"1\"", StatusCode::OK),
        // Made by now, and the present revision is another.
        ("\"1\"", StatusCode::PRECONDITION_FAILED),
    ] {
        for path in ["/v1/changes?dry_run=true", "/v1/changes"] {
            let headers = [("if-match", if_match)];
            let body = change.clone().into();
            let response = agent.send_with(0, "POST", path, &headers, body).await;
            assert_eq!(response.status(), expected, "{path} {if_match}");
            if expected != StatusCode::PRECONDITION_FAILED {
                continue;
            }
            assert_eq!(response.headers()["content-type"], PROBLEM_JSON);
            let bytes = axum::body::to_bytes(response.into_body(), 4096).await;
            let problem: ProblemDetails = serde_json::from_slice(&bytes.unwrap()).unwrap();
            assert_eq!(problem.code, ErrorCode::RevisionMismatch);
            assert_eq!(
                (problem.status, &*problem.title),
                (412, "Precondition Failed")
            );
            assert_eq!(problem.revision, Some(agent.supervisor.snapshot().revision));
        }
    }
    for path in [
        "/v1/policies",
        "/v1/policies/branch",
        "/v1/lists",
        "/v1/services",
        "/v1/host",
        "/v1/export",
    ] {
        let response = agent.send(0, "GET", path, Body::empty()).await;
        assert_eq!(response.headers()["etag"], "\"2\"", "{path}");
    }
    let rollback = "/v1/rollback/1";
    let headers = [("if-match", "\"1\"")];
    let response = agent
        .send_with(0, "POST", rollback, &headers, Body::empty())
        .await;
    assert_eq!(response.status(), StatusCode::PRECONDITION_FAILED);
    let sql = json!({"text": "DROP NETWORK POLICY office", "dialect": "materialize"});
    let response = agent
        .send_with(0, "POST", "/v1/sql", &headers, sql.to_string().into())
        .await;
    assert_eq!(response.status(), StatusCode::PRECONDITION_FAILED);
    assert_eq!(agent.supervisor.snapshot().revision, 2);
}

#[tokio::test]
async fn what_is_no_change_is_refused_for_another_revision_too() {
    let mut agent = Agent::new();
    agent.create("office", &[], &["192.0.2.0/24"]).await;
    let grant = json!({"privilege": "create", "to": "user:root"}).to_string();
    let bypass = json!({"source": "192.0.2.7", "minutes": 5}).to_string();
    for (method, path, body) in [
        ("POST", "/v1/grants", grant.as_str()),
        ("DELETE", "/v1/grants?privilege=create&to=user:root", ""),
        ("POST", "/v1/bypasses", bypass.as_str()),
        ("DELETE", "/v1/bypasses?source=192.0.2.7", ""),
        ("POST", "/v1/attach", ""),
    ] {
        for (if_match, expected) in [
            ("\"0\"", StatusCode::PRECONDITION_FAILED),
            ("1", StatusCode::BAD_REQUEST),
            ("\"1\"", StatusCode::OK),
        ] {
            let headers = [("if-match", if_match)];
            let response = agent
                .send_with(0, method, path, &headers, body.to_owned().into())
                .await;
            assert_eq!(response.status(), expected, "{method} {path} {if_match}");
        }
    }
    for (if_match, expected) in [
        ("\"0\"", StatusCode::PRECONDITION_FAILED),
        ("\"1\"", StatusCode::NOT_FOUND),
    ] {
        let headers = [("if-match", if_match)];
        let response = agent
            .send_with(0, "POST", "/v1/confirm", &headers, Body::empty())
            .await;
        assert_eq!(response.status(), expected, "nothing waits");
    }
}

#[tokio::test]
async fn rules_are_listed_in_parts_and_by_what_they_cover() {
    let mut agent = Agent::new();
    let block = [
        "192.0.2.0/24",
        "192.0.2.7",
        "198.51.100.0/24",
        "2001:db8::/32",
    ];
    agent
        .create("office", &["10.0.0.0/8", "192.0.0.0/16"], &block)
        .await;
    let mut numbers = async |query: &str| {
        let path = format!("/v1/policies/office/rules?{query}");
        let page: Paged<RuleItem> = agent.get(&path).await;
        let numbers: Vec<_> = page.items.iter().map(|item| item.number).collect();
        (numbers, page.total, page.next)
    };
    assert_eq!(numbers("").await, (vec![1, 2, 3, 4, 5, 6], 6, None));
    assert_eq!(numbers("limit=4").await, (vec![1, 2, 3, 4], 6, Some(4)));
    assert_eq!(numbers("limit=4&after=4").await, (vec![5, 6], 6, None));
    assert_eq!(numbers("list=block&limit=1").await, (vec![3], 4, Some(3)));
    assert_eq!(numbers("covers=192.0.2.7").await, (vec![2, 3, 4], 3, None));
    assert_eq!(
        numbers("covers=::ffff:192.0.2.8").await,
        (vec![2, 3], 2, None)
    );
    assert_eq!(numbers("covers=2001:db8::1").await, (vec![6], 1, None));
    assert_eq!(numbers("text=2001:DB8").await, (vec![6], 1, None));
    assert_eq!(numbers("covers=203.0.113.1").await, (vec![], 0, None));
    for bad in [
        "limit=0",
        "limit=1001",
        "covers=office",
        "list=any",
        "page=1",
    ] {
        let path = format!("/v1/policies/office/rules?{bad}");
        let (status, _) = agent.refused("GET", &path, Value::Null).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn history_and_audit_log_are_listed_in_parts() {
    let mut agent = Agent::new();
    for name in ["first", "second", "third"] {
        agent.create(name, &[], &[]).await;
    }
    for (list, key) in [("revisions", "revision"), ("audit", "id")] {
        let first: Paged<Value> = agent.get(&format!("/v1/{list}?limit=2")).await;
        assert_eq!((first.items.len(), first.total), (2, 3), "{list}");
        assert_eq!(first.items[1][key], first.next.unwrap(), "{list}");
        let after = first.next.unwrap();
        let last: Paged<Value> = agent
            .get(&format!("/v1/{list}?limit=2&after={after}"))
            .await;
        assert_eq!(
            (last.items.len(), last.total, last.next),
            (1, 3, None),
            "{list}"
        );
        let found: Paged<Value> = agent.get(&format!("/v1/{list}?text=CREATE%20second")).await;
        assert_eq!((found.items.len(), found.total), (1, 1), "{list}");
        let (status, _) = agent
            .refused("GET", &format!("/v1/{list}?limit=0"), Value::Null)
            .await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn named_lists_are_shown_with_their_policies_and_in_parts() {
    let mut agent = Agent::new();
    for change in [
        json!({"change": "create-list", "name": "bad-hosts", "comment": "feed",
            "entries": {"items": ["192.0.2.0/24", "192.0.2.7", "2001:db8::/32"]}}),
        json!({"change": "create-policy", "name": "abuse",
            "block": {"items": ["@bad-hosts", "198.51.100.1"]}}),
        json!({"change": "alter-list", "name": "@BAD-HOSTS",
            "entries": {"edit": "edit", "add": {"items": ["203.0.113.1"]}}}),
    ] {
        let body = change.to_string().into();
        let response = agent.send(0, "POST", "/v1/changes", body).await;
        assert_eq!(response.status(), StatusCode::OK, "{change}");
    }
    let lists: Vec<ListView> = agent.get("/v1/lists").await;
    let [list] = &lists[..] else {
        panic!("{lists:?}");
    };
    assert_eq!(
        (&*list.name, list.entry_count, &list.entries),
        ("bad-hosts", 4, &None)
    );
    assert_eq!(list.policies, ["abuse"]);
    let whole: ListView = agent.get("/v1/lists/Bad-Hosts").await;
    let entries: Vec<_> = whole.entries.unwrap().into_iter().map(|e| e.text).collect();
    assert_eq!(
        entries,
        ["192.0.2.0/24", "192.0.2.7", "2001:db8::/32", "203.0.113.1"]
    );
    let policy: PolicyView = agent.get("/v1/policies/abuse").await;
    assert_eq!(
        (&policy.block_lists[..], policy.block_count),
        (&["bad-hosts".to_owned()][..], 1)
    );

    let mut numbers = async |query: &str| {
        let path = format!("/v1/lists/bad-hosts/entries?{query}");
        let page: Paged<EntryItem> = agent.get(&path).await;
        let numbers: Vec<_> = page.items.iter().map(|item| item.number).collect();
        (numbers, page.total, page.next)
    };
    assert_eq!(numbers("limit=2").await, (vec![1, 2], 4, Some(2)));
    assert_eq!(numbers("limit=2&after=2").await, (vec![3, 4], 4, None));
    assert_eq!(numbers("covers=192.0.2.7").await, (vec![1, 2], 2, None));
    assert_eq!(numbers("text=DB8").await, (vec![3], 1, None));
    for (path, expected) in [
        ("/v1/lists/bad_hosts", StatusCode::NOT_FOUND),
        ("/v1/lists/bad_hosts/entries", StatusCode::NOT_FOUND),
        (
            "/v1/lists/bad-hosts/entries?limit=0",
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let response = agent.send(0, "GET", path, Body::empty()).await;
        assert_eq!(response.status(), expected, "{path}");
    }
    let drop = json!({"change": "drop-list", "name": "bad-hosts"}).to_string();
    let response = agent.send(0, "POST", "/v1/changes", drop.into()).await;
    assert_eq!(response.status(), StatusCode::CONFLICT);
}
