//! The API's client: one method for each endpoint, over the agent's unix socket.
//!
//! Knows HTTP and [`crate::api`], nothing of terminals or the kernel. An answer is
//! either the endpoint's type or a [`ClientError`] that says who is to blame.

mod events;
mod safety;
mod sql;
mod states;

use std::error::Error as _;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;

use crate::api::{
    BypassRequest, BypassView, ChangeQuery, Changed, Counters, ErrorBody, ExplainView, HostView,
    PolicyView, ProgressView, ServiceView, Status,
};
use crate::model::Finding;
use crate::model::change::Change;

pub use events::Events;

/// How long a question may take. The agent answers from memory; one that takes
/// longer hangs, and the emergency brake must not wait for it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens on the socket.
    #[error("no agent answers on {}", socket.display())]
    NoAgent {
        /// The socket.
        socket: PathBuf,
        /// What connecting to it ended in.
        #[source]
        source: io::Error,
    },
    /// Somebody listens, but did not answer in time.
    #[error("the agent on {} did not answer within {} s", socket.display(), waited.as_secs())]
    Silent {
        /// The socket.
        socket: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The socket may not be opened by this user.
    #[error("no permission to talk to the agent on {}", socket.display())]
    Permission {
        /// The socket.
        socket: PathBuf,
        /// What connecting to it ended in.
        #[source]
        source: io::Error,
    },
    /// The agent said no.
    #[error("{}", .body.errors.join("; "))]
    Refused {
        /// HTTP status.
        status: u16,
        /// Why, and what to do.
        body: ErrorBody,
    },
    /// Request or answer were lost or garbled on the way.
    #[error("{what}: the answer of the agent on {} is unusable", socket.display())]
    Transport {
        /// "GET /v1/status"
        what: String,
        /// The socket.
        socket: PathBuf,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The agent ended the event stream.
    #[error("the agent ended the stream of events")]
    StreamEnded,
}

impl ClientError {
    /// Whether no agent is at work: none is there, or it hangs.
    #[must_use]
    pub fn is_agent_missing(&self) -> bool {
        matches!(self, Self::NoAgent { .. } | Self::Silent { .. })
    }
}

/// Talks to one agent.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    socket: PathBuf,
}

type Answer<T> = Result<T, ClientError>;

