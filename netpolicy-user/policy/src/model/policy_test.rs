//! Policy tests: what the operator expects of single attempts, part of the desired state.
//!
//! A test is judged by what a change would make of the policies, before anything changes. It is
//! about the policies alone: bypasses do not count, and a scope that only observes counts as one
//! that enforces.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use netpolicy_common::Reason;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use super::address::{self, Written};
use super::error::{Excerpt, Place, Problem};
use super::{Name, Service, State, explain};

/// What is expected of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Expectation {
    /// It passes.
    Pass,
    /// It is dropped.
    Drop,
}

/// A connection attempt that is tested.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TestedAttempt {
    /// The source; never an IPv4-mapped address.
    pub source: IpAddr,
    /// The service that it tries to reach; with no port either: the host.
    pub service: Option<Name>,
    /// The destination port; `None`: any port of the service, or of no service.
    pub port: Option<u16>,
}

/// A connection attempt, and what is expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTest {
    /// The attempt: no two tests of a state have the same.
    pub attempt: TestedAttempt,
    /// What is expected.
    pub expect: Expectation,
    /// Description.
    pub comment: Option<String>,
    /// Where it was written.
    pub place: Option<Place>,
}

/// A test that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedTest {
    /// Its index in [`State::tests`].
    pub test: usize,
    /// What was expected, what happens, and by which rule: one line, with the test's place.
    pub message: String,
    /// What happens instead, and by which rule.
    pub why: String,
    /// Where the test was written.
    pub place: Option<Place>,
}

/// The one address that a test's source is.
pub(super) fn one_source(text: &str) -> Result<IpAddr, Problem> {
    match address::parse(text.trim()) {
        Ok(Written::Net(written)) if written.net.prefix_len() == written.net.max_prefix_len() => {
            Ok(written.net.addr())
        }
        Ok(_) => Err(Problem::OneAddress {
            text: Excerpt::new(text),
        }),
        Err(why) => Err(Problem::Address {
            text: Excerpt::new(text),
            why,
        }),
    }
}

impl PolicyTest {
    /// Whether both say the same, wherever they were written.
    #[must_use]
    pub fn same_words(&self, other: &Self) -> bool {
        self.attempt == other.attempt
            && self.expect == other.expect
            && self.comment == other.comment
    }
}

impl State {
    /// The tests that do not hold, where `verdict` is what the policies say of a source in a
    /// service's scope, or in the host's. Only a test that fails looks at every rule.
    #[must_use]
    pub fn failing_tests(
        &self,
        verdict: impl Fn(Option<&Service>, IpAddr) -> Reason,
    ) -> Vec<FailedTest> {
        let tests = self.tests.iter().enumerate();
        let failed = tests.filter_map(|(index, test)| {
            let why = self.judge_test(test, &verdict).err()?;
            let place = test.place.as_ref();
            let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
            Some(FailedTest {
                test: index,
                message: format!("{place}policy test failed: {test}, but {why}"),
                why,
                place: test.place.clone(),
            })
        });
        failed.collect()
    }

    /// Why a test does not hold.
    fn judge_test(
        &self,
        test: &PolicyTest,
        verdict: impl Fn(Option<&Service>, IpAddr) -> Reason,
    ) -> Result<(), String> {
        let attempt = &test.attempt;
        let named = match &attempt.service {
            None => None,
            Some(name) => {
                let service = self.services.iter().find(|service| service.name == *name);
                Some(service.ok_or_else(|| format!("there is no service '{name}'"))?)
            }
        };
        let port = match (attempt.port, named) {
            (Some(port), Some(service)) if !service.ports.contains(port) => {
                return Err(format!("port {port} is not of service '{}'", service.name));
            }
            (Some(port), _) => Some(port),
            (None, Some(service)) => {
                let failsafe = &self.host.failsafe_ports;
                let mut judged = service
                    .ports
                    .iter()
                    .filter(|port| !failsafe.contains(*port));
                Some(
                    judged
                        .next()
                        .ok_or("the service has no port that is judged")?,
                )
            }
            (None, None) => None,
        };
        let is_failsafe = port.is_some_and(|port| self.host.failsafe_ports.contains(port));
        let reason = match is_failsafe {
            true => Reason::Failsafe,
            false => verdict(
                port.and_then(|port| self.service_of_port(port)),
                attempt.source,
            ),
        };
        let is_denied = matches!(
            reason,
            Reason::Blocked
                | Reason::NotAllowed
                | Reason::ObservedBlocked
                | Reason::ObservedNotAllowed
        );
        if is_denied == (test.expect == Expectation::Drop) {
            return Ok(());
        }
        let becomes = match is_denied {
            true => "it is dropped",
            false => "it passes",
        };
        let why = explain(self, &[], Timestamp::UNIX_EPOCH, attempt.source, port).sentence(self);
        Err(format!("{becomes}: {why}"))
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
        })
    }
}

impl fmt::Display for PolicyTest {
    /// "203.0.113.9 to postgres is expected to drop".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is expected to {}", self.attempt, self.expect)
    }
}

impl fmt::Display for TestedAttempt {
    /// "203.0.113.9 to the host", "203.0.113.9 to postgres port 5432".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to ", self.source)?;
        match (&self.service, self.port) {
            (None, None) => f.write_str("the host"),
            (Some(name), None) => name.fmt(f),
            (None, Some(port)) => write!(f, "port {port}"),
            (Some(name), Some(port)) => write!(f, "{name} port {port}"),
        }
    }
}

#[cfg(test)]
mod tests;
