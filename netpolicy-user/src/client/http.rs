//! Requests of HTTP/1.1 over a unix socket, one connection for each.
//!
//! Knows no endpoint. A connection to a socket of the same host costs some 20 µs, so none is
//! kept; what goes wrong is told apart by who is to blame.

use std::convert::Infallible;
use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// What a request carries.
#[derive(Clone, Debug, Default)]
enum Content {
    #[default]
    None,
    Whole(Bytes),
    /// One behind the other, sent without being joined.
    Parts(Vec<Bytes>),
}

/// A request, to be sent as often as needed: what it carries is shared.
#[derive(Clone, Debug)]
pub(super) struct ClientRequest {
    method: Method,
    /// Path and query.
    target: String,
    headers: HeaderMap,
    content: Content,
    limit: Option<Duration>,
    /// Why it cannot be sent.
    unmade: Option<String>,
}

/// Why there is no answer, or only a part of one.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// The socket could not be connected to.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// The time limit passed.
    #[error("no answer in time")]
    Timeout,
    /// What came is no HTTP.
    #[error("the answer is not HTTP")]
    NotHttp(#[source] hyper::Error),
    /// The server closed the connection before it had all of the request.
    #[error("the connection was closed before the request was sent")]
    Unsent(#[source] hyper::Error),
    /// The connection ended, or what came is no answer to this request.
    #[error("the connection failed")]
    Broken(#[source] hyper::Error),
    /// A value cannot be sent.
    #[error("the request cannot be made: {0}")]
    Unmade(String),
}

impl ExchangeError {
    fn of(error: hyper::Error) -> Self {
        // hyper tells only by its words of an answer that came before its request. A request
        // that was queued by then is canceled, with that as the cause.
        let is_early = |error: &hyper::Error| error.to_string().contains("unexpected message");
        let cause = error.source().and_then(|cause| cause.downcast_ref());
        let mut errors = std::iter::once(&error).chain(cause);
        if errors.any(|error| error.is_parse() || is_early(error)) {
            return Self::NotHttp(error);
        }
        let io = error.source().and_then(|cause| cause.downcast_ref());
        match io.map(io::Error::kind) {
            Some(io::ErrorKind::BrokenPipe) => Self::Unsent(error),
            _ => Self::Broken(error),
        }
    }
}

impl ClientRequest {
    /// A request for a path, percent-encoded already.
    pub(super) fn new(method: Method, path: String) -> Self {
        Self {
            method,
            target: path,
            headers: HeaderMap::new(),
            content: Content::None,
            limit: None,
            unmade: None,
        }
    }

    /// Adds parameters to the query.
    pub(super) fn query(mut self, query: &(impl Serialize + ?Sized)) -> Self {
        match serde_urlencoded::to_string(query) {
            Ok(text) if text.is_empty() => {}
            Ok(text) => {
                self.target
                    .push(if self.target.contains('?') { '&' } else { '?' });
                self.target.push_str(&text);
            }
            Err(error) => self.unmade = Some(error.to_string()),
        }
        self
    }

    /// Adds a header.
    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => {
                self.headers.insert(name, value);
            }
            Err(error) => self.unmade = Some(error.to_string()),
        }
        self
    }

    /// Carries a value as JSON.
    pub(super) fn json(mut self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => self.content = Content::Whole(bytes.into()),
            Err(error) => self.unmade = Some(error.to_string()),
        }
        self.header(CONTENT_TYPE, "application/json")
    }

    /// Carries `parts`, one behind the other.
    pub(super) fn parts(mut self, parts: Vec<Bytes>) -> Self {
        let length: usize = parts.iter().map(Bytes::len).sum();
        self.content = Content::Parts(parts);
        self.header(CONTENT_LENGTH, &length.to_string())
    }

    /// Bounds the time until all of the answer is there.
    pub(super) fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Sends it to the server on `socket`.
    ///
    /// # Errors
    /// [`ExchangeError`]
    pub(super) async fn send(self, socket: &Path) -> Result<ClientResponse, ExchangeError> {
        if let Some(why) = self.unmade {
            return Err(ExchangeError::Unmade(why));
        }
        let deadline = self.limit.map(|limit| Instant::now() + limit);
        let mut request = hyper::Request::builder()
            .method(self.method)
            .uri(self.target)
            .body(body(self.content))
            .map_err(|error| ExchangeError::Unmade(error.to_string()))?;
        *request.headers_mut() = self.headers;
        // Nothing resolves it.
        let host = HeaderValue::from_static("netpolicy");
        request.headers_mut().insert(HOST, host);
        within(deadline, exchange(socket.to_owned(), request, deadline)).await?
    }
}

