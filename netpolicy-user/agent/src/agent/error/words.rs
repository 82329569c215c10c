//! Parts of messages.

use std::collections::BTreeSet;

use crate::api::{ClientsView, ErrorCode};
use crate::model::ErrorKind;

/// "3 of 41 connected clients: 10.0.0.1 on postgres, …".
#[must_use]
pub fn in_words(clients: &ClientsView) -> String {
    const SHOWN: usize = 5;
    let sources: BTreeSet<_> = clients.denied.iter().map(|c| c.source).collect();
    let shown = clients.denied.iter().take(SHOWN);
    let shown = shown.map(|client| format!("{} on {}", client.source, client.scope));
    let mut shown: Vec<_> = shown.collect();
    if clients.denied.len() > SHOWN {
        shown.push(format!("and {} more", clients.denied.len() - SHOWN));
    }
    format!(
        "{} of {} connected clients: {}",
        sources.len(),
        clients.connected,
        shown.join(", ")
    )
}

/// An error and what caused it, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Errors that already repeat their cause do not need to hear it again.
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// How programs are told of the model's errors.
#[must_use]
pub fn code_of(kind: ErrorKind) -> ErrorCode {
    match kind {
        ErrorKind::Invalid => ErrorCode::InvalidInput,
        ErrorKind::Unknown => ErrorCode::NotFound,
        ErrorKind::Conflict => ErrorCode::Conflict,
    }
}
