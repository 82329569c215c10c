//! A request to the agent over its socket, as the user that this process runs as.

use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HOST, HeaderName, HeaderValue, IF_MATCH};
use hyper::http::request::Parts;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use crate::answer::Body;

/// Names to the agent whose change a reverse proxy passes on.
const ON_BEHALF_OF: HeaderName = HeaderName::from_static("x-netpolicy-on-behalf-of");

/// Headers of a request that are passed on.
const ASKED: [HeaderName; 2] = [CONTENT_TYPE, IF_MATCH];

/// Headers of an answer that are passed on.
const ANSWERED: [HeaderName; 3] = [CONTENT_TYPE, CONTENT_LENGTH, ETAG];

/// Why there is no answer of the agent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardError {
    /// Its socket cannot be connected to.
    #[error("no agent answers on its socket: {0}")]
    NoAgent(#[from] std::io::Error),
    /// The exchange broke off.
    #[error("the agent gave no answer: {0}")]
    Broken(#[from] hyper::Error),
    /// The request cannot be made.
    #[error("the request cannot be passed on: {0}")]
    Unmade(#[from] hyper::http::Error),
}

/// Passes a request on; its path was checked.
///
/// # Errors
/// [`ForwardError`]
pub(crate) async fn forward(
    socket: &Path,
    parts: &Parts,
    content: Bytes,
    person: Option<&str>,
) -> Result<Response<Body>, ForwardError> {
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let mut request = Request::builder()
        .method(parts.method.clone())
        .uri(target)
        .header(HOST, "netpolicy");
    for name in ASKED {
        if let Some(value) = parts.headers.get(&name) {
            request = request.header(name, value);
        }
    }
    if let Some(person) = person {
        let person = HeaderValue::from_str(person).map_err(hyper::http::Error::from)?;
        request = request.header(ON_BEHALF_OF, person);
    }
    let request = request.body(Full::new(content))?;
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = Driver(tokio::spawn(connection));
    let (head, body) = sender.send_request(request).await?.into_parts();
    let mut answer = Response::new(
        Driven {
            body,
            _driver: driver,
        }
        .boxed(),
    );
    *answer.status_mut() = head.status;
    for name in ANSWERED {
        if let Some(value) = head.headers.get(&name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    Ok(answer)
}

/// What drives a connection to the agent; ends with it.
#[derive(Debug)]
struct Driver(JoinHandle<hyper::Result<()>>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer's body, with what drives its connection: it ends when the browser goes away.
#[derive(Debug)]
struct Driven {
    body: Incoming,
    _driver: Driver,
}

impl HttpBody for Driven {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
