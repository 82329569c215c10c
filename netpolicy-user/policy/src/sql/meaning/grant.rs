//! GRANT and REVOKE. A role is an OS user, or else a group.

use super::wrong::Errors;
use super::{Action, Cx, Dialect, Privileged, Refusal, Wrong};
use crate::model::{Change, Principal, Privilege};
use crate::sql::{CurrentGrants, GrantClause, GrantedRight, Ident};

/// The policy whose owner a GRANT changes.
pub(super) fn gives_ownership<'g, 't>(grant: &'g GrantClause<'t>) -> Option<&'g Ident<'t>> {
    grant.privileges.iter().find_map(|right| match right {
        GrantedRight::Ownership(name) => Some(name),
        _ => None,
    })
}

impl Cx<'_, '_> {
    pub(super) fn grant(&self, grant: &GrantClause<'_>) -> Result<Action, Refusal> {
        match gives_ownership(grant) {
            Some(name) => self.give(grant, name),
            None => self.privileged(grant, "GRANT").map(Action::Grant),
        }
    }

    pub(super) fn revoke(&self, grant: &GrantClause<'_>) -> Result<Action, Refusal> {
        self.privileged(grant, "REVOKE").map(Action::Revoke)
    }

    /// GRANT OWNERSHIP, with or without what becomes of the policy's grants.
    fn give(&self, grant: &GrantClause<'_>, name: &Ident<'_>) -> Result<Action, Refusal> {
        let mut errors = Errors::new(self.statement);
        let policy = errors.take(name.spot(), self.policy(name));
        let role = grant.roles.first();
        let owner = role.and_then(|role| errors.take(role.spot(), self.role(role)));
        if grant.privileges.len() > 1 {
            errors.push(name.spot(), Wrong::OwnershipAlone);
        }
        let (policy, owner) = errors.finish(policy.zip(owner))?;
        let status = self.granted("GRANT");
        let current = self.scene.grants.iter();
        let current: Vec<_> = current
            .filter(|grant| grant.policy.as_ref() == Some(&policy.name))
            .map(|grant| Privileged {
                privilege: grant.privilege,
                to: grant.to.clone(),
                policy: Some(policy.name.clone()),
                status: status.clone(),
            })
            .collect();
        // Snowflake gives no policy away that others have privileges on, unless it is
        // told what becomes of them.
        if grant.current.is_none() && !current.is_empty() {
            let wrong = Wrong::CurrentGrants(policy.name.to_string());
            return Err(Refusal::of(self.statement, name.spot(), wrong));
        }
        let change = Change::SetOwner {
            policy: policy.name.to_written().into_owned(),
            owner: owner.to_owner(),
        };
        let mut action = self.changes(vec![change], status, Vec::new());
        if let (Action::Changes(changes), Some(CurrentGrants::Revoke)) =
            (&mut action, grant.current)
        {
            changes.revokes = current;
        }
        Ok(action)
    }

    fn privileged(&self, grant: &GrantClause<'_>, verb: &str) -> Result<Vec<Privileged>, Refusal> {
        let mut errors = Errors::new(self.statement);
        let roles: Vec<_> = grant
            .roles
            .iter()
            .filter_map(|role| errors.take(role.spot(), self.role(role)))
            .collect();
        let mut all = Vec::new();
        for right in &grant.privileges {
            let (privilege, policy) = match right {
                GrantedRight::CreatePolicy => (Privilege::Create, None),
                GrantedRight::AttachPolicy | GrantedRight::UsageOnAll => (Privilege::Attach, None),
                GrantedRight::Usage(name) | GrantedRight::Ownership(name) => {
                    let policy = errors.take(name.spot(), self.policy(name));
                    (Privilege::Attach, policy.map(|policy| policy.name.clone()))
                }
            };
            all.extend(roles.iter().map(|to| Privileged {
                privilege,
                to: to.clone(),
                policy: policy.clone(),
                status: self.granted(verb),
            }));
        }
        errors.finish(Some(all))
    }

    fn granted(&self, verb: &str) -> String {
        match self.dialect() {
            Dialect::Materialize => verb.to_owned(),
            _ => "Statement executed successfully.".to_owned(),
        }
    }

    /// The user or group of this name. Snowflake's people and tools write theirs in
    /// capitals, so a bare one, or there a quoted one in capitals, is also looked up in
    /// lower case. Two that differ by case alone are ambiguous.
    pub(super) fn role(&self, role: &Ident<'_>) -> Result<Principal, Wrong> {
        let text = role.text().into_owned();
        let in_capitals = !text.chars().any(char::is_lowercase);
        let is_exact = role.is_quoted();
        let mut names = vec![text];
        if !is_exact || (self.dialect() == Dialect::Snowflake && in_capitals) {
            let lower = role.text().to_lowercase();
            if !names.contains(&lower) {
                names.push(lower);
            }
        }
        let roles = self.scene.roles;
        let users: Vec<_> = names.iter().filter(|name| roles.has_user(name)).collect();
        let groups: Vec<_> = names.iter().filter(|name| roles.has_group(name)).collect();
        let is_ambiguous = !is_exact && (users.len() > 1 || (users.is_empty() && groups.len() > 1));
        match (users.first(), groups.first()) {
            _ if is_ambiguous => Err(Wrong::SeveralNames(
                role.folded(self.dialect()).into_owned(),
            )),
            (Some(name), _) => Ok(Principal::User((*name).clone())),
            (None, Some(name)) => Ok(Principal::Group((*name).clone())),
            (None, None) => {
                let name = role.folded(self.dialect()).into_owned();
                Err(match self.dialect() {
                    Dialect::Materialize => Wrong::UnknownRole(name),
                    _ => Wrong::NoRole(name),
                })
            }
        }
    }
}
