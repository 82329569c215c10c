//! `netpolicy sql`, with an agent that answers what a test says.

use super::*;

/// An agent with one answer to every script, and the scripts that it saw.
fn sql_agent(code: StatusCode, answer: Value) -> (Router, Requests) {
    let seen = Requests::default();
    let saw = seen.clone();
    let router = Router::new()
        .route("/v1/status", get(async || Json(status("attached", &[]))))
        .route(
            "/v1/sql",
            post(async move |uri: axum::http::Uri, Json(body): Json<Value>| {
                let query = uri.query().unwrap_or_default().to_owned();
                saw.lock().unwrap().push((query, body));
                (code, Json(answer))
            }),
        );
    (router, seen)
}

fn answers(code: StatusCode, answer: &Value, line: &[&str]) -> (Ran, Vec<(String, Value)>) {
    let (router, seen) = sql_agent(code, answer.clone());
    let ran = run_against(Some(router), line);
    let seen = seen.lock().unwrap().clone();
    (ran, seen)
}

fn changed(revision: u64, dry_run: bool) -> Value {
    json!({
        "revision": revision, "generation": 7, "entries": 1,
        "plan": [{"action": "add", "subject": "policy office", "details": ["+ block 10.0.0.0/8"]}],
        "warnings": ["10.0.0.1/8 means 10.0.0.0/8"], "dry_run": dry_run,
        "clients": {"connected": 3, "denied": [], "closed": 0, "existing": "keep"},
        "timing": {"check_ms": 1, "compile_ms": 1, "fill_ms": 1, "store_ms": 0},
    })
}

fn created(revision: u64) -> Value {
    json!({
        "line": 1, "statement": "CREATE NETWORK POLICY office",
        "status": "Network policy OFFICE successfully created.",
        "changed": changed(revision, false), "warnings": ["10.0.0.1/8 means 10.0.0.0/8"],
    })
}

fn shown() -> Value {
    json!({
        "line": 2, "statement": "SHOW NETWORK POLICIES", "columns": ["name", "comment"],
        "rows": [["OFFICE", null], ["a\u{1b}[2J", "head office"]],
    })
}

fn whole(results: &[Value]) -> Value {
    json!({"results": results, "dialect": "snowflake"})
}

fn failed(results: &[Value]) -> Value {
    json!({
        "results": results, "dialect": "snowflake",
        "error": {
            "line": 3, "column": 5, "status": 409, "code": "conflict",
            "errors": ["Object 'OFFICE' already exists."], "hint": "choose another name",
        },
    })
}

#[test]
fn statements_of_the_command_line_are_one_script() {
    let line = [
        "sql",
        "--dialect",
        "snowflake",
        "-e",
        "SHOW NETWORK POLICIES",
        "-e",
        "DROP NETWORK POLICY a",
        "--atomic",
        "--force",
        "--existing",
        "cut",
        "--from",
        "10.0.0.1",
    ];
    let (ran, seen) = answers(StatusCode::OK, &whole(&[]), &line);
    assert_eq!(ran.exit, Exit::Done, "{ran:?}");
    assert_eq!(
        seen,
        [(
            "force=true&existing=cut&from=10.0.0.1".to_owned(),
            json!({
                "text": "SHOW NETWORK POLICIES;\nDROP NETWORK POLICY a", "name": "-e",
                "dialect": "snowflake", "atomic": true,
            })
        )]
    );
}

#[test]
fn a_file_is_sent_under_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policies.sql");
    std::fs::write(&path, "-- dialect: lakehouse\nSHOW NETWORK POLICIES;\n").unwrap();
    let path = path.to_str().unwrap();
    let (_, seen) = answers(StatusCode::OK, &whole(&[]), &["sql", "-f", path]);
    assert_eq!(
        seen[0].1,
        json!({
            "text": "-- dialect: lakehouse\nSHOW NETWORK POLICIES;\n", "name": path,
            "dialect": null, "atomic": false,
        })
    );
}

#[test]
fn file_that_is_not_utf8_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policies.sql");
    std::fs::write(&path, b"SHOW\n  \xc3\xa4 \xff;").unwrap();
    let path = path.to_str().unwrap();
    let (ran, seen) = answers(StatusCode::OK, &whole(&[]), &["sql", "-f", path]);
    assert_eq!(ran.exit, Exit::Failed);
    assert_eq!(
        ran.err,
        format!("error: {path}:2:5: is not text: byte 0xff at offset 10 is not valid UTF-8\n")
    );
    assert_eq!(seen, []);
}

