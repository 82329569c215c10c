//! The agent's bans: what decisions come to, over its socket.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ORIGIN;
use super::known::Wanted;
use crate::agent::{AgentClient, AgentError};

/// What is sent and answered: a JSON object a line.
const LINES: &str = "application/x-ndjson";

/// Bytes of a request at most: the agent takes no body beyond 32 MiB.
const PIECE: usize = 24 << 20;

/// Refusals that are named.
const NAMED: usize = 3;

#[derive(Serialize)]
struct Line<'a> {
    source: String,
    until: jiff::Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    by: &'static str,
}

#[derive(Deserialize)]
struct Outcome {
    source: String,
    result: String,
    #[serde(default)]
    detail: Option<String>,
}

/// What became of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcomes {
    /// How many of each result.
    pub(super) counts: BTreeMap<String, usize>,
    /// Some of those that were refused, and why.
    pub(super) refused: Vec<String>,
}

impl Outcomes {
    fn read(text: &str) -> Result<Self, AgentError> {
        let mut outcomes = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let outcome: Outcome = serde_json::from_str(line)
                .map_err(|error| AgentError::Garbled(error.to_string()))?;
            if outcome.result == "refused" && outcomes.refused.len() < NAMED {
                let why = outcome.detail.unwrap_or_default();
                outcomes.refused.push(format!("{}: {why}", outcome.source));
            }
            *outcomes.counts.entry(outcome.result).or_default() += 1;
        }
        Ok(outcomes)
    }

    /// Adds those of another request.
    fn join(&mut self, other: Self) {
        for (result, count) in other.counts {
            *self.counts.entry(result).or_default() += count;
        }
        self.refused.extend(other.refused);
        self.refused.truncate(NAMED);
    }

    /// How many have this result.
    pub(super) fn count(&self, result: &str) -> usize {
        self.counts.get(result).copied().unwrap_or(0)
    }
}

/// Bans these sources, or extends their bans.
///
/// # Errors
/// The agent does not do it.
pub(super) fn ban<'a>(
    client: &AgentClient,
    bans: impl Iterator<Item = Wanted<'a>>,
    service: Option<&str>,
) -> Result<Outcomes, AgentError> {
    post(client, &lines(bans, service)?)
}

/// Hands lines over, in as many requests as they need.
fn post(client: &AgentClient, lines: &str) -> Result<Outcomes, AgentError> {
    let mut outcomes = Outcomes::default();
    for piece in pieces(lines, PIECE) {
        outcomes.join(Outcomes::read(&client.post("bans", LINES, piece)?)?);
    }
    Ok(outcomes)
}

/// Whole lines, of `most` bytes together unless one is longer.
fn pieces(lines: &str, most: usize) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), lines);
    while rest.len() > most {
        let head = rest.as_bytes().get(..most).unwrap_or_default();
        let end = head.iter().rposition(|byte| *byte == b'\n');
        let end = end.or_else(|| rest.find('\n'));
        let end = end.map_or(rest.len(), |end| end + 1);
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(rest);
    }
    pieces
}

/// Makes these the bans that follow from decisions, in one step. What is too large for a
/// request is added in several instead: then bans of decisions that are no more stay until
/// they expire.
///
/// # Errors
/// The agent does not do it.
pub(super) fn replace<'a>(
    client: &AgentClient,
    bans: impl Iterator<Item = Wanted<'a>>,
    service: Option<&str>,
) -> Result<Outcomes, AgentError> {
    let lines = lines(bans, service)?;
    if lines.len() > PIECE {
        return post(client, &lines);
    }
    let answer = client.put_whole(&format!("bans?by={ORIGIN}"), LINES, &lines)?;
    Outcomes::read(&answer)
}

fn lines<'a>(
    bans: impl Iterator<Item = Wanted<'a>>,
    service: Option<&str>,
) -> Result<String, AgentError> {
    let mut lines = String::new();
    for ban in bans {
        // Whole seconds, so that the same end is the same after a restart of either program.
        let until = ban.until.round(jiff::Unit::Second).unwrap_or(ban.until);
        let line = Line {
            source: ban.source.to_string(),
            until,
            service,
            reason: ban.reason,
            by: ORIGIN,
        };
        let line =
            serde_json::to_string(&line).map_err(|error| AgentError::Garbled(error.to_string()))?;
        lines.push_str(&line);
        lines.push('\n');
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_a_line_for_each_ban_and_outcomes_are_counted() {
        let ban = Wanted {
            source: "203.0.113.9/32".parse().unwrap(),
            until: "2030-01-31T12:00:00.4Z".parse().unwrap(),
            reason: "crowdsecurity/pgsql-bf",
        };
        let lines = lines(std::iter::once(ban), Some("postgres")).unwrap();
        assert_eq!(
            lines,
            "{\"source\":\"203.0.113.9/32\",\"until\":\"2030-01-31T12:00:00Z\",\
             \"service\":\"postgres\",\"reason\":\"crowdsecurity/pgsql-bf\",\"by\":\"crowdsec\"}\n"
        );
        let answer = "{\"source\":\"203.0.113.9/32\",\"result\":\"banned\"}\n\
                      {\"source\":\"10.0.0.1/32\",\"result\":\"refused\",\"detail\":\"own\"}\n";
        let outcomes = Outcomes::read(answer).unwrap();
        assert_eq!((outcomes.count("banned"), outcomes.count("absent")), (1, 0));
        assert_eq!(outcomes.refused, ["10.0.0.1/32: own"]);
        assert!(Outcomes::read("garbage").is_err());

        assert_eq!(pieces("a\nbb\nc\n", 6), ["a\nbb\n", "c\n"]);
        assert_eq!(pieces("aaaa\nb\n", 3), ["aaaa\n", "b\n"]);
        assert_eq!(pieces("", 3), [""]);
    }
}
