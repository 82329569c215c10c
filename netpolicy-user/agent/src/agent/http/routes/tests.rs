//! The API as a client sees it, over a fake kernel and a real store.

mod document;
mod explain;
mod lists;
mod policy_tests;
mod refusals;
mod seen;
mod sql;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, StatusCode};
use futures_util::StreamExt;
use netpolicy_common::{Action, Reason};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tower::Service;

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use super::*;
use crate::agent::access::Caller;
use crate::agent::connected::Connected;
use crate::agent::events::EventHub;
use crate::agent::http::admission::Peer;
use crate::agent::http::quota::Quota;
use crate::agent::http::standing::BODIES;
use crate::agent::observed::Observations;
use crate::agent::reload::Running;
use crate::agent::testing::{Bench, FakeKernel, FakeSockets, create};
use crate::agent::writer::Supervisor;
use crate::api::{
    BypassView, Changed, Counters, EnforcementState, EventLine, ExplainView, HostView, Paged,
    Phase, PolicyView, ProblemDetails, ProgressView, RevisionView, ServiceView, Status,
};
use crate::config::{Config, DETACHED_MARKER};

/// The whole API over a fake kernel.
pub(in crate::agent::http) struct Agent {
    pub(in crate::agent::http) app: App,
    router: Router,
    kernel: FakeKernel,
    hub: EventHub,
    sockets: FakeSockets,
    stop: watch::Sender<bool>,
    supervisor: Supervisor,
    _dir: tempfile::TempDir,
}

impl Agent {
    pub(in crate::agent::http) fn new() -> Self {
        let bench = Bench::new();
        let (supervisor, _) = Supervisor::start(bench.writer).unwrap();
        let (stop, stopping) = watch::channel(false);
        let hub = EventHub::default();
        let sockets = FakeSockets::default();
        let app = App {
            supervisor: supervisor.clone(),
            inspector: Arc::new(bench.kernel.clone()),
            kill_switch: Arc::new(bench.kernel.clone()),
            marker: bench.dir.path().join(DETACHED_MARKER),
            running: Running::channel(Config::default()).subscribe(),
            connected: Arc::new(Connected::new(Arc::new(sockets.clone()))),
            rates: Arc::default(),
            hub: hub.clone(),
            observations: Observations::new(Timestamp::now()),
            linted: Arc::default(),
            stopping,
            started: Timestamp::now(),
            bodies: Quota::new(BODIES),
        };
        Self {
            router: router(app.clone()),
            app,
            kernel: bench.kernel,
            hub,
            sockets,
            stop,
            supervisor,
            _dir: bench.dir,
        }
    }

    async fn send(&mut self, uid: u32, method: &str, path: &str, body: Body) -> Response<Body> {
        self.send_with(uid, method, path, &[], body).await
    }

    async fn send_with(
        &mut self,
        uid: u32,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body).unwrap();
        let peer = ConnectInfo(Peer::new(Some(Caller {
            uid,
            gid: uid,
            pid: None,
            person: None,
        })));
        request.extensions_mut().insert(peer);
        self.router.call(request).await.unwrap()
    }

    async fn ask<T: DeserializeOwned>(
        &mut self,
        method: &str,
        path: &str,
        body: Value,
    ) -> (StatusCode, T) {
        let body = if body.is_null() {
            Body::empty()
        } else {
            body.to_string().into()
        };
        let response = self.send(0, method, path, body).await;
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&bytes);
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{e}: {text}")),
        )
    }

    async fn get<T: DeserializeOwned>(&mut self, path: &str) -> T {
        let (status, value) = self.ask("GET", path, Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        value
    }

    async fn refused(&mut self, method: &str, path: &str, body: Value) -> (StatusCode, String) {
        let (status, error): (_, ProblemDetails) = self.ask(method, path, body).await;
        (status, error.errors.join("\n"))
    }

    async fn create(&mut self, name: &str, allow: &[&str], block: &[&str]) -> Changed {
        let change = serde_json::to_value(create(name, allow, block)).unwrap();
        let (status, changed) = self.ask("POST", "/v1/changes", change).await;
        assert_eq!(status, StatusCode::OK);
        changed
    }
}

#[tokio::test]
async fn only_root_is_let_in() {
    let mut agent = Agent::new();
    let response = agent.send(1000, "GET", "/v1/status", Body::empty()).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let bytes = axum::body::to_bytes(response.into_body(), 4096)
        .await
        .unwrap();
    let body: ProblemDetails = serde_json::from_slice(&bytes).unwrap();
    assert!(
        body.errors[0].contains("may not use the agent: nothing was granted"),
        "{body:?}"
    );
    assert!(body.hint.is_some());
}

