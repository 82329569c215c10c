//! The agent's API, as far as feeds and bans need it.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use netpolicy_policy::model::Feed;
use serde::{Deserialize, Serialize};
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::content::Canonical;
use crate::unix::{NoResolver, UnixConnector};

/// How long an answer may take that waits for nothing: a list of millions is compiled.
const ANSWER_TIME: Duration = Duration::from_secs(120);

/// How long the agent waits for a change before it answers, seconds.
const WAIT: u64 = 50;

/// The largest answer: a million bans have a line each.
const LARGEST: u64 = 512 << 20;

/// The header that names what an answer says.
const SEEN: &str = "x-netpolicy-feeds";

/// A feed, as the agent has it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct FeedState {
    pub(crate) name: String,
    pub(crate) settings: Feed,
    pub(crate) version: String,
    pub(crate) entries: usize,
    pub(crate) fetched: Option<Timestamp>,
    pub(crate) checked: Option<Timestamp>,
    pub(crate) next: Option<Timestamp>,
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
    pub(crate) requested: u64,
}

/// Why the agent did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentError {
    /// It does not answer.
    #[error("the agent does not answer on {socket}: {source}")]
    NoAnswer {
        /// Its socket.
        socket: String,
        /// Why not.
        source: Box<ureq::Error>,
    },
    /// It refuses.
    #[error("the agent refused: {0}")]
    Refused(String),
    /// It has nothing of this name.
    #[error("the agent refused: {0}")]
    Unknown(String),
    /// What it answers is not understood.
    #[error("the agent's answer is not understood: {0}")]
    Garbled(String),
}

impl AgentError {
    /// Whether the caller lacks a privilege: the socket is open to those alone who have one.
    pub(crate) fn is_denied(&self) -> bool {
        match self {
            Self::NoAnswer { source, .. } => {
                let denied = std::io::ErrorKind::PermissionDenied;
                matches!(&**source, ureq::Error::Io(error) if error.kind() == denied)
            }
            Self::Refused(why) => why.contains("privilege"),
            Self::Unknown(_) | Self::Garbled(_) => false,
        }
    }
}

/// A client of one agent.
#[derive(Debug, Clone)]
pub(crate) struct AgentClient {
    agent: Agent,
    socket: String,
}

#[derive(Serialize)]
struct ContentQuery<'a> {
    version: &'a str,
    format: &'a str,
    skipped: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified: Option<&'a str>,
    next_in: u64,
}

/// What a source says of its content, to be asked by next time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Validators {
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

