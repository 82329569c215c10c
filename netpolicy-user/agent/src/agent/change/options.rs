//! How a change is to be made, and what the requester consents to.

use std::time::Duration;

use crate::agent::access::{Caller, Requester};
use crate::agent::error::AgentError;
use crate::api::{ChangeQuery, Existing, Opens};

/// The longest that a change may wait for its confirmation: a day.
const MOST_WITHIN: u64 = 24 * 60 * 60;

/// How a change is to be made; see [`ChangeQuery`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeOptions {
    /// Only say what would change.
    pub dry_run: bool,
    /// Apply it even if it denies the operator's own address.
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
    /// Make it though it alters what the host's fleet decides.
    pub local_override: bool,
    /// Make it also if a database does not answer, where nothing is open without it.
    pub defer: bool,
    /// Who waits for databases that have to be told first.
    pub carry: Carry,
    /// Whether it replaces lists by whole files.
    pub by_files: bool,
}

/// Who waits until databases have the lines that a change needs first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carry {
    /// The writer, for some seconds, which does nothing else meanwhile.
    #[default]
    InTurn,
    /// The caller, who then requests the change again, by this ticket; see
    /// [`AgentError::Carrying`].
    Ahead(u64),
    /// Neither: what is not in force now is refused.
    Now,
}

impl ChangeOptions {
    /// Checks a query, and finds out where the caller sits.
    ///
    /// # Errors
    /// A duration or an address that is none.
    pub fn of(query: &ChangeQuery, caller: Caller) -> Result<(Self, Requester), AgentError> {
        let within = query.confirm_within;
        if within.is_some_and(|seconds| !(1..=MOST_WITHIN).contains(&seconds)) {
            return Err(AgentError::BadRequest(format!(
                "confirm_within is {} s; expected 1 s to {MOST_WITHIN} s (a day)",
                within.unwrap_or(0)
            )));
        }
        let requester = Requester::of(caller, query.from.as_deref())?;
        let options = Self {
            dry_run: query.dry_run,
            force: query.force,
            strict: query.strict,
            existing: query.existing,
            confirm_within: within.map(Duration::from_secs),
            consent: Consent::of(query.opens.as_deref())?,
            if_revision: query.if_revision,
            local_override: query.local_override,
            defer: query.defer,
            carry: Carry::InTurn,
            by_files: false,
        };
        Ok((options, requester))
    }
}

/// What the requester agreed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consent {
    /// To nothing.
    #[default]
    Nothing,
    /// To whatever is opened.
    Any,
    /// To what has this key, and nothing else.
    To(u64),
}

impl Consent {
    /// Reads the query's `opens`.
    ///
    /// # Errors
    /// It is neither "any" nor a key.
    pub fn of(text: Option<&str>) -> Result<Self, AgentError> {
        let Some(text) = text else {
            return Ok(Self::Nothing);
        };
        let is_key = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match (text, u64::from_str_radix(text, 16)) {
            ("any", _) => Ok(Self::Any),
            (_, Ok(key)) if is_key => Ok(Self::To(key)),
            _ => Err(AgentError::BadRequest(format!(
                "opens is '{}'; expected any, or the key of a refusal (16 hexadecimal digits)",
                text.escape_debug()
            ))),
        }
    }

    /// Whether it covers all of this.
    #[must_use]
    pub fn covers(self, opens: &Opens) -> bool {
        match self {
            Self::Nothing => false,
            Self::Any => true,
            Self::To(key) => hex(key) == opens.key,
        }
    }

    /// Refuses what it does not cover; `what` is done: "the change".
    ///
    /// # Errors
    /// [`AgentError::Opens`].
    pub fn require(self, what: &'static str, opens: Option<&Opens>) -> Result<(), AgentError> {
        match opens {
            Some(opens) if !self.covers(opens) => Err(AgentError::Opens {
                what,
                opens: opens.clone(),
            }),
            _ => Ok(()),
        }
    }
}

/// A key as text.
pub(super) fn hex(key: u64) -> String {
    format!("{key:016x}")
}
