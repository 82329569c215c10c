//! The agent's API for fleets, over its socket, for tasks that must not wait in a thread.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use netpolicy_fleet::api::{
    FleetView, MissingObjects, ObjectNames, ObjectsTaken, ProbeRequest, Probed, PutRevision,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// How long an answer may take: a list of millions is compiled.
const ANSWER: Duration = Duration::from_secs(120);

/// The largest answer, bytes.
const LARGEST: usize = 4 << 20;

/// How long a connection is used again after an answer: the agent closes one that stands idle for
/// 10 s.
const IDLE: Duration = Duration::from_secs(2);

const JSON: &str = "application/json";

/// Why the agent did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FleetAgentError {
    /// It does not answer.
    #[error("the agent does not answer on {socket}: {why}")]
    NoAnswer {
        /// Its socket.
        socket: String,
        /// Why.
        why: String,
    },
    /// It refuses.
    #[error("the agent refuses: {why}")]
    Refused {
        /// HTTP's status.
        status: u16,
        /// Its code for the refusal.
        code: String,
        /// What it says.
        why: String,
    },
}

impl FleetAgentError {
    /// Whether it refuses, by this code.
    pub(crate) fn is_refusal(&self, of: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == of)
    }
}

/// A client of one agent. What is asked in a row goes over one connection.
#[derive(Debug)]
pub(crate) struct FleetAgent {
    socket: PathBuf,
    kept: Mutex<Option<Connection>>,
}

#[derive(Debug)]
struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    task: JoinHandle<Result<(), hyper::Error>>,
    /// The last answer.
    answered: Instant,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What of the answer to a change counts here.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Put {
    /// Which connected clients it denies.
    #[serde(default)]
    clients: Option<PutClients>,
}

#[derive(Debug, Default, Deserialize)]
struct PutClients {
    #[serde(default)]
    denied: Vec<serde_json::Value>,
}

impl Put {
    /// Connected clients that the change denies.
    pub(crate) fn denied_clients(&self) -> u64 {
        self.clients
            .as_ref()
            .map_or(0, |clients| clients.denied.len() as u64)
    }
}

impl FleetAgent {
    /// The agent on this socket.
    pub(crate) fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
            kept: Mutex::default(),
        }
    }

    /// Ends the connection: the agent serves a bounded number of them.
    pub(crate) fn rest(&self) {
        drop(self.kept().take());
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Connection>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection of the last request if it is fresh, else a new one.
    async fn connection(&self) -> Result<Connection, FleetAgentError> {
        let kept = self.kept().take();
        let kept = kept.filter(|kept| kept.answered.elapsed() < IDLE);
        if let Some(mut kept) = kept
            && kept.sender.ready().await.is_ok()
        {
            return Ok(kept);
        }
        let stream = UnixStream::connect(&self.socket).await;
        let stream = TokioIo::new(stream.map_err(|error| self.no_answer(&error))?);
        let connected = http1::handshake(stream).await;
        let (sender, connection) = connected.map_err(|error| self.no_answer(&error))?;
        Ok(Connection {
            sender,
            task: tokio::spawn(connection),
            answered: Instant::now(),
        })
    }

    /// What it knows of its fleet.
    ///
    /// # Errors
    /// See [`FleetAgentError`]; so for all.
    pub(crate) async fn view(&self) -> Result<FleetView, FleetAgentError> {
        self.json(Method::GET, "fleet", JSON, Bytes::new()).await
    }

    /// Those of these objects that it lacks.
    pub(crate) async fn missing(
        &self,
        digests: Vec<String>,
    ) -> Result<Vec<String>, FleetAgentError> {
        let names = ObjectNames { digests };
        let answer: MissingObjects = self.post("fleet/objects/missing", &names).await?;
        Ok(answer.missing)
    }

    /// Hands objects over, as [`netpolicy_fleet::frame`] writes them.
    pub(crate) async fn objects(&self, sequence: Vec<u8>) -> Result<u64, FleetAgentError> {
        let media = "application/octet-stream";
        let body = Bytes::from(sequence);
        let answer: ObjectsTaken = self
            .json(Method::POST, "fleet/objects", media, body)
            .await?;
        Ok(answer.taken)
    }

    /// Hands a revision over.
    pub(crate) async fn put(&self, revision: &PutRevision) -> Result<Put, FleetAgentError> {
        let body = self.encoded(revision)?;
        self.json(Method::PUT, "fleet/revision", JSON, body).await
    }

    /// Asks the program in force.
    pub(crate) async fn probe(&self, of: &ProbeRequest) -> Result<Probed, FleetAgentError> {
        self.post("fleet/probe", of).await
    }

    /// Confirms the change in force.
    pub(crate) async fn confirm(&self) -> Result<(), FleetAgentError> {
        let answer = self
            .send(Method::POST, "confirm", JSON, Bytes::new())
            .await?;
        drop(answer);
        Ok(())
    }

    async fn post<A: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<A, FleetAgentError> {
        let body = self.encoded(body)?;
        self.json(Method::POST, path, JSON, body).await
    }

    fn encoded(&self, body: &impl Serialize) -> Result<Bytes, FleetAgentError> {
        let body = serde_json::to_vec(body);
        Ok(body.map_err(|error| self.no_answer(&error))?.into())
    }

    async fn json<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        media: &str,
        body: Bytes,
    ) -> Result<A, FleetAgentError> {
        let answer = self.send(method, path, media, body).await?;
        serde_json::from_slice(&answer).map_err(|error| self.no_answer(&error))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        media: &str,
        body: Bytes,
    ) -> Result<Bytes, FleetAgentError> {
        let exchange = self.exchange(method, path, media, body);
        match timeout(ANSWER, exchange).await {
            Ok(answer) => answer,
            Err(late) => Err(self.no_answer(&late)),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        media: &str,
        body: Bytes,
    ) -> Result<Bytes, FleetAgentError> {
        let failed = |error: &dyn std::error::Error| self.no_answer(error);
        let mut connection = self.connection().await?;
        let request = Request::builder()
            .method(method)
            .uri(format!("/v1/{path}"))
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, media)
            .body(Full::new(body))
            .map_err(|error| failed(&error))?;
        let answer = connection.sender.send_request(request).await;
        let answer = answer.map_err(|error| failed(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| failed(&*error))?.to_bytes();
        connection.answered = Instant::now();
        *self.kept() = Some(connection);
        if status.is_success() {
            return Ok(body);
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Problem {
            code: String,
            detail: String,
        }
        let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
        Err(FleetAgentError::Refused {
            status: status.as_u16(),
            why: match problem.detail.is_empty() {
                true => status.to_string(),
                false => problem.detail,
            },
            code: problem.code,
        })
    }

    fn no_answer(&self, error: &dyn std::error::Error) -> FleetAgentError {
        FleetAgentError::NoAnswer {
            socket: self.socket.display().to_string(),
            why: error.to_string(),
        }
    }
}
