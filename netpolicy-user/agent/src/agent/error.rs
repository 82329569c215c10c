//! Why the agent refuses or fails a request.

mod kind;
mod words;

use std::net::IpAddr;

pub use self::kind::FailureKind;
pub use self::words::{chain, code_of, in_words};
use super::databases::{LinesOrder, NotCarried};
use super::held::StoreHold;
use crate::api::{ClientsView, ErrorCode, ErrorPlace, Opens};
use crate::model::{FailedTest, ModelError, ModelErrors, Name, Place};
use crate::sockets::SocketsError;
use crate::store::{Pending, StoreError};

/// What the kernel, or the datapath before it, objects to.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct EnforcerError {
    /// The objection.
    pub source: Box<dyn std::error::Error + Send + Sync>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether the kernel lacks memory for it.
    pub no_memory: bool,
}

/// Why a request was refused or failed. Nothing changed, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// What was asked for is wrong in itself, or does not go with what is there.
    #[error(transparent)]
    Model(#[from] ModelErrors),
    /// The request cannot be read.
    #[error("{0}")]
    BadRequest(String),
    /// There is no such thing.
    #[error("{what}")]
    NotFound {
        /// What is not there.
        what: String,
        /// What to do.
        hint: &'static str,
    },
    /// Nothing was granted to the caller.
    #[error("{who} may not use the agent: nothing was granted to {who}")]
    NoRights {
        /// The caller's name.
        who: String,
    },
    /// The caller lacks a privilege, or does not own the policy.
    #[error("{}", lacks.join("; "))]
    NotAllowed {
        /// What the caller lacks, a sentence each.
        lacks: Vec<String>,
    },
    /// The change would deny the operator's own address.
    #[error("the change would lock you out: {address} becomes denied on {scope}: {why}")]
    Lockout {
        /// The operator's own address.
        address: IpAddr,
        /// "host" or the service's name.
        scope: String,
        /// The policy that denies it.
        policy: Option<String>,
        /// By which rule, in a sentence.
        why: String,
    },
    /// The change would deny clients that are connected.
    #[error("the change would deny {}", in_words(.0))]
    DeniesClients(ClientsView),
    /// It opens the host or a service to every source, and the requester did not consent.
    #[error("{what} {}", opens.sentence())]
    Opens {
        /// "the change", "the bypass": the sentence's subject.
        what: &'static str,
        /// What it opens.
        opens: Opens,
    },
    /// Policy tests would fail by the change.
    #[error("{}", .0.iter().map(|failed| failed.message.as_str()).collect::<Vec<_>>().join("; "))]
    TestsFailed(Vec<FailedTest>),
    /// A database does not have the lines that the change needs.
    #[error(transparent)]
    NotCarried(NotCarried),
    /// Databases are being told what the change needs first: it is to be requested again when they
    /// have it. No answer of the agent says this.
    #[error("databases are being told what the change needs first")]
    Carrying(Vec<LinesOrder>),
    /// Another change waits for its confirmation.
    #[error(
        "revision {} waits for its confirmation until {}; nothing else is changed before",
        .0.revision, .0.deadline().strftime("%H:%M:%S UTC")
    )]
    AwaitsConfirmation(Pending),
    /// The change is of what the host's fleet decides.
    #[error(
        "fleet {fleet} decides the policies of this host, by its revision {revision}: {what} is \
         not for this host alone; nothing changed"
    )]
    InFleet {
        /// The fleet.
        fleet: String,
        /// Its revision in force.
        revision: u64,
        /// What was to be done.
        what: String,
    },
    /// A revision of the fleet, or what proves it, is refused.
    #[error("refused of the fleet: {0}; what is in force stays")]
    FleetRefused(String),
    /// Objects of the fleet's state are missing.
    #[error("the fleet's state is incomplete: {0}; what is in force stays")]
    FleetIncomplete(String),
    /// Another change was made since the caller looked.
    #[error(
        "the desired state is at revision {found}, not at revision {expected}; nothing changed"
    )]
    RevisionMismatch {
        /// The revision that the caller went by.
        expected: u64,
        /// The present one.
        found: u64,
    },
    /// The connected clients are not known, or cannot be cut.
    #[error("{what}: {}", chain(.source))]
    Sockets {
        /// What follows from it.
        what: &'static str,
        /// What the kernel says.
        source: SocketsError,
    },
    /// A statement of SQL is wrong or was refused.
    #[error("{message}")]
    Sql {
        /// What is wrong, and where.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The kernel did not take the new ruleset.
    #[error("the kernel rejected the new rules: {}; revision {revision} stays in force", chain(.source))]
    Prepare {
        /// The revision in force.
        revision: u64,
        /// What the kernel says.
        source: EnforcerError,
    },
    /// The store did not take the new state.
    #[error("the change could not be stored: {}; revision {revision} stays in force", chain(.source))]
    Commit {
        /// The revision in force.
        revision: u64,
        /// What the store says.
        source: StoreError,
    },
    /// The store cannot be read or written.
    #[error("{what}: {}", chain(.source))]
    Store {
        /// What was tried.
        what: &'static str,
        /// What the store says.
        source: StoreError,
    },
    /// The store does not go on from what was in force last, and nothing may change that by
    /// the way.
    #[error("{}", held.in_words(*stored))]
    HeldStore {
        /// The store's revision.
        stored: u64,
        /// Why it is held.
        held: StoreHold,
    },
    /// There is nothing to acknowledge.
    #[error("the store goes on from what is in force: nothing is to be acknowledged")]
    NotHeld,
    /// There is nothing to rescue.
    #[error("the state database is where it should be: nothing is to be rescued")]
    NothingLost,
    /// The state directory cannot be locked.
    #[error("the state directory cannot be used: {0}")]
    Directory(String),
    /// The kernel refused, or cannot be read.
    #[error("{what}: {}", chain(.source))]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// What the kernel says.
        source: EnforcerError,
    },
    /// What the request asks about cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The detach marker cannot be written or removed.
    #[error("{what} {path}: {source}")]
    Marker {
        /// What was tried, and what came of it.
        what: &'static str,
        /// The marker.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A bypass was revoked in the store, but the kernel may still honour it.
    #[error("the bypass is revoked, but {0}")]
    BypassLeft(String),
    /// Kernel or store did not take bans.
    #[error("{why}; nothing was banned or unbanned")]
    BansNotDone {
        /// What refused them, and why.
        why: String,
        /// Whether disk or memory do not suffice.
        no_room: bool,
    },
    /// A fault in netpolicy itself.
    #[error("a fault in netpolicy; the agent's log says more")]
    Internal,
    /// The agent is about to end.
    #[error("the agent is stopping; what is in force stays in force")]
    Stopping,
}

