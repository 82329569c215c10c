//! Snowflake's replication and failover groups: what a statement about one says.

use super::Ident;

/// A statement about a replication or failover group.
#[derive(Clone, Debug)]
pub struct GroupStatement<'t> {
    /// Of which kind the group is.
    pub kind: GroupKind,
    /// What is to be done.
    pub verb: GroupVerb<'t>,
    /// The statement as written.
    pub text: &'t str,
}

/// The kind of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// A replication group, which is read at its targets.
    Replication,
    /// A failover group, whose target can become the source.
    Failover,
}

impl GroupKind {
    /// As in statements.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Replication => "REPLICATION",
            Self::Failover => "FAILOVER",
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum GroupVerb<'t> {
    /// `CREATE … GROUP`
    Create {
        /// Its name.
        name: Ident<'t>,
        /// `AS REPLICA OF`: of one that another has.
        is_replica: bool,
    },
    /// `ALTER … GROUP`
    Alter {
        /// Which.
        name: Ident<'t>,
        /// What becomes of it.
        change: GroupChange,
    },
    /// `DROP … GROUP`
    Drop(Ident<'t>),
    /// `SHOW … GROUPS`
    Show,
}

/// What ALTER does to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupChange {
    /// `PRIMARY`: the target becomes the source.
    Primary,
    /// `REFRESH`: the target takes what the source has.
    Refresh,
    /// `SUSPEND`: it does not any more.
    Suspend,
    /// `RESUME`
    Resume,
    /// What it has, and who may have it.
    Settings,
}
