//! Errors as JSON, in one shape for all commands.

use std::io::{self, Write};

use serde::Serialize;

use super::{Exit, Failure, describe, exit_of};
use crate::api::{ErrorCode, ErrorPlace};
use crate::client::ClientError;
use crate::config::ConfigError;
use crate::output::write_json;

/// What is written.
#[derive(Debug, Serialize)]
struct ErrorReport {
    error: ReportedError,
}

#[derive(Debug, Serialize)]
struct ReportedError {
    /// What kind of problem it is; keeps its meaning across versions. Those of the agent are the
    /// API's.
    code: String,
    /// All errors in one text.
    message: String,
    /// All that is wrong, each on its own.
    errors: Vec<String>,
    /// Where each of the errors is, in their order; empty: none has a place.
    places: Vec<Option<ErrorPlace>>,
    /// What to do, if one sentence helps.
    hint: Option<String>,
    /// The exit code.
    exit_code: u8,
}

/// Writes an error as JSON.
pub(super) fn report(error: &anyhow::Error, err: &mut dyn Write) -> io::Result<()> {
    let (errors, hint) = describe(error);
    let (code, places) = kind(error);
    write(
        ReportedError {
            code,
            message: errors.join("; "),
            errors,
            places,
            hint,
            exit_code: exit_of(error) as u8,
        },
        err,
    )
}

/// Writes as JSON what is wrong with a command line.
pub(in crate::cli) fn usage(error: &clap::Error, err: &mut dyn Write) -> io::Result<()> {
    // What clap writes for a terminal: the error, tips and the usage.
    let text = error.to_string();
    let mut parts = text.trim().split("\n\n");
    let message = parts.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let message: Vec<&str> = message.lines().map(str::trim).collect();
    let message = message.join(" ");
    let hint: Vec<&str> = parts.flat_map(str::lines).map(str::trim).collect();
    write(
        ReportedError {
            code: "usage".to_owned(),
            errors: vec![message.clone()],
            message,
            places: Vec::new(),
            hint: (!hint.is_empty()).then(|| hint.join(" ")),
            exit_code: Exit::Usage as u8,
        },
        err,
    )
}

fn write(error: ReportedError, err: &mut dyn Write) -> io::Result<()> {
    write_json(&ErrorReport { error }, err)
}

/// The code of an error, and the places of its parts.
fn kind(error: &anyhow::Error) -> (String, Vec<Option<ErrorPlace>>) {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        let code = match (failure.code, failure.exit) {
            (Some(code), _) => in_words(code),
            (None, Exit::Usage) => "usage".to_owned(),
            (None, Exit::NoAgent) => "no-agent".to_owned(),
            (None, Exit::Done | Exit::Failed) => "failed".to_owned(),
        };
        return (code, failure.places.clone());
    }
    if error.downcast_ref::<ConfigError>().is_some() {
        return ("invalid-configuration".to_owned(), Vec::new());
    }
    let code = match error.downcast_ref::<ClientError>() {
        Some(ClientError::Refused { body, .. }) => {
            return (in_words(body.code), body.places.clone());
        }
        Some(ClientError::NoAgent { .. }) => "no-agent",
        Some(ClientError::Permission { .. }) => "forbidden",
        Some(ClientError::Silent { .. } | ClientError::Busy { .. }) => "no-answer",
        Some(_) | None => "failed",
    };
    (code.to_owned(), Vec::new())
}

/// As the API writes it.
fn in_words(code: ErrorCode) -> String {
    let value = serde_json::to_value(code).ok();
    let text = value.as_ref().and_then(serde_json::Value::as_str);
    text.unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::ProblemDetails;

    fn reported(error: impl Into<anyhow::Error>) -> Value {
        let mut out = Vec::new();
        report(&error.into(), &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn refusal_of_the_agent_has_code_hint_and_places() {
        let place = ErrorPlace {
            source: "p.toml".into(),
            line: Some(3),
            column: Some(7),
        };
        let body = ProblemDetails {
            code: ErrorCode::InvalidInput,
            errors: vec!["p.toml:3:7: no address".into(), "no policy".into()],
            places: vec![Some(place), None],
            hint: Some("correct it".into()),
            ..ProblemDetails::default()
        };
        let body = Box::new(body);
        assert_eq!(
            reported(ClientError::Refused { status: 400, body }),
            json!({"error": {
                "code": "invalid-input",
                "message": "p.toml:3:7: no address; no policy",
                "errors": ["p.toml:3:7: no address", "no policy"],
                "places": [{"source": "p.toml", "line": 3, "column": 7}, null],
                "hint": "correct it",
                "exit_code": 1,
            }})
        );
    }

    #[test]
    fn missing_agent_and_own_failures_have_the_same_shape() {
        let missing = ClientError::NoAgent {
            why: "there is no such socket",
            socket: "/s".into(),
            source: io::Error::from_raw_os_error(2),
        };
        let found = reported(missing);
        assert_eq!(found["error"]["code"], "no-agent");
        assert_eq!(found["error"]["exit_code"], 3);
        let found = reported(Failure::new("no").hint("do"));
        assert_eq!(
            found,
            json!({"error": {
                "code": "failed", "message": "no", "errors": ["no"], "places": [],
                "hint": "do", "exit_code": 1,
            }})
        );
    }

    #[test]
    fn usage_error_says_what_is_wrong_without_layout() {
        let error = crate::cli::usage::parse(
            &["netpolicy", "policy", "alter", "office", "--addallow"].map(Into::into),
        )
        .unwrap_err();
        let mut out = Vec::new();
        usage(&error, &mut out).unwrap();
        let found: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(found["error"]["code"], "usage");
        assert_eq!(found["error"]["exit_code"], 2);
        assert_eq!(
            found["error"]["message"],
            "unexpected argument '--addallow' found"
        );
        let hint = found["error"]["hint"].as_str().unwrap();
        assert!(hint.contains("--add-allow"), "{hint}");
    }
}
