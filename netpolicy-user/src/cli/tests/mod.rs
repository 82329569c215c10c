//! Commands as they are typed, against an agent that answers from a script.

mod changes;
mod questions;
mod sql;

use std::sync::{Arc, Mutex};

use axum::extract::{Path as UrlPath, Query, State as Shared};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use clap::CommandFactory;
use serde_json::{Value, json};

use super::*;
use crate::api::{ChangeHead, ChangeQuery, ConsentQuery};
use crate::model::diff::unified;
use crate::model::{Change, ChangeContext, Limits, State};

/// What one command did.
#[derive(Debug)]
struct Ran {
    exit: Exit,
    out: String,
    err: String,
}

/// The requests that the agent saw: method, path and body.
type Requests = Arc<Mutex<Vec<(String, Value)>>>;

#[derive(Clone, Default)]
struct FakeAgent {
    seen: Requests,
    agrees: bool,
}

fn status(state: &str, faults: &[&str]) -> Value {
    json!({
        "agent": null,
        "enforcement": {
            "state": state, "engine": "lpm", "generation": 7, "revision": 5, "digest": "00",
            "entries": 1, "abi": 1,
            "interfaces": [{"name": "eth0", "index": 2, "attachment": "native"}],
        },
        "faults": faults,
    })
}

fn policy(active: bool) -> Value {
    json!({
        "name": "office", "active": active, "bindings": ["host"], "allow_count": null,
        "block_count": 1, "comment": null, "owner": "root",
        "created": "2026-11-20T08:00:00Z", "altered": "2026-11-20T08:00:00Z",
    })
}

fn bypass() -> Value {
    json!({
        "source": "10.0.0.0/8", "scope": "host", "granted": "2026-11-20T08:00:00Z",
        "expires": "2026-11-20T08:30:00Z", "granted_by": "root",
    })
}

type Refused = (StatusCode, Json<Value>);

/// Refuses what opens something unless the request consents to it.
fn consented(opens: Option<&str>, error: &str) -> Result<(), Refused> {
    let host = json!({"scope": "host", "sources": "every", "percent": 100});
    let opening = json!({"openings": [host], "key": "00000000000000ff"});
    let body = json!({"errors": [error], "hint": "--yes", "opens": opening});
    match opens {
        Some("any" | "00000000000000ff") => Ok(()),
        _ => Err((StatusCode::CONFLICT, Json(body))),
    }
}

/// A change whose texts follow it.
fn with_texts(body: &[u8]) -> Change {
    let end = body.iter().position(|byte| *byte == b'\n').unwrap();
    let ChangeHead { mut change, texts } = serde_json::from_slice(&body[..end]).unwrap();
    let mut rest = std::str::from_utf8(&body[end + 1..]).unwrap();
    for (place, length) in change.texts_mut().into_iter().zip(texts) {
        let (text, others) = rest.split_at(length);
        text.clone_into(place);
        rest = others;
    }
    assert_eq!(rest, "");
    change
}

async fn detach(
    Shared(s): Shared<FakeAgent>,
    Query(query): Query<ConsentQuery>,
) -> Result<Json<Value>, Refused> {
    consented(
        query.opens.as_deref(),
        "detaching opens the host to every source",
    )?;
    s.seen.lock().unwrap().push(("detach".into(), Value::Null));
    Ok(Json(json!(["eth0"])))
}

