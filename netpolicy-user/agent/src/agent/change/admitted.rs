//! A revision of the host's fleet, before it is made: there is no operator to ask, and what its
//! group must admit has to pass.

use std::net::SocketAddr;
use std::time::Instant;

use super::clients::{Judge, Side};
use super::options::{ChangeOptions, Consent};
use super::situation::{Candidate, Situation};
use crate::agent::access::Requester;
use crate::agent::error::AgentError;
use crate::model::{Applied, explain};

impl Situation<'_> {
    /// Compiles a revision of the fleet since `started`, and checks its impact. What an operator
    /// would be asked about was agreed to with its signature, and is said.
    ///
    /// # Errors
    /// Policy tests begin to fail, or what must be admitted would be denied.
    pub(in crate::agent) fn candidate_of_fleet(
        &self,
        applied: Applied,
        started: Instant,
        requester: Requester,
        options: ChangeOptions,
        must_admit: &[SocketAddr],
    ) -> Result<Candidate, AgentError> {
        let agreed = ChangeOptions {
            force: true,
            consent: Consent::Any,
            ..options
        };
        let mut candidate = self.candidate(applied, started, None, options)?;
        self.check_tests(&mut candidate, options)?;
        self.check_admitted(&candidate, must_admit)?;
        self.check_impact(&mut candidate, requester, agreed)?;
        self.check_opened(&mut candidate, agreed)?;
        if candidate.may_deny {
            self.rehearse(&mut candidate);
        }
        Ok(candidate)
    }

    /// Temporary bypasses do not count: what passes by them alone is denied once they expire.
    fn check_admitted(
        &self,
        candidate: &Candidate,
        must_admit: &[SocketAddr],
    ) -> Result<(), AgentError> {
        let judge = Judge {
            old: self.side(),
            new: Side {
                rules: candidate.compiled.ruleset(),
                state: &candidate.state,
                bypasses: &[],
            },
            now: self.now,
            bans: Some(&self.published.bans),
        };
        let denied = must_admit.iter().find(|attempt| {
            let source = attempt.ip().to_canonical();
            judge.denies(source, attempt.port())
        });
        let Some(attempt) = denied else {
            return Ok(());
        };
        let (source, port) = (attempt.ip().to_canonical(), attempt.port());
        let why = judge.denying_ban(source, port).unwrap_or_else(|| {
            let of = explain(&candidate.state, &[], self.now, source, Some(port));
            of.sentence(&candidate.state)
        });
        Err(AgentError::FleetRefused(format!(
            "it would deny {source} on port {port}, which the group must admit: {why}"
        )))
    }
}