impl Client {
    /// A client of the agent that listens on `socket`. Connects at the first request.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(socket: &Path) -> Answer<Self> {
        let http = reqwest::Client::builder()
            .unix_socket(socket)
            .no_proxy()
            .build();
        Ok(Self {
            http: http.map_err(|e| ClientError::Transport {
                what: "making the HTTP client".into(),
                socket: socket.to_owned(),
                source: e.into(),
            })?,
            socket: socket.to_owned(),
        })
    }

    /// `GET /v1/status`
    ///
    /// # Errors
    /// See [`ClientError`]; so for all requests.
    pub async fn status(&self) -> Answer<Status> {
        self.get(&["status"], &[]).await
    }

    /// `GET /v1/counters`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn counters(&self) -> Answer<Counters> {
        self.get(&["counters"], &[]).await
    }

    /// `GET /v1/progress`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn progress(&self) -> Answer<ProgressView> {
        self.get(&["progress"], &[]).await
    }

    /// `GET /v1/policies`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn policies(&self) -> Answer<Vec<PolicyView>> {
        self.get(&["policies"], &[]).await
    }

    /// `GET /v1/policies/{name}`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn policy(&self, name: &str) -> Answer<PolicyView> {
        // As a path segment these would name another resource.
        if matches!(name, "" | "." | "..") {
            return Err(ClientError::Refused {
                status: StatusCode::NOT_FOUND.as_u16(),
                body: ErrorBody {
                    errors: vec![format!("there is no policy \"{name}\"")],
                    hint: None,
                },
            });
        }
        self.get(&["policies", name], &[]).await
    }

    /// `GET /v1/services`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn services(&self) -> Answer<Vec<ServiceView>> {
        self.get(&["services"], &[]).await
    }

    /// `GET /v1/host`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn host(&self) -> Answer<HostView> {
        self.get(&["host"], &[]).await
    }

    /// `GET /v1/explain`: `port` in host order, `None`: a port of no service.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn explain(&self, source: IpAddr, port: Option<u16>) -> Answer<ExplainView> {
        let mut query = vec![("source", source.to_string())];
        query.extend(port.map(|p| ("port", p.to_string())));
        self.get(&["explain"], &query).await
    }

    /// `GET /v1/lint`: what in the desired state may not be meant.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn lint(&self) -> Answer<Vec<Finding>> {
        self.get(&["lint"], &[]).await
    }

    /// `GET /v1/bypasses`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn bypasses(&self) -> Answer<Vec<BypassView>> {
        self.get(&["bypasses"], &[]).await
    }

    /// `POST /v1/changes`: makes a change, as `query` says.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn change(&self, change: &Change, query: &ChangeQuery) -> Answer<Changed> {
        let what = "POST /v1/changes";
        // Without a time limit: millions of rules take a while.
        let request = self
            .request(Method::POST, &["changes"], &[])
            .query(query)
            .json(change);
        self.decode(what, self.send(what, request).await?).await
    }

    /// `POST /v1/bypasses`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn grant_bypass(&self, bypass: &BypassRequest) -> Answer<BypassView> {
        let what = "POST /v1/bypasses";
        let request = self.request(Method::POST, &["bypasses"], &[]).json(bypass);
        self.decode(
            what,
            self.send(what, request.timeout(ANSWER_TIMEOUT)).await?,
        )
        .await
    }

    /// `DELETE /v1/bypasses`: `source` as it was granted, `service` `None`: the host's.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn revoke_bypass(
        &self,
        source: &str,
        service: Option<&str>,
        force: bool,
        from: Option<&str>,
    ) -> Answer<()> {
        let mut query = vec![("source", source.to_owned())];
        query.extend(service.map(|s| ("service", s.to_owned())));
        query.extend(force.then(|| ("force", "true".to_owned())));
        query.extend(from.map(|from| ("from", from.to_owned())));
        let request = self.request(Method::DELETE, &["bypasses"], &query);
        self.send("DELETE /v1/bypasses", request.timeout(ANSWER_TIMEOUT))
            .await
            .map(drop)
    }

    /// `POST /v1/detach`: stops all filtering until [`Client::attach`]; the names of the
    /// interfaces that were filtered.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn detach(&self) -> Answer<Vec<String>> {
        self.order("detach").await
    }

    /// `POST /v1/attach`: filters the configured interfaces again; the names of those
    /// that are filtered.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn attach(&self) -> Answer<Vec<String>> {
        self.order("attach").await
    }

    /// `GET /v1/events`: what happens from now on.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn events(&self) -> Answer<Events> {
        let what = "GET /v1/events";
        let response = self
            .send(what, self.request(Method::GET, &["events"], &[]))
            .await?;
        Ok(Events::new(self.clone(), response))
    }

    async fn order<T: DeserializeOwned>(&self, order: &str) -> Answer<T> {
        let what = format!("POST /v1/{order}");
        let request = self.request(Method::POST, &[order], &[]);
        let response = self.send(&what, request.timeout(ANSWER_TIMEOUT)).await?;
        self.decode(&what, response).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, String)]) -> Answer<T> {
        let what = format!("GET /v1/{}", path.join("/"));
        let request = self
            .request(Method::GET, path, query)
            .timeout(ANSWER_TIMEOUT);
        self.decode(&what, self.send(&what, request).await?).await
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> RequestBuilder {
        // The host's name is never resolved: every connection goes to the socket.
        let mut url = String::from("http://netpolicy/v1");
        for segment in path {
            url.push('/');
            url.extend(segment.bytes().map(encode_byte));
        }
        self.http.request(method, url).query(query)
    }

    async fn send(&self, what: &str, request: RequestBuilder) -> Answer<Response> {
        let response = request.send().await.map_err(|e| self.failure(what, e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.map_err(|e| self.failure(what, e))?;
        Err(refused(what, status, &text))
    }

    async fn decode<T: DeserializeOwned>(&self, what: &str, response: Response) -> Answer<T> {
        let bytes = response.bytes().await.map_err(|e| self.failure(what, e))?;
        serde_json::from_slice(&bytes).map_err(|e| self.garbled(what, e))
    }

    fn garbled(&self, what: &str, source: serde_json::Error) -> ClientError {
        ClientError::Transport {
            what: what.to_owned(),
            socket: self.socket.clone(),
            source: source.into(),
        }
    }

    /// Sorts reqwest's errors by who is to blame.
    fn failure(&self, what: &str, error: reqwest::Error) -> ClientError {
        let socket = self.socket.clone();
        if error.is_timeout() {
            return ClientError::Silent {
                socket,
                waited: ANSWER_TIMEOUT,
            };
        }
        if error.is_connect()
            && let Some(source) = io_error(&error)
        {
            return match source.kind() {
                io::ErrorKind::PermissionDenied => ClientError::Permission { socket, source },
                _ => ClientError::NoAgent { socket, source },
            };
        }
        // The URL in reqwest's own text is made up; it would only mislead.
        let source = error.without_url().into();
        ClientError::Transport {
            what: what.to_owned(),
            socket,
            source,
        }
    }
}

/// What an answer says that is no success.
fn refused(what: &str, status: StatusCode, text: &str) -> ClientError {
    let body = serde_json::from_str(text).unwrap_or_else(|_| ErrorBody {
        errors: vec![
            format!("{what}: the agent answered {status}: {}", first_line(text))
                .trim_end_matches([':', ' '])
                .to_owned(),
        ],
        hint: None,
    });
    ClientError::Refused {
        status: status.as_u16(),
        body,
    }
}

/// A byte of a path segment, percent-encoded unless it stands for itself (RFC 3986, 2.3).
fn encode_byte(byte: u8) -> std::borrow::Cow<'static, str> {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string().into()
    } else {
        format!("%{byte:02X}").into()
    }
}

/// The operating system's error at the bottom of reqwest's chain.
fn io_error(error: &reqwest::Error) -> Option<io::Error> {
    let mut cause = error.source();
    while let Some(e) = cause {
        if let Some(io) = e.downcast_ref::<io::Error>() {
            return Some(match io.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(io.kind(), io.to_string()),
            });
        }
        cause = e.source();
    }
    None
}

fn first_line(text: &str) -> &str {
    const SHOWN: usize = 200;
    let line = text.trim().lines().next().unwrap_or("");
    line.char_indices()
        .nth(SHOWN)
        .map_or(line, |(end, _)| &line[..end])
}

#[cfg(test)]
mod tests;
