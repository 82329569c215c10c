//! `/v1/sql` as a client sees it.

use super::*;
use crate::api::SqlResponse;

impl Agent {
    async fn sql(&mut self, query: &str, request: Value) -> (StatusCode, SqlResponse) {
        self.ask("POST", &format!("/v1/sql{query}"), request).await
    }
}

fn script(text: &str) -> Value {
    json!({"text": text, "name": "office.sql", "dialect": "lakehouse"})
}

const OFFICE: &str = "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('10.0.0.0/8')";

#[tokio::test]
async fn a_script_shows_everywhere() {
    let mut agent = Agent::new();
    let text = format!("{OFFICE}; SHOW NETWORK POLICIES");
    let (status, response) = agent.sql("", script(&text)).await;
    assert_eq!((status, &response.error), (StatusCode::OK, &None));
    assert_eq!(response.results[0].changed.as_ref().unwrap().revision, 1);
    assert_eq!(response.results[1].rows.len(), 1);
    let policies: Vec<PolicyView> = agent.get("/v1/policies").await;
    assert_eq!(policies.len(), 1);
    let revisions: Paged<RevisionView> = agent.get("/v1/revisions").await;
    let revisions = revisions.items;
    assert_eq!(revisions[0].action, "sql: CREATE NETWORK POLICY office");
}

#[tokio::test]
async fn the_status_is_the_failures_and_the_body_is_the_same() {
    let mut agent = Agent::new();
    for (text, expected) in [
        (
            "CREATE NETWORK POLICY bad BLOCKED_IP_LIST=('155.548.2.98')",
            400,
        ),
        ("CREATE NETWORK nothing", 400),
        ("DROP NETWORK POLICY nowhere", 404),
    ] {
        let (status, response) = agent.sql("", script(text)).await;
        let error = response.error.unwrap();
        assert_eq!(
            (status.as_u16(), error.status),
            (expected, expected),
            "{text}"
        );
        assert_eq!(error.line, 1);
    }
    let (status, response) = agent.sql("", script(&format!("{OFFICE}; {OFFICE}"))).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(response.results.len(), 1, "the first one is made");
    let failing = script("DROP NETWORK POLICY office");
    agent.kernel.lock().fail_prepare = true;
    let (status, _) = agent.sql("?opens=any", failing).await;
    assert_eq!(status, StatusCode::INSUFFICIENT_STORAGE);
}

#[tokio::test]
async fn the_query_says_how_and_an_ambiguous_text_is_refused() {
    let mut agent = Agent::new();
    let (status, response) = agent.sql("?dry_run=true", script(OFFICE)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(response.results[0].changed.as_ref().unwrap().dry_run);
    let (status, response) = agent.sql("?from=11.0.0.1", script(OFFICE)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let error = response.error.unwrap();
    assert!(error.errors[0].contains("would lock you out"), "{error:?}");
    let (status, response) = agent.sql("", json!({"text": OFFICE})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let error = response.error.unwrap();
    assert!(error.errors[0].contains("ambiguous"), "{error:?}");
    let policies: Vec<PolicyView> = agent.get("/v1/policies").await;
    assert!(policies.is_empty());
}

#[tokio::test]
async fn what_is_no_request_is_refused_as_everywhere() {
    let mut agent = Agent::new();
    for (query, body) in [
        ("", json!({"statement": OFFICE})),
        ("", json!({"text": OFFICE, "dialect": "oracle"})),
        ("?dryrun=1", script(OFFICE)),
    ] {
        let path = format!("/v1/sql{query}");
        let (status, text) = agent.refused("POST", &path, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
    }
    // RFC 8259, 8.1: JSON is UTF-8.
    let body = Body::from(&b"{\"text\": \"\xff\"}"[..]);
    let response = agent.send(0, "POST", "/v1/sql", body).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}
