//! `/v1/explain/network`: what becomes of each source in a network.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use axum::extract::State;
use axum::{Extension, Json};
use ipnet::IpNet;
use netpolicy_common::{Action, Reason};
use serde::Deserialize;

#[cfg(feature = "openapi")]
use super::document::{ENFORCEMENT, NO_REVISION, ProblemDetails};
use super::explain::{ban_of, check_port};
use super::paging::limit;
use crate::agent::access::Caller;
use crate::agent::banned;
use crate::agent::error::AgentError;
use crate::agent::http::app::App;
use crate::agent::http::extract::Params;
use crate::agent::http::views;
use crate::agent::memory;
use crate::agent::snapshot::Snapshot;
use crate::agent::writer::judge_aside;
use crate::api::{BanView, ExplainNetworkView, MatchView, NetworkPart};
use crate::model::{Service, State as Desired, divide, explain as judge, parse_source};

/// Parts that are judged at most before alike ones are joined: some 20 µs each.
const JUDGED: usize = 8_192;

/// Bans that are looked at: of a host and a service, nested as they may be, enough that the
/// parts which are judged end before they do.
const BANS: usize = 4 * JUDGED;

#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub(super) struct ExplainNetworkParams {
    /// A CIDR.
    network: String,
    /// A destination port; none: a port of no service.
    port: Option<u16>,
    /// The revision whose policies are asked; none: the state as it is.
    revision: Option<u64>,
    /// At most so many parts: 1 to 1,000; 100 unless set.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 1000))]
    limit: Option<usize>,
}

/// Into which parts policies, bans and bypasses divide a network, and what becomes of attempts
/// from each.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/explain/network", operation_id = "explainNetwork",
    tag = ENFORCEMENT, params(ExplainNetworkParams),
    responses(
        (status = OK, body = ExplainNetworkView, description = "The parts, ascending."),
        (status = NOT_FOUND, body = ProblemDetails, description = NO_REVISION),
    )
))]
pub(super) async fn explain_network(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(params): Params<ExplainNetworkParams>,
) -> Result<Json<ExplainNetworkView>, AgentError> {
    check_port(params.port)?;
    let network = parse_source(&params.network);
    let network = network.map_err(|error| AgentError::BadRequest(error.to_string()))?;
    let most = limit(params.limit)?;
    let snapshot = app.supervisor.snapshot();
    let past = match params.revision {
        Some(revision) => Some(app.supervisor.state_at(caller, revision).await?),
        None => None,
    };
    judge_aside(move || {
        let mut view = match &past {
            Some(state) => {
                let past = Snapshot {
                    clock: snapshot.clock.clone(),
                    ..Snapshot::of(&std::sync::Arc::new(state.clone()), snapshot.revision)
                };
                ask(&past, network, params.port, most)
            }
            None => ask(&snapshot, network, params.port, most),
        };
        view.revision = params.revision;
        drop(past);
        memory::give_back();
        Json(view)
    })
    .await
}

/// What is said of a part.
#[derive(PartialEq)]
struct Said {
    reason: Reason,
    sentence: String,
    matched: Option<MatchView>,
    ban: Option<BanView>,
}

fn ask(snapshot: &Snapshot, network: IpNet, port: Option<u16>, most: usize) -> ExplainNetworkView {
    let state = &*snapshot.state;
    let service = port.and_then(|port| state.service_of_port(port));
    let cuts = cuts(snapshot, service, network);
    let divided = divide(state, service, network, &cuts, JUDGED, |small, source| {
        say(snapshot, small, source, port)
    });
    let found = divided.parts.len();
    let parts = divided.parts.into_iter().take(most).map(part);
    ExplainNetworkView {
        network: network.to_string(),
        port,
        scope: service
            .map_or("host", |service| service.name.as_str())
            .to_owned(),
        uniform: divided.is_whole && found == 1,
        parts: parts.collect(),
        more: !divided.is_whole || found > most,
        revision: None,
    }
}

/// Where bypasses and bans begin and end.
fn cuts(snapshot: &Snapshot, service: Option<&Service>, network: IpNet) -> Vec<IpNet> {
    let (bans, _) = banned::overlapping(&snapshot.bans, network, BANS, &snapshot.clock);
    let here = |ban: &BanView| {
        ban.scope == "host" || service.is_some_and(|service| service.name.as_str() == ban.scope)
    };
    let bans = bans.into_iter().filter(|(_, ban)| here(ban));
    let bypasses = snapshot.live_bypasses().map(|bypass| bypass.source);
    bans.map(|(net, _)| net).chain(bypasses).collect()
}

/// `small` judges the source as the snapshot's state does.
fn say(snapshot: &Snapshot, small: &Desired, source: IpAddr, port: Option<u16>) -> Said {
    let now = snapshot.clock.now();
    let mut explanation = judge(small, &snapshot.bypasses, now, source, port);
    let ban = ban_of(snapshot, small, &mut explanation);
    if let Some(bypass) = &mut explanation.bypass {
        bypass.expires = snapshot.clock.shown(bypass.expires);
    }
    let reason = explanation.reason;
    Said {
        reason,
        sentence: match &ban {
            Some(ban) => views::ban_in_words(ban, reason.action() == Action::Drop),
            None => explanation.sentence_of(small, "it"),
        },
        matched: explanation
            .rule
            .and_then(|rule| views::matched(small, rule)),
        ban,
    }
}

fn part((range, said): (RangeInclusive<IpAddr>, Said)) -> NetworkPart {
    NetworkPart {
        first: *range.start(),
        last: *range.end(),
        verdict: said.reason.action().into(),
        reason: said.reason.into(),
        sentence: said.sentence,
        matched: said.matched,
        ban: said.ban,
    }
}