#[tokio::test]
async fn lint_tells_of_the_desired_state() {
    let mut agent = Agent::new();
    assert_eq!(agent.get::<Value>("/v1/lint").await, json!([]));
    agent.create("office", &["10.0.0.1"], &["10.0.0.0/8"]).await;
    let findings: Vec<crate::model::Finding> = agent.get("/v1/lint").await;
    let codes: Vec<_> = findings.iter().map(|f| f.code.name()).collect();
    assert_eq!(codes, ["denies-all", "allow-inside-block"]);
}

#[tokio::test]
async fn lint_of_a_change_and_of_a_revision_says_what_each_has() {
    let mut agent = Agent::new();
    agent.create("office", &["10.0.0.1"], &["10.0.0.0/8"]).await;
    let codes = |findings: &[crate::model::Finding]| {
        let codes = findings.iter().map(|finding| finding.code.name());
        codes.collect::<Vec<_>>()
    };
    let edit = json!({ "change": "alter-policy", "name": "office", "allow": { "edit": "edit", "add": { "items": ["10.0.0.2", "192.0.2.1", "2001:db8::1"] } } });
    let (status, found): (_, crate::model::lint::FindingsDifference) =
        agent.ask("POST", "/v1/lint", edit.clone()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(codes(&found.introduced), ["allow-inside-block"]);
    assert_eq!(codes(&found.kept), ["allow-inside-block"]);
    assert_eq!(codes(&found.resolved), ["denies-all"]);
    assert_eq!(
        agent.supervisor.snapshot().revision,
        1,
        "nothing was changed"
    );
    let (status, _) = agent.ask::<Changed>("POST", "/v1/changes", edit).await;
    assert_eq!(status, StatusCode::OK);
    let now: Vec<crate::model::Finding> = agent.get("/v1/lint").await;
    assert_eq!(codes(&now), ["allow-inside-block", "allow-inside-block"]);
    let then: Vec<crate::model::Finding> = agent.get("/v1/lint?revision=1").await;
    assert_eq!(codes(&then), ["denies-all", "allow-inside-block"]);
    let unknown = json!({ "change": "drop-policy", "name": "other" });
    let (status, why) = agent.refused("POST", "/v1/lint", unknown).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{why}");
    let (status, _) = agent
        .refused("GET", "/v1/diff?from=0&limit=1", Value::Null)
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let whole: crate::api::DiffAnswer = agent.get("/v1/diff?from=0&limit=1024").await;
    assert!(
        whole.differs && whole.diff.contains("+name = \"office\""),
        "{whole:?}"
    );
}

#[tokio::test]
async fn a_change_shows_everywhere() {
    let mut agent = Agent::new();
    let changed = agent.create("office", &["10.0.0.1/8"], &["10.0.0.9"]).await;
    assert_eq!((changed.revision, changed.generation), (1, 2));
    assert_eq!(
        changed.warnings.len(),
        1,
        "masked host bits: {:?}",
        changed.warnings
    );

    let status: Status = agent.get("/v1/status").await;
    assert_eq!(status.enforcement.state, EnforcementState::Attached);
    assert_eq!(status.enforcement.generation, 2);
    assert_eq!(status.enforcement.digest.len(), 64);
    assert!(status.faults.is_empty(), "{:?}", status.faults);
    let own = status.agent.unwrap();
    assert_eq!(
        (own.revision, own.policies, own.active_policies, own.rules),
        (1, 1, 1, 2)
    );
    assert_eq!(own.observing, Vec::<String>::new());

    let policies: Vec<PolicyView> = agent.get("/v1/policies").await;
    assert_eq!(policies[0].allow_count, Some(1));
    assert!(policies[0].allow.is_none());
    let policy: PolicyView = agent.get("/v1/policies/OFFICE").await;
    let rule = &policy.allow.unwrap()[0];
    assert_eq!(
        (rule.text.as_str(), rule.cidr.as_str()),
        ("10.0.0.1/8", "10.0.0.0/8")
    );

    let host: HostView = agent.get("/v1/host").await;
    assert_eq!(host.policies, ["office"]);
    let revisions: Paged<RevisionView> = agent.get("/v1/revisions?limit=5").await;
    let revisions = revisions.items;
    assert_eq!(revisions[0].action, "policy create office");
    let progress: ProgressView = agent.get("/v1/progress").await;
    assert_eq!(progress.phase, Phase::Idle);
    let services: Vec<ServiceView> = agent.get("/v1/services").await;
    assert!(services.is_empty());
}

#[tokio::test]
async fn the_status_says_what_only_observes() {
    let mut agent = Agent::new();
    let observe = json!({"change": "set-host", "mode": "observe"});
    let (code, _): (_, Changed) = agent.ask("POST", "/v1/changes", observe).await;
    assert_eq!(code, StatusCode::OK);
    let status: Status = agent.get("/v1/status").await;
    assert_eq!(status.agent.unwrap().observing, ["host"]);
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let mut agent = Agent::new();
    let change = serde_json::to_value(create("office", &[], &["10.0.0.9"])).unwrap();
    let (_, changed): (_, Changed) = agent.ask("POST", "/v1/changes?dry_run=true", change).await;
    assert!(changed.dry_run);
    assert_eq!(changed.plan.len(), 1);
    let policies: Vec<PolicyView> = agent.get("/v1/policies").await;
    assert!(policies.is_empty());
}

#[tokio::test]
async fn counters_have_names() {
    let counters: Counters = Agent::new().get("/v1/counters").await;
    let rows: Vec<_> = counters
        .rows
        .iter()
        .map(|r| format!("{} {} {} {}", r.scope, r.reason, r.action, r.packets))
        .collect();
    assert_eq!(
        rows,
        [
            "host allowed pass 5",
            "host blocked drop 3",
            "service 7 (removed) not-allowed drop 1"
        ]
    );
}

#[tokio::test]
async fn bypasses_come_and_go() {
    let mut agent = Agent::new();
    let request = json!({"source": "10.0.0.1", "minutes": 30});
    let (status, granted): (_, BypassView) = agent.ask("POST", "/v1/bypasses", request).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(granted.granted_by, "root");
    let listed: Vec<BypassView> = agent.get("/v1/bypasses").await;
    assert_eq!(listed, [granted]);
    let path = "/v1/bypasses?source=10.0.0.1/32";
    let (_, revoked): (_, BypassView) = agent.ask("DELETE", path, Value::Null).await;
    assert_eq!(revoked.source, "10.0.0.1/32");
    let listed: Vec<BypassView> = agent.get("/v1/bypasses").await;
    assert!(listed.is_empty());
}

#[tokio::test]
async fn kill_switch_detaches_and_attach_reattaches() {
    let mut agent = Agent::new();
    let detach = "/v1/detach?opens=any";
    let (status, refusal): (_, ProblemDetails) = agent.ask("POST", "/v1/detach", Value::Null).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let opens = refusal.opens.unwrap();
    assert_eq!(opens.sentence(), "opens the host to every source");
    let of_key = format!("/v1/detach?opens={}", opens.key);
    for (path, names) in [
        (of_key.as_str(), &["eth7"][..]),
        (detach, &[]),
        ("/v1/detach", &[]),
    ] {
        let (_, detached): (_, Vec<String>) = agent.ask("POST", path, Value::Null).await;
        assert_eq!(detached, names, "{path}");
    }
    let status: Status = agent.get("/v1/status").await;
    assert_eq!(status.enforcement.state, EnforcementState::Detached);
    let (_, names): (_, Vec<String>) = agent.ask("POST", "/v1/attach", Value::Null).await;
    assert_eq!(names, ["eth7"]);
}

#[tokio::test]
async fn an_export_applies_to_the_same_state() {
    let mut agent = Agent::new();
    agent.create("office", &["10.0.0.1/8"], &["10.0.0.9"]).await;
    agent.create("branch", &[], &["10.0.0.8"]).await;
    let response = agent.send(0, "GET", "/v1/export", Body::empty()).await;
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let change = serde_json::to_value(crate::agent::testing::apply(&text)).unwrap();
    let (_, changed): (_, Changed) = agent.ask("POST", "/v1/changes", change).await;
    assert_eq!(changed.plan, []);
    let response = agent
        .send(0, "GET", "/v1/export?revision=1", Body::empty())
        .await;
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("branch"));
}

