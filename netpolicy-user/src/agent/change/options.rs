//! How a change is to be made.

use std::time::Duration;

use super::consent::Consent;
use crate::agent::access::{Asker, Caller};
use crate::agent::error::AgentError;
use crate::api::{ChangeQuery, Existing};

/// The longest that a change may wait for its confirmation: a day.
const MOST_WITHIN: u64 = 24 * 60 * 60;

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
        };
        Ok((options, asker))
    }
}
