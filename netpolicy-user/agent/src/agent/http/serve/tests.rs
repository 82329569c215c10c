//! Connections, over a real socket and a router that only answers.

use axum::routing::get;

use super::*;
use crate::agent::http::socket::ListeningSocket;

const FEW: Connections = Connections {
    each: 2,
    others: 3,
    root: 2,
};

struct RunningServer {
    dir: tempfile::TempDir,
    stop: watch::Sender<bool>,
    _file: crate::agent::http::socket::SocketFile,
    task: tokio::task::JoinHandle<()>,
}

impl RunningServer {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = ListeningSocket::bind(&dir.path().join("agent.sock")).unwrap();
        let (listener, file) = socket.into_parts();
        let (stop, stopping) = watch::channel(false);
        let router = Router::new().route("/", get(async || "here"));
        let task = tokio::spawn(serve(listener, router, FEW, stopping));
        Self {
            dir,
            stop,
            _file: file,
            task,
        }
    }

    async fn connect(&self) -> UnixStream {
        let path = self.dir.path().join("agent.sock");
        UnixStream::connect(path).await.unwrap()
    }
}

async fn ask(stream: &mut UnixStream) -> String {
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    hear(stream).await
}

async fn hear(stream: &mut UnixStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn connection_over_the_bound_is_refused_with_the_reason_and_one_that_ends_makes_room() {
    let server = RunningServer::start();
    let mut held = [server.connect().await, server.connect().await];
    held[0].write_all(b"GET / HT").await.unwrap();
    let answer = ask(&mut server.connect().await).await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("\"hint\":"), "{answer}");
    let [half, mut idle] = held;
    drop(half);
    assert!(ask(&mut idle).await.ends_with("here"));
    let answer = ask(&mut server.connect().await).await;
    assert!(answer.ends_with("here"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn half_a_head_is_answered_408_and_an_idle_connection_is_closed() {
    let server = RunningServer::start();
    let (mut half, mut idle) = (server.connect().await, server.connect().await);
    half.write_all(b"GET / HTTP/1.1\r\nhost").await.unwrap();
    assert_eq!(hear(&mut idle).await, "");
    let answer = hear(&mut half).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("within 10 s"), "{answer}");
}

#[tokio::test]
async fn stopping_ends_idle_connections_and_the_server() {
    let server = RunningServer::start();
    let mut idle = server.connect().await;
    tokio::task::yield_now().await;
    server.stop.send_replace(true);
    assert_eq!(hear(&mut idle).await, "");
    server.task.await.unwrap();
}

#[test]
fn bounds_leave_descriptors_for_the_agent_s_own_work() {
    for descriptors in [64, 256, 1_024, 524_288, u64::MAX] {
        let limits = Connections::within(descriptors);
        let all = (limits.others + limits.root) as u64;
        assert!(all <= descriptors.max(16) / 2, "{descriptors}: {limits:?}");
        assert!(limits.each < limits.others, "{descriptors}: {limits:?}");
    }
    assert_eq!(Connections::within(524_288).each, 32);
}

#[test]
fn descriptor_limit_is_raised_to_the_maximum() {
    let limit = raise_descriptor_limit();
    let now = getrlimit(Resource::Nofile);
    assert_eq!(now.current, now.maximum);
    assert_eq!(now.current.unwrap_or(u64::MAX), limit);
}
