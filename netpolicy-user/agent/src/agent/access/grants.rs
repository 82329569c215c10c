//! Privileges: granted and revoked.

use std::ops::Deref;

use jiff::Timestamp;
use nix::unistd::{Group, User};

use super::requester::Requester;
use super::{audit, rights};
use crate::agent::error::AgentError;
use crate::agent::in_force::InForce;
use crate::api::{GrantRequest, GrantView};
use crate::model::{Grant, Name, Principal, Privilege, State};
use crate::store::{AuditEntry, Outcome, Store};

/// What is granted, as the store has it.
#[derive(Debug)]
pub struct Grants(Vec<Grant>);

impl Deref for Grants {
    type Target = [Grant];

    fn deref(&self) -> &[Grant] {
        &self.0
    }
}

impl Grants {
    /// What the store has.
    #[must_use]
    pub fn new(stored: Vec<Grant>) -> Self {
        Self(stored)
    }

    /// Grants privileges, all or none; an existing grant is replaced.
    ///
    /// # Errors
    /// The caller may not, there is no such user, group or policy, or the store refuses.
    pub fn grant(
        &mut self,
        requests: &[GrantRequest],
        requester: Requester,
        now: &InForce,
        store: &mut dyn Store,
    ) -> Result<Vec<GrantView>, AgentError> {
        rights::require(requester.caller, &self.0, Privilege::Admin, "grant")?;
        let mut all: Vec<(Grant, AuditEntry)> = Vec::new();
        for request in requests {
            must_exist(&request.to)?;
            let grant = of_request(request, requester, &now.state)?;
            if all.iter().any(|(other, _)| same(other, &grant)) {
                continue;
            }
            let before = match self.find(&grant) {
                Some(_) => "granted",
                None => "not granted",
            };
            let mut entry =
                audit::entry(requester, &granting(request), Outcome::Done, now.revision);
            entry.detail.changes = vec![format!("{before} -> granted")];
            all.push((grant, entry));
        }
        store.put_grants(&all).map_err(|source| AgentError::Store {
            what: "the privilege could not be granted",
            source,
        })?;
        let granted = all.into_iter().map(|(grant, entry)| {
            tracing::info!(actor = grant.granted_by, action = entry.action, "granted");
            let view = GrantView::from(&grant);
            self.0.retain(|other| !same(other, &grant));
            self.0.push(grant);
            view
        });
        Ok(granted.collect())
    }

    /// Takes privileges away, all or none.
    ///
    /// # Errors
    /// The caller may not, one was not granted, or the store refuses.
    pub fn revoke(
        &mut self,
        requests: &[GrantRequest],
        requester: Requester,
        now: &InForce,
        store: &mut dyn Store,
    ) -> Result<Vec<GrantView>, AgentError> {
        rights::require(requester.caller, &self.0, Privilege::Admin, "revoke")?;
        let mut all: Vec<(Grant, AuditEntry)> = Vec::new();
        for request in requests {
            let asked = of_request(request, requester, &now.state)?;
            let Some(grant) = self.find(&asked).cloned() else {
                return Err(AgentError::NotFound {
                    what: format!("{} was not granted", in_words(request)),
                    hint: "`netpolicy grants` shows what was",
                });
            };
            if all.iter().any(|(other, _)| same(other, &grant)) {
                continue;
            }
            let mut entry =
                audit::entry(requester, &revoking(request), Outcome::Done, now.revision);
            entry.detail.changes = vec![format!("granted by {} -> not granted", grant.granted_by)];
            all.push((grant, entry));
        }
        store
            .remove_grants(&all)
            .map_err(|source| AgentError::Store {
                what: "the privilege could not be revoked",
                source,
            })?;
        let revoked = all.into_iter().map(|(grant, entry)| {
            let actor = requester.caller.name();
            tracing::info!(actor, action = entry.action, "revoked");
            self.0.retain(|other| !same(other, &grant));
            GrantView::from(&grant)
        });
        Ok(revoked.collect())
    }

    fn find(&self, grant: &Grant) -> Option<&Grant> {
        self.0.iter().find(|other| same(other, grant))
    }
}

/// What granting is called in the audit log.
pub(in crate::agent) fn granting(request: &GrantRequest) -> String {
    format!("grant {}", in_words(request))
}

/// What revoking is called in the audit log.
pub(in crate::agent) fn revoking(request: &GrantRequest) -> String {
    format!("revoke {}", in_words(request))
}

/// What several requests together are called in the audit log, where they are refused.
pub(in crate::agent) fn together(
    requests: &[GrantRequest],
    of_one: fn(&GrantRequest) -> String,
) -> String {
    let each: Vec<_> = requests.iter().map(of_one).collect();
    each.join("; ")
}

fn of_request(
    request: &GrantRequest,
    requester: Requester,
    state: &State,
) -> Result<Grant, AgentError> {
    let policy = match &request.policy {
        None => None,
        Some(_) if request.privilege != Privilege::Attach => {
            return Err(AgentError::BadRequest(format!(
                "the privilege {} is not for single policies; leave the policy out",
                request.privilege
            )));
        }
        Some(name) => Some(policy_name(name, state)?),
    };
    Ok(Grant {
        privilege: request.privilege,
        to: request.to.clone(),
        policy,
        granted_by: requester.caller.name(),
        granted: Timestamp::now(),
    })
}

fn policy_name(name: &str, state: &State) -> Result<Name, AgentError> {
    match state.policy(name) {
        Some(policy) => Ok(policy.name.clone()),
        None => Err(AgentError::NotFound {
            what: format!("unknown policy '{}'", name.escape_debug()),
            hint: "`netpolicy policy list` shows what there is",
        }),
    }
}

/// Refuses a name that no user or group has: a later one could get it. Asks the user database.
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
