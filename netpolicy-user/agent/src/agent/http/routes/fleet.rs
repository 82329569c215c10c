//! `/v1/fleet`

use axum::extract::State;
use axum::{Extension, Json};
use netpolicy_common::{Action, Reason};
use netpolicy_fleet::{ObjectError, checked, unframe};

#[cfg(feature = "openapi")]
use super::document::{CONFLICTING, FLEET, NO_ROOM, ProblemDetails};
use crate::agent::access::{Caller, Requester};
use crate::agent::error::{AgentError, chain};
use crate::agent::fleet;
use crate::agent::http::app::{App, blocking};
use crate::agent::http::extract::Body;
use crate::agent::writer::{MOST_OBJECTS, Writer};
use crate::api::{
    Changed, FleetView, MissingObjects, ObjectNames, ObjectsTaken, ProbeRequest, Probed,
    ProbedVerdict, PutRevision,
};
use crate::datapath::packet;
use crate::store::{HandedOver, ObjectId};

/// The most attempts that are probed at a time.
const MOST_PROBED: usize = 1_000;

/// The fleet that the host is in, and what of it is in force.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/fleet", operation_id = "getFleet", tag = FLEET,
    responses((status = OK, body = FleetView, description = "The fleet; without a name: the host is in none."))
))]
pub(super) async fn show(State(app): State<App>) -> Result<Json<FleetView>, AgentError> {
    blocking(move || Ok(Json(view(&app)))).await
}

/// What is known of the fleet now.
pub(super) fn view(app: &App) -> FleetView {
    let snapshot = app.supervisor.snapshot();
    let member = fleet::read(&app.running.borrow().config.fleet_file);
    let pending = snapshot.pending.as_ref();
    FleetView {
        is_outdated: pending.is_none() && fleet::is_outdated(&snapshot.fleets, &snapshot.state),
        ..snapshot
            .fleets
            .view(member.as_ref(), pending, &snapshot.clock)
    }
}

