//! Queries of Materialize's catalog, as far as they are plain: columns of one relation,
//! conditions that all have to hold, an order.

use std::fmt;

use super::{Ident, Literal};

/// A rule's name, where it stands next to its policy's.
pub const RULE_NAME: &str = "rule_name";

/// `SELECT … FROM … [WHERE …] [ORDER BY …] [LIMIT n]`
#[derive(Clone, Debug)]
pub struct CatalogQuery<'t> {
    /// Of which relation.
    pub relation: Relation,
    /// Which columns, and what they are called in the answer where that differs; empty:
    /// how many rows there are.
    pub columns: Vec<(&'static str, Option<Ident<'t>>)>,
    /// Conditions, which all have to hold.
    pub filters: Vec<Condition<'t>>,
    /// Columns that order the rows, and whether in descending order.
    pub order: Vec<(&'static str, bool)>,
    /// Rows at most.
    pub limit: Option<u32>,
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `mz_internal.mz_network_policies`
    Policies,
    /// `mz_internal.mz_network_policy_rules`
    Rules,
    /// `mz_internal.mz_show_network_policies`
    Shown,
    /// Each rule with its policy.
    Joined,
}

/// A condition.
#[derive(Clone, Copy, Debug)]
pub struct Condition<'t> {
    /// Of this column.
    pub column: &'static str,
    /// How it is compared.
    pub test: Test,
    /// With what.
    pub value: Literal<'t>,
}

/// How a column is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// `=`
    Equal,
    /// `<>` or `!=`
    Unequal,
    /// `LIKE`
    Like,
    /// `NOT LIKE`
    Unlike,
}

impl Relation {
    /// All that have a name.
    pub const ALL: [Self; 3] = [Self::Policies, Self::Rules, Self::Shown];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Policies => "mz_network_policies",
            Self::Rules => "mz_network_policy_rules",
            Self::Shown => "mz_show_network_policies",
            Self::Joined => "",
        }
    }

    /// Its columns
    /// (<https://materialize.com/docs/sql/system-catalog/mz_internal/>).
    #[must_use]
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Policies => &["id", "name", "owner_id", "privileges", "oid"],
            Self::Rules => &["name", "policy_id", "action", "address", "direction"],
            Self::Shown => &["name", "rules", "comment"],
            Self::Joined => &[
                "id",
                "name",
                "owner_id",
                "privileges",
                "oid",
                RULE_NAME,
                "policy_id",
                "action",
                "address",
                "direction",
            ],
        }
    }

    /// What a column of this relation is called once rules are joined with their policies.
    #[must_use]
    pub(super) fn joined(self, column: &'static str) -> &'static str {
        match (self, column) {
            (Self::Rules, "name") => RULE_NAME,
            (_, column) => column,
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::Unequal => "<>",
            Self::Like => "LIKE",
            Self::Unlike => "NOT LIKE",
        })
    }
}
