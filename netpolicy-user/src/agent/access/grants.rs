//! Privileges: granted and revoked.

use jiff::Timestamp;
use nix::unistd::{Group, User};

use super::asker::Asker;
use super::rights;
use crate::agent::error::AgentError;
use crate::agent::writer::Writer;
use crate::api::{GrantRequest, GrantView};
use crate::model::{Grant, Name, Principal, Privilege};
use crate::store::Outcome;

impl Writer {
    /// Grants a privilege; one that is granted already is granted anew.
    ///
    /// # Errors
    /// The caller may not, there is no such user, group or policy, or the store refuses.
    pub fn grant(&mut self, request: &GrantRequest, asker: Asker) -> Result<GrantView, AgentError> {
        let action = format!("grant {}", in_words(request));
        let result = self.try_grant(request, asker, &action);
        self.audited(asker, &action, result)
    }

    fn try_grant(
        &mut self,
        request: &GrantRequest,
        asker: Asker,
        action: &str,
    ) -> Result<GrantView, AgentError> {
        rights::require(asker.caller, &self.grants, Privilege::Admin, "grant")?;
        must_exist(&request.to)?;
        let grant = self.of_request(request, asker)?;
        let before = self.find(&grant).is_some();
        let mut entry = self.entry(asker, action, Outcome::Done);
        entry.detail.changes = vec![format!(
            "{} -> {}",
            if before { "granted" } else { "not granted" },
            "granted"
        )];
        self.store
            .put_grant(&grant, &entry)
            .map_err(|source| AgentError::Store {
                what: "the privilege could not be granted",
                source,
            })?;
        self.grants.retain(|other| !same(other, &grant));
        self.grants.push(grant.clone());
        self.publish();
        tracing::info!(actor = grant.granted_by, action, "granted");
        Ok(GrantView::from(&grant))
    }

    /// Takes a privilege away.
    ///
    /// # Errors
    /// The caller may not, it was not granted, or the store refuses.
    pub fn revoke(
        &mut self,
        request: &GrantRequest,
        asker: Asker,
    ) -> Result<GrantView, AgentError> {
        let action = format!("revoke {}", in_words(request));
        let result = self.try_revoke(request, asker, &action);
        self.audited(asker, &action, result)
    }

    fn try_revoke(
        &mut self,
        request: &GrantRequest,
        asker: Asker,
        action: &str,
    ) -> Result<GrantView, AgentError> {
        rights::require(asker.caller, &self.grants, Privilege::Admin, "revoke")?;
        let asked = self.of_request(request, asker)?;
        let Some(grant) = self.find(&asked).cloned() else {
            return Err(AgentError::NotFound {
                what: format!("{} was not granted", in_words(request)),
                hint: "`netpolicy grants` shows what was",
            });
        };
        let mut entry = self.entry(asker, action, Outcome::Done);
        entry.detail.changes = vec![format!("granted by {} -> not granted", grant.granted_by)];
        self.store
            .remove_grant(&grant, &entry)
            .map_err(|source| AgentError::Store {
                what: "the privilege could not be revoked",
                source,
            })?;
        self.grants.retain(|other| !same(other, &grant));
        self.publish();
        tracing::info!(actor = asker.caller.name(), action, "revoked");
        Ok(GrantView::from(&grant))
    }

    fn of_request(&self, request: &GrantRequest, asker: Asker) -> Result<Grant, AgentError> {
        let policy = match &request.policy {
            None => None,
            Some(_) if request.privilege != Privilege::Attach => {
                return Err(AgentError::BadRequest(format!(
                    "the privilege {} is not for single policies; leave the policy out",
                    request.privilege
                )));
            }
            Some(name) => Some(self.policy_name(name)?),
        };
        Ok(Grant {
            privilege: request.privilege,
            to: request.to.clone(),
            policy,
            granted_by: asker.caller.name(),
            granted: Timestamp::now(),
        })
    }

    fn policy_name(&self, name: &str) -> Result<Name, AgentError> {
        match self.state.policy(name) {
            Some(policy) => Ok(policy.name.clone()),
            None => Err(AgentError::NotFound {
                what: format!("unknown policy '{}'", name.escape_debug()),
                hint: "`netpolicy policy list` shows what there is",
            }),
        }
    }

    fn find(&self, grant: &Grant) -> Option<&Grant> {
        self.grants.iter().find(|other| same(other, grant))
    }

    /// Appends to the audit log what was refused or failed.
    fn audited<T>(
        &mut self,
        asker: Asker,
        action: &str,
        result: Result<T, AgentError>,
    ) -> Result<T, AgentError> {
        result.inspect_err(|error| self.audit_refusal(asker, action, error))
    }
}

/// A name that nobody has may be anybody's tomorrow. Asks the user database.
///
/// # Errors
/// [`AgentError::NotFound`].
pub(in crate::agent) fn must_exist(principal: &Principal) -> Result<(), AgentError> {
    let known = match principal {
        Principal::User(name) => User::from_name(name).map(|user| user.is_some()),
        Principal::Group(name) => Group::from_name(name).map(|group| group.is_some()),
    };
    // A database that does not answer is no reason to refuse.
    if known.unwrap_or(true) {
        return Ok(());
    }
    Err(AgentError::NotFound {
        what: format!("this host has no {principal}"),
        hint: "`getent passwd` and `getent group` list users and groups",
    })
}

fn same(a: &Grant, b: &Grant) -> bool {
    a.privilege == b.privilege && a.to == b.to && a.policy == b.policy
}

fn in_words(request: &GrantRequest) -> String {
    let on = request.policy.as_deref();
    let on = on.map_or_else(String::new, |policy| {
        format!(" on policy {}", policy.escape_debug())
    });
    format!("{}{on} to {}", request.privilege, request.to)
}

impl From<&Grant> for GrantView {
    fn from(grant: &Grant) -> Self {
        Self {
            privilege: grant.privilege,
            to: grant.to.clone(),
            policy: grant.policy.as_ref().map(ToString::to_string),
            granted_by: grant.granted_by.clone(),
            granted: grant.granted,
        }
    }
}
