//! The path of every change to the desired state.
//!
//! Check, authorise, compile, find out what it denies and opens; then fill the idle slot,
//! store, flip. A change that is refused or fails before the flip has no effect; the audit
//! log records it.

use std::time::Instant;

use jiff::Timestamp;

use super::core::Writer;
use super::in_fleet::ChangeOrigin;
use crate::agent::access::{Requester, audit};
use crate::agent::change::candidate::millis;
use crate::agent::change::clients::Side;
use crate::agent::change::preflight::would_be;
use crate::agent::change::{Candidate, Carry, ChangeOptions, Proposal};
use crate::agent::databases;
use crate::agent::error::AgentError;
use crate::agent::kernel::Prepared;
use crate::api::{Changed, Existing, Phase};
use crate::model::{Applied, State};
use crate::store::{Extras, Pending, PendingEdit, RevisionMeta, StoreError};

impl Writer {
    /// Carries out a change to the desired state, or only tries it.
    ///
    /// # Errors
    /// It is refused or fails; then everything is as it was.
    pub fn change(
        &mut self,
        proposal: impl Into<Proposal>,
        requester: Requester,
        options: ChangeOptions,
    ) -> Result<Changed, AgentError> {
        let proposal = proposal.into();
        let action = proposal.action();
        let options = ChangeOptions {
            by_files: proposal.replaces_by_files(),
            ..options
        };
        let result = self.attempt(proposal, requester, options);
        if let Err(error) = &result
            && !options.dry_run
            && !matches!(error, AgentError::Carrying(_))
        {
            self.audit_refusal(requester, &action, error);
        }
        result
    }

    /// As [`Self::change`], for a caller who records what is refused, or tries it in another
    /// way first.
    ///
    /// # Errors
    /// It is refused or fails; then everything is as it was.
    pub fn attempt(
        &mut self,
        proposal: Proposal,
        requester: Requester,
        options: ChangeOptions,
    ) -> Result<Changed, AgentError> {
        self.leftovers.text(proposal.text_len());
        let action = proposal.action();
        let result = self.try_change(proposal, &action, requester, options);
        let is_under_way = matches!(result, Err(AgentError::Carrying(_)));
        if let Carry::Ahead(ticket) = options.carry
            && !is_under_way
        {
            self.ahead.take(ticket);
        }
        if result.is_err() && !is_under_way && !options.dry_run {
            self.follow_databases();
        }
        self.rest();
        result
    }

