//! Names by which attempts and clients are selected: those that are in use, or were while attempts
//! are remembered. Another name is most likely a mistake, and an empty answer to it would reassure.

use super::policies;
use crate::agent::error::AgentError;
use crate::agent::http::app::App;
use crate::agent::rehearsal::HOST;
use crate::model::error::closest;
use crate::model::{Service, State};

/// The name of a scope as it is written, if one is selected.
///
/// # Errors
/// There is no such service, and attempts on none are remembered.
pub(super) fn scope(app: &App, name: Option<String>) -> Result<Option<String>, AgentError> {
    let Some(name) = name else { return Ok(None) };
    if name.eq_ignore_ascii_case(HOST) {
        return Ok(Some(HOST.to_owned()));
    }
    match service(&app.supervisor.snapshot().state, &name) {
        Ok(service) => Ok(Some(service.name.to_string())),
        Err(_) if app.observations.knows(&name) => Ok(Some(name)),
        Err(error) => Err(error),
    }
}

/// The name of a policy as it is written, if one is selected.
///
/// # Errors
/// There is no such policy, and none is remembered that decided attempts.
pub(super) fn policy(app: &App, name: Option<String>) -> Result<Option<String>, AgentError> {
    let Some(name) = name else { return Ok(None) };
    match policies::find(&name, &app.supervisor.snapshot().state) {
        Ok(policy) => Ok(Some(policy.name.to_string())),
        Err(_) if app.observations.knows(&name) => Ok(Some(name)),
        Err(error) => Err(error),
    }
}

/// The service of a name.
///
/// # Errors
/// There is none.
pub(super) fn service<'a>(state: &'a State, name: &str) -> Result<&'a Service, AgentError> {
    state.service(name).ok_or_else(|| {
        let names = state.services.iter().map(|service| service.name.as_str());
        let meant = closest(name, names).map(|name| format!("; did you mean '{name}'?"));
        AgentError::NotFound {
            what: format!(
                "unknown service '{}'{}",
                name.escape_debug(),
                meant.unwrap_or_default()
            ),
            hint: "`netpolicy service list` shows what there is",
        }
    })
}
