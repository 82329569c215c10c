//! Policy tests over HTTP.

use super::*;
use crate::api::PolicyTestView;

fn set(source: &str, expect: &str) -> Value {
    json!({ "change": "set-test", "source": source, "expect": expect, "comment": "monitoring" })
}

#[tokio::test]
async fn tests_are_judged_by_the_policies_in_force_and_a_failing_one_is_refused() {
    let mut agent = Agent::new();
    let none = agent.get::<Vec<PolicyTestView>>("/v1/tests").await;
    assert_eq!(none, []);
    for change in [
        json!({ "change": "create-policy", "name": "office", "allow": { "items": ["203.0.113.0/24"] } }),
        set("203.0.113.9", "pass"),
        set("192.0.2.1", "drop"),
    ] {
        let (status, _) = agent.ask::<Value>("POST", "/v1/changes", change).await;
        assert_eq!(status, StatusCode::OK);
    }
    let tests = agent.get::<Vec<PolicyTestView>>("/v1/tests").await;
    let held = tests.iter().map(|test| (&*test.source, test.holds));
    let held: Vec<_> = held.collect();
    assert_eq!(held, [("192.0.2.1", true), ("203.0.113.9", true)]);
    let failing = set("192.0.2.7", "pass");
    let (status, why) = agent.refused("POST", "/v1/changes", failing.clone()).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(why.contains("policy test failed"), "{why}");
    let forced = "/v1/changes?force=true";
    let (status, _) = agent.ask::<Value>("POST", forced, failing).await;
    assert_eq!(status, StatusCode::OK);
    let tests = agent.get::<Vec<PolicyTestView>>("/v1/tests").await;
    let failed: Vec<_> = tests.iter().filter(|test| !test.holds).collect();
    assert_eq!(failed.len(), 1, "{tests:?}");
    let why = failed[0].why.as_deref().unwrap();
    assert!(why.starts_with("it is dropped: "), "{why}");
}