    fn try_change(
        &mut self,
        proposal: Proposal,
        action: &str,
        requester: Requester,
        options: ChangeOptions,
    ) -> Result<Changed, AgentError> {
        let actor = self.actor(&proposal, requester);
        let now = Timestamp::now();
        let is_agent = proposal.is_of_agent();
        let is_unconfirmed = matches!(proposal, Proposal::Unconfirmed(_));
        let is_ended = matches!(proposal, Proposal::Ended { .. });
        let is_back = is_unconfirmed || matches!(proposal, Proposal::Rollback { .. });
        // A rollback ends the waiting, or waits in its stead, and so does a fleet's next revision;
        // rules end while another change waits.
        let origin = ChangeOrigin::of(&proposal);
        let awaits = match is_back || is_ended || self.replaces_waiting(&origin) {
            true => Ok(()),
            false => self.confirmation.must_not_wait(&self.settings.clock),
        };
        let awaits = match awaits {
            Err(error) if !options.dry_run => return Err(error),
            awaits => awaits.err(),
        };
        // An unconfirmed revision is no base to return to.
        let base = match self.confirmation.pending() {
            Some(pending) => pending.base,
            None => self.in_force.revision,
        };
        self.must_match(options)?;
        if !options.dry_run {
            self.upkeep.must_not_be_held(self.in_force.revision)?;
        }
        let started = Instant::now();
        self.phase(Phase::Checking);
        let mut applied = self.applied(proposal, action, requester, options, now)?;
        self.leave_out_ended(&mut applied, now);
        let fleet = self.check_fleet(&origin, action, &mut applied, requester, options)?;
        let situation = self.situation(&self.in_force);
        let candidate = match &origin {
            ChangeOrigin::Fleet(revision) => {
                let must_admit = &revision.must_admit;
                situation.candidate_of_fleet(applied, started, requester, options, must_admit)?
            }
            _ => {
                let requester = (!is_agent).then_some(requester);
                situation.candidate(applied, started, requester, options)?
            }
        };
        let Candidate {
            state,
            compiled,
            digest,
            mut changed,
            ..
        } = candidate;
        let orders = self.orders_of(&state, compiled.ruleset(), is_agent)?;
        let kept = self.kept();
        let existing = options.existing.unwrap_or_default();
        let is_cut = existing == Existing::Cut;
        let all = is_cut && changed.plan.is_empty();
        let asks = options.dry_run.then_some(&self.databases);
        changed.databases = databases::effects(&kept, &orders, (existing, all), asks);
        if options.dry_run {
            changed
                .warnings
                .extend(awaits.map(|error| would_be(&error)));
            return Ok(changed);
        }
        if changed.plan.is_empty() {
            let situation = self.situation(&self.in_force);
            situation.cut(situation.side(), true, &mut changed);
            // Only a confirmation confirms, and who rolled back to what there is gave none.
            if is_unconfirmed {
                self.confirmation.end(
                    requester,
                    action,
                    &self.in_force,
                    &mut *self.store,
                    (&self.settings.clock, fleet.as_ref()),
                )?;
                self.follow_fleet(fleet);
                self.follow_databases();
                self.publish();
            } else if let Some(record) = fleet {
                self.note_fleet(&origin, record, action, requester)?;
            }
            if all {
                self.follow_databases_and_cut(None);
                self.expect_ended(&mut changed);
            }
            changed.pending = self.confirmation.view(&self.settings.clock);
            return Ok(changed);
        }

        let rulesets = (&*self.in_force.ruleset, &**compiled.ruleset());
        let widens = databases::widens(&state, rulesets);
        match self.carry_first((&kept, &orders), widens, options) {
            Ok(deferred) => changed.warnings.extend(deferred),
            // What the operator may be kept out by goes whatever a database says: its lines were
            // kept while the change waited.
            Err(error) if is_agent => {
                tracing::error!(%error, action, "databases have to follow");
            }
            Err(error) => return Err(error),
        }
        let started = Instant::now();
        let prepared = self.kernel.prepare(
            &self.in_force,
            self.in_force.revision + 1,
            state,
            compiled,
            digest,
            &self.progress,
        )?;
        changed.timing.fill_ms = millis(started);

        let started = Instant::now();
        self.phase(Phase::Storing);
        let meta = RevisionMeta {
            created: now,
            actor: actor.clone(),
            action: action.to_owned(),
        };
        let waiting = match is_ended {
            // What waited goes on waiting, as it was.
            true => self.confirmation.pending().cloned(),
            false => {
                let within = options.confirm_within.filter(|_| !is_agent);
                within.map(|within| Pending {
                    revision: 0,
                    base,
                    made: self.now(),
                    within,
                    actor: actor.clone(),
                })
            }
        };
        let mut entry = audit::change(requester, &actor, action, &changed);
        entry.detail.changes.extend(origin.note());
        let extras = Extras {
            audit: Some(entry),
            fleet: fleet.clone(),
            used: origin.root(),
            pending: match &waiting {
                Some(pending) => PendingEdit::Set(pending.clone()),
                None if is_back => PendingEdit::Clear,
                None => PendingEdit::Keep,
            },
        };
        let stored = self.store.commit_with(prepared.state(), &meta, &extras);
        let stored = match stored {
            // An unconfirmed change goes, also where that cannot be stored: it may be what
            // keeps the operator out. So do rules at their end, which may be what lets others
            // in. A rescue stores it.
            Err(error @ StoreError::Lost { .. }) if is_unconfirmed || is_ended => {
                tracing::error!(%error, action, "done in the kernel alone");
                Ok(self.in_force.revision + 1)
            }
            stored => stored,
        };
        let revision = stored.map_err(|source| {
            tracing::error!(actor, action, error = %source, "change not stored");
            AgentError::Commit {
                revision: self.in_force.revision,
                source,
            }
        })?;
        changed.timing.store_ms = millis(started);
        self.follow_fleet(fleet);
        let waiting = waiting.map(|waiting| Pending {
            revision,
            ..waiting
        });
        self.put_in_force(prepared, revision, waiting, &mut changed);
        if let Carry::Ahead(ticket) = options.carry {
            self.ahead.take(ticket);
        }
        match is_cut {
            true => self.follow_databases_and_cut(Some(&kept)),
            false => self.follow_databases(),
        }
        self.expect_ended(&mut changed);
        self.publish();
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
    pub fn must_match(&self, options: ChangeOptions) -> Result<(), AgentError> {
        self.must_be_at(options.if_revision)
    }

    /// Refuses a request that was written for another revision; `None`: for any.
    ///
    /// # Errors
    /// [`AgentError::RevisionMismatch`].
    pub fn must_be_at(&self, revision: Option<u64>) -> Result<(), AgentError> {
        let found = self.in_force.revision;
        match revision {
            Some(expected) if expected != found => {
                Err(AgentError::RevisionMismatch { expected, found })
            }
            _ => Ok(()),
        }
    }

    /// Puts in force what is prepared and stored: nothing of this can fail.
    fn put_in_force(
        &mut self,
        prepared: Prepared,
        revision: u64,
        waiting: Option<Pending>,
        changed: &mut Changed,
    ) {
        let (old, new) = (&self.in_force.state, prepared.state());
        let renumbered = is_renumbered(old, new);
        self.upkeep.revision_made();
        self.tally.changes.add(1);
        self.made = Some(Timestamp::now());
        self.leftovers
            .rules(old.rule_count().abs_diff(new.rule_count()));
        self.counted.replace(old, new, self.settings.clock.wall());
        self.feeds.follow(old, new);
        self.rule_ends.follow(new, &self.settings.clock);
        let now = self.settings.clock.now();
        self.confirmation.replace(waiting, old, now);
        // Bypasses of services that are no more go first: the flip may give their scopes to
        // other services.
        let bypasses = self.bypasses.to_vec();
        let (unexpired, mut around) = self.bypasses();
        unexpired.forget_orphaned(prepared.state(), &mut around);
        let in_force = self.kernel.commit(prepared, revision);
        let old = std::mem::replace(&mut self.in_force, in_force);
        // The kernel's bypasses and bans are of scopes by number: they follow before anything
        // that takes time.
        if renumbered {
            self.restore_bypasses();
        }
        self.follow_with_bans();
        self.publish();
        let before = Side::of(&old, &bypasses);
        self.situation(&self.in_force).cut(before, false, changed);
        self.leftovers.replaced(old);

        changed.revision = self.in_force.revision;
        changed.generation = self.in_force.generation;
        changed.entries = self.in_force.entries;
        changed.pending = self.confirmation.view(&self.settings.clock);
    }

    fn applied(
        &mut self,
        proposal: Proposal,
        action: &str,
        requester: Requester,
        options: ChangeOptions,
        now: Timestamp,
    ) -> Result<Applied, AgentError> {
        let state = match proposal {
            Proposal::Change(change) => {
                let situation = self.situation(&self.in_force);
                return situation.applied(change, action, requester, options, now);
            }
            Proposal::Applied { applied, .. } | Proposal::Fleet { applied, .. } => {
                return Ok(applied);
            }
            Proposal::Rollback { revision } => self.state_at(revision)?,
            Proposal::Ended { state, .. } => state,
            Proposal::Unconfirmed(pending) => match self.confirmation.base() {
                Some(base) => State::clone(base),
                None => self.state_at(pending.base)?,
            },
        };
        Ok(Applied {
            state,
            warnings: Vec::new(),
        })
    }

    /// Notes which orders end sessions: whoever requested the change may wait for that.
    fn expect_ended(&self, changed: &mut Changed) {
        let cutting = changed.databases.iter_mut();
        for change in cutting.filter(|change| change.existing == Existing::Cut) {
            change.asked = self.databases.sequence(&change.database);
        }
    }

    fn actor(&self, proposal: &Proposal, requester: Requester) -> String {
        match proposal {
            Proposal::Unconfirmed(_) | Proposal::Ended { .. } => "agent".to_owned(),
            _ => requester.caller.name(),
        }
    }
}

/// Whether a service that stays gets another number.
fn is_renumbered(old: &State, new: &State) -> bool {
    let mut services = new.services.iter();
    services.any(|new| {
        let old = old.service(new.name.as_str());
        old.is_some_and(|old| old.id != new.id)
    })
}
