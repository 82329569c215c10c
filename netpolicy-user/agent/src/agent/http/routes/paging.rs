//! Parts of lists: what a query asks for.

use crate::agent::error::AgentError;
use crate::api::PageQuery;
use crate::store::Window;

/// A part of history or audit log.
pub(super) fn window(query: PageQuery) -> Result<Window, AgentError> {
    Ok(Window {
        limit: limit(query.limit)?,
        after: query.after,
        text: text(query.text),
    })
}

/// How many entries a part has at most.
pub(super) fn limit(limit: Option<usize>) -> Result<usize, AgentError> {
    match limit.unwrap_or(PageQuery::USUAL) {
        limit @ 1..=PageQuery::MOST => Ok(limit),
        limit => Err(AgentError::BadRequest(format!(
            "limit is {limit}; expected 1 to {}",
            PageQuery::MOST
        ))),
    }
}

/// An empty text is in all entries.
pub(super) fn text(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