#[tokio::test]
async fn events_are_lines_and_end_with_the_agent() {
    let mut agent = Agent::new();
    let response = agent.send(0, "GET", "/v1/events", Body::empty()).await;
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let mut lines = response.into_body().into_data_stream();
    assert!(agent.hub.is_heard());
    agent.hub.send(EventLine::Lost { count: 3 });
    let line = lines.next().await.unwrap().unwrap();
    assert_eq!(line, "{\"event\":\"lost\",\"count\":3}\n");
    agent.stop.send_replace(true);
    assert!(lines.next().await.is_none());
}

#[tokio::test]
async fn after_the_stop_changes_are_refused_and_reading_goes_on() {
    let mut agent = Agent::new();
    agent.supervisor.stop().await;
    let change = serde_json::to_value(create("office", &[], &["10.0.0.9"])).unwrap();
    let (status, text) = agent.refused("POST", "/v1/changes", change).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("stopping"), "{text}");
    let _: Vec<PolicyView> = agent.get("/v1/policies").await;
}

#[tokio::test]
async fn the_api_describes_itself() {
    let api: Value = Agent::new().get("/v1/openapi.json").await;
    let paths = api["paths"].as_object().unwrap();
    for path in [
        "/v1/status",
        "/v1/changes",
        "/v1/sql",
        "/v1/policies/{name}",
        "/v1/events",
    ] {
        assert!(paths.contains_key(path), "{path}");
    }
    assert!(api["components"]["schemas"]["Change"].is_object());
    let methods: Vec<_> = paths["/v1/bypasses"].as_object().unwrap().keys().collect();
    assert_eq!(methods, ["delete", "get", "post"]);
}
