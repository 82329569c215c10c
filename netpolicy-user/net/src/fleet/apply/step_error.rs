//! Why a step was not made.

use super::*;

/// Why a step ended short of what the records say.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error("{0}")]
    Unproven(String),
    #[error(transparent)]
    Refusal(#[from] Refusal),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Transfer(#[from] TransferError),
    #[error(transparent)]
    Etcd(#[from] EtcdError),
    #[error(transparent)]
    Agent(#[from] FleetAgentError),
    #[error("revision {revision} was not confirmed: {why}")]
    Unconfirmed {
        revision: u64,
        why: String,
        /// Whether it may be another time.
        again: bool,
    },
    #[error("{0}")]
    Elsewhere(String),
    #[error("revision {0} is not in etcd")]
    Gone(u64),
}

impl StepError {
    pub(super) fn phase(&self) -> Phase {
        match self {
            Self::Refusal(Refusal::Older(_)) => Phase::Ahead,
            Self::Unconfirmed { .. } => Phase::Failed,
            Self::Etcd(EtcdError::NoAnswer { .. })
            | Self::Transfer(TransferError::Etcd(EtcdError::NoAnswer { .. }))
            | Self::Agent(FleetAgentError::NoAnswer { .. })
            | Self::Transfer(TransferError::Agent(FleetAgentError::NoAnswer { .. })) => {
                Phase::Applying
            }
            _ => Phase::Refused,
        }
    }

    /// Whether trying again can help though records are the same.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Unconfirmed { again, .. } => *again,
            Self::Refusal(_) | Self::Unproven(_) | Self::Elsewhere(_) => false,
            Self::Settings(_)
            | Self::Transfer(_)
            | Self::Etcd(_)
            | Self::Agent(_)
            | Self::Gone(_) => true,
        }
    }
}
