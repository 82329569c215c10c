//! The client against small servers, well and badly behaved.

use crate::testing::word;
use std::io;

use axum::Json;
use axum::extract::{Path as UrlPath, Query};
use axum::http::StatusCode;
use axum::routing::{get, post};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;
use crate::api::{DeniedEvent, EventLine, EventsQuery, Timing};

struct Server {
    socket: PathBuf,
    _dir: tempfile::TempDir,
}

fn listen() -> (Server, UnixListener) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    (Server { socket, _dir: dir }, listener)
}

fn serve(router: axum::Router) -> (Server, Client) {
    let (server, listener) = listen();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let client = Client::new(&server.socket);
    (server, client)
}

/// Answers every connection with these bytes and hangs up.
fn serve_bytes(answer: &'static str) -> (Server, Client) {
    let (server, listener) = listen();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let client = Client::new(&server.socket);
    (server, client)
}

fn dry_run() -> ChangeQuery {
    ChangeQuery {
        dry_run: true,
        ..ChangeQuery::default()
    }
}

fn changed() -> Changed {
    Changed {
        revision: 5,
        generation: 7,
        entries: 2,
        changed: false,
        plan: Vec::new(),
        effects: Vec::new(),
        clients: None,
        databases: Vec::new(),
        seen: None,
        operator: None,
        opens: None,
        pending: None,
        warnings: Vec::new(),
        dry_run: true,
        timing: Timing::default(),
    }
}

#[tokio::test]
async fn change_is_sent_with_its_query_and_its_result_returned() {
    #[derive(serde::Deserialize)]
    struct Ask {
        dry_run: bool,
    }
    let router = axum::Router::new().route(
        "/v1/changes",
        post(async |Query(ask): Query<Ask>, Json(change): Json<Change>| {
            assert!(ask.dry_run);
            assert_eq!(
                change,
                Change::DropPolicy {
                    name: "office".into()
                }
            );
            Json(changed())
        }),
    );
    let (_server, client) = serve(router);
    let change = Change::DropPolicy {
        name: "office".into(),
    };
    assert_eq!(client.change(&change, &dry_run()).await.unwrap(), changed());
}

