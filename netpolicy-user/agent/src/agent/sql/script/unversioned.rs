//! Statements whose effect is not part of a revision: privileges and bypasses.

use super::RunningScript;
use super::pending::Batching;
use crate::agent::access::rights;
use crate::agent::change::Consent;
use crate::agent::change::consent::asks;
use crate::agent::error::AgentError;
use crate::api::{BypassRequest, GrantRequest, SqlResult};
use crate::model::Privilege;
use crate::sql::meaning::Privileged;

/// Every source, a network for each family.
pub(super) const EVERY_SOURCE: [&str; 2] = ["0.0.0.0/0", "::/0"];

impl RunningScript<'_, '_> {
    /// Grants or revokes privileges, all or none; the status.
    pub(super) fn grants(
        &mut self,
        grants: Vec<Privileged>,
        is_grant: bool,
        action: &str,
    ) -> Result<String, AgentError> {
        self.refuse_if_atomic(if is_grant { "GRANT" } else { "REVOKE" }, action)?;
        let status = grants.first().map(|grant| grant.status.clone());
        let requests = grants.into_iter().map(|grant| GrantRequest {
            privilege: grant.privilege,
            to: grant.to,
            policy: grant.policy.map(|name| name.to_written().into_owned()),
        });
        let requests: Vec<_> = requests.collect();
        let writer = &mut *self.writer;
        if self.options.dry_run {
            let verb = if is_grant { "grant" } else { "revoke" };
            let caller = self.requester.caller;
            rights::require(caller, writer.grants(), Privilege::Admin, verb)?;
        } else if is_grant {
            writer.grant(&requests, self.requester)?;
        } else {
            writer.revoke(&requests, self.requester)?;
        }
        Ok(self.tried(status.unwrap_or_default()))
    }

    /// Refuses a caller who may not revoke privileges.
    pub(super) fn must_be_allowed_to_revoke(&mut self, action: &str) -> Result<(), AgentError> {
        let caller = self.requester.caller;
        let allowed = rights::require(caller, self.writer.grants(), Privilege::Admin, "revoke");
        if let Err(error) = &allowed
            && !self.options.dry_run
        {
            self.writer.audit_refusal(self.requester, action, error);
        }
        allowed
    }

    /// Exempts every source from a service's policies for a time; without a time: ends that.
    pub(super) fn bypass(
        &mut self,
        service: &str,
        minutes: u32,
        action: &str,
        result: &mut SqlResult,
    ) -> Result<(), AgentError> {
        self.refuse_if_atomic("a bypass", action)?;
        // Otherwise the writer requires it, and records what it refuses.
        if self.options.dry_run {
            let what = "grant or revoke a bypass";
            rights::require(
                self.requester.caller,
                self.writer.grants(),
                Privilege::Bypass,
                what,
            )?;
        }
        if minutes > 0 {
            // Both families are one question.
            let requests = EVERY_SOURCE.map(|source| BypassRequest {
                source: source.to_owned(),
                minutes,
                service: Some(service.to_owned()),
            });
            let opens = self
                .writer
                .bypasses_open(&requests, self.requester, self.base())?;
            let consented = self.options.consent.require("the bypass", opens.as_ref());
            match (consented, self.options.dry_run) {
                (Err(AgentError::Opens { opens, .. }), true) => asks(&mut result.warnings, &opens),
                (Err(error), _) => {
                    self.writer.audit_refusal(self.requester, action, &error);
                    return Err(error);
                }
                (Ok(()), true) => {}
                (Ok(()), false) => {
                    for request in &requests {
                        self.writer
                            .grant_bypass(request, self.requester, Consent::Any)?;
                    }
                }
            }
        }
        if self.options.dry_run || minutes > 0 {
            return Ok(());
        }
        for source in EVERY_SOURCE {
            let force = self.options.force;
            match self
                .writer
                .revoke_bypass(source, Some(service), self.requester, force)
            {
                // None was there, or it has expired.
                Ok(_) | Err(AgentError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Refuses in an atomic script what is not part of a revision.
    pub(super) fn refuse_if_atomic(&mut self, what: &str, action: &str) -> Result<(), AgentError> {
        if self.batch != Batching::Atomic {
            return Ok(());
        }
        let error = AgentError::Sql {
            message: format!(
                "{what} is not part of a revision, so an atomic script cannot contain it"
            ),
            hint: Some("run it by itself".to_owned()),
        };
        if !self.options.dry_run {
            self.writer.audit_refusal(self.requester, action, &error);
        }
        Err(error)
    }
}
