//! Bypasses: granted, revoked, expired, and kept the same in store and kernel.

use std::ops::Deref;

use ipnet::IpNet;
use jiff::Timestamp;
use netpolicy_common::HOST_SCOPE;

use super::access::{Grants, Requester, audit, rights};
use super::banned::SharedBans;
use super::change::Consent;
use super::change::clients::{Judge, Side};
use super::change::consent::opened_by_bypasses;
use super::change::lockout::check_operator;
use super::error::{AgentError, EnforcerError, chain};
use super::in_force::InForce;
use super::kernel::KernelWriter;
use super::upkeep::Upkeep;
use crate::api::{BypassRequest, BypassView, Opens};
use crate::clock::Clock;
use crate::datapath::BypassEntry;
use crate::model::{Bypass, Name, Privilege, State, parse_source};
use crate::store::{Outcome, Store};

/// The bypasses that exist; some may have expired.
#[derive(Debug)]
pub struct Bypasses {
    list: Vec<Bypass>,
    /// Why the kernel's may differ from them.
    fault: Option<String>,
}

/// Where bypasses are kept the same, and by what they are judged.
pub struct Around<'a> {
    /// What is in force.
    pub now: &'a InForce,
    /// The kernel.
    pub kernel: &'a mut KernelWriter,
    /// The store.
    pub store: &'a mut dyn Store,
    /// What expiry is measured by.
    pub clock: &'a Clock,
    /// Whether the store is older than what is in force.
    pub upkeep: &'a Upkeep,
    /// What is banned: a bypass exempts from it.
    pub bans: SharedBans,
}

/// Which bypass to revoke.
#[derive(Clone, Copy, Debug)]
pub struct Revocation<'a> {
    /// The address or CIDR.
    pub source: &'a str,
    /// The service; `None`: the host.
    pub service: Option<&'a str>,
    /// Also if the operator gets in by nothing else.
    pub force: bool,
}

impl Deref for Bypasses {
    type Target = [Bypass];

    fn deref(&self) -> &[Bypass] {
        &self.list
    }
}

impl Bypasses {
    /// What the store has; the kernel's are not looked at yet.
    #[must_use]
    pub fn new(stored: Vec<Bypass>) -> Self {
        Self {
            list: stored,
            fault: None,
        }
    }

    /// What is wrong with the kernel's.
    #[must_use]
    pub fn fault(&self) -> Option<&String> {
        self.fault.as_ref()
    }

    /// What bypasses open that are granted together.
    ///
    /// # Errors
    /// Bad source, minutes or service.
    pub fn opened(
        &self,
        requests: &[BypassRequest],
        requester: Requester,
        now: &InForce,
        clock: &Clock,
    ) -> Result<Option<Opens>, AgentError> {
        let time = clock.now();
        let mut bypasses = self.list.clone();
        for request in requests {
            let bypass = of_request(request, requester, &now.state, time)?;
            bypasses.retain(|b| !same(b, &bypass.source, bypass.service.as_ref()));
            bypasses.push(bypass);
        }
        let minutes = requests.first().map_or(0, |request| request.minutes);
        Ok(opened_by_bypasses(
            now, &self.list, &bypasses, time, minutes,
        ))
    }

    /// Grants a bypass, or grants one again that is there, for its new time.
    ///
    /// # Errors
    /// Bad source, minutes or service; it opens a scope to every source without consent;
    /// or store or kernel do not take it, then nothing has changed.
    pub fn grant(
        &mut self,
        request: &BypassRequest,
        requester: Requester,
        consent: Consent,
        around: &mut Around<'_>,
    ) -> Result<BypassView, AgentError> {
        let (now, clock) = (around.now, around.clock);
        let bypass = of_request(request, requester, &now.state, clock.now())?;
        around.upkeep.must_not_be_held(now.revision)?;
        let opens = self.opened(std::slice::from_ref(request), requester, now, clock)?;
        consent.require("the bypass", opens.as_ref())?;
        let mut bypasses = self.list.clone();
        let before = bypasses
            .iter()
            .find(|b| same(b, &bypass.source, bypass.service.as_ref()))
            .map_or_else(|| "none".to_owned(), |bypass| until(bypass, clock));
        let action = granting(request);
        let mut entry = audit::entry(requester, &action, Outcome::Done, now.revision);
        entry.detail.changes = vec![format!(
            "bypass of {} on {}: {before} -> {}",
            bypass.source,
            scope_name(&bypass),
            until(&bypass, clock)
        )];
        entry
            .detail
            .changes
            .extend(opens.iter().map(audit::consented));
        bypasses.retain(|b| !same(b, &bypass.source, bypass.service.as_ref()));
        bypasses.push(bypass.clone());
        if let Err(source) = enforce(&bypasses, &now.state, around) {
            // It may have taken a part.
            self.restore(&now.state, around);
            return Err(AgentError::Kernel {
                what: "the kernel rejected the bypass",
                source,
            });
        }
        if let Err(source) = around.store.put_bypass(&bypass, Some(&entry)) {
            self.restore(&now.state, around);
            return Err(AgentError::Store {
                what: "the bypass could not be stored and is not granted",
                source,
            });
        }
        self.list = bypasses;
        tracing::info!(
            actor = bypass.granted_by,
            source = %bypass.source,
            scope = scope_name(&bypass),
            expires = %clock.shown(bypass.expires),
            "bypass granted"
        );
        Ok(view(&bypass, clock))
    }