impl AgentClient {
    /// A client of the agent on `socket`; connects at each request.
    pub(crate) fn new(socket: &Path) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(ANSWER_TIME))
            .http_status_as_error(false)
            .proxy(None)
            .max_idle_connections(0)
            .build();
        let connector = UnixConnector(socket.to_owned());
        Self {
            agent: Agent::with_parts(config, connector, NoResolver),
            socket: socket.display().to_string(),
        }
    }

    /// All feeds; waits until they differ from what was `seen`. With what was seen now.
    pub(crate) fn feeds(
        &self,
        seen: Option<&str>,
    ) -> Result<(Vec<FeedState>, Option<String>), AgentError> {
        let mut url = format!("http://localhost/v1/feeds?wait={WAIT}");
        if let Some(seen) = seen {
            url.push_str("&seen=");
            url.push_str(seen);
        }
        let mut answer = self.answered(self.agent.get(&url).call())?;
        let seen = answer.headers().get(SEEN);
        let seen = seen.and_then(|seen| Some(seen.to_str().ok()?.to_owned()));
        let text = self.text(&mut answer)?;
        let feeds = serde_json::from_str(&text);
        let feeds = feeds.map_err(|error| AgentError::Garbled(error.to_string()))?;
        Ok((feeds, seen))
    }

    /// Hands content over; the feed after it.
    pub(crate) fn put(
        &self,
        feed: &FeedState,
        content: &Canonical,
        validators: &Validators,
        next_in: Duration,
    ) -> Result<FeedState, AgentError> {
        let query = ContentQuery {
            version: &feed.version,
            format: &content.format,
            skipped: content.skipped,
            etag: validators.etag.as_deref(),
            last_modified: validators.last_modified.as_deref(),
            next_in: next_in.as_secs(),
        };
        let query = serde_urlencoded::to_string(query);
        let query = query.map_err(|error| AgentError::Garbled(error.to_string()))?;
        let url = format!("{}/content?{query}", path(&feed.name));
        let request = self
            .agent
            .put(&url)
            .content_type("application/octet-stream");
        self.feed(request.send(content.lines.as_str()))
    }

    /// Reports that a feed is current, or why it could not be refreshed.
    pub(crate) fn report(
        &self,
        feed: &FeedState,
        error: Option<&str>,
        next_in: Duration,
    ) -> Result<FeedState, AgentError> {
        let report = serde_json::json!({
            "version": feed.version,
            "error": error,
            "next_in": next_in.as_secs(),
        });
        let url = format!("{}/report", path(&feed.name));
        let request = self.agent.post(&url).content_type("application/json");
        self.feed(request.send(report.to_string()))
    }

    /// Asks for what is below `/v1/`; the answer's text.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub(crate) fn get(&self, path: &str) -> Result<String, AgentError> {
        let request = self.agent.get(format!("http://localhost/v1/{path}"));
        let mut answer = self.answered(request.call())?;
        self.text(&mut answer)
    }

    /// Posts a body of this type below `/v1/`; the answer's text.
    ///
    /// # Errors
    /// The agent does not do it.
    pub(crate) fn post(&self, path: &str, media: &str, body: &str) -> Result<String, AgentError> {
        let request = self.agent.post(format!("http://localhost/v1/{path}"));
        let mut answer = self.answered(request.content_type(media).send(body))?;
        self.text(&mut answer)
    }

    /// Puts a body of this type below `/v1/`; the answer's text.
    ///
    /// # Errors
    /// The agent does not do it.
    pub(crate) fn put_whole(
        &self,
        path: &str,
        media: &str,
        body: &str,
    ) -> Result<String, AgentError> {
        let request = self.agent.put(format!("http://localhost/v1/{path}"));
        let mut answer = self.answered(request.content_type(media).send(body))?;
        self.text(&mut answer)
    }

    /// The feed that an answer describes.
    fn feed(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<FeedState, AgentError> {
        let mut answer = self.answered(answer)?;
        let text = self.text(&mut answer)?;
        serde_json::from_str(&text).map_err(|error| AgentError::Garbled(error.to_string()))
    }

    fn answered(
        &self,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, AgentError> {
        let mut answer = answer.map_err(|source| self.no_answer(source))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        #[derive(Deserialize)]
        struct Problem {
            detail: String,
        }
        let status = answer.status();
        let text = self.text(&mut answer)?;
        let problem = serde_json::from_str::<Problem>(&text);
        let why = problem.map_or_else(|_| status.to_string(), |problem| problem.detail);
        Err(match status.as_u16() {
            404 => AgentError::Unknown(why),
            _ => AgentError::Refused(why),
        })
    }

    fn text(&self, answer: &mut Response<Body>) -> Result<String, AgentError> {
        let body = answer.body_mut().with_config().limit(LARGEST);
        body.read_to_string()
            .map_err(|source| self.no_answer(source))
    }

    fn no_answer(&self, source: ureq::Error) -> AgentError {
        AgentError::NoAnswer {
            socket: self.socket.clone(),
            source: Box::new(source),
        }
    }
}

/// The URL of a feed; a name may hold anything.
fn path(name: &str) -> String {
    format!("http://localhost/v1/feeds/{}", segment(name))
}

/// A name as a part of a path.
pub(crate) fn segment(name: &str) -> String {
    let mut path = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}