async fn exchange(
    socket: PathBuf,
    request: hyper::Request<BoxBody<Bytes, Infallible>>,
    deadline: Option<Instant>,
) -> Result<ClientResponse, ExchangeError> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(ExchangeError::Connect)?;
    exchange_over(stream, request, deadline).await
}

async fn exchange_over(
    stream: UnixStream,
    request: hyper::Request<BoxBody<Bytes, Infallible>>,
    deadline: Option<Instant>,
) -> Result<ClientResponse, ExchangeError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(ExchangeError::of)?;
    let connection = ConnectionTask(tokio::spawn(connection));
    match sender.send_request(request).await {
        Ok(response) => Ok(ClientResponse {
            response,
            deadline,
            connection,
        }),
        // The connection knows why it was given up.
        Err(error) if error.is_canceled() || error.is_closed() => {
            // It would wait for further requests.
            drop(sender);
            Err(connection
                .ended()
                .await
                .map_or_else(|| ExchangeError::of(error), ExchangeError::of))
        }
        Err(error) => Err(ExchangeError::of(error)),
    }
}

/// What drives a connection; ends with it.
#[derive(Debug)]
struct ConnectionTask(JoinHandle<hyper::Result<()>>);

impl ConnectionTask {
    /// Why it ended, if not in order.
    async fn ended(mut self) -> Option<hyper::Error> {
        (&mut self.0).await.ok()?.err()
    }
}

impl Drop for ConnectionTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn body(content: Content) -> BoxBody<Bytes, Infallible> {
    match content {
        Content::None => Full::new(Bytes::new()).boxed(),
        Content::Whole(bytes) => Full::new(bytes).boxed(),
        Content::Parts(parts) => {
            let pieces = parts.into_iter().flat_map(pieces);
            let frames = pieces.map(|piece| Ok(Frame::data(piece)));
            BoxBody::new(StreamBody::new(stream::iter(frames.collect::<Vec<_>>())))
        }
    }
}

/// Bytes in pieces, none of which is copied as a whole.
fn pieces(bytes: Bytes) -> impl Iterator<Item = Bytes> {
    const LENGTH: usize = 256 << 10;
    let starts = (0..bytes.len()).step_by(LENGTH);
    starts.map(move |start| bytes.slice(start..bytes.len().min(start + LENGTH)))
}

async fn within<T>(
    deadline: Option<Instant>,
    work: impl Future<Output = T>,
) -> Result<T, ExchangeError> {
    match deadline {
        Some(deadline) => timeout_at(deadline, work)
            .await
            .map_err(|_| ExchangeError::Timeout),
        None => Ok(work.await),
    }
}

/// An answer whose head is there.
#[derive(Debug)]
pub(super) struct ClientResponse {
    response: hyper::Response<Incoming>,
    deadline: Option<Instant>,
    connection: ConnectionTask,
}

impl ClientResponse {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// All of its body.
    ///
    /// # Errors
    /// [`ExchangeError`]
    pub(super) async fn bytes(self) -> Result<Bytes, ExchangeError> {
        let _connection = self.connection;
        let collected = within(self.deadline, self.response.into_body().collect()).await?;
        Ok(collected.map_err(ExchangeError::of)?.to_bytes())
    }

    /// All of its body as text; what is no UTF-8 is replaced.
    ///
    /// # Errors
    /// [`ExchangeError`]
    pub(super) async fn text(self) -> Result<String, ExchangeError> {
        let bytes = self.bytes().await?;
        Ok(match String::from_utf8(bytes.into()) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }

    /// Its body, piece by piece.
    pub(super) fn pieces(self) -> BoxStream<'static, Result<Bytes, ExchangeError>> {
        let connection = self.connection;
        let pieces = self.response.into_body().into_data_stream();
        held(pieces, connection).boxed()
    }
}

/// A connection's stream, with what drives it.
fn held(
    pieces: impl Stream<Item = hyper::Result<Bytes>>,
    connection: ConnectionTask,
) -> impl Stream<Item = Result<Bytes, ExchangeError>> {
    pieces.map(move |piece| {
        let _held = &connection;
        piece.map_err(ExchangeError::of)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The connection finds the greeting before, while or after the request is queued.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn greeting_of_another_protocol_is_not_http_whenever_it_is_found() {
        for _ in 0..1000 {
            let (client, server) = UnixStream::pair().unwrap();
            server.writable().await.unwrap();
            let greeting = b"220 mail ready\r\n";
            assert_eq!(server.try_write(greeting).unwrap(), greeting.len());
            let request = hyper::Request::get("/").body(body(Content::None)).unwrap();
            let error = exchange_over(client, request, None).await.unwrap_err();
            assert!(matches!(error, ExchangeError::NotHttp(_)), "{error:?}");
        }
    }
}
