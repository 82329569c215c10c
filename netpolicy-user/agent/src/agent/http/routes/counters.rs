//! `/v1/counters`

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;

#[cfg(feature = "openapi")]
use super::document::ENFORCEMENT;
use crate::agent::error::AgentError;
use crate::agent::http::app::{App, blocking};
use crate::api::{CounterRow, Counters, RecentAttempts, RecentScope};

/// Packets by scope and reason, since the maps were made.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/counters", operation_id = "getCounters", tag = ENFORCEMENT,
    responses((status = OK, body = Counters, description = "The nonzero counters."))
))]
pub(super) async fn counters(State(app): State<App>) -> Result<Json<Counters>, AgentError> {
    blocking(move || {
        let snapshot = app.supervisor.snapshot();
        let counted = app
            .inspector
            .counters()
            .map_err(|source| AgentError::Kernel {
                what: "the counters cannot be read",
                source,
            })?;
        let recent = app.rates.recent(Instant::now(), &counted);
        let recent = recent.map(|(over, attempts)| RecentAttempts {
            milliseconds: over.as_millis().try_into().unwrap_or(u64::MAX),
            scopes: attempts
                .into_iter()
                .map(|(scope, attempts)| RecentScope {
                    scope: snapshot.scope_name(scope),
                    passed: attempts.passed,
                    denied: attempts.denied,
                })
                .collect(),
        });
        let mut rows = counted.rows;
        rows.retain(|(_, _, packets)| *packets > 0);
        rows.sort_unstable_by_key(|(scope, reason, _)| (*scope, *reason));
        let began: Option<Timestamp> = counted.since.and_then(|since| since.try_into().ok());
        Ok(Json(Counters {
            rows: rows
                .into_iter()
                .map(|(scope, reason, packets)| CounterRow {
                    scope: snapshot.scope_name(scope),
                    reason: reason.into(),
                    action: reason.action().into(),
                    packets,
                    since: match (began, snapshot.counted_since.get(&scope)) {
                        (Some(began), Some(service)) => Some(began.max(*service)),
                        (began, service) => began.or(service.copied()),
                    },
                })
                .collect(),
            events_sent: counted.events.sent,
            events_limited: counted.events.limited,
            events_overflowed: counted.events.overflowed,
            resets_sent: counted.resets.sent,
            resets_limited: counted.resets.limited,
            resets_withheld: counted.resets.withheld,
            recent,
        }))
    })
    .await
}
