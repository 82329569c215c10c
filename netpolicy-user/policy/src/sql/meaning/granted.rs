//! SHOW GRANTS: owners and granted privileges, as rows of Snowflake.

use jiff::Timestamp;

use super::show::created_on;
use super::wrong::Errors;
use super::{Action, Cx, Refusal, ResultTable};
use crate::model::{Grant, Policy, Principal, Privilege};
use crate::sql::GrantsOf;

/// <https://docs.snowflake.com/en/sql-reference/sql/show-grants>
const COLUMNS: [&str; 8] = [
    "created_on",
    "privilege",
    "granted_on",
    "name",
    "granted_to",
    "grantee_name",
    "grant_option",
    "granted_by",
];

impl Cx<'_, '_> {
    pub(super) fn grants_of(&self, of: &GrantsOf<'_>) -> Result<Action, Refusal> {
        let mut errors = Errors::new(self.statement);
        let grants = self.scene.grants;
        let mut rows = Vec::new();
        let mut warnings = Vec::new();
        match of {
            GrantsOf::Account => {
                let on_all = grants.iter().filter(|grant| grant.policy.is_none());
                rows.extend(on_all.filter_map(of_account));
            }
            GrantsOf::Policy(name) => {
                let policy = errors.take(name.spot(), self.policy(name));
                let policy = errors.finish(policy)?;
                rows.push(owner(policy));
                rows.extend(grants.iter().filter_map(|grant| of_policy(grant, policy)));
            }
            GrantsOf::Role(name) => {
                let role = errors.take(name.spot(), self.role(name));
                let role = errors.finish(role)?;
                let own = || grants.iter().filter(|grant| grant.to == role);
                rows.extend(own().filter_map(of_account));
                for policy in &self.state().policies {
                    if Principal::of_owner(&policy.owner) == role {
                        rows.push(owner(policy));
                    }
                    rows.extend(own().filter_map(|grant| of_policy(grant, policy)));
                }
                let others = own()
                    .any(|grant| !matches!(grant.privilege, Privilege::Create | Privilege::Attach));
                if others {
                    warnings.push(
                        "there are privileges that this dialect has no name for: `netpolicy \
                         grants` shows all"
                            .to_owned(),
                    );
                }
            }
        }
        let mut table = ResultTable::of(&COLUMNS, rows);
        table.warnings = warnings;
        Ok(Action::Table(table))
    }
}

type GrantRow = Vec<Option<String>>;

/// A privilege on the account; `None`: Snowflake has no name for it.
fn of_account(grant: &Grant) -> Option<GrantRow> {
    let privilege = match grant.privilege {
        Privilege::Create => "CREATE NETWORK POLICY",
        Privilege::Attach if grant.policy.is_none() => "ATTACH POLICY",
        _ => return None,
    };
    Some(row(
        grant.granted,
        privilege,
        ("ACCOUNT", ""),
        &grant.to,
        &grant.granted_by,
    ))
}

/// A privilege on one policy.
fn of_policy(grant: &Grant, policy: &Policy) -> Option<GrantRow> {
    let is_own = grant.policy.as_ref() == Some(&policy.name);
    let object = ("NETWORK_POLICY", policy.name.as_str());
    is_own.then(|| row(grant.granted, "USAGE", object, &grant.to, &grant.granted_by))
}

fn owner(policy: &Policy) -> GrantRow {
    let object = ("NETWORK_POLICY", policy.name.as_str());
    let owner = Principal::of_owner(&policy.owner);
    row(policy.created, "OWNERSHIP", object, &owner, "")
}

fn row(
    time: Timestamp,
    privilege: &str,
    (kind, name): (&str, &str),
    to: &Principal,
    by: &str,
) -> GrantRow {
    let (Principal::User(grantee) | Principal::Group(grantee)) = to;
    [
        created_on(time).as_str(),
        privilege,
        kind,
        name,
        "ROLE",
        grantee,
        "false",
        by,
    ]
    .map(|cell| Some(cell.to_owned()))
    .into()
}
