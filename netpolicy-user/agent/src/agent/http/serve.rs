//! HTTP on the agent's connections: how many there are, for how long, and who may have them.
//!
//! No caller can keep others, or the agent itself, from working: each user's connections
//! are bounded, root's are not counted with the others', and who sends nothing is cut off.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::Service;

use super::admission::Peer;
use super::error::HttpError;
use super::quota::{Bound, Exceeded, Quota, Share};
use super::throttle::Throttle;
use crate::agent::access::Caller;
use crate::api::PROBLEM_JSON;

/// How long a request's head may take, and a connection may stand idle before it.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Bytes of a request's head, and of the part of a body that is read ahead.
const BUFFER: usize = 64 * 1024;

/// How long a caller without a connection is given to take the refusal.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// Refusals that are under way; further ones are told nothing.
const REFUSALS: usize = 64;

/// Between two tries to accept while there are no descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// User id of callers that the kernel does not name: counted as one user.
const UNKNOWN: u32 = u32::MAX;

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// Of one user who is not root.
    pub each: usize,
    /// Of all users who are not root.
    pub others: usize,
    /// Of root.
    pub root: usize,
}

impl Connections {
    /// As many as leave half of the process's descriptors to the agent's own work.
    #[must_use]
    pub fn within(descriptors: u64) -> Self {
        let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
        let others = (descriptors / 4).clamp(4, 128);
        Self {
            each: others.div_ceil(4),
            others,
            root: (descriptors / 4).clamp(4, 512),
        }
    }

    fn of(self, uid: u32) -> Bound {
        match uid {
            0 => Bound {
                each: self.root,
                is_shared: false,
            },
            _ => Bound {
                each: self.each,
                is_shared: true,
            },
        }
    }
}

/// Raises the number of descriptors that this process may open to what the system allows
/// it; that number.
#[must_use]
pub fn raise_descriptor_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            current
        }
    };
    limit.unwrap_or(u64::MAX)
}

/// Serves until `stopping` says so, then lets answers that are under way end.
pub async fn serve(
    listener: UnixListener,
    router: Router,
    limits: Connections,
    mut stopping: watch::Receiver<bool>,
) {
    let quota = Quota::new(limits.others);
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            // An error means that the agent is gone altogether.
            _ = stopping.wait_for(|stopping| *stopping) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                static SAID: Throttle = Throttle::new();
                if let Some(left_out) = SAID.ask() {
                    tracing::error!(%error, left_out, "a connection cannot be accepted");
                }
                sleep(PAUSE).await;
                continue;
            }
        };
        let peer = peer(&stream);
        let uid = peer.caller.map_or(UNKNOWN, |caller| caller.uid);
        match quota.take(uid, 1, limits.of(uid)) {
            Ok(share) => {
                let (router, stopping) = (router.clone(), stopping.clone());
                connections.spawn(connection(stream, peer, router, stopping, share));
            }
            Err(exceeded) => {
                let error = refusal(uid, exceeded, limits);
                match refusals.clone().try_acquire_owned() {
                    Ok(permit) => drop(connections.spawn(async move {
                        let _permit = permit;
                        refuse(stream, &error).await;
                    })),
                    // A connection that was just made has room for it.
                    Err(_) => drop(stream.try_write(&answer(&error))),
                }
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

fn peer(stream: &UnixStream) -> Peer {
    Peer::new(stream.peer_cred().ok().map(|c| Caller {
        uid: c.uid(),
        gid: c.gid(),
        pid: c.pid(),
        person: None,
    }))
}

/// One connection, request by request.
async fn connection(
    stream: UnixStream,
    peer: Peer,
    router: Router,
    mut stopping: watch::Receiver<bool>,
    _share: Share,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer.clone()));
        router.clone().call(request)
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = async { drop(stopping.wait_for(|stopping| *stopping).await) } => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    let Err(error) = ended else { return };
    tracing::debug!(%error, "a connection ended early");
    let parts = connection.into_parts();
    // Who sent nothing at all only stood idle, and expects no answer.
    if error.is_timeout() && !parts.read_buf.is_empty() {
        let error = HttpError::TooSlow {
            what: "the head of the request",
            seconds: HEAD_TIME.as_secs(),
        };
        refuse(parts.io.into_inner(), &error).await;
    }
}

/// Why this user has no connection now; logged, but not each time.
fn refusal(uid: u32, exceeded: Exceeded, limits: Connections) -> HttpError {
    static SAID: Throttle = Throttle::new();
    if let Some(left_out) = SAID.ask() {
        tracing::warn!(uid, ?exceeded, left_out, "refused: too many connections");
    }
    match exceeded {
        Exceeded::Own => HttpError::TooMany(format!(
            "uid {uid} has {} connections to the agent, which is the most for one user",
            limits.of(uid).each
        )),
        Exceeded::All => HttpError::Busy(format!(
            "the agent serves {} connections, which is the most for all users but root",
            limits.others
        )),
    }
}

/// Tells a caller who is not served why, and hangs up.
async fn refuse(mut stream: UnixStream, error: &HttpError) {
    let mut heard = [0; 4096];
    // What is closed before the request was read breaks the caller's pipe in place of
    // answering it; a silent caller is not waited for.
    let _ = timeout(REFUSAL_TIME, stream.read(&mut heard)).await;
    let told = timeout(REFUSAL_TIME, async {
        stream.write_all(&answer(error)).await?;
        stream.shutdown().await?;
        while stream.read(&mut heard).await? > 0 {}
        Ok::<_, std::io::Error>(())
    });
    // A caller who is gone or does not listen is told nothing.
    let _ = told.await;
}

/// A whole HTTP/1.1 answer.
fn answer(error: &HttpError) -> Vec<u8> {
    let body = serde_json::to_vec(&error.body()).unwrap_or_default();
    let mut answer = format!(
        "HTTP/1.1 {}\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        error.status(),
        body.len()
    )
    .into_bytes();
    answer.extend(body);
    answer
}

#[cfg(test)]
mod tests;
