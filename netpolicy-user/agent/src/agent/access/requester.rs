//! The requester: a caller, and where the operator connects from.

use std::net::IpAddr;

use super::caller::Caller;
use super::operator;
use crate::agent::error::AgentError;
use crate::api::OperatorView;

/// A caller, and where the operator connects from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The OS user at the other end of the socket.
    pub caller: Caller,
    /// Where the operator connects from.
    pub origin: OperatorOrigin,
}

impl Requester {
    /// The agent itself.
    #[must_use]
    pub fn agent() -> Self {
        Self {
            caller: Caller::root(),
            origin: OperatorOrigin::Console,
        }
    }

    /// The caller, with the origin of the caller's process.
    #[must_use]
    pub fn here(caller: Caller) -> Self {
        Self {
            caller,
            origin: OperatorOrigin::of(caller),
        }
    }

    /// The requester; `from`: an address that is judged as well as the one that the caller's
    /// process tells, "none" for none.
    ///
    /// # Errors
    /// `from` is no address.
    pub fn of(caller: Caller, from: Option<&str>) -> Result<Self, AgentError> {
        let said = match from {
            None | Some("none") => None,
            Some(text) => Some(address(text)?),
        };
        let origin = match (OperatorOrigin::of(caller), said) {
            (OperatorOrigin::Ssh { address, pid }, Some(said)) if said != address => {
                OperatorOrigin::Both { said, address, pid }
            }
            (OperatorOrigin::Console, Some(said)) => OperatorOrigin::Said(said),
            (origin, _) if from == Some("none") && !origin.is_judged() => OperatorOrigin::Nowhere,
            (origin, _) => origin,
        };
        Ok(Self { caller, origin })
    }
}

/// Where an operator connects from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorOrigin {
    /// On the machine itself: no address to lock out.
    Console,
    /// `--from none`: the operator has no address.
    Nowhere,
    /// The address of `--from`.
    Said(IpAddr),
    /// The terminal came over SSH.
    Ssh {
        /// The client's address.
        address: IpAddr,
        /// The process in whose environment it was found.
        pid: u32,
    },
    /// The terminal came over SSH, and `--from` names another address.
    Both {
        /// The address of `--from`.
        said: IpAddr,
        /// The SSH client's address.
        address: IpAddr,
        /// The process in whose environment it was found.
        pid: u32,
    },
}

impl OperatorOrigin {
    /// Where the process at the other end of the socket was started from.
    #[must_use]
    pub fn of(caller: Caller) -> Self {
        let pid = caller.pid.and_then(|pid| u32::try_from(pid).ok());
        match pid.and_then(operator::address_of) {
            Some(found) => Self::Ssh {
                address: found.address,
                pid: found.pid,
            },
            None => Self::Console,
        }
    }

    /// The operator's own address, and a second one where `--from` names another.
    #[must_use]
    pub fn addresses(self) -> [Option<IpAddr>; 2] {
        match self {
            Self::Console | Self::Nowhere => [None, None],
            Self::Said(address) | Self::Ssh { address, .. } => [Some(address), None],
            Self::Both { said, address, .. } => [Some(said), Some(address)],
        }
    }

    /// The addresses that a change must not deny: what comes over loopback is not
    /// filtered.
    pub fn judged(self) -> impl Iterator<Item = IpAddr> {
        let addresses = self.addresses().into_iter().flatten();
        addresses.filter(|address| !address.is_loopback())
    }

    fn is_judged(self) -> bool {
        self.judged().next().is_some()
    }

    /// For the API.
    #[must_use]
    pub fn view(self) -> OperatorView {
        let [address, also] = self.addresses();
        OperatorView {
            address,
            also,
            known_by: match self {
                Self::Console => "a local console".to_owned(),
                Self::Nowhere => "--from none".to_owned(),
                Self::Said(_) => "--from".to_owned(),
                Self::Ssh { pid, .. } => format!("SSH_CONNECTION of process {pid}"),
                Self::Both { pid, .. } => {
                    format!("--from, and SSH_CONNECTION of process {pid}")
                }
            },
        }
    }
}

fn address(text: &str) -> Result<IpAddr, AgentError> {
    text.parse()
        .map(|address: IpAddr| address.to_canonical())
        .map_err(|_| {
            AgentError::BadRequest(format!(
                "from is '{}'; expected one IP address, or none",
                text.escape_debug()
            ))
        })
}
