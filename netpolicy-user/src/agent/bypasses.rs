//! Bypasses: granted, revoked, lapsed, and kept the same in store and kernel.

use ipnet::IpNet;
use jiff::Timestamp;
use netpolicy_common::HOST_SCOPE;

use super::audit;
use super::clients::{Judge, Side};
use super::consent::Consent;
use super::enforcer::Enforcer;
use super::error::{AgentError, chain};
use super::lockout::check_operator;
use super::request::Asker;
use super::rights;
use super::supervisor::{Command, Supervisor};
use super::writer::Writer;
use crate::api::{BypassRequest, BypassView, Opens};
use crate::clock::Clock;
use crate::datapath::BypassEntry;
use crate::model::{Bypass, Name, Privilege, State, parse_source};
use crate::store::Outcome;

impl<E: Enforcer> Writer<E> {
    /// Grants a bypass, or grants one again that is there, for its new time.
    ///
    /// # Errors
    /// Bad source, minutes or service; it opens a scope to every source without consent;
    /// or store or kernel do not take it, then nothing has changed.
    pub fn grant_bypass(
        &mut self,
        request: &BypassRequest,
        asker: Asker,
        consent: Consent,
    ) -> Result<BypassView, AgentError> {
        let action = in_words("grant", &request.source, request.service.as_deref());
        let result = self.try_grant_bypass(request, asker, consent, &action);
        result.inspect_err(|error| self.audit_refusal(asker, &action, error))
    }

    /// What bypasses open that are granted together.
    ///
    /// # Errors
    /// Bad source, minutes or service.
    pub(super) fn bypasses_open(
        &self,
        requests: &[BypassRequest],
        asker: Asker,
    ) -> Result<Option<Opens>, AgentError> {
        let now = self.now();
        let mut bypasses = self.bypasses.clone();
        for request in requests {
            let bypass = self.bypass(request, asker, now)?;
            bypasses.retain(|b| !same(b, &bypass.source, bypass.service.as_ref()));
            bypasses.push(bypass);
        }
        let minutes = requests.first().map_or(0, |request| request.minutes);
        Ok(self.opened_by_bypasses(&bypasses, now, minutes))
    }

    fn bypass(
        &self,
        request: &BypassRequest,
        asker: Asker,
        now: Timestamp,
    ) -> Result<Bypass, AgentError> {
        Ok(Bypass {
            source: parse_source(&request.source)?,
            service: self.service_name(request.service.as_deref())?,
            granted: now,
            expires: Bypass::expiry(now, request.minutes)?,
            granted_by: asker.caller.name(),
        })
    }

    fn try_grant_bypass(
        &mut self,
        request: &BypassRequest,
        asker: Asker,
        consent: Consent,
        action: &str,
    ) -> Result<BypassView, AgentError> {
        rights::require(
            asker.caller,
            &self.grants,
            Privilege::Bypass,
            "grant a bypass",
        )?;
        let bypass = self.bypass(request, asker, self.now())?;
        self.must_not_be_held()?;
        let opens = self.bypasses_open(std::slice::from_ref(request), asker)?;
        consent.require("the bypass", opens.as_ref())?;
        let mut bypasses = self.bypasses.clone();
        let before = bypasses
            .iter()
            .find(|b| same(b, &bypass.source, bypass.service.as_ref()))
            .map_or_else(|| "none".to_owned(), |bypass| self.until(bypass));
        let mut entry = self.entry(asker, action, Outcome::Done);
        entry.detail.changes = vec![format!(
            "bypass of {} on {}: {before} -> {}",
            bypass.source,
            scope_name(&bypass),
            self.until(&bypass)
        )];
        entry
            .detail
            .changes
            .extend(opens.iter().map(audit::consented));
        bypasses.retain(|b| !same(b, &bypass.source, bypass.service.as_ref()));
        bypasses.push(bypass.clone());
        if let Err(source) = self.enforce_bypasses(&bypasses) {
            // It may have taken a part.
            self.restore_bypasses();
            return Err(AgentError::Kernel {
                what: "the kernel rejected the bypass",
                source,
            });
        }
        if let Err(source) = self.store.put_bypass(&bypass, Some(&entry)) {
            self.restore_bypasses();
            return Err(AgentError::Store {
                what: "the bypass could not be stored and is not granted",
                source,
            });
        }
        self.bypasses = bypasses;
        self.publish();
        tracing::info!(
            actor = bypass.granted_by,
            source = %bypass.source,
            scope = scope_name(&bypass),
            expires = %self.settings.clock.shown(bypass.expires),
            "bypass granted"
        );
        Ok(view(&bypass, &self.settings.clock))
    }

    /// Takes a bypass away. `force`: also if the operator gets in by nothing else.
    ///
    /// # Errors
    /// There is none, it is what lets the operator in, or the store or the kernel refuses.
    pub fn revoke_bypass(
        &mut self,
        source: &str,
        service: Option<&str>,
        asker: Asker,
        force: bool,
    ) -> Result<BypassView, AgentError> {
        let action = in_words("revoke", source, service);
        let result = self.try_revoke_bypass(source, service, asker, force, &action);
        result.inspect_err(|error| self.audit_refusal(asker, &action, error))
    }

