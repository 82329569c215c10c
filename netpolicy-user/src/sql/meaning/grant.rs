//! GRANT and REVOKE. A role is an OS user, or else a group.

use super::wrong::Errors;
use super::{Action, Cx, Dialect, Privileged, Refusal, Wrong};
use crate::model::{Change, Principal, Privilege};
use crate::sql::{self, GrantClause, Ident};

impl Cx<'_, '_> {
    pub(super) fn grant(&self, grant: &GrantClause<'_>) -> Result<Action, Refusal> {
        if let sql::GrantedRight::Ownership(name) = &grant.privilege {
            let mut errors = Errors::new(self.statement);
            let policy = errors.take(name.spot(), self.policy(name));
            let owner = errors.take(grant.role.spot(), self.role(&grant.role));
            let (policy, owner) = errors.finish(policy.zip(owner))?;
            let change = Change::SetOwner {
                policy: policy.name.to_written().into_owned(),
                owner: owner.to_owner(),
            };
            return Ok(self.changes(vec![change], self.granted("GRANT"), Vec::new()));
        }
        self.privileged(grant, "GRANT").map(Action::Grant)
    }

    pub(super) fn revoke(&self, grant: &GrantClause<'_>) -> Result<Action, Refusal> {
        self.privileged(grant, "REVOKE").map(Action::Revoke)
    }

    fn privileged(&self, grant: &GrantClause<'_>, verb: &str) -> Result<Privileged, Refusal> {
        let mut errors = Errors::new(self.statement);
        let to = errors.take(grant.role.spot(), self.role(&grant.role));
        let (privilege, policy) = match &grant.privilege {
            sql::GrantedRight::CreatePolicy => (Privilege::Create, None),
            sql::GrantedRight::AttachPolicy | sql::GrantedRight::UsageOnAll => {
                (Privilege::Attach, None)
            }
            sql::GrantedRight::Usage(name) | sql::GrantedRight::Ownership(name) => {
                let policy = errors.take(name.spot(), self.policy(name));
                (Privilege::Attach, policy.map(|policy| policy.name.clone()))
            }
        };
        let to = errors.finish(to)?;
        Ok(Privileged {
            privilege,
            to,
            policy,
            status: self.granted(verb),
        })
    }

    fn granted(&self, verb: &str) -> String {
        match self.dialect() {
            Dialect::Materialize => verb.to_owned(),
            _ => "Statement executed successfully.".to_owned(),
        }
    }

    /// The user or group of this name: a bare one also in lower case, since Snowflake's
    /// people write theirs in capitals.
    pub(super) fn role(&self, role: &Ident<'_>) -> Result<Principal, Wrong> {
        let text = role.text().into_owned();
        let mut names = vec![text];
        if !role.is_quoted() {
            let lower = role.text().to_lowercase();
            if !names.contains(&lower) {
                names.push(lower);
            }
        }
        let roles = self.scene.roles;
        let user = names.iter().find(|name| roles.has_user(name));
        if let Some(name) = user {
            return Ok(Principal::User(name.clone()));
        }
        match names.iter().find(|name| roles.has_group(name)) {
            Some(name) => Ok(Principal::Group(name.clone())),
            None => {
                let name = role.folded(self.dialect()).into_owned();
                Err(match self.dialect() {
                    Dialect::Materialize => Wrong::UnknownRole(name),
                    _ => Wrong::NoRole(name),
                })
            }
        }
    }
}
