//! Lists in other programs' formats, as list files: for the page's fields.
//!
//! They are read here, with the rights of the person, as `netpolicy import` does it: the agent
//! reads its own format alone.

use bytes::Bytes;
use hyper::{Response, StatusCode};
use netpolicy_formats::{Filter, read, write};
use serde::Deserialize;
use serde_json::json;

use crate::answer::{self, Body, problem};

/// What to call the text in messages.
const NAME: &str = "the list";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListRequest {
    text: String,
}

/// The list file of a text, its format and what was left out.
pub(crate) async fn answer(content: Bytes) -> Result<Response<Body>, Response<Body>> {
    let refuse = |what: &str, hint: Option<&str>| {
        problem(StatusCode::BAD_REQUEST, "invalid-input", what, hint)
    };
    let request: ListRequest = serde_json::from_slice(&content)
        .map_err(|error| refuse(&format!("the request is not as expected: {error}"), None))?;
    let reading = tokio::task::spawn_blocking(move || {
        let read = read(None, request.text.as_bytes(), &Filter::default());
        read.map(|reading| (write::list_file(&reading), reading))
    });
    match reading.await {
        Ok(Ok((list, reading))) => Ok(answer::json(&json!({
            "format": reading.format.title(),
            "entries": reading.entries.len(),
            "list": list,
            "notes": reading.notes,
            "left_out": reading.left_out(NAME),
        }))),
        Ok(Err(errors)) => {
            let errors = errors.iter().take(10).map(|error| error.of_file(NAME));
            let errors: Vec<_> = errors.collect();
            let hint = "`netpolicy import` reads formats that need options";
            Err(refuse(&errors.join("; "), Some(hint)))
        }
        Err(_) => Err(problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the list could not be read: a fault in netpolicy",
            None,
        )),
    }
}
