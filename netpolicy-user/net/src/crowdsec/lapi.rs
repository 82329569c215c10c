//! CrowdSec's local API: `/v1/decisions/stream` and `/v1/decisions`.
//!
//! The stream remembers for each key what it sent. By default it sends only the longest of
//! several decisions about a value, and nothing at all when that one is deleted while another
//! is there: it is asked for all of them (`dedup=false`).

use std::io::Read as _;
use std::time::Duration;

use ureq::Agent;

use super::known::{Changes, Decision};
use super::settings::Settings;
use crate::fetch::{FetchError, trusted};

/// The longest that an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(120);
/// The longest time without a byte.
const STALL: Duration = Duration::from_secs(20);
/// The largest answer. A decision has about 150 bytes.
const LARGEST: u64 = 512 << 20;

/// By what the bouncer goes in `cscli bouncers list`.
const USER_AGENT: &str = concat!("netpolicy/v", env!("CARGO_PKG_VERSION"));

/// Why the local API did not say what there is.
#[derive(Debug, thiserror::Error)]
pub(super) enum LapiError {
    /// It does not answer.
    #[error("CrowdSec's local API does not answer on {url}: {why}")]
    NoAnswer {
        /// Where it should.
        url: String,
        /// Why not.
        why: String,
    },
    /// It does not know the key.
    #[error(
        "CrowdSec's local API on {url} does not accept the API key\n\
         hint: `cscli bouncers list` shows whose are known, `cscli bouncers add` makes another"
    )]
    Forbidden {
        /// Where it is.
        url: String,
    },
    /// It answers something else.
    #[error("CrowdSec's local API on {url} answered {status}")]
    Status {
        /// Where it is.
        url: String,
        /// The status.
        status: String,
    },
    /// What it answers is not understood.
    #[error("the answer of CrowdSec's local API is not understood: {0}")]
    Garbled(#[from] serde_json::Error),
    /// Too large.
    #[error("the answer of CrowdSec's local API is larger than {LARGEST} bytes")]
    TooLarge,
    /// Certificates.
    #[error(transparent)]
    Certificates(#[from] FetchError),
}

/// A client of one local API.
#[derive(Debug)]
pub(super) struct Lapi {
    agent: Agent,
    url: String,
    key: String,
    filters: Vec<(&'static str, String)>,
}

/// What an answer says.
///
/// # Errors
/// It is not understood.
pub(super) fn changes(bytes: &[u8]) -> Result<Changes<'_>, LapiError> {
    Ok(serde_json::from_slice(bytes)?)
}

/// All decisions of an answer that is no stream's; `null` if there are none.
///
/// # Errors
/// It is not understood.
pub(super) fn decisions(bytes: &[u8]) -> Result<Vec<Decision<'_>>, LapiError> {
    let decisions: Option<Vec<Decision<'_>>> = serde_json::from_slice(bytes)?;
    Ok(decisions.unwrap_or_default())
}

impl Lapi {
    /// As the settings say.
    ///
    /// # Errors
    /// There are no certificates to trust.
    pub(super) fn new(settings: &Settings) -> Result<Self, LapiError> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // The key is for this server alone.
            .max_redirects(0)
            .timeout_global(Some(ANSWER_TIME))
            .timeout_per_read(Some(STALL))
            .max_idle_connections(0)
            .user_agent(USER_AGENT);
        config = match settings.is_https() {
            true => config.tls_config(trusted(settings.ca.as_deref())?),
            false => config.proxy(None),
        };
        Ok(Self {
            agent: config.build().into(),
            url: settings.url.clone(),
            key: settings.key.clone(),
            filters: settings.filters.clone(),
        })
    }

    /// What changed since the last time; with `whole` all there is.
    ///
    /// # Errors
    /// See [`LapiError`].
    pub(super) fn stream(&self, whole: bool) -> Result<Vec<u8>, LapiError> {
        let mut query = vec![
            ("startup", whole.to_string()),
            ("dedup", "false".to_owned()),
        ];
        query.extend(self.filters.iter().cloned());
        self.get("/v1/decisions/stream", &query)
    }

    /// All decisions, without a word about it in the stream.
    ///
    /// # Errors
    /// See [`LapiError`].
    pub(super) fn all(&self) -> Result<Vec<u8>, LapiError> {
        self.get("/v1/decisions", &self.filters)
    }

    fn get(&self, path: &str, query: &[(&'static str, String)]) -> Result<Vec<u8>, LapiError> {
        let no_answer = |why: String| LapiError::NoAnswer {
            url: self.url.clone(),
            why,
        };
        let request = self.agent.get(format!("{}{path}", self.url));
        let request = query
            .iter()
            .fold(request, |request, (key, value)| request.query(key, value));
        let request = request.header("X-Api-Key", &self.key);
        let answer = request
            .call()
            .map_err(|error| no_answer(error.to_string()))?;
        match answer.status().as_u16() {
            200 => {}
            401 | 403 => {
                return Err(LapiError::Forbidden {
                    url: self.url.clone(),
                });
            }
            _ => {
                return Err(LapiError::Status {
                    url: self.url.clone(),
                    status: answer.status().to_string(),
                });
            }
        }
        let body = answer.into_body().into_with_config().limit(u64::MAX);
        let mut bytes = Vec::new();
        body.reader()
            .take(LARGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| no_answer(error.to_string()))?;
        match u64::try_from(bytes.len()) {
            Ok(0..=LARGEST) => Ok(bytes),
            _ => Err(LapiError::TooLarge),
        }
    }
}
