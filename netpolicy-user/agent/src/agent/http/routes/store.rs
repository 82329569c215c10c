//! `/v1/backup`, `/v1/store/…`

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::Response;
use axum::{Extension, Json};
use bytes::Bytes;
use futures_util::stream;
use tokio::io::AsyncReadExt as _;
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use super::document::{NO_ROOM, ProblemDetails, STORE};
use crate::agent::access::{Caller, Requester};
use crate::agent::change::Consent;
use crate::agent::error::AgentError;
use crate::agent::http::app::{App, blocking};
use crate::agent::http::extract::Params;
use crate::api::{AcknowledgeQuery, AcknowledgedView, BACKUP_DIGEST, BACKUP_REVISION, RescuedView};

/// Bytes that are sent at a time.
const PIECE: usize = 1 << 16;

/// The body of a backup, which no JSON schema describes further.
#[derive()]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, format = Binary))]
#[expect(dead_code, reason = "only described, for the body is a stream")]
struct BackupFile(Vec<u8>);

/// A whole, checked copy of the state database, as one file.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/backup", operation_id = "getBackup", tag = STORE,
    responses((status = OK, content_type = "application/octet-stream", body = Vec<u8>,
        description = "The file; its BLAKE3 and revision are in the headers."))
))]
pub(super) async fn backup(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, AgentError> {
    let requester = Requester::here(caller);
    let archivist = app
        .supervisor
        .run(caller, move |writer| writer.archivist(requester));
    let archivist = archivist.await?;
    let backup = blocking(move || {
        archivist.write().map_err(|source| AgentError::Store {
            what: "the store cannot be backed up",
            source,
        })
    });
    let backup = backup.await?;
    let digest = blake3::Hash::from_bytes(backup.digest).to_hex().to_string();
    let file = tokio::fs::File::from_std(backup.file);
    let pieces = stream::try_unfold(file, |mut file| async move {
        let mut piece = Vec::with_capacity(PIECE);
        let read = file.read_buf(&mut piece).await?;
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(piece), file)))
    });
    Response::builder()
        .header(CONTENT_TYPE, "application/octet-stream")
        .header(CONTENT_LENGTH, backup.bytes)
        .header(BACKUP_DIGEST, digest)
        .header(BACKUP_REVISION, backup.summary.revision)
        .body(Body::from_stream(pieces))
        .map_err(|_| AgentError::Internal)
}

/// Stores what the agent holds in a new database, after the old one was lost.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/store/rescue", operation_id = "rescueStore", tag = STORE,
    responses(
        (status = OK, body = RescuedView, description = "The store, whole again."),
        (status = CONFLICT, body = ProblemDetails, description = "Nothing is lost."),
        (status = INSUFFICIENT_STORAGE, body = ProblemDetails, description = NO_ROOM),
    )
))]
pub(super) async fn rescue(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<RescuedView>, AgentError> {
    let requester = Requester::here(caller);
    let rescued = app
        .supervisor
        .run(caller, move |writer| writer.rescue(requester));
    rescued.await.map(Json)
}

/// Puts a store in force, and goes on from it, that is older than what was in use last or has
/// another history. What that opens to every source requires consent.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/store/acknowledge", operation_id = "acknowledgeStore", tag = STORE,
    params(AcknowledgeQuery),
    responses(
        (status = OK, body = AcknowledgedView, description = "The store's revision is in force."),
        (status = CONFLICT, body = ProblemDetails, description = "The store is not held, or what it opens is not consented to."),
        (status = INSUFFICIENT_STORAGE, body = ProblemDetails, description = NO_ROOM),
    )
))]
pub(super) async fn acknowledge(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<AcknowledgeQuery>,
) -> Result<Json<AcknowledgedView>, AgentError> {
    let consent = Consent::of(query.opens.as_deref())?;
    let requester = Requester::here(caller);
    let acknowledged = app.supervisor.run(caller, move |writer| {
        writer.acknowledge(requester, consent, query.dry_run)
    });
    acknowledged.await.map(Json)
}
