//! What is refused, and what fails: told apart, with a status and a reason.

use super::*;

#[tokio::test]
async fn refusals_have_their_status_and_say_why() {
    let mut agent = Agent::new();
    agent.create("office", &[], &["10.0.0.9"]).await;
    let change = |c| serde_json::to_value(c).unwrap();
    let cases = [
        (
            "POST",
            "/v1/changes",
            change(create("office", &[], &[])),
            409,
            "office",
        ),
        (
            "POST",
            "/v1/changes",
            change(create("branch", &["10.0.0.0/33"], &[])),
            400,
            "10.0.0.0/33",
        ),
        (
            "POST",
            "/v1/changes",
            json!({"change": "drop-policy", "name": "nowhere"}),
            404,
            "nowhere",
        ),
        (
            "POST",
            "/v1/changes",
            json!({"change": "nonsense"}),
            400,
            "nonsense",
        ),
        ("POST", "/v1/changes", json!("x"), 400, "not as expected"),
        ("POST", "/v1/changes?dryrun=1", json!({}), 400, "dryrun"),
        (
            "GET",
            "/v1/policies/nowhere",
            Value::Null,
            404,
            "unknown policy 'nowhere'",
        ),
        (
            "GET",
            "/v1/policies/ofice",
            Value::Null,
            404,
            "unknown policy 'ofice'; did you mean 'office'?",
        ),
        (
            "GET",
            "/v1/explain?source=10.0.0.300",
            Value::Null,
            400,
            "source",
        ),
        (
            "GET",
            "/v1/explain?source=10.0.0.3&port=0",
            Value::Null,
            400,
            "port 0",
        ),
        (
            "GET",
            "/v1/explain?source=10.0.0.3&port=70000",
            Value::Null,
            400,
            "port",
        ),
        (
            "GET",
            "/v1/export?revision=99",
            Value::Null,
            404,
            "no revision 99",
        ),
        (
            "POST",
            "/v1/bypasses",
            json!({"source": "10.0.0.1", "minutes": 0}),
            400,
            "0 minutes",
        ),
        (
            "DELETE",
            "/v1/bypasses?source=10.0.0.1",
            Value::Null,
            404,
            "no bypass",
        ),
        ("GET", "/v1/nothing", Value::Null, 404, "/v1/nothing"),
        ("DELETE", "/v1/status", Value::Null, 405, "DELETE"),
    ];
    for (method, path, body, expected, words) in cases {
        let (status, text) = agent.refused(method, path, body).await;
        assert_eq!(status.as_u16(), expected, "{method} {path}: {text}");
        assert!(text.contains(words), "{method} {path}: {text}");
    }
}

#[tokio::test]
async fn failures_of_kernel_and_store_are_distinguished_from_refusals() {
    let mut agent = Agent::new();
    let change = serde_json::to_value(create("office", &[], &["10.0.0.9"])).unwrap();
    agent.kernel.lock().fail_prepare = true;
    let (status, text) = agent.refused("POST", "/v1/changes", change.clone()).await;
    assert_eq!(status, StatusCode::INSUFFICIENT_STORAGE);
    assert!(text.contains("revision 0 stays in force"), "{text}");
    agent.kernel.lock().fail_prepare = false;
    agent.kernel.lock().fail_commit = true;
    let (status, text) = agent.refused("POST", "/v1/changes", change).await;
    assert_eq!(status, StatusCode::INSUFFICIENT_STORAGE);
    assert!(text.contains("no space left"), "{text}");
}
