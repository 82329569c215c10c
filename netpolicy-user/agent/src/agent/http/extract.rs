//! Extractors that refuse in the API's own way.
//!
//! A body is read only from a caller who may send its size, within its time, and into memory that
//! counts against what the caller, and all callers, may have under way.

use std::time::Duration;

use axum::RequestExt as _;
use axum::body::BodyDataStream;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::Method;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::LengthLimitError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout, timeout_at};

use super::app::App;
use super::error::HttpError;
use super::quota::{Exceeded, Share};
use super::standing::Standing;
use super::throttle::Throttle;
use crate::agent::access::{Caller, Requester};
use crate::agent::error::AgentError;

/// How long a body may take: this, and a second more for each [`BYTES_PER_SECOND`] that
/// arrived.
const BODY_TIME: Duration = Duration::from_secs(20);
const BYTES_PER_SECOND: usize = 4 << 20;

/// A body without an announced length takes its memory in such steps.
const STEP: usize = 1 << 20;

/// How long, and how much, is read and thrown away of a body that is refused: a caller who
/// is still sending would see a broken pipe in place of the answer.
const DISCARD_TIME: Duration = Duration::from_secs(2);
const DISCARDED: usize = 64 << 20;

/// The query string.
pub(in crate::agent::http) struct Params<T>(pub(in crate::agent::http) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = AgentError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AgentError> {
        Query::from_request_parts(parts, state)
            .await
            .map(|Query(params)| Self(params))
            .map_err(|e| AgentError::BadRequest(e.body_text()))
    }
}

/// The body, not parsed yet, with the memory that it counts for.
#[derive(Debug)]
pub(in crate::agent::http) struct Body {
    bytes: Vec<u8>,
    share: Share,
}

/// What of the query says that nothing is to be changed.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Trial {
    dry_run: bool,
}

impl FromRequest<App> for Body {
    type Rejection = HttpError;

    async fn from_request(request: Request, app: &App) -> Result<Self, HttpError> {
        read_with(request, app, async |incoming| {
            let mut bytes = Vec::with_capacity(incoming.announced());
            while let Some(piece) = incoming.next().await? {
                bytes.extend_from_slice(&piece);
            }
            Ok(bytes)
        })
        .await
        .map(|(bytes, share)| Self { bytes, share })
    }
}

/// Reads a body by `gather`, which gets it piece by piece. A refusal is logged.
///
/// # Errors
/// The caller may not send it, or it is not as `gather` expects.
pub(in crate::agent::http) async fn read_with<T>(
    request: Request,
    app: &App,
    gather: impl AsyncFnOnce(&mut Incoming) -> Result<T, HttpError>,
) -> Result<(T, Share), HttpError> {
    let extensions = request.extensions();
    let caller = extensions.get::<Caller>().copied();
    let standing = extensions.get::<Standing>().copied();
    // Without the middleware that says so, a fault of netpolicy.
    let (Some(caller), Some(standing)) = (caller, standing) else {
        return Err(AgentError::Internal.into());
    };
    let is_change = request.method() != Method::GET;
    let action = format!(
        "{} {}",
        request.method(),
        request.uri().path().escape_debug()
    );
    let read = match Incoming::open(request, app, caller, standing).await {
        Err(error) => Err(error),
        Ok(mut incoming) => match gather(&mut incoming).await {
            Ok(read) => Ok((read, incoming.share)),
            // What was gathered is gone by now.
            Err(error) => Err(incoming.refuse(error).await),
        },
    };
    if let Err(error) = &read {
        static SAID: Throttle = Throttle::new();
        if let Some(left_out) = SAID.ask() {
            tracing::warn!(who = caller.name(), action, %error, left_out, "refused: body");
        }
        if let HttpError::Agent(error @ AgentError::NotAllowed { .. }) = error
            && is_change
        {
            app.supervisor
                .refused(Requester::here(caller), &action, error);
        }
    }
    read
}

/// A body that is being read.
pub(in crate::agent::http) struct Incoming {
    pieces: BodyDataStream,
    share: Share,
    caller: Caller,
    standing: Standing,
    is_trial: bool,
    announced: Option<usize>,
    started: Instant,
    /// Bytes that arrived.
    arrived: usize,
    /// Bytes that the share was taken for.
    counted: usize,
    /// Whether the caller may send more, which is not needed.
    goes_on: bool,
}

