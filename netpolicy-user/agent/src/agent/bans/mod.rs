//! Bans: made, extended, ended, and kept the same in store and kernel.
//!
//! Requests are gathered while the writer is at work, and done together: many small ones share
//! a write to the disk and a change of the kernel's lists.

mod batch;
mod kernel_lists;
mod log;
mod never;
mod outcome;
mod request;
mod stored;
mod summary;
mod timing;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use ipnet::IpNet;

pub use self::outcome::{JudgedBan, written};
pub use self::request::{BanJob, BanWork, WantedBan, WantedUnban};
pub use self::stored::StoredBans;

use self::batch::{Batch, BatchedRequest};
use self::kernel_lists::{id_in, lists};
use self::never::Never;
use self::summary::BanSummary;
use self::timing::BatchTiming;
use super::access::{Grants, Requester, rights};
use super::banned::{ClockScale, SharedBans, StagedBans, read, write};
use super::error::{AgentError, EnforcerError, chain};
use super::in_force::InForce;
use super::kernel::KernelWriter;
use super::upkeep::Upkeep;
use crate::api::BanResult;
use crate::clock::Clock;
use crate::datapath::{BanLists, PreparedBans};
use crate::model::Privilege;
use crate::store::{BanBatch, BanEdit, EncodedBans, Store, StoreError};

/// Changes that another thread is worth.
const MANY: usize = 4_096;

/// Requests that wait for the writer.
pub type BanQueue = Arc<Mutex<Vec<BanJob>>>;

/// See the module.
#[derive(Debug)]
pub struct Bans {
    table: SharedBans,
    /// What the kernel is to hold; it does, unless there is a fault.
    lists: Arc<BanLists>,
    log: VecDeque<BanBatch>,
    /// Whether the store has bans that there are no more, or of another boot.
    is_to_be_rewritten: bool,
    /// Whether a rescued store lacks bans.
    is_unrescued: bool,
    /// Whether many changes left memory behind that is to be given back to the system.
    is_to_be_trimmed: bool,
    /// Whether bans ended since the store last heard of the time.
    has_ended: bool,
    /// The batch of the store's log that says nothing but the time, and when it was written.
    note: Option<u64>,
    noted: Option<Instant>,
    never: Never,
    summary: BanSummary,
    /// Bans that were made, without those that were extended.
    made: u64,
    /// Why the kernel's may differ from them.
    fault: Option<String>,
}

/// Where bans are kept the same, and by what they are judged.
pub struct BanContext<'a> {
    /// What is in force.
    pub now: &'a InForce,
    /// The kernel.
    pub kernel: &'a mut KernelWriter,
    /// The store.
    pub store: &'a mut dyn Store,
    /// What ends are measured by.
    pub clock: &'a Clock,
    /// Whether the store is older than what is in force.
    pub upkeep: &'a Upkeep,
    /// What callers may.
    pub grants: &'a Grants,
}

impl Bans {
    /// What the store has; the kernel's are those of `lists`.
    #[must_use]
    pub fn new(stored: StoredBans, lists: Arc<BanLists>) -> Self {
        Self {
            table: Arc::new(RwLock::new(stored.table)),
            lists,
            log: stored.log.batches.into(),
            is_to_be_rewritten: stored.log.is_of_another_boot || stored.has_orphans,
            is_unrescued: false,
            is_to_be_trimmed: false,
            has_ended: false,
            note: None,
            noted: None,
            never: Never::default(),
            summary: BanSummary::default(),
            made: 0,
            fault: None,
        }
    }

    /// For who only reads.
    #[must_use]
    pub fn shared(&self) -> SharedBans {
        Arc::clone(&self.table)
    }

