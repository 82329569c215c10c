//! The API's client: one method for each endpoint, over the agent's unix socket.
//!
//! Knows HTTP and [`crate::api`], nothing of terminals or the kernel. An answer is
//! either the endpoint's type or a [`ClientError`] that says who is to blame.

mod bans;
mod bypasses;
mod databases;
mod error;
mod events;
mod feeds;
mod fleet;
mod http;
mod metrics;
mod rehearsal;
mod safety;
mod seen;
mod sources;
mod sql;
mod states;
mod store;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::IF_MATCH;
use hyper::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::{
    ChangeQuery, Changed, Counters, EntriesQuery, EntryItem, ErrorCode, EventsQuery, ExplainView,
    HostView, ListView, Paged, PolicyView, ProblemDetails, ProgressView, RuleItem, RulesQuery,
    ServiceView, Status,
};
use crate::model::Finding;
use crate::model::change::Change;

use http::{ClientRequest, ClientResponse, ExchangeError};

pub use error::ClientError;
pub use events::Events;
pub use store::BackupAnswer;

/// The time limit of a query. The agent answers from memory; one that needs
/// longer hangs, and the kill switch must not wait for it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a request is made to which an answer comes too early, and the time between.
const EARLY_ANSWERS: usize = 4;
const EARLY_PAUSE: Duration = Duration::from_millis(500);

/// Talks to one agent.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

type ClientResult<T> = Result<T, ClientError>;

/// Refuses names that, as a path segment, would name another resource.
fn is_segment(noun: &str, name: &str) -> ClientResult<()> {
    if matches!(name, "" | "." | "..") {
        return Err(ClientError::Refused {
            status: StatusCode::NOT_FOUND.as_u16(),
            body: Box::new(ProblemDetails {
                code: ErrorCode::NotFound,
                errors: vec![format!("there is no {noun} \"{name}\"")],
                ..ProblemDetails::default()
            }),
        });
    }
    Ok(())
}

impl Client {
    /// A client of the agent that listens on `socket`. Connects at each request.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// `GET /v1/status`
    ///
    /// # Errors
    /// See [`ClientError`]; so for all requests.
    pub async fn status(&self) -> ClientResult<Status> {
        self.get(&["status"], &[]).await
    }

