//! How a change to the desired state goes: the one way for all of them.
//!
//! Check, authorise, compile, find out what it denies and opens; then fill the idle slot,
//! store, flip. A change that is refused or fails before the flip has no effect; the audit
//! log records it.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::clients::Side;
use super::enforcer::Enforcer;
use super::error::AgentError;
use super::grants::must_exist;
use super::preflight::would_be;
use super::request::{Asker, Options};
use super::warnings;
use super::writer::{LARGE_RULES, LARGE_TEXT, Writer};
use super::{action, pending, rights};
use crate::api::{Changed, Timing};
use crate::compiler::{Compilation, Effects, effects};
use crate::model::{Applied, Change, ChangeContext, Principal, State, plan};
use crate::store::{Extras, Pending, PendingEdit, RevisionMeta, StoreError};

/// What is to become of the desired state.
#[derive(Debug)]
pub enum Proposal {
    /// A change.
    Change(Change),
    /// Changes that are [applied](Writer::apply) already to the state that is there.
    Applied {
        /// What they lead to.
        applied: Applied,
        /// What they are called in log and history.
        action: String,
    },
    /// What it was at a revision.
    Rollback {
        /// The revision.
        revision: u64,
    },
    /// What it was before the change that nobody confirmed.
    Unconfirmed(Pending),
}

impl From<Change> for Proposal {
    fn from(change: Change) -> Self {
        Self::Change(change)
    }
}

impl Proposal {
    fn action(&self) -> String {
        match self {
            Self::Change(change) => action::describe(change),
            Self::Applied { action, .. } => action.clone(),
            Self::Rollback { revision } => format!("rollback {revision}"),
            Self::Unconfirmed(pending) => {
                format!("rollback {}: not confirmed", pending.base)
            }
        }
    }

    fn text_len(&self) -> usize {
        match self {
            Self::Change(change) => change.text_len(),
            Self::Applied { .. } | Self::Rollback { .. } | Self::Unconfirmed(_) => 0,
        }
    }
}

/// A change that is checked and compiled, and not made yet.
pub(super) struct Candidate {
    pub(super) state: State,
    pub(super) compiled: Compilation,
    pub(super) digest: [u8; 32],
    pub(super) changed: Changed,
    /// Whether any source may become denied, or allowed, by the lists.
    pub(super) may_deny: bool,
    pub(super) may_allow: bool,
}

impl<E: Enforcer> Writer<E> {
    /// Carries out a change to the desired state, or only tries it.
    ///
    /// # Errors
    /// It is refused or fails; then everything is as it was.
    pub fn change(
        &mut self,
        proposal: impl Into<Proposal>,
        asker: Asker,
        options: Options,
    ) -> Result<Changed, AgentError> {
        let proposal = proposal.into();
        self.was_large |= proposal.text_len() >= LARGE_TEXT;
        let action = proposal.action();
        let result = self.try_change(proposal, &action, asker, options);
        if let Err(error) = &result
            && !options.dry_run
        {
            self.audit_refusal(asker, &action, error);
        }
        self.rest();
        result
    }

