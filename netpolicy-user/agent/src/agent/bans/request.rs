//! Requests as they are read, before the writer: what a line asks for, or why it cannot be.

use std::any::Any;

use ipnet::IpNet;
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::outcome::JudgedBan;
use crate::agent::access::Requester;
use crate::agent::error::AgentError;
use crate::api::{BanRequest, ReplaceBansQuery, UnbanRequest};
use crate::model::parse_source;

/// Bytes of a reason.
const REASON: usize = 256;
/// Bytes of an origin.
const BY: usize = 64;
/// The most seconds that a ban may last if it is to end: a hundred years.
const SECONDS: u64 = 100 * 365 * 86_400;

/// When a ban is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Never,
    /// So many milliseconds from now.
    After(i64),
    /// Then, by the wall clock, in milliseconds.
    At(i64),
}

/// A line of a request to ban.
#[derive(Clone, Debug)]
pub struct WantedBan {
    /// The source as it was sent.
    pub(super) text: String,
    /// What it is, or why it is refused.
    pub(super) net: Result<IpNet, String>,
    pub(super) end: End,
    pub(super) service: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) by: Option<String>,
    pub(super) replace: bool,
}

impl From<BanRequest> for WantedBan {
    fn from(request: BanRequest) -> Self {
        let BanRequest {
            source,
            seconds,
            until,
            service,
            reason,
            by,
            replace,
        } = request;
        let end = end(seconds, until);
        let checked = end
            .as_ref()
            .map(|_| ())
            .map_err(Clone::clone)
            .and_then(|()| is_short(reason.as_deref(), "reason", REASON))
            .and_then(|()| is_short(by.as_deref(), "by", BY));
        let net = checked.and_then(|()| network(&source));
        Self {
            net,
            text: source,
            end: end.unwrap_or(End::Never),
            service,
            reason: reason.filter(|text| !text.is_empty()),
            by: by.filter(|text| !text.is_empty()),
            replace,
        }
    }
}

/// A line of a request to unban.
#[derive(Clone, Debug)]
pub struct WantedUnban {
    pub(super) text: String,
    pub(super) net: Result<IpNet, String>,
    pub(super) service: Option<String>,
    /// Only if it is of this origin, or of one that goes on with a slash.
    pub(super) by: Option<String>,
}

impl From<UnbanRequest> for WantedUnban {
    fn from(request: UnbanRequest) -> Self {
        Self {
            net: network(&request.source),
            text: request.source,
            service: request.service,
            by: request.by,
        }
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    // What automation sends most needs no look at what else it may be.
    if let Ok(address) = text.parse::<std::net::Ipv4Addr>() {
        return Ok(IpNet::V4(address.into()));
    }
    parse_source(text).map_err(|error| error.to_string())
}

fn end(seconds: Option<u64>, until: Option<Timestamp>) -> Result<End, String> {
    match (seconds, until) {
        (Some(_), Some(_)) => Err("both `for` and `until` are there: expected one".to_owned()),
        (None, None) => Ok(End::Never),
        (Some(0), None) => Err("`for` is 0: expected at least a second".to_owned()),
        (Some(seconds), None) if seconds > SECONDS => Err(format!(
            "`for` is {seconds}: expected at most {SECONDS} (100 years), or none for a ban \
             without end"
        )),
        (Some(seconds), None) => {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            Ok(End::After(seconds.saturating_mul(1000)))
        }
        (None, Some(until)) => Ok(End::At(until.as_millisecond())),
    }
}

fn is_short(text: Option<&str>, name: &str, most: usize) -> Result<(), String> {
    match text {
        Some(text) if text.len() > most => Err(format!(
            "`{name}` has {} bytes: expected at most {most}",
            text.len()
        )),
        Some(text) if text.chars().any(char::is_control) => Err(format!(
            "`{name}` holds a control character: expected text on one line"
        )),
        _ => Ok(()),
    }
}

/// What is asked for.
#[derive(Debug)]
pub enum BanWork {
    /// To ban.
    Ban(Vec<WantedBan>),
    /// To unban.
    Unban(Vec<WantedUnban>),
    /// To ban these and unban all others of the origin.
    Replace {
        /// The origin, and which of its bans.
        of: ReplaceBansQuery,
        /// What it bans.
        bans: Vec<WantedBan>,
    },
}

/// A request that waits for the writer.
pub struct BanJob {
    /// Who asks.
    pub(super) requester: Requester,
    pub(super) work: BanWork,
    /// Where the answer goes: a line for each line, in order.
    pub(super) reply: oneshot::Sender<Result<Vec<JudgedBan>, AgentError>>,
    /// Held until it is done: the memory that it counts for.
    #[expect(dead_code, reason = "held")]
    pub(super) held: Box<dyn Any + Send>,
}

impl BanJob {
    /// A request; and its answer, when there is one.
    #[must_use]
    pub fn new(
        requester: Requester,
        work: BanWork,
        held: Box<dyn Any + Send>,
    ) -> (Self, oneshot::Receiver<Result<Vec<JudgedBan>, AgentError>>) {
        let (reply, answer) = oneshot::channel();
        let job = Self {
            requester,
            work,
            reply,
            held,
        };
        (job, answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(json: &str) -> WantedBan {
        serde_json::from_str::<BanRequest>(json).unwrap().into()
    }

    #[test]
    fn lines_that_cannot_be_done_say_why() {
        for (json, expected) in [
            (r#"{"source":"203.0.113.256"}"#, "203.0.113.256"),
            (r#"{"source":"10.0.0.1","for":0}"#, "at least a second"),
            (r#"{"source":"10.0.0.1","for":99999999999}"#, "100 years"),
            (
                r#"{"source":"10.0.0.1","for":1,"until":"2030-01-01T00:00:00Z"}"#,
                "expected one",
            ),
            (
                r#"{"source":"10.0.0.1","reason":"a\nb"}"#,
                "control character",
            ),
        ] {
            let error = wanted(json).net.unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
        let long = format!(r#"{{"source":"10.0.0.1","by":"{}"}}"#, "x".repeat(65));
        assert!(wanted(&long).net.unwrap_err().contains("65 bytes"));
    }

    #[test]
    fn sources_are_networks_without_host_bits() {
        for (text, net) in [
            ("203.0.113.9", "203.0.113.9/32"),
            ("203.0.113.9/24", "203.0.113.0/24"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("2001:DB8::1", "2001:db8::1/128"),
        ] {
            let wanted = wanted(&format!(r#"{{"source":"{text}","for":null}}"#));
            assert_eq!(wanted.net.unwrap().to_string(), net);
            assert_eq!(wanted.end, End::Never);
        }
    }
}