    /// Takes a bypass away.
    ///
    /// # Errors
    /// There is none, it is what lets the operator in, or the store or the kernel refuses.
    pub fn revoke(
        &mut self,
        which: Revocation<'_>,
        requester: Requester,
        around: &mut Around<'_>,
    ) -> Result<BypassView, AgentError> {
        let now = around.now;
        around.upkeep.must_not_be_held(now.revision)?;
        let source = parse_source(which.source)?;
        let service = service_name(which.service, &now.state)?;
        let time = around.clock.now();
        let Some(bypass) = self
            .list
            .iter()
            .find(|b| b.expires > time && same(b, &source, service.as_ref()))
            .cloned()
        else {
            return Err(AgentError::no_bypass(&source, service.as_ref()));
        };
        let mut others = self.list.clone();
        others.retain(|b| !same(b, &source, service.as_ref()));
        if !which.force {
            let old = Side::of(now, &self.list);
            let new = Side::of(now, &others);
            let judge = Judge {
                old,
                new,
                now: time,
                bans: Some(&around.bans),
            };
            check_operator(&judge, requester.origin)?;
        }
        let action = revoking(which);
        let mut entry = audit::entry(requester, &action, Outcome::Done, now.revision);
        entry.detail.changes = vec![format!(
            "bypass of {source} on {}: {} -> none",
            scope_name(&bypass),
            until(&bypass, around.clock)
        )];
        // The store first: what it forgets is not restored by a restart.
        around
            .store
            .remove_bypass(source, bypass.service.as_ref(), Some(&entry))
            .map_err(|source| AgentError::Store {
                what: "the bypass could not be revoked",
                source,
            })?;
        self.list = others;
        self.restore(&now.state, around);
        tracing::info!(
            actor = requester.caller.name(),
            source = %source,
            scope = scope_name(&bypass),
            "bypass revoked"
        );
        match &self.fault {
            Some(fault) => Err(AgentError::BypassLeft(fault.clone())),
            None => Ok(view(&bypass, around.clock)),
        }
    }

    /// Removes expired bypasses from store and kernel. The kernel itself stops
    /// honouring them at their time; this only tidies up.
    pub fn drop_expired(&mut self, time: Timestamp, around: &mut Around<'_>) {
        let now = around.now;
        self.keep(|b| b.expires > time, &now.state, around);
    }

    /// Removes the bypasses of services that are not in `state`.
    pub fn forget_orphaned(&mut self, state: &State, around: &mut Around<'_>) {
        self.keep(|b| !is_orphan(b, state), state, around);
    }

    /// Makes the kernel's bypasses the store's, at start; what expired meanwhile, or lost
    /// its service when the agent was killed, goes.
    pub fn take_over(&mut self, around: &mut Around<'_>) {
        let time = around.clock.now();
        let state = &around.now.state;
        self.keep(|b| b.expires > time && !is_orphan(b, state), state, around);
        self.restore(state, around);
    }

    fn keep(&mut self, keep: impl Fn(&Bypass) -> bool, state: &State, around: &mut Around<'_>) {
        let (kept, dropped): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.list).into_iter().partition(keep);
        self.list = kept;
        for bypass in &dropped {
            if let Err(error) =
                around
                    .store
                    .remove_bypass(bypass.source, bypass.service.as_ref(), None)
            {
                // It is past its time or its service: a restart drops it again.
                tracing::warn!(error = chain(&error), source = %bypass.source, "a bypass stays in the store");
            }
            tracing::info!(source = %bypass.source, scope = scope_name(bypass), "bypass ended");
        }
        if !dropped.is_empty() || self.fault.is_some() {
            self.restore(state, around);
        }
    }

    /// Makes the kernel's bypasses the ones that the agent knows of; `state`: of which their
    /// services are.
    pub fn restore(&mut self, state: &State, around: &mut Around<'_>) {
        let result = enforce(&self.list, state, around);
        self.fault = result.err().map(|error| {
            let fault = format!(
                "the kernel's bypasses may differ from the ones listed, trying again: {}",
                chain(&error)
            );
            tracing::error!("{fault}");
            fault
        });
    }
}

