//! Why an attempt passes or is dropped.

use super::*;

#[tokio::test]
async fn explain_shows_model_and_kernel_and_whether_they_agree() {
    let mut agent = Agent::new();
    agent.create("office", &["10.0.0.0/8"], &["10.0.0.9"]).await;
    agent.kernel.lock().probe = Some((Action::Drop, Reason::Blocked));
    let view: ExplainView = agent.get("/v1/explain?source=10.0.0.9").await;
    assert_eq!(
        (view.verdict.as_str(), view.reason.as_str()),
        ("drop", "blocked")
    );
    let matched = view.matched.unwrap();
    assert_eq!(
        (matched.policy.as_str(), matched.list.to_string().as_str()),
        ("office", "block")
    );
    assert_eq!(view.consulted, ["office (allow 1, block 1)"]);
    assert!(view.agrees);
    let view: ExplainView = agent.get("/v1/explain?source=10.0.0.8&port=5432").await;
    assert_eq!(view.reason.as_str(), "allowed");
    assert!(!view.agrees);
    agent.kernel.lock().probe = None;
    let view: ExplainView = agent.get("/v1/explain?source=10.0.0.9").await;
    assert!(view.agrees);
    assert_eq!(view.kernel_error.as_deref(), Some("no program"));
}

#[tokio::test]
async fn explain_says_pass_wherever_the_attempt_is_not_filtered() {
    let mut agent = Agent::new();
    agent.create("office", &[], &["10.0.0.9"]).await;
    agent.kernel.lock().probe = Some((Action::Drop, Reason::Blocked));
    let said = |view: &ExplainView| {
        (
            view.enforced,
            view.verdict.as_str(),
            view.reason.as_str(),
            view.policies.verdict.as_str(),
            view.agrees,
        )
    };
    let dropped = (true, "drop", "blocked", "drop", true);
    let open = (false, "pass", "not-filtered", "drop", true);

    let view: ExplainView = agent
        .get("/v1/explain?source=10.0.0.9&interface=eth7")
        .await;
    assert_eq!(said(&view), dropped);
    let view: ExplainView = agent
        .get("/v1/explain?source=10.0.0.9&interface=eth8")
        .await;
    assert_eq!(said(&view), open);
    assert!(
        view.sentence.starts_with("interface eth8 is not filtered"),
        "{}",
        view.sentence
    );
    let (status, why) = agent
        .refused(
            "GET",
            "/v1/explain?source=10.0.0.9&interface=eth9",
            Value::Null,
        )
        .await;
    assert_eq!(
        (status, why.as_str()),
        (StatusCode::BAD_REQUEST, "interface 'eth9' does not exist")
    );

    let detach = "/v1/detach?opens=any";
    let (status, _): (_, Vec<String>) = agent.ask("POST", detach, Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    for path in [
        "/v1/explain?source=10.0.0.9",
        "/v1/explain?source=10.0.0.9&interface=eth7",
    ] {
        let view: ExplainView = agent.get(path).await;
        assert_eq!(said(&view), open);
        assert!(
            view.sentence.starts_with("detached by root at "),
            "{}",
            view.sentence
        );
    }
    let status: Status = agent.get("/v1/status").await;
    assert_eq!(status.enforcement.state, EnforcementState::Detached);
    assert!(
        status.faults[0].starts_with("detached by root at "),
        "{:?}",
        status.faults
    );
    assert_eq!(
        status.enforcement.detached.unwrap().actor.as_deref(),
        Some("root")
    );
}
