//! The prompt of `netpolicy sql` on a terminal of its own, before an agent that only
//! repeats what it is told.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use nix::pty::openpty;
use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// An agent that answers each script with the script itself; of "fail" it says that it
/// failed. It lives as long as the runtime.
fn agent(socket: &Path) -> tokio::runtime::Runtime {
    async fn sql(Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
        let text = body["text"].as_str().unwrap();
        if text.contains("fail") {
            let error = json!({"line": 1, "column": 1, "errors": ["it failed"], "status": 400});
            let answer = json!({"results": [], "dialect": null, "error": error});
            return (StatusCode::BAD_REQUEST, Json(answer));
        }
        let said = format!("<{}> {text}", body["dialect"]);
        let result = json!({"line": 1, "statement": "x", "status": said});
        (
            StatusCode::OK,
            Json(json!({"results": [result], "dialect": null})),
        )
    }
    let policy = json!({
        "name": "headquarters", "active": true, "bindings": ["host"], "allow_count": null,
        "block_count": 1, "comment": null, "owner": "root",
        "created": "2026-11-20T08:00:00Z", "altered": "2026-11-20T08:00:00Z",
    });
    let router = Router::new()
        .route("/v1/policies", get(async move || Json(json!([policy]))))
        .route("/v1/services", get(async || Json(json!([]))))
        .route("/v1/sql", post(sql));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime.block_on(async { tokio::net::UnixListener::bind(socket) });
    let listener = listener.unwrap();
    runtime.spawn(async move { axum::serve(listener, router).await });
    runtime
}

/// The prompt on a terminal.
struct Prompt {
    child: Child,
    keys: File,
    screen: Receiver<Vec<u8>>,
    /// What the terminal got and no test has looked at.
    seen: String,
}

impl Prompt {
    fn start(dir: &TempDir, args: &[&str]) -> Self {
        let terminal = openpty(None, None).unwrap();
        let end = || terminal.slave.try_clone().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_netpolicy"))
            .arg("sql")
            .args(args)
            .env("NETPOLICY_SOCKET", socket(dir))
            .env_remove("NETPOLICY_CONFIG")
            .env("NETPOLICY_FROM", "none")
            .env("XDG_STATE_HOME", dir.path())
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let mut output = File::from(terminal.master.try_clone().unwrap());
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Once nobody has the other end open, reading fails.
            while let Ok(n @ 1..) = output.read(&mut bytes) {
                if sender.send(bytes[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            keys: File::from(terminal.master),
            screen,
            seen: String::new(),
        }
    }

    fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for a text on the screen, and forgets all up to it.
    #[track_caller]
    fn shows(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("no {text:?} in {:?}", self.seen),
            }
        }
    }

    #[track_caller]
    fn ends(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it goes on: {:?}", self.seen);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Prompt {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn socket(dir: &TempDir) -> PathBuf {
    dir.path().join("agent.sock")
}

#[test]
fn statements_go_over_lines_and_the_dialect_stays_set() {
    let dir = tempfile::tempdir().unwrap();
    let _agent = agent(&socket(&dir));
    let mut prompt = Prompt::start(&dir, &[]);
    prompt.shows("netpolicy=> ");
    prompt.keys("SHOW ';\r");
    prompt.shows("netpolicy-> ");
    prompt.keys("' x;\r");
    prompt.shows("<null> SHOW ';\\n' x;");
    prompt.shows("netpolicy=> ");
    prompt.keys("SET dialect = lakehouse;\r");
    prompt.shows("netpolicy(lakehouse)=> ");
    prompt.keys("a;\r");
    prompt.shows("<\"lakehouse\"> a;");
    prompt.keys("\\dialect auto\r");
    prompt.shows("netpolicy=> ");
    prompt.keys("\x04");
    assert!(prompt.ends().success());
}

#[test]
fn tab_completes_keywords_and_the_agents_names() {
    let dir = tempfile::tempdir().unwrap();
    let _agent = agent(&socket(&dir));
    let mut prompt = Prompt::start(&dir, &["--dialect", "snowflake"]);
    prompt.shows("netpolicy(snowflake)=> ");
    prompt.keys("DES\tNET\tPOL\the\t;\r");
    prompt.shows("<\"snowflake\"> DESC NETWORK POLICY headquarters ;");
    prompt.keys("\\q\r");
    assert!(prompt.ends().success());
}

#[test]
fn the_prompt_goes_on_after_errors_ctrl_c_and_a_lost_agent() {
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(&socket(&dir));
    let mut prompt = Prompt::start(&dir, &[]);
    prompt.shows("netpolicy=> ");
    prompt.keys("fail;\r");
    prompt.shows("error: sql:1:1: it failed");
    prompt.shows("netpolicy=> ");
    prompt.keys("begun\r");
    prompt.shows("netpolicy-> ");
    prompt.keys("\x03");
    prompt.shows("netpolicy=> ");
    prompt.keys("whole;\r");
    prompt.shows("<null> whole;");
    agent.shutdown_timeout(PATIENCE);
    std::fs::remove_file(socket(&dir)).unwrap();
    prompt.keys("lost;\r");
    prompt.shows("error: ");
    prompt.shows("netpolicy=> ");
    prompt.keys("\x04");
    assert!(prompt.ends().success());
}

#[test]
fn the_next_prompt_remembers() {
    let dir = tempfile::tempdir().unwrap();
    let _agent = agent(&socket(&dir));
    let mut prompt = Prompt::start(&dir, &[]);
    prompt.shows("netpolicy=> ");
    prompt.keys("remember me;\r");
    prompt.shows("<null> remember me;");
    prompt.keys("\x04");
    assert!(prompt.ends().success());
    let mut prompt = Prompt::start(&dir, &[]);
    prompt.shows("netpolicy=> ");
    prompt.keys("\x1b[A\r");
    prompt.shows("<null> remember me;");
    prompt.keys("\x04");
    assert!(prompt.ends().success());
}

#[test]
fn without_an_agent_there_is_no_prompt() {
    let dir = tempfile::tempdir().unwrap();
    let mut prompt = Prompt::start(&dir, &[]);
    prompt.shows("error: no agent answers");
    assert_eq!(prompt.ends().code(), Some(3));
}