    fn try_change(
        &mut self,
        proposal: Proposal,
        action: &str,
        asker: Asker,
        options: Options,
    ) -> Result<Changed, AgentError> {
        let actor = self.actor(&proposal, asker);
        let now = Timestamp::now();
        let is_agent = matches!(proposal, Proposal::Unconfirmed(_));
        let is_back = matches!(
            proposal,
            Proposal::Rollback { .. } | Proposal::Unconfirmed(_)
        );
        // A rollback ends the waiting, or waits in its stead.
        let awaits = self.pending.as_ref().filter(|_| !is_back);
        let awaits = awaits.map(|waits| pending::refusal(waits, &self.settings.clock));
        let awaits = match awaits {
            Some(error) if !options.dry_run => return Err(error),
            awaits => awaits,
        };
        // What nobody confirmed is nothing to come back to.
        let base = match &self.pending {
            Some(pending) => pending.base,
            None => self.revision,
        };
        self.must_match(options)?;
        if !options.dry_run {
            self.must_not_be_held()?;
        }
        let candidate = self.candidate(proposal, action, asker, options, now)?;
        let Candidate {
            state,
            compiled,
            digest,
            mut changed,
            ..
        } = candidate;
        if options.dry_run {
            changed
                .warnings
                .extend(awaits.map(|error| would_be(&error)));
            return Ok(changed);
        }
        if changed.plan.is_empty() {
            self.cut(self.in_force(), true, &mut changed);
            // Only a confirmation confirms, and who rolled back to what there is gave none.
            if is_agent {
                self.end_pending(asker, action)?;
            }
            changed.pending = self.pending_view();
            return Ok(changed);
        }

        let started = Instant::now();
        let ruleset = Arc::clone(compiled.ruleset());
        // Names and comments are none of the kernel's business.
        let prepared = if digest == self.digest {
            None
        } else {
            Some(self.prepare(&ruleset, self.revision + 1)?)
        };
        changed.timing.fill_ms = millis(started);

        let started = Instant::now();
        self.phase("storing");
        let meta = RevisionMeta {
            created: now,
            actor: actor.clone(),
            action: action.to_owned(),
        };
        let waiting = options.confirm_within.filter(|_| !is_agent);
        let waiting = waiting.map(|within| Pending {
            revision: 0,
            base,
            made: self.now(),
            within,
            actor: actor.clone(),
        });
        let extras = Extras {
            audit: Some(self.done(asker, &actor, action, &changed)),
            pending: match &waiting {
                Some(pending) => PendingEdit::Set(pending.clone()),
                None if is_back => PendingEdit::Clear,
                None => PendingEdit::Keep,
            },
        };
        let stored = self.store.commit_with(&state, &meta, &extras);
        let stored = match stored {
            // What nobody confirmed goes, also where that cannot be stored: it may be what
            // keeps the operator out. A rescue stores it.
            Err(error @ StoreError::Lost { .. }) if is_agent => {
                tracing::error!(%error, "rolled back in the kernel alone");
                Ok(self.revision + 1)
            }
            stored => stored,
        };
        let revision = stored.map_err(|source| {
            tracing::error!(actor, action, error = %source, "change not stored");
            AgentError::Commit {
                revision: self.revision,
                source,
            }
        })?;
        changed.timing.store_ms = millis(started);

        // From here on nothing can fail. Bypasses of services that are no more go
        // first: the flip may give their scopes to other services.
        self.revision = revision;
        self.prune_due = true;
        self.pending_base = match (&self.pending, &waiting) {
            (Some(_), Some(_)) => self.pending_base.take(),
            (None, Some(_)) => Some(self.state.clone()),
            (_, None) => None,
        };
        self.pending = waiting.map(|waiting| Pending {
            revision,
            ..waiting
        });
        if self.pending.is_some() || self.guard.is_some() {
            self.leave_guard();
        }
        let rules = (self.state.rule_count(), state.rule_count());
        self.was_large |= rules.0.abs_diff(rules.1) >= LARGE_RULES;
        let state = std::mem::replace(&mut self.state, Arc::new(state));
        for service in &state.services {
            // Its counts stay until another service has its scope.
            self.removed.insert(service.id, service.name.to_string());
        }
        self.removed
            .retain(|id, _| self.state.services.iter().all(|service| service.id != *id));
        let bypasses = self.bypasses.clone();
        self.forget_orphaned_bypasses();
        if let Some(prepared) = prepared {
            self.generation = self.enforcer.commit(prepared);
        }
        self.entries = ruleset.entries();
        self.digest = digest;
        let old = std::mem::replace(&mut self.ruleset, ruleset);
        let compiled = std::mem::replace(&mut self.compiled, compiled);
        self.publish();
        let before = Side {
            rules: &old,
            state: &state,
            bypasses: &bypasses,
        };
        self.cut(before, false, &mut changed);
        self.replaced = Some((state, compiled));

        changed.revision = self.revision;
        changed.generation = self.generation;
        changed.entries = self.entries;
        changed.pending = self.pending_view();
        tracing::info!(
            actor,
            action,
            revision = changed.revision,
            generation = changed.generation,
            entries = changed.entries,
            check_ms = changed.timing.check_ms,
            compile_ms = changed.timing.compile_ms,
            fill_ms = changed.timing.fill_ms,
            store_ms = changed.timing.store_ms,
            "changed"
        );
        Ok(changed)
    }