impl From<ModelError> for AgentError {
    fn from(error: ModelError) -> Self {
        Self::Model(error.into())
    }
}

impl AgentError {
    /// No such bypass.
    #[must_use]
    pub fn no_bypass(source: &ipnet::IpNet, service: Option<&Name>) -> Self {
        let scope = service.map_or_else(|| "the host".to_owned(), |s| format!("service '{s}'"));
        Self::NotFound {
            what: format!("there is no bypass of {source} for {scope}"),
            hint: "`netpolicy bypass list` shows what there is",
        }
    }

    /// Whether it was refused, rather than tried and failed.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self.kind() {
            FailureKind::Invalid
            | FailureKind::Unknown
            | FailureKind::Conflict
            | FailureKind::Forbidden => true,
            FailureKind::Exhausted | FailureKind::Failed | FailureKind::Stopping => false,
        }
    }

    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Model(errors) => errors.kind().into(),
            Self::BadRequest(_) | Self::Sql { .. } => FailureKind::Invalid,
            Self::NotFound { .. } => FailureKind::Unknown,
            Self::NoRights { .. } | Self::NotAllowed { .. } => FailureKind::Forbidden,
            Self::Lockout { .. }
            | Self::DeniesClients(_)
            | Self::RevisionMismatch { .. }
            | Self::HeldStore { .. }
            | Self::NotHeld
            | Self::NothingLost
            | Self::Opens { .. }
            | Self::TestsFailed(_)
            | Self::InFleet { .. }
            | Self::FleetRefused(_)
            | Self::FleetIncomplete(_)
            | Self::NotCarried(_)
            | Self::Carrying(_)
            | Self::AwaitsConfirmation(_) => FailureKind::Conflict,
            Self::Prepare { source, .. } | Self::Kernel { source, .. } if source.no_memory => {
                FailureKind::Exhausted
            }
            Self::BansNotDone { no_room: true, .. } => FailureKind::Exhausted,
            Self::Commit { source, .. } | Self::Store { source, .. } => match source {
                StoreError::Full { .. } => FailureKind::Exhausted,
                StoreError::NoSuchRevision { .. } => FailureKind::Unknown,
                _ => FailureKind::Failed,
            },
            Self::Prepare { .. }
            | Self::Kernel { .. }
            | Self::BypassLeft(_)
            | Self::BansNotDone { .. }
            | Self::Unreadable(_)
            | Self::Directory(_)
            | Self::Sockets { .. }
            | Self::Internal
            | Self::Marker { .. } => FailureKind::Failed,
            Self::Stopping => FailureKind::Stopping,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoRights { .. } => Some(
                "run it as root, for example with sudo, or have root grant the privilege (`netpolicy grant`)"
                    .to_owned(),
            ),
            Self::Prepare { source, .. } | Self::Kernel { source, .. } => source.hint.clone(),
            Self::Commit { source, .. } | Self::Store { source, .. } => {
                source.hint().map(str::to_owned)
            }
            Self::NotFound { hint, .. } => Some((*hint).to_owned()),
            Self::NotAllowed { .. } => {
                Some("ask an admin: `netpolicy grant PRIVILEGE --to user:NAME`".to_owned())
            }
            Self::Lockout { .. } => Some(
                "allow or unban that address first, or apply the change anyway with --force"
                    .to_owned(),
            ),
            Self::TestsFailed(_) => Some(
                "correct the policies or the tests (`netpolicy export` shows both), or apply the \
                 change anyway with --force"
                    .to_owned(),
            ),
            Self::NotCarried(why) => Some(why.hint().to_owned()),
            Self::DeniesClients(_) => {
                Some("without --strict the change is made, and they stay connected".to_owned())
            }
            Self::Opens { .. } => Some("repeat it with --yes if that is intended".to_owned()),
            Self::AwaitsConfirmation(pending) => Some(format!(
                "`netpolicy confirm` keeps it, `netpolicy rollback {}` rolls it back at once",
                pending.base
            )),
            Self::InFleet { .. } => Some(
                "push it to the fleet, or make it here alone, for now, with --local-override"
                    .to_owned(),
            ),
            Self::RevisionMismatch { expected, .. } => Some(format!(
                "`netpolicy diff {expected}` shows what changed since; apply the change to the \
                 present revision"
            )),
            Self::HeldStore { .. } => Some(
                "`netpolicy store acknowledge` puts the store's revision in force; \
                 `netpolicy restore FILE` restores a newer backup"
                    .to_owned(),
            ),
            Self::Sql { hint, .. } => hint.clone(),
            Self::Stopping => Some("try again once it has restarted".to_owned()),
            _ => None,
        }
    }

    /// What kind of problem it is, for programs.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Model(errors) => code_of(errors.kind()),
            Self::BadRequest(_) => ErrorCode::BadRequest,
            Self::NotFound { .. } => ErrorCode::NotFound,
            Self::NoRights { .. } | Self::NotAllowed { .. } => ErrorCode::Forbidden,
            Self::Lockout { .. } => ErrorCode::Lockout,
            Self::DeniesClients(_) => ErrorCode::DeniesClients,
            Self::Opens { .. } => ErrorCode::ConsentRequired,
            Self::TestsFailed(_) => ErrorCode::TestFailed,
            Self::NotCarried(_) | Self::Carrying(_) => ErrorCode::DatabaseRefused,
            Self::AwaitsConfirmation(_) => ErrorCode::AwaitsConfirmation,
            Self::InFleet { .. } => ErrorCode::Fleet,
            Self::FleetRefused(_) => ErrorCode::FleetRefused,
            Self::FleetIncomplete(_) => ErrorCode::Incomplete,
            Self::RevisionMismatch { .. } => ErrorCode::RevisionMismatch,
            Self::HeldStore { .. } => ErrorCode::StoreHeld,
            Self::NotHeld | Self::NothingLost => ErrorCode::NothingToDo,
            Self::Sql { .. } => ErrorCode::InvalidSql,
            Self::BansNotDone { no_room: true, .. } => ErrorCode::NoRoom,
            Self::Prepare { source, .. } | Self::Kernel { source, .. } => match source.no_memory {
                true => ErrorCode::NoRoom,
                false => ErrorCode::KernelFailed,
            },
            Self::Commit { source, .. } | Self::Store { source, .. } => match source {
                StoreError::Full { .. } => ErrorCode::NoRoom,
                StoreError::NoSuchRevision { .. } => ErrorCode::NotFound,
                _ => ErrorCode::StoreFailed,
            },
            Self::BypassLeft(_)
            | Self::BansNotDone { .. }
            | Self::Sockets { .. }
            | Self::Unreadable(_) => ErrorCode::KernelFailed,
            Self::Directory(_) | Self::Marker { .. } => ErrorCode::StoreFailed,
            Self::Internal => ErrorCode::Internal,
            Self::Stopping => ErrorCode::Stopping,
        }
    }

    /// All that is wrong, each on its own.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        match self {
            Self::Model(errors) => errors.messages(),
            Self::NotAllowed { lacks } => lacks.clone(),
            Self::TestsFailed(failed) => {
                failed.iter().map(|failed| failed.message.clone()).collect()
            }
            other => vec![other.to_string()],
        }
    }

    /// Where each of the errors is; none if no error has a place.
    #[must_use]
    pub fn places(&self) -> Vec<Option<ErrorPlace>> {
        let places: Vec<Option<&Place>> = match self {
            Self::Model(errors) => errors.iter().map(|error| error.place.as_ref()).collect(),
            Self::TestsFailed(failed) => failed.iter().map(|test| test.place.as_ref()).collect(),
            _ => Vec::new(),
        };
        match places.iter().any(Option::is_some) {
            true => places.iter().map(|place| place.map(Into::into)).collect(),
            false => Vec::new(),
        }
    }

    /// Consent to this is all that is missing.
    #[must_use]
    pub fn opens(&self) -> Option<&Opens> {
        match self {
            Self::Opens { opens, .. } => Some(opens),
            _ => None,
        }
    }

    /// The present revision, where the request was written for another one.
    #[must_use]
    pub fn revision(&self) -> Option<u64> {
        match self {
            Self::RevisionMismatch { found, .. } => Some(*found),
            _ => None,
        }
    }
}
