//! What is refused after a statement was understood, in its product's words: lockouts and
//! missing rights. What netpolicy itself says of it follows as a second sentence.

use std::net::IpAddr;

use super::title;
use crate::sql::{Dialect, Statement, Verb};

/// That a statement would deny the address of who asks. `policy` denies it, `why` says by
/// which rule.
#[must_use]
pub fn lockout(
    statement: &Statement<'_>,
    address: IpAddr,
    policy: Option<&str>,
    why: &str,
) -> String {
    let policy = policy.unwrap_or_default();
    match (statement.dialect, &statement.verb) {
        (Dialect::Snowflake, Verb::AlterPolicy { .. } | Verb::CreatePolicy(_)) => format!(
            "Changes cannot be applied to the network policy {policy} because current IP address \
             {address} is not allowed in it. {why}."
        ),
        (Dialect::Snowflake, _) => format!(
            "Network policy {policy} cannot be activated. Requestor IP address, {address}, must \
             be included in the allowed_ip_list. {why}."
        ),
        (Dialect::Materialize, _) => format!(
            "policy would block current session IP: {address} becomes denied by '{policy}'; {why}"
        ),
        (Dialect::Lakehouse, _) => {
            format!("network policy {policy} would lock you out: {address} becomes denied; {why}")
        }
    }
}

/// What to do about a lockout, where the dialect has a way of its own.
#[must_use]
pub fn lockout_hint(statement: &Statement<'_>) -> Option<&'static str> {
    match statement.dialect {
        Dialect::Lakehouse => Some("allow that address first, or put FORCE at the statement's end"),
        Dialect::Snowflake | Dialect::Materialize => None,
    }
}

/// That who asks lacks the right to it; `lacks` says which, a sentence each.
#[must_use]
pub fn lacks(statement: &Statement<'_>, lacks: &[String]) -> String {
    let lacks = lacks.join("; ");
    let dialect = statement.dialect;
    let policy = match &statement.verb {
        Verb::AlterPolicy { name, .. } | Verb::SetHostPolicy(name) => Some(name),
        Verb::CommentOn { name, .. } => Some(name),
        Verb::DropPolicy { names, .. } => names.first(),
        _ => None,
    };
    let policy = policy.map(|name| name.folded(dialect));
    match (dialect, policy) {
        (Dialect::Snowflake, Some(policy)) => {
            format!("Network policy '{policy}' does not exist or not authorized. {lacks}.")
        }
        (Dialect::Snowflake, None) => format!(
            "SQL access control error: Insufficient privileges to operate on account. {lacks}."
        ),
        (Dialect::Materialize, Some(policy)) => {
            format!("permission denied for NETWORK POLICY \"{policy}\": {lacks}")
        }
        (Dialect::Materialize, None) => format!("permission denied for SYSTEM: {lacks}"),
        (Dialect::Lakehouse, _) => format!("no permission for {}: {lacks}", title(statement)),
    }
}