    /// Refuses a change that was written for another revision.
    ///
    /// # Errors
    /// [`AgentError::RevisionMismatch`].
    pub(super) fn must_match(&self, options: Options) -> Result<(), AgentError> {
        match options.if_revision {
            Some(expected) if expected != self.revision => Err(AgentError::RevisionMismatch {
                expected,
                found: self.revision,
            }),
            _ => Ok(()),
        }
    }

    /// Checks, authorises and compiles, and looks whom it denies.
    pub(super) fn candidate(
        &mut self,
        proposal: Proposal,
        action: &str,
        asker: Asker,
        options: Options,
        now: Timestamp,
    ) -> Result<Candidate, AgentError> {
        self.phase("checking");
        let started = Instant::now();
        let is_agent = matches!(proposal, Proposal::Unconfirmed(_));
        let Applied { state, warnings } = self.applied(proposal, action, asker, options, now)?;
        let mut changed = Changed {
            revision: self.revision,
            generation: self.generation,
            entries: self.entries,
            plan: plan(&self.state, &state),
            effects: Vec::new(),
            clients: None,
            operator: None,
            opens: None,
            pending: None,
            warnings,
            dry_run: options.dry_run,
            timing: Timing::default(),
        };
        if !is_agent {
            let may = rights::check(asker.caller, &self.grants, &self.state, &state);
            match may {
                Err(error) if options.dry_run => changed.warnings.push(would_be(&error)),
                may => may?,
            }
        }
        changed.timing.check_ms = millis(started);

        let started = Instant::now();
        let progress = self.progress_sender();
        let compiled = self.compiled.next(&state, &mut |done, total| {
            super::writer::report(progress, "compiling", done, total);
        });
        let digest = compiled.ruleset().digest();
        let effects = match digest == self.digest {
            true => Effects::default(),
            false => effects(&self.ruleset, compiled.ruleset()),
        };
        let said = warnings::of(&state, &effects, &self.snapshot());
        changed.warnings.extend(said);
        let mut candidate = Candidate {
            state,
            compiled,
            digest,
            may_deny: effects.may_deny(),
            may_allow: effects.may_allow(),
            changed: Changed {
                effects: effects.found,
                ..changed
            },
        };
        candidate.changed.timing.compile_ms = millis(started);
        if !is_agent {
            self.look_whom_it_denies(&mut candidate, asker, options, self.now())?;
            self.look_what_it_opens(&mut candidate, options, self.now())?;
        }
        Ok(candidate)
    }

    fn applied(
        &mut self,
        proposal: Proposal,
        action: &str,
        asker: Asker,
        options: Options,
        now: Timestamp,
    ) -> Result<Applied, AgentError> {
        let is_back = matches!(proposal, Proposal::Unconfirmed(_));
        let revision = match proposal {
            Proposal::Rollback { revision } => revision,
            Proposal::Unconfirmed(pending) => pending.base,
            // Dropped at the end: it may hold tens of megabytes of text that the model
            // has by then.
            Proposal::Change(change) => {
                let changes = std::slice::from_ref(&change);
                let applied = self.apply(&self.state, changes, asker, options.force, now);
                return applied.inspect_err(|error| {
                    if let AgentError::Model(errors) = error {
                        let (actor, errors) = (asker.caller.name(), errors.total());
                        tracing::info!(actor, action, errors, "change refused");
                    }
                });
            }
            Proposal::Applied { applied, .. } => return Ok(applied),
        };
        let state = match &self.pending_base {
            Some(base) if is_back => State::clone(base),
            _ => self.state_at(revision)?,
        };
        Ok(Applied {
            state,
            warnings: Vec::new(),
        })
    }

    /// What changes lead to. Nothing is changed yet.
    ///
    /// # Errors
    /// All that is wrong with the first one that is wrong.
    pub(super) fn apply(
        &self,
        state: &State,
        changes: &[Change],
        asker: Asker,
        force: bool,
        now: Timestamp,
    ) -> Result<Applied, AgentError> {
        for change in changes {
            if let Change::SetOwner { owner, .. } = change {
                must_exist(&Principal::of_owner(owner))?;
            }
        }
        let cx = ChangeContext {
            now,
            actor: &asker.caller.name(),
            limits: self.settings.limits,
            force,
        };
        Ok(state.apply_all(changes, &cx)?)
    }

    fn actor(&self, proposal: &Proposal, asker: Asker) -> String {
        match proposal {
            Proposal::Unconfirmed(_) => "agent".to_owned(),
            _ => asker.caller.name(),
        }
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