    fn try_revoke_bypass(
        &mut self,
        source: &str,
        service: Option<&str>,
        asker: Asker,
        force: bool,
        action: &str,
    ) -> Result<BypassView, AgentError> {
        rights::require(
            asker.caller,
            &self.grants,
            Privilege::Bypass,
            "revoke a bypass",
        )?;
        self.must_not_be_held()?;
        let source = parse_source(source)?;
        let service = self.service_name(service)?;
        let now = self.now();
        let Some(bypass) = self
            .bypasses
            .iter()
            .find(|b| b.expires > now && same(b, &source, service.as_ref()))
            .cloned()
        else {
            return Err(AgentError::no_bypass(&source, service.as_ref()));
        };
        let mut others = self.bypasses.clone();
        others.retain(|b| !same(b, &source, service.as_ref()));
        if !force {
            let judge = Judge {
                old: self.in_force(),
                new: Side {
                    bypasses: &others,
                    ..self.in_force()
                },
                now,
            };
            check_operator(&judge, asker.seat)?;
        }
        let mut entry = self.entry(asker, action, Outcome::Done);
        entry.detail.changes = vec![format!(
            "bypass of {source} on {}: {} -> none",
            scope_name(&bypass),
            self.until(&bypass)
        )];
        // The store first: what it forgets is not restored by a restart.
        self.store
            .remove_bypass(source, bypass.service.as_ref(), Some(&entry))
            .map_err(|source| AgentError::Store {
                what: "the bypass could not be revoked",
                source,
            })?;
        self.bypasses = others;
        self.restore_bypasses();
        self.publish();
        tracing::info!(
            actor = asker.caller.name(),
            source = %source,
            scope = scope_name(&bypass),
            "bypass revoked"
        );
        match &self.faults.bypasses {
            Some(fault) => Err(AgentError::BypassLeft(fault.clone())),
            None => Ok(view(&bypass, &self.settings.clock)),
        }
    }

    /// Removes what has lapsed from store and kernel. The kernel itself stops
    /// honouring it at its time; this only tidies up.
    pub(super) fn drop_lapsed_bypasses(&mut self, now: Timestamp) {
        self.drop_bypasses(|b| b.expires > now);
    }

    /// Removes the bypasses of services that are no more.
    pub(super) fn forget_orphaned_bypasses(&mut self) {
        let state = self.state.clone();
        self.drop_bypasses(|b| !is_orphan(b, &state));
    }

    /// Makes the kernel's bypasses the store's, at start; what lapsed meanwhile, or lost
    /// its service when the agent was killed, goes.
    pub(super) fn take_over_bypasses(&mut self, now: Timestamp) {
        let state = self.state.clone();
        self.drop_bypasses(|b| b.expires > now && !is_orphan(b, &state));
        self.restore_bypasses();
    }

    fn drop_bypasses(&mut self, keep: impl Fn(&Bypass) -> bool) {
        let (kept, dropped): (Vec<_>, Vec<_>) = std::mem::take(&mut self.bypasses)
            .into_iter()
            .partition(keep);
        self.bypasses = kept;
        for bypass in &dropped {
            if let Err(error) =
                self.store
                    .remove_bypass(bypass.source, bypass.service.as_ref(), None)
            {
                // It is past its time or its service: a restart drops it again.
                tracing::warn!(error = chain(&error), source = %bypass.source, "a bypass stays in the store");
            }
            tracing::info!(source = %bypass.source, scope = scope_name(bypass), "bypass ended");
        }
        if !dropped.is_empty() || self.faults.bypasses.is_some() {
            self.restore_bypasses();
        }
    }

    /// Makes the kernel's bypasses the ones that the agent knows of.
    pub(super) fn restore_bypasses(&mut self) {
        let bypasses = std::mem::take(&mut self.bypasses);
        let result = self.enforce_bypasses(&bypasses);
        self.bypasses = bypasses;
        self.faults.bypasses = result.err().map(|error| {
            let fault = format!(
                "the kernel's bypasses may differ from the ones listed, trying again: {}",
                chain(&error)
            );
            tracing::error!("{fault}");
            fault
        });
    }

    fn enforce_bypasses(
        &mut self,
        bypasses: &[Bypass],
    ) -> Result<(), super::enforcer::EnforcerError> {
        if self.held.is_some() {
            // An older store's bypasses may have been revoked; those in force expire.
            return Ok(());
        }
        let entries = entries(&self.state, bypasses, self.now());
        self.enforcer.set_bypasses(&entries)
    }

    fn until(&self, bypass: &Bypass) -> String {
        format!("until {}", self.settings.clock.shown(bypass.expires))
    }

    fn service_name(&self, service: Option<&str>) -> Result<Option<Name>, AgentError> {
        let Some(text) = service else {
            return Ok(None);
        };
        match self.state.service(text) {
            Some(service) => Ok(Some(service.name.clone())),
            None => Err(AgentError::NotFound {
                what: format!("unknown service '{}'", text.escape_debug()),
                hint: "`netpolicy service list` shows what there is",
            }),
        }
    }
}

impl Supervisor {
    /// See [`Writer::grant_bypass`].
    ///
    /// # Errors
    /// Refused or failed; or the agent is stopping.
    pub async fn grant_bypass(
        &self,
        request: BypassRequest,
        asker: Asker,
        consent: Consent,
    ) -> Result<BypassView, AgentError> {
        self.ask(|reply| Command::GrantBypass {
            request,
            asker,
            consent,
            reply,
        })
        .await
    }

    /// See [`Writer::revoke_bypass`].
    ///
    /// # Errors
    /// Refused or failed; or the agent is stopping.
    pub async fn revoke_bypass(
        &self,
        source: String,
        service: Option<String>,
        asker: Asker,
        force: bool,
    ) -> Result<BypassView, AgentError> {
        self.ask(|reply| Command::RevokeBypass {
            source,
            service,
            asker,
            force,
            reply,
        })
        .await
    }
}

/// What the kernel is to hold: nothing lapsed, nothing of unknown services.
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
