//! What else than changes a caller may ask for: privileges, bypasses, a confirmation, to
//! attach, the audit log. What was refused or failed is in the audit log.

use super::core::Writer;
use crate::agent::access::notes::Notes;
use crate::agent::access::{Requester, audit, grants};
use crate::agent::bypasses::{self, Revocation};
use crate::agent::change::Consent;
use crate::agent::error::AgentError;
use crate::agent::in_force::InForce;
use crate::agent::notices::notice;
use crate::api::{
    BypassRequest, BypassView, GrantRequest, GrantView, NoticeTopic, NoticeView, Opens, PendingView,
};
use crate::store::{FleetRecord, Outcome};

impl Writer {
    /// Grants privileges, all or none; an existing grant is replaced.
    ///
    /// # Errors
    /// The caller may not, there is no such user, group or policy, or the store refuses.
    pub fn grant(
        &mut self,
        requests: &[GrantRequest],
        requester: Requester,
    ) -> Result<Vec<GrantView>, AgentError> {
        let store = &mut *self.store;
        let result = self
            .grants
            .grant(requests, requester, &self.in_force, store);
        let action = grants::together(requests, grants::granting);
        self.ended(requester, &action, result)
    }

    /// Takes privileges away, all or none.
    ///
    /// # Errors
    /// The caller may not, one was not granted, or the store refuses.
    pub fn revoke(
        &mut self,
        requests: &[GrantRequest],
        requester: Requester,
    ) -> Result<Vec<GrantView>, AgentError> {
        let store = &mut *self.store;
        let result = self
            .grants
            .revoke(requests, requester, &self.in_force, store);
        let action = grants::together(requests, grants::revoking);
        self.ended(requester, &action, result)
    }

    /// Grants a bypass, or grants one again that is there, for its new time.
    ///
    /// # Errors
    /// Bad source, minutes or service; it opens a scope to every source without consent;
    /// or store or kernel do not take it, then nothing has changed.
    pub fn grant_bypass(
        &mut self,
        request: &BypassRequest,
        requester: Requester,
        consent: Consent,
    ) -> Result<BypassView, AgentError> {
        let may = bypasses::may(requester, &self.grants, "grant a bypass");
        let result = may.and_then(|()| {
            let (bypasses, mut around) = self.bypasses();
            bypasses.grant(request, requester, consent, &mut around)
        });
        self.ended(requester, &bypasses::granting(request), result)
    }

    /// Takes a bypass away. `force`: also if the operator gets in by nothing else.
    ///
    /// # Errors
    /// There is none, it is what lets the operator in, or the store or the kernel refuses.
    pub fn revoke_bypass(
        &mut self,
        source: &str,
        service: Option<&str>,
        requester: Requester,
        force: bool,
    ) -> Result<BypassView, AgentError> {
        let which = Revocation {
            source,
            service,
            force,
        };
        let may = bypasses::may(requester, &self.grants, "revoke a bypass");
        let result = may.and_then(|()| {
            let (bypasses, mut around) = self.bypasses();
            bypasses.revoke(which, requester, &mut around)
        });
        self.ended(requester, &bypasses::revoking(which), result)
    }

    /// What bypasses would open that are granted together while `base` is in force.
    ///
    /// # Errors
    /// Bad source, minutes or service.
    pub fn bypasses_open(
        &self,
        requests: &[BypassRequest],
        requester: Requester,
        base: &InForce,
    ) -> Result<Option<Opens>, AgentError> {
        self.bypasses
            .opened(requests, requester, base, &self.settings.clock)
    }

    /// Refuses a request that was written for another revision, and records that; `None`: for
    /// any.
    ///
    /// # Errors
    /// [`AgentError::RevisionMismatch`].
    pub fn require_revision(
        &mut self,
        revision: Option<u64>,
        requester: Requester,
        action: &str,
    ) -> Result<(), AgentError> {
        let required = self.must_be_at(revision);
        required.inspect_err(|error| self.audit_refusal(requester, action, error))
    }

    /// Confirms the change that waits for it.
    ///
    /// # Errors
    /// None waits, it is not the caller's to confirm, or the store refuses.
    pub fn confirm(&mut self, requester: Requester) -> Result<PendingView, AgentError> {
        let waiting = self.fleets.current().filter(|fleet| fleet.waits());
        let fleet = waiting.map(FleetRecord::confirmed);
        let result = self.confirmation.confirm(
            requester,
            &self.grants,
            &self.in_force,
            &mut *self.store,
            (&self.settings.clock, fleet.as_ref()),
        );
        if result.is_ok() {
            self.follow_fleet(fleet);
            // Bans of services that the change removed end only now.
            self.follow_with_bans();
            // So do lines of what it would have been rolled back to.
            self.follow_databases();
        }
        self.ended(requester, "confirm", result)
    }

    /// The change that waits, as the wall clock shows it.
    #[must_use]
    pub fn pending_view(&self) -> Option<PendingView> {
        self.confirmation.view(&self.settings.clock)
    }

    /// Refuses another change while one waits for its confirmation.
    ///
    /// # Errors
    /// [`AgentError::AwaitsConfirmation`].
    pub fn must_not_wait(&self) -> Result<(), AgentError> {
        self.confirmation.must_not_wait(&self.settings.clock)
    }

    /// Takes the kill switch off: attaches to the configured interfaces. Those
    /// that are filtered then; why others are not is in the status.
    ///
    /// # Errors
    /// The marker cannot be removed.
    pub fn attach(&mut self, requester: Requester) -> Result<Vec<String>, AgentError> {
        // Also a detach that has not been seen yet is noticed.
        self.publish();
        let names = self.kernel.attach()?;
        self.publish();
        self.note(requester, "attach");
        tracing::info!(actor = requester.caller.name(), interfaces = ?names, "attached");
        Ok(names)
    }

    /// Appends to the audit log what leaves the revision as it is.
    pub(super) fn note(&mut self, requester: Requester, action: &str) {
        let entry = audit::entry(requester, action, Outcome::Done, self.in_force.revision);
        audit::append(&mut *self.store, &entry);
    }

    /// Appends to the audit log what was done or refused without the writer; see
    /// [`audit::record`].
    pub(super) fn record(&mut self, notes: &Notes, all: bool) {
        audit::record(&mut *self.store, notes, all, self.in_force.revision);
    }

    /// Appends to the audit log what was refused or failed.
    pub fn audit_refusal(&mut self, requester: Requester, action: &str, error: &AgentError) {
        self.tally.refused(error.code());
        if matches!(error, AgentError::Lockout { .. }) {
            let actor = requester.caller.name();
            let text = format!("{actor}: {action}: refused: {error}");
            self.notices.send(NoticeView {
                actor: Some(actor),
                ..notice(NoticeTopic::Lockout, &text)
            });
        }
        let entry = audit::refusal(requester, action, error, self.in_force.revision);
        audit::append(&mut *self.store, &entry);
    }

    /// Publishes what came of a request, or appends to the audit log why nothing did.
    fn ended<T>(
        &mut self,
        requester: Requester,
        action: &str,
        result: Result<T, AgentError>,
    ) -> Result<T, AgentError> {
        if matches!(result, Ok(_) | Err(AgentError::BypassLeft(_))) {
            self.publish();
        }
        result.inspect_err(|error| self.audit_refusal(requester, action, error))
    }
}
