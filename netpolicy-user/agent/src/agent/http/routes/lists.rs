//! `/v1/lists`

use axum::extract::{Path, State};

use super::condition::AtRevision;
#[cfg(feature = "openapi")]
use super::document::{POLICIES, ProblemDetails};
use super::paging;
use crate::agent::error::AgentError;
use crate::agent::http::app::{App, blocking};
use crate::agent::http::extract::Params;
use crate::agent::http::views;
use crate::api::{EntriesQuery, EntryItem, ListView, Paged};
use crate::model::{self, NamedList, error::closest};

/// All named lists, without their entries.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/lists", operation_id = "listLists", tag = POLICIES,
    responses((status = OK, body = Vec<ListView>, description = "All named lists, without their entries."))
))]
pub(super) async fn list(State(app): State<App>) -> AtRevision<Vec<ListView>> {
    let snapshot = app.supervisor.snapshot();
    let lists = snapshot.state.lists.iter();
    let lists = lists
        .map(|list| views::list(&snapshot.state, list))
        .collect();
    AtRevision(snapshot.revision, lists)
}

/// One named list, with its entries.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/lists/{name}", operation_id = "getList", tag = POLICIES,
    params(("name" = String, Path, description = "The list's name.")),
    responses(
        (status = OK, body = ListView, description = "The list, with its entries."),
        (status = NOT_FOUND, body = ProblemDetails, description = "There is no list of this name."),
    )
))]
pub(super) async fn show(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<AtRevision<ListView>, AgentError> {
    let snapshot = app.supervisor.snapshot();
    blocking(move || {
        let list = find(&name, &snapshot.state)?;
        let view = views::whole_list(&snapshot.state, list);
        Ok(AtRevision(snapshot.revision, view))
    })
    .await
}

/// Entries of one named list.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/lists/{name}/entries", operation_id = "listEntries", tag = POLICIES,
    params(("name" = String, Path, description = "The list's name."), EntriesQuery),
    responses(
        (status = OK, body = Paged<EntryItem>, description = "Entries, in the order of the list."),
        (status = NOT_FOUND, body = ProblemDetails, description = "There is no list of this name."),
    )
))]
pub(super) async fn entries(
    State(app): State<App>,
    Path(name): Path<String>,
    Params(query): Params<EntriesQuery>,
) -> Result<AtRevision<Paged<EntryItem>>, AgentError> {
    let limit = paging::limit(query.limit)?;
    let snapshot = app.supervisor.snapshot();
    blocking(move || {
        let list = find(&name, &snapshot.state)?;
        let page = views::entries_page(list, &query, limit);
        Ok(AtRevision(snapshot.revision, page))
    })
    .await
}

fn find<'a>(name: &str, state: &'a model::State) -> Result<&'a NamedList, AgentError> {
    state.list(name).ok_or_else(|| AgentError::NotFound {
        what: unknown(name, state),
        hint: "`netpolicy list list` shows what there is",
    })
}

fn unknown(name: &str, state: &model::State) -> String {
    let names = state.lists.iter().map(|list| list.name.as_str());
    let meant = closest(name, names).map(|name| format!("; did you mean '{name}'?"));
    format!(
        "unknown list '{}'{}",
        name.escape_debug(),
        meant.unwrap_or_default()
    )
}