#[test]
fn results_are_printed_in_order_and_the_revision_once() {
    let answer = whole(&[created(5), shown(), created(6)]);
    let (ran, _) = answers(StatusCode::OK, &answer, &["sql", "-e", "x"]);
    assert_eq!(ran.exit, Exit::Done);
    assert_eq!(
        ran.out,
        "Network policy OFFICE successfully created.\n\
         denies 0 of 3 connected clients\n\
         name         comment\n\
         OFFICE\n\
         a\\u{1b}[2J   head office\n\
         (2 rows)\n\
         Network policy OFFICE successfully created.\n\
         denies 0 of 3 connected clients\n\
         revision 6, generation 7 in force on eth0 (6 ms)\n"
    );
    assert_eq!(ran.err, "warning: 10.0.0.1/8 means 10.0.0.0/8\n");
}

#[test]
fn a_dry_run_shows_the_plan() {
    let answer = whole(&[json!({
        "line": 1, "statement": "CREATE NETWORK POLICY office", "changed": changed(5, true),
    })]);
    let (ran, seen) = answers(StatusCode::OK, &answer, &["sql", "-e", "x", "--dry-run"]);
    assert_eq!(seen[0].0, "dry_run=true");
    assert_eq!(
        ran.out,
        "+ policy office\n    + block 10.0.0.0/8\n\
         would deny 0 of 3 connected clients\n\
         dry run, nothing was changed: revision 5, generation 7 in force on eth0\n"
    );
}

#[test]
fn failure_follows_the_results_with_its_place_and_what_stays_applied() {
    let answer = failed(&[created(5), shown()]);
    let (ran, _) = answers(StatusCode::CONFLICT, &answer, &["sql", "-e", "x"]);
    assert_eq!(ran.exit, Exit::Failed);
    assert!(
        ran.out
            .ends_with("revision 5, generation 7 in force on eth0 (3 ms)\n"),
        "{ran:?}"
    );
    assert_eq!(
        ran.err,
        "warning: 10.0.0.1/8 means 10.0.0.0/8\n\
         error: -e:3:5: Object 'OFFICE' already exists.\n\
         hint: choose another name\n\
         note: the 2 statements before it were carried out and stay\n"
    );
    let atomic = ["sql", "-e", "x", "--atomic"];
    let (ran, _) = answers(StatusCode::CONFLICT, &failed(&[]), &atomic);
    assert!(
        ran.err.ends_with("\nnote: atomic: nothing was changed\n"),
        "{ran:?}"
    );
}

#[test]
fn place_in_the_agent_s_error_is_printed_once() {
    let mut answer = failed(&[]);
    answer["error"]["errors"] = json!(["-e:9:2: '155.548.2.98' is no address"]);
    let (ran, _) = answers(StatusCode::BAD_REQUEST, &answer, &["sql", "-e", "x"]);
    assert!(
        ran.err
            .starts_with("error: -e:9:2: '155.548.2.98' is no address\n"),
        "{ran:?}"
    );
}

#[test]
fn each_of_several_errors_is_a_line_with_its_own_place() {
    let mut answer = failed(&[]);
    answer["error"]["errors"] = json!([
        "'155.548.2.98' is no address",
        "line 4, column 7: '10.0.0.0/33' is no CIDR",
        "and 3 more errors",
    ]);
    let (ran, _) = answers(StatusCode::BAD_REQUEST, &answer, &["sql", "-e", "x"]);
    assert_eq!(
        ran.err,
        "error: -e:3:5: '155.548.2.98' is no address\n\
         error: -e:4:7: '10.0.0.0/33' is no CIDR\n\
         error: and 3 more errors\n\
         hint: choose another name\n"
    );
}

#[test]
fn json_output_is_the_agent_s_answer() {
    let answer = failed(&[created(5), shown()]);
    let line = ["sql", "-e", "x", "-o", "json"];
    let (ran, _) = answers(StatusCode::CONFLICT, &answer, &line);
    assert_eq!(ran.exit, Exit::Failed);
    let printed: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(printed["error"], answer["error"]);
    assert_eq!(printed["results"][1], answer["results"][1]);
    let error: Value = serde_json::from_str(&ran.err).unwrap();
    let error = &error["error"];
    assert_eq!(error["code"], "conflict");
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("-e:3:5: Object 'OFFICE'"), "{ran:?}");
    assert_eq!(
        error["places"],
        json!([{"source": "-e", "line": 3, "column": 5}])
    );
}

#[test]
fn missing_agent_or_endpoint_is_reported() {
    assert_eq!(run_against(None, &["sql", "-e", "x"]).exit, Exit::NoAgent);
    let ran = run(&["sql", "-e", "x"]);
    assert_eq!(ran.exit, Exit::Failed);
    assert_eq!(
        ran.err,
        "error: what answers on DIR/agent.sock is not a netpolicy agent: it answers POST /v1/sql with 404 Not Found\n\
         hint: name the agent's socket with --socket, NETPOLICY_SOCKET or in the configuration file\n"
    );
    let body = json!({"errors": ["bob may not do that"], "hint": null});
    let (ran, _) = answers(StatusCode::FORBIDDEN, &body, &["sql", "-e", "x"]);
    assert_eq!(ran.err, "error: bob may not do that\n");
}