    /// `GET /v1/counters`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn counters(&self) -> ClientResult<Counters> {
        self.get(&["counters"], &[]).await
    }

    /// `GET /v1/progress`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn progress(&self) -> ClientResult<ProgressView> {
        self.get(&["progress"], &[]).await
    }

    /// `GET /v1/policies`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn policies(&self) -> ClientResult<Vec<PolicyView>> {
        self.get(&["policies"], &[]).await
    }

    /// `GET /v1/policies/{name}`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn policy(&self, name: &str) -> ClientResult<PolicyView> {
        is_segment("policy", name)?;
        self.get(&["policies", name], &[]).await
    }

    /// `GET /v1/policies/{name}/rules`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn rules(&self, policy: &str, query: &RulesQuery) -> ClientResult<Paged<RuleItem>> {
        self.list(&["policies", policy, "rules"], query).await
    }

    /// `GET /v1/lists`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn lists(&self) -> ClientResult<Vec<ListView>> {
        self.get(&["lists"], &[]).await
    }

    /// `GET /v1/lists/{name}`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn named_list(&self, name: &str) -> ClientResult<ListView> {
        is_segment("list", name)?;
        self.get(&["lists", name], &[]).await
    }

    /// `GET /v1/lists/{name}/entries`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn entries(
        &self,
        list: &str,
        query: &EntriesQuery,
    ) -> ClientResult<Paged<EntryItem>> {
        self.list(&["lists", list, "entries"], query).await
    }

    /// `GET /v1/services`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn services(&self) -> ClientResult<Vec<ServiceView>> {
        self.get(&["services"], &[]).await
    }

    /// `GET /v1/host`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn host(&self) -> ClientResult<HostView> {
        self.get(&["host"], &[]).await
    }

    /// `GET /v1/explain`: `port` in host order, `None`: a port of no service; `interface`
    /// `None`: that of the route to the source; `revision` `None`: the state as it is.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn explain(
        &self,
        source: IpAddr,
        port: Option<u16>,
        interface: Option<&str>,
        revision: Option<u64>,
    ) -> ClientResult<ExplainView> {
        let mut query = vec![("source", source.to_string())];
        query.extend(port.map(|p| ("port", p.to_string())));
        query.extend(interface.map(|name| ("interface", name.to_owned())));
        query.extend(revision.map(|revision| ("revision", revision.to_string())));
        if revision.is_none() {
            return self.get(&["explain"], &query).await;
        }
        let what = "GET /v1/explain";
        // Without a time limit: a past state takes as long to read as it is large.
        let request = self.request(Method::GET, &["explain"], &query);
        self.decode(what, self.send(what, request).await?).await
    }

    /// `GET /v1/lint`: likely mistakes in the desired state.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn lint(&self) -> ClientResult<Vec<Finding>> {
        self.get(&["lint"], &[]).await
    }

    /// `POST /v1/changes`: makes a change, as `query` says.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn change(&self, change: &Change, query: &ChangeQuery) -> ClientResult<Changed> {
        let what = "POST /v1/changes";
        // Without a time limit: millions of rules take a while.
        let request = self.changing(&["changes"], query).json(change);
        self.decode(what, self.send(what, request).await?).await
    }

    /// `POST /v1/detach`: stops all filtering until [`Client::attach`]; the names of the
    /// interfaces that were filtered. `opens`: consent to that, see
    /// [`ChangeQuery::opens`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn detach(&self, opens: Option<&str>) -> ClientResult<Vec<String>> {
        self.order_with("detach", &consent(opens)).await
    }

    /// `POST /v1/attach`: filters the configured interfaces again; the names of those
    /// that are filtered.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn attach(&self) -> ClientResult<Vec<String>> {
        self.order("attach").await
    }

    /// `GET /v1/events`: what happens from now on, and what happened lately if the query says so.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn events(&self, query: &EventsQuery) -> ClientResult<Events> {
        let what = "GET /v1/events";
        let request = self.request(Method::GET, &["events"], &[]).query(query);
        Ok(Events::new(self.clone(), self.send(what, request).await?))
    }

    /// A request that changes the desired state.
    fn changing(&self, path: &[&str], query: &ChangeQuery) -> ClientRequest {
        let request = self.request(Method::POST, path, &[]).query(query);
        match query.if_revision {
            Some(revision) => request.header(IF_MATCH, &format!("\"{revision}\"")),
            None => request,
        }
    }

    async fn order<T: DeserializeOwned>(&self, order: &str) -> ClientResult<T> {
        self.order_with(order, &[]).await
    }

    async fn order_with<T: DeserializeOwned>(
        &self,
        order: &str,
        query: &[(&str, String)],
    ) -> ClientResult<T> {
        let what = format!("POST /v1/{order}");
        let request = self.request(Method::POST, &[order], query);
        let response = self.send(&what, request.timeout(ANSWER_TIMEOUT)).await?;
        self.decode(&what, response).await
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> ClientResult<T> {
        let what = format!("GET /v1/{}", path.join("/"));
        let request = self
            .request(Method::GET, path, query)
            .timeout(ANSWER_TIMEOUT);
        self.decode(&what, self.send(&what, request).await?).await
    }

    /// A part of a list.
    async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &impl Serialize,
    ) -> ClientResult<Paged<T>> {
        let what = format!("GET /v1/{}", path.join("/"));
        let request = self.request(Method::GET, path, &[]).query(query);
        let request = request.timeout(ANSWER_TIMEOUT);
        self.decode(&what, self.send(&what, request).await?).await
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> ClientRequest {
        let mut target = String::from("/v1");
        for segment in path {
            target.push('/');
            target.extend(segment.bytes().map(encode_byte));
        }
        ClientRequest::new(method, target).query(query)
    }

    async fn send(&self, what: &str, request: ClientRequest) -> ClientResult<ClientResponse> {
        let response = self
            .sent(request)
            .await
            .map_err(|e| self.failure(what, e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.map_err(|e| self.failure(what, e))?;
        Err(self.refused(what, status, &text))
    }

    /// Under pressure an agent answers some before it reads their request, which HTTP has no
    /// room for: when the request is repeated, it says why.
    async fn sent(&self, request: ClientRequest) -> Result<ClientResponse, ExchangeError> {
        for _ in 1..EARLY_ANSWERS {
            match request.clone().send(&self.socket).await {
                Err(ExchangeError::NotHttp(_) | ExchangeError::Unsent(_)) => {
                    tokio::time::sleep(EARLY_PAUSE).await;
                }
                sent => return sent,
            }
        }
        request.send(&self.socket).await
    }

    async fn decode<T: DeserializeOwned>(
        &self,
        what: &str,
        response: ClientResponse,
    ) -> ClientResult<T> {
        let bytes = response.bytes().await.map_err(|e| self.failure(what, e))?;
        serde_json::from_slice(&bytes).map_err(|e| self.garbled(what, e))
    }

    fn garbled(&self, what: &str, source: serde_json::Error) -> ClientError {
        if source.is_syntax() {
            return ClientError::OtherProgram {
                socket: self.socket.clone(),
                why: format!("{what}: the answer is not JSON"),
            };
        }
        ClientError::Transport {
            what: what.to_owned(),
            socket: self.socket.clone(),
            source: source.into(),
        }
    }

    fn failure(&self, what: &str, error: ExchangeError) -> ClientError {
        error::failure(&self.socket, what, error)
    }

    /// What an answer says that is no success.
    fn refused(&self, what: &str, status: StatusCode, text: &str) -> ClientError {
        error::refused(&self.socket, what, status, text)
    }
}

/// Consent as a query.
fn consent(opens: Option<&str>) -> Vec<(&'static str, String)> {
    opens
        .map(|opens| ("opens", opens.to_owned()))
        .into_iter()
        .collect()
}

/// A byte of a path segment, percent-encoded unless it stands for itself (RFC 3986, 2.3).
fn encode_byte(byte: u8) -> std::borrow::Cow<'static, str> {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string().into()
    } else {
        format!("%{byte:02X}").into()
    }
}

#[cfg(test)]
mod tests;