fn agent(script: FakeAgent) -> Router {
    async fn change(
        Shared(s): Shared<FakeAgent>,
        Query(query): Query<ChangeQuery>,
        Json(body): Json<Value>,
    ) -> Result<Json<Value>, Refused> {
        if body["change"] == "drop-policy" {
            consented(
                query.opens.as_deref(),
                "the change opens the host to every source",
            )?;
        }
        s.seen.lock().unwrap().push(("change".into(), body));
        Ok(Json(json!({
            "revision": 5, "generation": 7, "entries": 1,
            "plan": [{"action": "add", "subject": "policy office", "details": ["+ block 10.0.0.0/8"]}],
            "warnings": ["10.0.0.1/8 means 10.0.0.0/8"], "dry_run": false,
            "timing": {"check_ms": 1, "compile_ms": 1, "fill_ms": 1, "store_ms": 0},
        })))
    }
    Router::new()
        .route("/v1/status", get(async || Json(status("attached", &[]))))
        .route("/v1/policies", get(async || Json(json!([policy(true)]))))
        .route(
            "/v1/policies/{name}",
            get(async |UrlPath(name): UrlPath<String>| {
                let body = json!({"errors": [format!("there is no policy {name}")], "hint": "look"});
                (StatusCode::NOT_FOUND, Json(body))
            }),
        )
        .route("/v1/changes", post(change))
        .route(
            "/v1/explain",
            get(async |Shared(s): Shared<FakeAgent>| {
                Json(json!({
                    "source": "10.0.0.1", "port": null, "interface": null, "arrival": "any-filtered",
                    "enforced": true, "scope": "host", "verdict": "pass",
                    "reason": "no-policy", "sentence": "none governs", "matched": null,
                    "policies": {
                        "verdict": "pass", "reason": "no-policy", "sentence": "none governs",
                    },
                    "consulted": [], "kernel": {"verdict": "drop", "reason": "blocked"},
                    "kernel_error": null, "agrees": s.agrees,
                }))
            }),
        )
        .route("/v1/diff", get(async || Json(json!({"differs": false, "diff": "", "left_out": 0}))))
        .route("/v1/diff", post(async |Shared(s), body: axum::body::Bytes| {
            let file = with_texts(&body);
            let body = serde_json::to_value(&file).unwrap();
            let cx = ChangeContext {
                now: jiff::Timestamp::UNIX_EPOCH,
                actor: "root",
                limits: Limits::default(),
                force: true,
            };
            let nothing = State::empty();
            let diff = unified(&nothing, &nothing.apply(&file, &cx).unwrap().state, usize::MAX);
            let query = Query(ChangeQuery::default());
            let Json(plan) = change(Shared(s), query, Json(body)).await.unwrap();
            Json(json!({"differs": true, "diff": diff.text, "left_out": 0, "plan": plan}))
        }))
        .route("/v1/export", get(async || "[[policy]]\nname = \"office\"\n"))
        .route("/v1/bypasses", post(async || Json(bypass())))
        .route("/v1/bypasses", get(async || Json(json!([]))))
        .route("/v1/bypasses", delete(async || StatusCode::NO_CONTENT))
        .route("/v1/events", get(async || {
            let lost = "{\"event\":\"lost\",\"count\":2}\n";
            let denied = "{\"event\":\"denied\",\"time\":\"2026-11-20T08:00:00Z\",\"source\":\"10.0.0.1\",\"source_port\":1,\"destination\":\"10.0.0.2\",\"destination_port\":2,\"interface\":\"eth0\",\"scope\":\"host\",\"reason\":\"blocked\",\"action\":\"drop\",\"generation\":7,\"rule\":null}\n";
            [denied, lost, denied, denied].concat()
        }))
        .route("/v1/detach", post(detach))
        .with_state(script)
}

/// Runs a command against `router`, or against no agent at all.
fn run_against(router: Option<Router>, line: &[&str]) -> Ran {
    run_in(&tempfile::tempdir().unwrap(), router, line)
}

