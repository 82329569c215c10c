//! The exporter: the agent's metrics over TCP, from a process without rights.
//!
//! The agent speaks no TCP. This process asks it over its socket at each scrape and passes the
//! answer on; it interprets nothing. A scrape that finds no agent gets `netpolicy_agent_up 0`.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use crate::client::{Client, ClientError};
use crate::metrics::{AGENT_UP, Exposition, ExpositionFormat};

/// Connections at a time; further ones are closed.
const CONNECTIONS: usize = 64;

/// How long the head of a request may take, and how long a connection may be idle.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 << 10;

/// How long an answer of the agent is passed on: however many scrape, the agent is asked once.
const FRESH: Duration = Duration::from_secs(1);

/// A pause after no connection could be accepted: descriptors are used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why there is no exporter.
#[derive(Debug, thiserror::Error)]
pub enum ExporterError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// Listening sockets, and where metrics come from.
#[derive(Debug)]
pub struct Exporter {
    listeners: Vec<TcpListener>,
    source: Arc<MetricsSource>,
}

#[derive(Debug)]
struct MetricsSource {
    client: Client,
    /// The last answers, by format.
    text: Mutex<Option<CachedAnswer>>,
    open: Mutex<Option<CachedAnswer>>,
    /// Whether the agent answered last.
    answers: Mutex<bool>,
}

#[derive(Clone, Debug)]
struct CachedAnswer {
    at: Instant,
    body: Bytes,
}

impl Exporter {
    /// Listens on these addresses.
    ///
    /// # Errors
    /// One of them cannot be listened on.
    pub async fn bind(addresses: &[SocketAddr], client: Client) -> Result<Self, ExporterError> {
        let mut listeners = Vec::new();
        for &address in addresses {
            let listener = TcpListener::bind(address).await;
            listeners.push(listener.map_err(|source| ExporterError::Listen { address, source })?);
        }
        let source = MetricsSource {
            client,
            text: Mutex::default(),
            open: Mutex::default(),
            answers: Mutex::new(true),
        };
        let source = Arc::new(source);
        Ok(Self { listeners, source })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let addresses = self.listeners.iter().map(TcpListener::local_addr);
        addresses.flatten().collect()
    }

    /// Serves until `stop`.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut tasks = JoinSet::new();
        for listener in self.listeners {
            tasks.spawn(accept(listener, self.source.clone(), places.clone()));
        }
        stop.await;
        tasks.shutdown().await;
    }
}

async fn accept(listener: TcpListener, source: Arc<MetricsSource>, places: Arc<Semaphore>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            continue;
        };
        let source = source.clone();
        connections.spawn(async move {
            let _place = place;
            serve_one(stream, source).await;
        });
    }
}

async fn serve_one(stream: TcpStream, source: Arc<MetricsSource>) {
    let service = service_fn(move |request| {
        let source = source.clone();
        async move { Ok::<_, Infallible>(answer(&request, &source).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer(request: &Request<Incoming>, source: &MetricsSource) -> Response<Full<Bytes>> {
    let plain = |status, text: &'static str| {
        let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
        *response.status_mut() = status;
        let kind = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    };
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.uri().path() {
        _ if !is_read => plain(StatusCode::METHOD_NOT_ALLOWED, "GET is expected\n"),
        "/metrics" => {
            let accept = request.headers().get(ACCEPT);
            let accept = accept.and_then(|value| value.to_str().ok());
            let format = ExpositionFormat::accepted(accept);
            let mut response = Response::new(Full::new(source.read(format).await));
            let kind = HeaderValue::from_static(format.media_type());
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        "/" => plain(StatusCode::OK, "netpolicy's metrics are at /metrics\n"),
        _ => plain(StatusCode::NOT_FOUND, "metrics are at /metrics\n"),
    }
}

impl MetricsSource {
    /// The metrics, at most a second old. Who comes while the agent is asked waits for the same
    /// answer.
    async fn read(&self, format: ExpositionFormat) -> Bytes {
        let cached = match format {
            ExpositionFormat::Text => &self.text,
            ExpositionFormat::OpenMetrics => &self.open,
        };
        let mut cached = cached.lock().await;
        if let Some(answer) = &*cached
            && answer.at.elapsed() < FRESH
        {
            return answer.body.clone();
        }
        let asked = self.client.metrics(format).await;
        self.note(asked.as_ref().err()).await;
        let mut out = Exposition::new(format);
        out.one(&AGENT_UP, asked.is_ok());
        let body = match asked {
            Ok(metrics) => out.part() + &metrics,
            Err(_) => out.finish(),
        };
        let body = Bytes::from(body);
        *cached = Some(CachedAnswer {
            at: Instant::now(),
            body: body.clone(),
        });
        body
    }

    /// Says once that the agent does not answer, and once that it does again.
    async fn note(&self, error: Option<&ClientError>) {
        let mut answers = self.answers.lock().await;
        match error {
            Some(error) if *answers => {
                let denied = match error {
                    ClientError::Permission { .. } => true,
                    ClientError::Refused { status, .. } => {
                        *status == StatusCode::FORBIDDEN.as_u16()
                    }
                    _ => false,
                };
                let hint = match denied {
                    true => "; grant it: `netpolicy grant metrics --to user:NAME`",
                    false => "",
                };
                tracing::warn!("no metrics: {error}{hint}");
            }
            None if !*answers => tracing::info!("the agent answers again"),
            _ => {}
        }
        *answers = error.is_none();
    }
}