    /// How many bans were made since the agent started.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.made
    }

    /// What is wrong with the kernel's.
    #[must_use]
    pub fn fault(&self) -> Option<&String> {
        self.fault.as_ref()
    }

    /// What the kernel is to hold.
    #[must_use]
    pub fn lists(&self) -> &Arc<BanLists> {
        &self.lists
    }

    /// Sources that are never banned, as configured.
    pub fn configure(&mut self, never: Vec<IpNet>) {
        self.never.configure(never);
    }

    /// Does what requests ask for, all of them or none: with one write to the store, and one
    /// change in the kernel. Each is answered.
    pub fn carry_out(&mut self, jobs: Vec<BanJob>, around: &mut BanContext<'_>) {
        if jobs.is_empty() {
            return;
        }
        let mut timing = BatchTiming::begin(jobs.len());
        let kernel = &*around.kernel;
        self.never.refresh(|| kernel.devices());
        let mut replies = Vec::with_capacity(jobs.len());
        let mut batch = Batch::default();
        let mut summary = self.summary.clone();
        let mut table = write(&self.table);
        for job in jobs {
            let BanJob {
                requester,
                work,
                reply,
                ..
            } = job;
            let answer = may(requester, around.grants)
                .and_then(|()| around.upkeep.must_not_be_held(around.now.revision))
                .map(|()| {
                    let mut one = BatchedRequest {
                        table: &mut table,
                        never: &self.never,
                        summary: &mut summary,
                        batch: &mut batch,
                        state: &around.now.state,
                        requester,
                        scale: ClockScale::of(around.clock),
                    };
                    one.carry_out(work)
                });
            batch.answers.push(answer);
            replies.push(reply);
        }
        drop(table);
        let Batch {
            staged,
            answers,
            done: carried_out,
            ..
        } = batch;
        let table = read(&self.table);
        let settled = table.settled(&staged);
        let lists = Arc::new(table.lists_of(&settled, id_in(&around.now.state)));
        drop(table);
        self.is_to_be_trimmed |= staged.len() >= MANY;
        timing.judged(staged.len());
        let done = self.store_and_enforce(&staged, lists, &mut summary, &mut timing, around);
        // Readers see them when they are in force, and never if they are not.
        let mut table = write(&self.table);
        if done.is_ok() {
            self.summary = summary;
            let outcomes = answers.iter().flatten().flatten();
            let made = outcomes.filter(|outcome| outcome.result == BanResult::Banned);
            self.made += made.count() as u64;
            table.make(staged, settled);
        } else {
            table.discard(&staged);
        }
        drop(table);
        timing.end();
        for (reply, answer) in replies.into_iter().zip(answers) {
            let answer = match (&done, answer) {
                (Err(failure), Ok(_)) => Err(failure.error()),
                (_, answer) => answer,
            };
            // A caller that has gone away needs no answer.
            drop(reply.send(answer));
        }
        drop(carried_out);
    }

    fn store_and_enforce(
        &mut self,
        staged: &StagedBans,
        lists: Arc<BanLists>,
        summary: &mut BanSummary,
        timing: &mut BatchTiming,
        around: &mut BanContext<'_>,
    ) -> Result<(), BatchFailure> {
        let audit = summary.take(Instant::now(), false, around.now.revision);
        if staged.is_empty() && audit.is_empty() {
            return Ok(());
        }
        let (prepared, encoded) = self.prepare(staged, &lists, around);
        let prepared = match prepared.transpose() {
            Ok(prepared) => prepared,
            Err(error) => {
                self.restore(around);
                return Err(BatchFailure::kernel(&error));
            }
        };
        timing.ready();
        let written = around.store.record_encoded_bans(&encoded, &audit);
        timing.stored();
        match written {
            Ok(batches) => self.log.extend(batches),
            Err(error) => {
                self.restore(around);
                return Err(BatchFailure::store(&error));
            }
        }
        if let Some(prepared) = prepared {
            let committed = around.kernel.commit_bans(prepared);
            self.lists = lists;
            self.note(committed.err().map(|error| chain(&error)));
        }
        Ok(())
    }

    /// Makes the kernel ready for these lists, if they are others, and the changes for the store:
    /// both at once where that takes a while.
    fn prepare(
        &self,
        staged: &StagedBans,
        lists: &Arc<BanLists>,
        around: &mut BanContext<'_>,
    ) -> (Option<Result<PreparedBans, EnforcerError>>, EncodedBans) {
        let table = read(&self.table);
        let (table, clock, kernel) = (&*table, around.clock, &mut *around.kernel);
        let encode = || EncodedBans::of(clock, table.edits(staged));
        let is_other = *lists != self.lists;
        let mut prepare = || is_other.then(|| kernel.prepare_bans(lists));
        if staged.len() < MANY {
            return (prepare(), encode());
        }
        std::thread::scope(|scope| {
            let encoded = scope.spawn(encode);
            let prepared = prepare();
            match encoded.join() {
                Ok(encoded) => (prepared, encoded),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Ends what is due at this time.
    pub fn expire(&mut self, around: &mut BanContext<'_>) {
        if around.upkeep.is_held() {
            return;
        }
        let now = around.clock.now().as_millisecond();
        let mut table = write(&self.table);
        let ended = table.expire(now);
        if ended.is_empty() {
            return;
        }
        tracing::debug!(count = ended.len(), "bans ended");
        table.keep(ended);
        drop(table);
        // The store needs no word of each: a restart ends them again.
        self.has_ended = true;
        self.enforce(around);
    }

    /// Follows the services of a new state: bans of those that are gone are not in force, and
    /// are removed if the state `is_confirmed`.
    pub fn follow(&mut self, is_confirmed: bool, around: &mut BanContext<'_>) {
        if around.upkeep.is_held() {
            return;
        }
        let state = around.now.state.clone();
        let gone = match is_confirmed {
            true => {
                write(&self.table).forget_services(|name| state.service(name.as_str()).is_some())
            }
            // A rollback gives the services back, and their bans.
            false => Vec::new(),
        };
        // The kernel first: the store may take as long as the disk.
        self.enforce(around);
        if !gone.is_empty() {
            let table = read(&self.table);
            let services: Vec<_> = gone
                .iter()
                .map(|replaced| table.place_of(replaced))
                .collect();
            let mut edits = services.iter().map(|(service, source)| BanEdit::Remove {
                source: *source,
                service: *service,
            });
            let written = around.store.record_bans(&mut edits, &[], &[]);
            drop(table);
            match written {
                Ok(batches) => self.log.extend(batches),
                Err(error) => {
                    tracing::warn!(
                        error = chain(&error),
                        "bans of a service stay in the store; trying again"
                    );
                    self.is_to_be_rewritten = true;
                }
            }
            write(&self.table).keep(gone);
        }
    }

    /// Makes the kernel hold the bans that there are, if it holds others.
    fn enforce(&mut self, around: &mut BanContext<'_>) {
        let lists = Arc::new(lists(&mut write(&self.table), &around.now.state));
        if lists == self.lists && self.fault.is_none() {
            return;
        }
        // Also where the kernel does not take them: a later try is of these.
        self.lists = lists;
        self.put_lists_in_force(around);
    }

    /// Makes the kernel hold what it should, whatever it was known to hold.
    pub fn restore(&mut self, around: &mut BanContext<'_>) {
        if around.upkeep.is_held() {
            // Of an older store's bans some may have been ended since.
            return;
        }
        self.put_lists_in_force(around);
    }

    fn put_lists_in_force(&mut self, around: &mut BanContext<'_>) {
        let done = around
            .kernel
            .prepare_bans(&self.lists)
            .and_then(|prepared| around.kernel.commit_bans(prepared));
        self.note(done.err().map(|error| chain(&error)));
    }

    fn note(&mut self, error: Option<String>) {
        self.fault = error.map(|error| {
            let fault =
                format!("the kernel's bans may differ from the ones listed, trying again: {error}");
            tracing::error!("{fault}");
            fault
        });
    }
}

/// Why a batch was not done; its requests get an error each.
struct BatchFailure {
    why: String,
    no_room: bool,
}

impl BatchFailure {
    fn kernel(error: &EnforcerError) -> Self {
        Self {
            why: format!("the kernel rejected the bans: {}", chain(error)),
            no_room: error.no_memory,
        }
    }

    fn store(error: &StoreError) -> Self {
        Self {
            why: format!("the bans could not be stored: {}", chain(error)),
            no_room: matches!(error, StoreError::Full { .. }),
        }
    }

    fn error(&self) -> AgentError {
        AgentError::BansNotDone {
            why: self.why.clone(),
            no_room: self.no_room,
        }
    }
}

/// Whether the caller may ban and unban.
///
/// # Errors
/// [`AgentError::NotAllowed`].
pub fn may(requester: Requester, grants: &Grants) -> Result<(), AgentError> {
    if requester.caller.is_root() {
        return Ok(());
    }
    rights::require(requester.caller, grants, Privilege::Ban, "ban or unban")
}

#[cfg(test)]
mod tests;