fn run_in(dir: &tempfile::TempDir, router: Option<Router>, line: &[&str]) -> Ran {
    let socket = dir.path().join("agent.sock");
    let config = Config {
        socket: socket.clone(),
        state_dir: dir.path().into(),
        bpffs_dir: dir.path().join("nothing-is-pinned-here"),
        ..Config::default()
    };
    let cli = Cli::try_parse_from([&["netpolicy"], line].concat()).unwrap();
    let Command::Client(command) = cli.command else {
        panic!("{line:?}")
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = runtime.block_on(async {
        if let Some(router) = router {
            let listener = tokio::net::UnixListener::bind(&socket).unwrap();
            tokio::spawn(async move { axum::serve(listener, router).await });
        }
        let terminals = Terminals::default();
        let mut cx = Context::new(
            config,
            cli.global.output,
            cli.global.yes,
            terminals,
            &mut out,
            &mut err,
        );
        command.run(&mut cx).await
    });
    let exit = exit.unwrap_or_else(|error| {
        failure::report_in(cli.global.output, &error, &mut err).unwrap();
        failure::exit_of(&error)
    });
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .unwrap()
            .replace(&dir.path().display().to_string(), "DIR")
    };
    Ran {
        exit,
        out: text(out),
        err: text(err),
    }
}

fn run(line: &[&str]) -> Ran {
    run_against(
        Some(agent(FakeAgent {
            agrees: true,
            ..FakeAgent::default()
        })),
        line,
    )
}

/// The change that a command sends.
fn sends(line: &[&str]) -> Value {
    let script = FakeAgent::default();
    let ran = run_against(Some(agent(script.clone())), line);
    assert_eq!(ran.exit, Exit::Done, "{ran:?}");
    let seen = script.seen.lock().unwrap();
    assert_eq!(seen.len(), 1, "{seen:?}");
    seen[0].1.clone()
}

fn usage(line: &[&str]) -> String {
    let error = Cli::try_parse_from([&["netpolicy"], line].concat()).unwrap_err();
    assert!(error.use_stderr(), "{error}");
    error.to_string()
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn version_and_help_are_not_errors() {
    for line in [
        &["netpolicy", "--version"][..],
        &["netpolicy", "help"],
        &["netpolicy", "policy", "--help"],
    ] {
        let error = Cli::try_parse_from(line).unwrap_err();
        assert!(!error.use_stderr(), "{line:?}");
    }
    let version = Cli::try_parse_from(["netpolicy", "--version"])
        .unwrap_err()
        .to_string();
    assert_eq!(
        version,
        format!("netpolicy {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn global_options_stand_anywhere() {
    for line in [
        ["netpolicy", "-o", "json", "status"],
        ["netpolicy", "status", "--output", "json"],
    ] {
        assert_eq!(
            Cli::try_parse_from(line).unwrap().global.output,
            Format::Json
        );
    }
}

#[test]
fn invalid_command_lines_are_usage_errors() {
    usage(&["policy", "create"]);
    usage(&["policy", "alter", "office"]);
    usage(&[
        "policy",
        "alter",
        "office",
        "--any",
        "--add-allow",
        "10.0.0.1",
    ]);
    usage(&[
        "policy",
        "alter",
        "office",
        "--set-block",
        "10.0.0.1",
        "--add-block",
        "10.0.0.2",
    ]);
    usage(&["service", "add", "pg", "--port", "1", "--combine", "or"]);
    usage(&["service", "alter", "pg"]);
    usage(&["host", "set"]);
    usage(&["explain", "10.0.0.1", "--port", "0"]);
    usage(&["explain", "10.0.0.1", "--port", "70000"]);
    usage(&["bypass", "grant", "10.0.0.1", "--minutes", "0"]);
    usage(&["diff", "-f", "x", "3"]);
    usage(&["sql", "-e", "x", "-f", "y"]);
    usage(&["sql", "--dialect", "postgres"]);
    assert!(usage(&["host", "set", "--failsafe-ports", ""]).contains("or `none`"));
    assert!(usage(&["explain", "10.0.0.0/33"]).contains("as in 192.0.2.7 or 192.0.2.0/24"));
    assert!(usage(&["explain", "155.548.2.98"]).contains("expected an address or CIDR"));
    assert!(usage(&["explain", "10.0.0.1:0"]).contains("invalid port 0"));
}
