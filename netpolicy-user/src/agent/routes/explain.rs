//! `/v1/explain`: what model and kernel say of one attempt.

use std::net::IpAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Deserialize;

use super::document::ENFORCEMENT;
use super::extract::Params;
use super::{App, blocking};
use crate::agent::denied::action_name;
use crate::agent::error::{AgentError, chain};
use crate::agent::views;
use crate::api::{ExplainView, KernelVerdict};
use crate::datapath::packet;
use crate::model::explain as judge;

/// Between the flip and the publication of what it put into force, model and kernel
/// differ for a moment: that often a disagreement is looked at again.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(50);

/// The port that stands for one of no service when the program is asked: 0 is never
/// a service's, nor a failsafe port.
const NO_PORT: u16 = 0;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExplainParams {
    /// An address.
    #[param(value_type = String)]
    source: IpAddr,
    /// A destination port; none: a port of no service.
    port: Option<u16>,
}

/// Why an attempt passes or is dropped, by the model and by the loaded program.
#[utoipa::path(get, path = "/v1/explain", operation_id = "explainVerdict", tag = ENFORCEMENT,
    params(ExplainParams),
    responses((status = OK, body = ExplainView, description = "The verdict, and what it follows from."))
)]
pub(super) async fn explain(
    State(app): State<App>,
    Params(params): Params<ExplainParams>,
) -> Result<Json<ExplainView>, AgentError> {
    if params.port == Some(0) {
        return Err(AgentError::BadRequest(
            "port 0 is no port: 1 to 65535 was expected".to_owned(),
        ));
    }
    blocking(move || {
        let mut view = ask(&app, &params);
        for _ in 1..TRIES {
            if view.agrees {
                break;
            }
            std::thread::sleep(PAUSE);
            view = ask(&app, &params);
        }
        if !view.agrees {
            tracing::error!(
                source = %view.source, port = view.port, model = view.reason, kernel = ?view.kernel,
                "model and kernel disagree"
            );
        }
        Ok(Json(view))
    })
    .await
}

fn ask(app: &App, params: &ExplainParams) -> ExplainView {
    let snapshot = app.supervisor.snapshot();
    let explanation = judge(
        &snapshot.state,
        &snapshot.bypasses,
        Timestamp::now(),
        params.source,
        params.port,
    );
    let mut view = views::explanation(&snapshot.state, &explanation);
    match ask_kernel(app, explanation.source, params.port) {
        Ok(kernel) => {
            view.agrees = kernel.reason == view.reason && kernel.verdict == view.verdict;
            view.kernel = Some(kernel);
        }
        Err(why) => view.kernel_error = Some(why),
    }
    view
}

fn ask_kernel(app: &App, source: IpAddr, port: Option<u16>) -> Result<KernelVerdict, String> {
    let (action, reason) = app
        .inspector
        .probe(&packet::syn(source, port.unwrap_or(NO_PORT)))
        .map_err(|error| chain(&error))?;
    Ok(KernelVerdict {
        verdict: action_name(action).to_owned(),
        reason: reason.name().to_owned(),
    })
}