fn enforce(
    bypasses: &[Bypass],
    state: &State,
    around: &mut Around<'_>,
) -> Result<(), EnforcerError> {
    if around.upkeep.is_held() {
        // An older store's bypasses may have been revoked; those in force expire.
        return Ok(());
    }
    let entries = entries(state, bypasses, around.clock.now());
    around.kernel.set_bypasses(&entries)
}

/// Whether the caller may grant and revoke bypasses; `what` is what they want to do.
///
/// # Errors
/// [`AgentError::NotAllowed`].
pub fn may(requester: Requester, grants: &Grants, what: &str) -> Result<(), AgentError> {
    rights::require(requester.caller, grants, Privilege::Bypass, what)
}

/// What granting is called in the audit log.
#[must_use]
pub fn granting(request: &BypassRequest) -> String {
    in_words("grant", &request.source, request.service.as_deref())
}

/// What revoking is called in the audit log.
#[must_use]
pub fn revoking(which: Revocation<'_>) -> String {
    in_words("revoke", which.source, which.service)
}

fn of_request(
    request: &BypassRequest,
    requester: Requester,
    state: &State,
    now: Timestamp,
) -> Result<Bypass, AgentError> {
    Ok(Bypass {
        source: parse_source(&request.source)?,
        service: service_name(request.service.as_deref(), state)?,
        granted: now,
        expires: Bypass::expiry(now, request.minutes)?,
        granted_by: requester.caller.name(),
    })
}

fn service_name(service: Option<&str>, state: &State) -> Result<Option<Name>, AgentError> {
    let Some(text) = service else {
        return Ok(None);
    };
    match state.service(text) {
        Some(service) => Ok(Some(service.name.clone())),
        None => Err(AgentError::NotFound {
            what: format!("unknown service '{}'", text.escape_debug()),
            hint: "`netpolicy service list` shows what there is",
        }),
    }
}

fn until(bypass: &Bypass, clock: &Clock) -> String {
    format!("until {}", clock.shown(bypass.expires))
}

/// What the kernel is to hold: no expired bypass, none of an unknown service.
fn entries(state: &State, bypasses: &[Bypass], now: Timestamp) -> Vec<BypassEntry> {
    bypasses
        .iter()
        .filter_map(|bypass| {
            let scope = match &bypass.service {
                None => HOST_SCOPE,
                Some(name) => state.service(name.as_str())?.id,
            };
            // Whatever the clock says: no bypass lasts longer than it was granted.
            let granted = bypass.expires.duration_since(bypass.granted);
            let remaining = bypass.expires.duration_since(now).min(granted);
            Some(BypassEntry {
                scope,
                source: bypass.source,
                remaining: remaining
                    .try_into()
                    .ok()
                    .filter(|d: &std::time::Duration| !d.is_zero())?,
            })
        })
        .collect()
}

fn is_orphan(bypass: &Bypass, state: &State) -> bool {
    let service = bypass.service.as_ref();
    service.is_some_and(|name| state.service(name.as_str()).is_none())
}

fn same(bypass: &Bypass, source: &IpNet, service: Option<&Name>) -> bool {
    bypass.source == *source && bypass.service.as_ref() == service
}

fn in_words(verb: &str, source: &str, service: Option<&str>) -> String {
    let on = service.map_or_else(String::new, |name| format!(" on {}", name.escape_debug()));
    format!("bypass {verb} {}{on}", source.escape_debug())
}

fn scope_name(bypass: &Bypass) -> &str {
    bypass.service.as_ref().map_or("host", Name::as_str)
}

/// As the wall clock shows it.
pub(super) fn view(bypass: &Bypass, clock: &Clock) -> BypassView {
    BypassView {
        source: bypass.source.to_string(),
        scope: scope_name(bypass).to_owned(),
        granted: clock.shown(bypass.granted),
        expires: clock.shown(bypass.expires),
        granted_by: bypass.granted_by.clone(),
    }
}

#[cfg(test)]
mod tests;
