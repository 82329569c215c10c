//! How somebody wants a change made, and where he sits.

use std::net::IpAddr;
use std::time::Duration;

use super::caller::Caller;
use super::consent::Consent;
use super::error::AgentError;
use super::operator;
use crate::api::{ChangeQuery, Existing, OperatorView};

/// The longest that a change may wait for its confirmation: a day.
const MOST_WITHIN: u64 = 24 * 60 * 60;

/// Who asks, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The OS user at the other end of the socket.
    pub caller: Caller,
    /// Where he sits.
    pub seat: Seat,
}

impl Asker {
    /// The agent itself.
    #[must_use]
    pub fn agent() -> Self {
        Self {
            caller: Caller::root(),
            seat: Seat::Console,
        }
    }

    /// Who asks; `from`: an address that is judged as well as the one that the caller's
    /// process tells, "none" for none.
    ///
    /// # Errors
    /// `from` is no address.
    pub fn of(caller: Caller, from: Option<&str>) -> Result<Self, AgentError> {
        let said = match from {
            None | Some("none") => None,
            Some(text) => Some(address(text)?),
        };
        let seat = match (Seat::of(caller), said) {
            (Seat::Ssh { address, pid }, Some(said)) if said != address => {
                Seat::Both { said, address, pid }
            }
            (Seat::Console, Some(said)) => Seat::Said(said),
            (seat, _) if from == Some("none") && !seat.is_judged() => Seat::Nowhere,
            (seat, _) => seat,
        };
        Ok(Self { caller, seat })
    }
}

/// Where an operator sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    /// On the machine itself: no address to lock out.
    Console,
    /// He says that he has no address.
    Nowhere,
    /// He says so.
    Said(IpAddr),
    /// His terminal came over SSH.
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

impl Seat {
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

/// How a change is to be made; see [`ChangeQuery`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Only say what would change.
    pub dry_run: bool,
    /// Make it also if it denies the operator himself.
    pub force: bool,
    /// Refuse it if it denies a connected client.
    pub strict: bool,
    /// What becomes of open connections; `None`: they are kept, unless a dialect of SQL
    /// says otherwise.
    pub existing: Option<Existing>,
    /// Take it back unless it is confirmed by then.
    pub confirm_within: Option<Duration>,
    /// What it may open to every source.
    pub consent: Consent,
    /// Refuse it unless the desired state has this revision.
    pub if_revision: Option<u64>,
}

impl Options {
    /// Checks a query, and finds out where the caller sits.
    ///
    /// # Errors
    /// A duration or an address that is none.
    pub fn of(query: &ChangeQuery, caller: Caller) -> Result<(Self, Asker), AgentError> {
        let within = query.confirm_within;
        if within.is_some_and(|seconds| !(1..=MOST_WITHIN).contains(&seconds)) {
            return Err(AgentError::BadRequest(format!(
                "confirm_within is {} s; expected 1 s to {MOST_WITHIN} s (a day)",
                within.unwrap_or(0)
            )));
        }
        let asker = Asker::of(caller, query.from.as_deref())?;
        let options = Self {
            dry_run: query.dry_run,
            force: query.force,
            strict: query.strict,
            existing: query.existing,
            confirm_within: within.map(Duration::from_secs),
            consent: Consent::of(query.opens.as_deref())?,
            if_revision: query.if_revision,
        };
        Ok((options, asker))
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