impl Incoming {
    async fn open(
        request: Request,
        app: &App,
        caller: Caller,
        standing: Standing,
    ) -> Result<Self, HttpError> {
        let is_trial = matches!(
            request.uri().path(),
            "/v1/diff" | "/v1/evaluate" | "/v1/lint"
        ) || Query::<Trial>::try_from_uri(request.uri())
            .is_ok_and(|query| query.dry_run);
        let limit = standing.body_limit(is_trial);
        let announced = request.headers().get(CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        let mut pieces = request.with_limited_body().into_body().into_data_stream();
        let share = match announced {
            Some(length) if length > limit => Err(over(caller, standing, is_trial)),
            _ => {
                let amount = announced.unwrap_or(0);
                let share = app.bodies.take(caller.uid, amount, standing.bodies());
                share.map_err(|exceeded| no_memory(caller, standing, exceeded))
            }
        };
        match share {
            Ok(share) => Ok(Self {
                pieces,
                share,
                caller,
                standing,
                is_trial,
                announced,
                started: Instant::now(),
                arrived: 0,
                counted: announced.unwrap_or(0),
                goes_on: false,
            }),
            Err(error) => {
                discard(&mut pieces).await;
                Err(error)
            }
        }
    }

    /// Its length as the caller said, else 0: room for all of it at once. Bodies have up to
    /// hundreds of megabytes, and to gather their pieces first would take twice as many.
    pub(in crate::agent::http) fn announced(&self) -> usize {
        self.announced.unwrap_or(0)
    }

    /// Bytes that it may have yet.
    pub(in crate::agent::http) fn left(&self) -> usize {
        self.standing.body_limit(self.is_trial) - self.arrived
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// It takes too long, or is too large.
    pub(in crate::agent::http) async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        let limit = self.standing.body_limit(self.is_trial);
        let more = u32::try_from(self.arrived / BYTES_PER_SECOND).unwrap_or(u32::MAX);
        let deadline = self.started + BODY_TIME + Duration::from_secs(1) * more;
        let piece = match timeout_at(deadline, self.pieces.next()).await {
            Ok(None) => return Ok(None),
            Ok(Some(piece)) => piece.map_err(|error| refusal(error, self.caller, limit))?,
            Err(_) => {
                return Err(HttpError::TooSlow {
                    what: "the body of the request",
                    seconds: self.started.elapsed().as_secs(),
                });
            }
        };
        let length = self.arrived + piece.len();
        if length > limit {
            self.goes_on = true;
            return Err(over(self.caller, self.standing, self.is_trial));
        }
        if length > self.counted {
            let step = STEP.max(length - self.counted);
            if let Err(exceeded) = self.share.grow(step) {
                self.goes_on = true;
                return Err(no_memory(self.caller, self.standing, exceeded));
            }
            self.counted += step;
        }
        self.arrived = length;
        Ok(Some(piece))
    }

    /// Lets the caller hear an error.
    async fn refuse(mut self, error: HttpError) -> HttpError {
        if self.goes_on {
            discard(&mut self.pieces).await;
        }
        error
    }
}

/// The body is larger than this caller's may be.
fn over(caller: Caller, standing: Standing, is_trial: bool) -> HttpError {
    let who = caller.name();
    if standing == Standing::Reader && !is_trial {
        let lacks = AgentError::NotAllowed {
            lacks: vec![format!(
                "{who} may not change anything: that requires a privilege such as create, or a \
                 policy that {who} owns"
            )],
        };
        return lacks.into();
    }
    HttpError::TooLarge {
        who,
        limit: standing.body_limit(is_trial),
    }
}

fn no_memory(caller: Caller, standing: Standing, exceeded: Exceeded) -> HttpError {
    match exceeded {
        Exceeded::Own => HttpError::TooMany(format!(
            "the requests of {} that are under way would have more than {} MiB, which is the \
             most for one user",
            caller.name(),
            standing.bodies().each >> 20
        )),
        Exceeded::All => HttpError::Busy(
            "the requests that are under way have as many bytes as all users but admins may send \
             at a time"
                .to_owned(),
        ),
    }
}

fn refusal(error: axum::Error, caller: Caller, limit: usize) -> HttpError {
    let error = error.into_inner();
    if error.is::<LengthLimitError>() {
        let who = caller.name();
        HttpError::TooLarge { who, limit }
    } else {
        AgentError::BadRequest(format!("the request was not read to its end: {error}")).into()
    }
}

/// Reads on for a while and keeps nothing, so that the caller hears the refusal.
async fn discard(pieces: &mut BodyDataStream) {
    let mut discarded = 0;
    let reading = timeout(DISCARD_TIME, async {
        while let Some(Ok(piece)) = pieces.next().await {
            discarded += piece.len();
            if discarded > DISCARDED {
                break;
            }
        }
    });
    // A caller that is slower or sends more may see the broken pipe.
    let _ = reading.await;
}

impl Body {
    /// Its bytes, and the share that is to be held as long as they, or what was parsed of them.
    pub(in crate::agent::http) fn into_parts(self) -> (Vec<u8>, Share) {
        (self.bytes, self.share)
    }

    /// The body as text. The share is to be held as long as the text.
    pub(in crate::agent::http) fn text(self) -> Result<(String, Share), AgentError> {
        let text = String::from_utf8(self.bytes)
            .map_err(|_| AgentError::BadRequest("the body is no UTF-8".to_owned()))?;
        Ok((text, self.share))
    }

    /// Parses it as JSON, and lets go of it. The share is to be held as long as what was
    /// parsed.
    pub(in crate::agent::http) fn parse<T: DeserializeOwned>(
        self,
    ) -> Result<(T, Share), AgentError> {
        let parsed = serde_json::from_slice(&self.bytes)
            .map_err(|e| AgentError::BadRequest(format!("the request is not as expected: {e}")))?;
        Ok((parsed, self.share))
    }
}

#[cfg(test)]
mod tests;
