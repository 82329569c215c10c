//! Scripts that are only tried: the writer stands on what each statement would leave, and
//! goes back to what is. Nothing of it is published, stored or put into the kernel.

use std::sync::Arc;

use jiff::Timestamp;

use crate::agent::change::{Candidate, Proposal};
use crate::agent::consent::{Consent, asks};
use crate::agent::enforcer::Enforcer;
use crate::agent::error::AgentError;
use crate::agent::pending;
use crate::agent::request::{Asker, Options};
use crate::agent::writer::Writer;
use crate::api::Changed;
use crate::compiler::{Compilation, Ruleset};
use crate::model::State;

/// What is, while something else is rehearsed.
pub(super) struct Before {
    state: Arc<State>,
    compiled: Compilation,
    ruleset: Arc<Ruleset>,
    digest: [u8; 32],
}

impl<E: Enforcer> Writer<E> {
    /// What is now, to go back to.
    pub(super) fn before(&self) -> Before {
        Before {
            state: Arc::clone(&self.state),
            compiled: self.compiled.clone(),
            ruleset: Arc::clone(&self.ruleset),
            digest: self.digest,
        }
    }

    /// Ends a rehearsal.
    pub(super) fn restore(&mut self, before: Before) {
        let Before {
            state,
            compiled,
            ruleset,
            digest,
        } = before;
        self.state = state;
        self.compiled = compiled;
        self.ruleset = ruleset;
        self.digest = digest;
    }

    /// What [`Writer::change`] would come to, refusals included. From then on the writer
    /// stands on it, until it is [restored](Writer::restore).
    ///
    /// # Errors
    /// It would be refused.
    pub(super) fn rehearse(
        &mut self,
        proposal: Proposal,
        action: &str,
        asker: Asker,
        options: Options,
    ) -> Result<Changed, AgentError> {
        if let Some(pending) = &self.pending {
            return Err(pending::refusal(pending, &self.settings.clock));
        }
        // Refused is what would be refused, not only warned of; consent is yet to be asked
        // for.
        let consent = options.consent;
        let options = Options {
            dry_run: false,
            consent: Consent::Any,
            ..options
        };
        let candidate = self.candidate(proposal, action, asker, options, Timestamp::now())?;
        let Candidate {
            state,
            compiled,
            digest,
            mut changed,
            ..
        } = candidate;
        self.state = Arc::new(state);
        self.ruleset = Arc::clone(compiled.ruleset());
        self.digest = digest;
        self.compiled = compiled;
        changed.dry_run = true;
        let opens = changed.opens.as_ref();
        if let Some(opens) = opens.filter(|opens| !consent.covers(opens)) {
            asks(&mut changed.warnings, opens);
        }
        Ok(changed)
    }
}
