//! Times as queries say them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::agent::error::AgentError;

/// What the host's scope is called.
pub const HOST: &str = "host";

/// A time, by a text such as "30d" or "2026-11-30T18:00:00Z"; without one, `usual` ago.
///
/// # Errors
/// It is neither.
pub fn since(text: Option<&str>, usual: Duration, now: Timestamp) -> Result<Timestamp, AgentError> {
    if let Some(time) = text.and_then(|text| text.parse::<Timestamp>().ok()) {
        return Ok(time);
    }
    let ago = match text {
        None => usual,
        Some(text) => duration("since", text)?,
    };
    let ago = SignedDuration::try_from(ago).unwrap_or(SignedDuration::MAX);
    Ok(now.checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// A duration, as in "30d".
///
/// # Errors
/// It is none.
pub fn duration(key: &str, text: &str) -> Result<Duration, AgentError> {
    humantime::parse_duration(text.trim()).map_err(|error| {
        AgentError::BadRequest(format!(
            "invalid {key} '{}': {error}; expected a time, as in 30d or 2026-11-30T18:00:00Z",
            text.escape_debug()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_points_or_how_long_ago() {
        let now: Timestamp = "2026-11-30T18:00:00Z".parse().unwrap();
        let usual = Duration::from_secs(60);
        let at = |text| since(text, usual, now).map(|time| time.to_string());
        assert_eq!(at(None).unwrap(), "2026-11-30T17:59:00Z");
        assert_eq!(at(Some("30d")).unwrap(), "2026-10-31T18:00:00Z");
        assert_eq!(
            at(Some("2026-01-01T00:00:00Z")).unwrap(),
            "2026-01-01T00:00:00Z"
        );
        let error = at(Some("yesterday")).unwrap_err().to_string();
        assert!(
            error.contains("'yesterday'") && error.contains("30d"),
            "{error}"
        );
    }
}