#[tokio::test]
async fn names_with_any_character_reach_the_agent() {
    let router = axum::Router::new().route(
        "/v1/policies/{name}",
        get(async |UrlPath(name): UrlPath<String>| {
            let body = ProblemDetails {
                errors: vec![format!("<{name}>")],
                hint: Some("h".into()),
                ..ProblemDetails::default()
            };
            (StatusCode::NOT_FOUND, Json(body))
        }),
    );
    let (_server, client) = serve(router);
    for name in ["office", "a b/c?d#e%41", "büro", "..a"] {
        match client.policy(name).await {
            Err(ClientError::Refused { status: 404, body }) => {
                assert_eq!(body.errors, [format!("<{name}>")]);
                assert_eq!(body.hint.as_deref(), Some("h"));
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    let error = client.policy("..").await.unwrap_err();
    assert_eq!(error.to_string(), "there is no policy \"..\"");
}

#[tokio::test]
async fn explain_and_revoke_send_their_parameters() {
    let echo = async |Query(q): Query<Vec<(String, String)>>| {
        let said: Vec<_> = q.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let body = ProblemDetails {
            errors: vec![said.join("&")],
            ..ProblemDetails::default()
        };
        (StatusCode::BAD_REQUEST, Json(body))
    };
    let router = axum::Router::new()
        .route("/v1/explain", get(echo))
        .route("/v1/export", get(echo))
        .route("/v1/bypasses", axum::routing::delete(echo));
    let (_server, client) = serve(router);
    let source = "2001:db8::1".parse().unwrap();
    assert_eq!(
        client
            .explain(source, Some(5432), Some("eth0"), None)
            .await
            .unwrap_err()
            .to_string(),
        "source=2001:db8::1&port=5432&interface=eth0"
    );
    assert_eq!(
        client
            .explain(source, None, None, Some(41))
            .await
            .unwrap_err()
            .to_string(),
        "source=2001:db8::1&revision=41"
    );
    assert_eq!(
        client.export(Some(3)).await.unwrap_err().to_string(),
        "revision=3"
    );
    assert_eq!(
        client
            .revoke_bypass("10.0.0.0/8", Some("pg"), false, None)
            .await
            .unwrap_err()
            .to_string(),
        "source=10.0.0.0/8&service=pg"
    );
}

#[tokio::test]
async fn only_a_missing_or_dead_socket_is_no_agent() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agent.sock");
    let error = Client::new(&socket).status().await.unwrap_err();
    assert!(matches!(&error, ClientError::NoAgent { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!(
            "no agent answers on {}: there is no such socket",
            socket.display()
        )
    );

    // A listener that is gone leaves its socket file behind.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let error = Client::new(&socket).status().await.unwrap_err();
    assert!(matches!(error, ClientError::NoAgent { .. }), "{error:?}");
    assert!(
        error.to_string().ends_with("no process listens on it"),
        "{error}"
    );
}

#[tokio::test]
async fn each_connection_failure_has_its_own_error() {
    let dir = tempfile::tempdir().unwrap();
    let said = async |path: &Path| {
        let error = Client::new(path).status().await.unwrap_err();
        assert!(!error.is_agent_missing(), "{error:?}");
        error
            .to_string()
            .replace(&dir.path().display().to_string(), "DIR")
    };
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert_eq!(
        said(&file).await,
        "DIR/file is not an agent's socket: it is another kind of file"
    );
    assert_eq!(
        said(&file.join("agent.sock")).await,
        "DIR/file/agent.sock is not an agent's socket: a part of the path is not a directory"
    );
    let datagram = dir.path().join("datagram");
    let _socket = std::os::unix::net::UnixDatagram::bind(&datagram).unwrap();
    assert_eq!(
        said(&datagram).await,
        "DIR/datagram is not an agent's socket: it is a socket of another type"
    );
    let long = dir.path().join("x".repeat(150));
    assert!(
        said(&long)
            .await
            .ends_with("the path is too long for a socket"),
        "{}",
        said(&long).await
    );
}

#[tokio::test]
async fn full_connection_queue_is_reported_as_a_hanging_agent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.sock");
    let socket = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Unix,
        nix::sys::socket::SockType::Stream,
        nix::sys::socket::SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap();
    use std::os::fd::AsRawFd as _;
    let address = nix::sys::socket::UnixAddr::new(&path).unwrap();
    nix::sys::socket::bind(socket.as_raw_fd(), &address).unwrap();
    nix::sys::socket::listen(&socket, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    // The one connection that such a queue holds.
    let _waits = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let error = Client::new(&path).status().await.unwrap_err();
    assert!(matches!(error, ClientError::Busy { .. }), "{error:?}");
    assert!(error.is_agent_missing());
}

#[tokio::test]
async fn refusal_without_json_is_reported_as_another_program() {
    let router = axum::Router::new().route(
        "/v1/status",
        get(async || (StatusCode::PAYLOAD_TOO_LARGE, "too long\nby far")),
    );
    let (server, client) = serve(router);
    let said = |error: ClientError| {
        assert!(
            matches!(error, ClientError::OtherProgram { .. }),
            "{error:?}"
        );
        let socket = server.socket.display().to_string();
        error.to_string().replace(&socket, "SOCKET")
    };
    assert_eq!(
        said(client.status().await.unwrap_err()),
        "what answers on SOCKET is not a netpolicy agent: it answers GET /v1/status with 413 Payload Too Large: too long"
    );
    assert_eq!(
        said(client.counters().await.unwrap_err()),
        "what answers on SOCKET is not a netpolicy agent: it answers GET /v1/counters with 404 Not Found"
    );
}

#[tokio::test]
async fn answers_without_http_or_json_are_reported_as_another_program() {
    for answer in [
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\ngarbage",
    ] {
        let (server, client) = serve_bytes(answer);
        let error = client.status().await.unwrap_err();
        assert!(
            matches!(error, ClientError::OtherProgram { .. }),
            "{answer:?}: {error:?}"
        );
        let start = format!(
            "what answers on {} is not a netpolicy agent: ",
            server.socket.display()
        );
        assert!(error.to_string().starts_with(&start), "{error}");
    }
}

#[tokio::test]
async fn truncated_and_unknown_answers_are_not_refusals() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"agent\":",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "",
    ] {
        let (server, client) = serve_bytes(answer);
        let error = client.status().await.unwrap_err();
        assert!(
            matches!(error, ClientError::Transport { .. }),
            "{answer:?}: {error:?}"
        );
        assert_eq!(
            error.to_string(),
            format!(
                "GET /v1/status: the answer of the agent on {} is unusable",
                server.socket.display()
            )
        );
    }
}

#[tokio::test]
async fn events_are_read_line_by_line_however_they_are_split() {
    let event = EventLine::Denied(DeniedEvent {
        time: jiff::Timestamp::UNIX_EPOCH,
        source: "10.0.0.1".parse().unwrap(),
        source_port: 1,
        destination: "10.0.0.2".parse().unwrap(),
        destination_port: 5432,
        interface: "eth0".into(),
        scope: "host".into(),
        reason: word("blocked"),
        action: word("drop"),
        generation: 7,
        rule: None,
        policies: Vec::new(),
    });
    let text = format!(
        "{}\n\n{{\"event\":\"lost\",\"count\":3}}\n",
        serde_json::to_string(&event).unwrap()
    );
    let router = axum::Router::new().route(
        "/v1/events",
        get(async move || {
            let pieces: Vec<Result<Bytes, io::Error>> = text
                .as_bytes()
                .chunks(7)
                .map(|c| Ok(Bytes::copy_from_slice(c)))
                .collect();
            axum::body::Body::from_stream(futures_util::stream::iter(pieces))
        }),
    );
    let (_server, client) = serve(router);
    let mut events = client.events(&EventsQuery::default()).await.unwrap();
    assert_eq!(events.next().await.unwrap(), event);
    assert_eq!(events.next().await.unwrap(), EventLine::Lost { count: 3 });
    assert!(matches!(events.next().await, Err(ClientError::StreamEnded)));
}