/// Leaves the fleet: what is in force stays, and is the host's own.
#[cfg_attr(feature = "openapi", utoipa::path(delete, path = "/v1/fleet", operation_id = "leaveFleet", tag = FLEET,
    responses(
        (status = OK, body = FleetView, description = "The host is in no fleet any more."),
        (status = NOT_FOUND, body = ProblemDetails, description = "The host is in no fleet."),
        (status = CONFLICT, body = ProblemDetails, description = CONFLICTING),
    )
))]
pub(super) async fn leave(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<FleetView>, AgentError> {
    let requester = Requester::here(caller);
    let work = move |writer: &mut Writer| writer.leave_fleet(requester);
    app.supervisor.run(caller, work).await?;
    blocking(move || Ok(Json(view(&app)))).await
}

/// Which of these objects the agent lacks.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/fleet/objects/missing", operation_id = "findMissingObjects", tag = FLEET,
    request_body(content = ObjectNames, description = "Objects by their names."),
    responses((status = OK, body = MissingObjects, description = "Those that are missing."))
))]
pub(super) async fn missing(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<MissingObjects>, AgentError> {
    let (names, _share) = body.parse::<ObjectNames>()?;
    must_be_few(names.digests.len())?;
    let ids = names.digests.iter().map(|name| {
        ObjectId::from_hex(name).ok_or_else(|| {
            AgentError::BadRequest(format!(
                "'{}' is no name of an object; expected 64 hexadecimal digits",
                name.escape_debug()
            ))
        })
    });
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    let requester = Requester::here(caller);
    let work = move |writer: &mut Writer| writer.missing_objects(&ids, requester);
    let missing = app.supervisor.run(caller, work).await?;
    let missing = missing.iter().map(ToString::to_string).collect();
    Ok(Json(MissingObjects { missing }))
}

/// Hands objects over for a revision to come.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/fleet/objects", operation_id = "putObjects", tag = FLEET,
    request_body(content = Vec<u8>, content_type = "application/octet-stream",
        description = "Objects one after the other: a letter (c: chunk, l: list, s: state), the \
                       length in four bytes, the most significant first, and the body. Their names \
                       are computed."),
    responses(
        (status = OK, body = ObjectsTaken, description = "How many were taken."),
        (status = CONFLICT, body = ProblemDetails, description = CONFLICTING),
        (status = INSUFFICIENT_STORAGE, body = ProblemDetails, description = NO_ROOM),
    )
))]
pub(super) async fn objects(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<ObjectsTaken>, AgentError> {
    let (objects, _share) = blocking(move || {
        let (bytes, share) = body.into_parts();
        let bad = |error: ObjectError| AgentError::BadRequest(error.to_string());
        let found = unframe(&bytes, MOST_OBJECTS).map_err(bad)?;
        let handed = found.into_iter().map(|(kind, body)| {
            let id = kind.id(body);
            checked(kind, &id, body).map_err(bad)?;
            let body = body.to_vec();
            Ok(HandedOver { id, body })
        });
        Ok((handed.collect::<Result<Vec<_>, AgentError>>()?, share))
    })
    .await?;
    let requester = Requester::here(caller);
    let work = move |writer: &mut Writer| writer.take_objects(&objects, requester);
    let taken = app.supervisor.run(caller, work).await?;
    Ok(Json(ObjectsTaken { taken }))
}

fn must_be_few(count: usize) -> Result<(), AgentError> {
    match count > MOST_OBJECTS {
        true => Err(AgentError::BadRequest(format!(
            "{count} objects at a time; expected {MOST_OBJECTS} at most"
        ))),
        false => Ok(()),
    }
}

/// Puts the revision in force that signed records say. It is rolled back unless it is confirmed.
#[cfg_attr(feature = "openapi", utoipa::path(put, path = "/v1/fleet/revision", operation_id = "putFleetRevision", tag = FLEET,
    request_body(content = PutRevision, description = "The records, as they were signed."),
    responses(
        (status = OK, body = Changed, description = "The revision is in force."),
        (status = CONFLICT, body = ProblemDetails, description = "A record is forged, older than one that was seen, of another fleet or host; an object is missing; the state is not for this host; or another change waits for its confirmation."),
        (status = INSUFFICIENT_STORAGE, body = ProblemDetails, description = NO_ROOM),
    )
))]
pub(super) async fn revision(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<Changed>, AgentError> {
    let (request, _share) = body.parse::<PutRevision>()?;
    let requester = Requester::here(caller);
    let work = move |writer: &mut Writer| writer.put_fleet_revision(&request, requester);
    app.supervisor.run(caller, work).await.map(Json)
}

/// What the loaded program does with attempts.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/fleet/probe", operation_id = "probeAttempts", tag = FLEET,
    request_body(content = ProbeRequest, description = "Sources and local ports."),
    responses((status = OK, body = Probed, description = "One verdict for each."))
))]
pub(super) async fn probe(State(app): State<App>, body: Body) -> Result<Json<Probed>, AgentError> {
    let (request, _share) = body.parse::<ProbeRequest>()?;
    let count = request.must_admit.len();
    if count > MOST_PROBED {
        return Err(AgentError::BadRequest(format!(
            "{count} attempts at a time; expected {MOST_PROBED} at most"
        )));
    }
    blocking(move || {
        let verdicts = request.must_admit.into_iter().map(|attempt| {
            let probe = packet::syn(attempt.ip().to_canonical(), attempt.port());
            let (action, reason) = app
                .inspector
                .probe(&probe)
                .map_err(|error| AgentError::Unreadable(chain(&error)))?;
            Ok(ProbedVerdict {
                attempt,
                // A temporary bypass expires: what it lets pass is not admitted.
                admitted: action == Action::Pass && reason != Reason::Bypass,
                reason: reason.name().to_owned(),
            })
        });
        let verdicts = verdicts.collect::<Result<_, AgentError>>()?;
        Ok(Json(Probed { verdicts }))
    })
    .await
}
