//! The way to the single writer: a queue of work for its thread.
//!
//! A request that changes anything waits here for its turn; one that only reads takes the
//! published [`Snapshot`] and does not wait.

use std::any::Any;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};

use super::core::Writer;
use super::turns::{Turn, Turns};
use crate::agent::access::notes::Notes;
use crate::agent::access::{Caller, Requester};
use crate::agent::bans::{BanJob, BanQueue, BanWork, JudgedBan};
use crate::agent::databases::OrderBoard;
use crate::agent::error::AgentError;
use crate::agent::notices::Notices;
use crate::agent::snapshot::Snapshot;
use crate::api::ProgressView;

/// Work that may wait: all that has its turn, and as much again for what the agent itself
/// asks for.
const QUEUE: usize = 2 * Turns::PLACES;

/// What waits in the queue.
enum Queued {
    /// Work, and its place in the queue; what the agent itself asks for needs none.
    Work(Box<dyn FnOnce(&mut Writer) + Send>, Option<Turn>),
    /// The end.
    Stop(oneshot::Sender<()>),
}

/// A handle on the writer's thread.
#[derive(Clone)]
pub struct Supervisor {
    queue: mpsc::Sender<Queued>,
    turns: Arc<Turns>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    progress: watch::Receiver<ProgressView>,
    reconcile_waits: Arc<AtomicBool>,
    record_waits: Arc<AtomicBool>,
    bans: BanQueue,
    bans_wait: Arc<AtomicBool>,
    expiry_waits: Arc<AtomicBool>,
    rule_ends_wait: Arc<AtomicBool>,
    notes: Arc<Notes>,
    notices: Notices,
    databases: OrderBoard,
}

impl Supervisor {
    /// Starts the writer's thread. The second part resolves when the thread has
    /// ended, also by a panic.
    ///
    /// # Errors
    /// The system makes no thread.
    pub fn start(writer: Writer) -> io::Result<(Self, oneshot::Receiver<()>)> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let (ended, end) = oneshot::channel();
        let supervisor = Self {
            queue: sender,
            turns: Arc::default(),
            snapshot: writer.published(),
            progress: writer.progress(),
            reconcile_waits: Arc::default(),
            record_waits: Arc::default(),
            bans: writer.ban_queue(),
            bans_wait: Arc::default(),
            expiry_waits: Arc::default(),
            rule_ends_wait: Arc::default(),
            notes: Arc::default(),
            notices: writer.notices(),
            databases: writer.databases(),
        };
        let notes = supervisor.notes.clone();
        std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                let _ended = ended;
                serve(writer, queue, &notes);
            })?;
        Ok((supervisor, end))
    }

    /// What is now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// What is now, and whenever that changes.
    #[must_use]
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.clone()
    }

    /// What hooks are run for.
    #[must_use]
    pub fn notices(&self) -> &Notices {
        &self.notices
    }

    /// The board on which helpers of databases find their orders.
    #[must_use]
    pub fn databases(&self) -> &OrderBoard {
        &self.databases
    }

    /// Publishes what the writer has, after a helper's report.
    pub fn look_again(&self) {
        self.once(&self.reconcile_waits, Writer::reconcile);
    }

    /// What the writer is doing.
    #[must_use]
    pub fn progress(&self) -> ProgressView {
        self.progress.borrow().clone()
    }

    /// Runs `work` on the writer's thread when it is the caller's turn. It is done also if
    /// the caller does not wait for it to end.
    ///
    /// # Errors
    /// What `work` returns; or the agent is stopping.
    pub async fn run<T: Send + 'static>(
        &self,
        caller: Caller,
        work: impl FnOnce(&mut Writer) -> Result<T, AgentError> + Send + 'static,
    ) -> Result<T, AgentError> {
        let (reply, answer) = oneshot::channel();
        let turn = self.turns.take(caller.uid).await;
        let work = move |writer: &mut Writer| {
            // A caller who has gone away does not stop what was asked for.
            drop(reply.send(work(writer)));
            writer.tidy();
        };
        self.queue
            .send(Queued::Work(Box::new(work), Some(turn)))
            .await
            .map_err(|_| AgentError::Stopping)?;
        answer.await.map_err(|_| AgentError::Stopping)?
    }

    /// Bans and unbans, together with whatever else waits for that: a line for each of the
    /// request's. `held` is held until it is done.
    ///
    /// # Errors
    /// The caller may not, store or kernel do not take it, or the agent is stopping.
    pub async fn ban(
        &self,
        requester: Requester,
        work: BanWork,
        held: Box<dyn Any + Send>,
    ) -> Result<Vec<JudgedBan>, AgentError> {
        let (job, answer) = BanJob::new(requester, work, held);
        self.wait_for_writer(job);
        // The one that is first to wait asks for all that do until its turn comes.
        if !self.bans_wait.swap(true, Ordering::AcqRel) {
            let flag = self.bans_wait.clone();
            let work = move |writer: &mut Writer| {
                flag.store(false, Ordering::Release);
                writer.carry_out_bans();
            };
            let queued = Queued::Work(Box::new(work), None);
            let queue = self.queue.clone();
            // A task of its own: a caller that goes away takes no turn away from others.
            let (bans, waits) = (self.bans.clone(), self.bans_wait.clone());
            tokio::spawn(async move {
                if queue.send(queued).await.is_err() {
                    // The agent stops: each one that waits gets that for an answer.
                    waits.store(false, Ordering::Release);
                    bans.lock().unwrap_or_else(PoisonError::into_inner).clear();
                }
            });
        }
        answer.await.map_err(|_| AgentError::Stopping)?
    }

    fn wait_for_writer(&self, job: BanJob) {
        let mut waiting = self.bans.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(job);
    }

    /// Ends the bans whose time is over, unless that waits already.
    pub fn expire_bans(&self) {
        self.once(&self.expiry_waits, Writer::expire_bans);
    }

    /// Ends the rules whose time is over, unless that waits already.
    pub fn end_rules(&self) {
        self.once(&self.rule_ends_wait, Writer::end_rules);
    }

    /// Asks for a round of [`Writer::reconcile`], unless one waits already.
    pub fn reconcile(&self) {
        self.once(&self.reconcile_waits, Writer::reconcile);
    }

    /// See [`Writer::roll_back_unconfirmed`].
    pub async fn expire(&self) {
        let work = |writer: &mut Writer| {
            writer.roll_back_unconfirmed();
            writer.tidy();
        };
        // An error means that the agent stops; the next one takes it back.
        let _ = self.queue.send(Queued::Work(Box::new(work), None)).await;
    }

    /// Puts into the audit log what was done without the writer.
    pub fn note(&self, requester: Requester, action: &'static str) {
        self.notes.done(requester, action);
        self.record();
    }

    /// Puts into the audit log what was refused without the writer; of more than some in a
    /// minute, the number.
    pub fn refused(&self, requester: Requester, action: &str, error: &AgentError) {
        let errors = || error.errors();
        if self.notes.refused(requester, action, errors) {
            self.record();
        } else {
            tracing::warn!(
                action,
                "refused; counted in the audit log: too many in a minute"
            );
        }
    }

    /// Lets the writer record the notes now, if it has nothing else to do: otherwise it does
    /// so after the work in hand.
    fn record(&self) {
        self.once(&self.record_waits, |_| {});
    }

    /// Puts what the agent itself asks for into the queue, unless it `waits` there already.
    fn once(&self, waits: &Arc<AtomicBool>, work: fn(&mut Writer)) {
        if waits.swap(true, Ordering::AcqRel) {
            return;
        }
        let flag = waits.clone();
        let work = move |writer: &mut Writer| {
            flag.store(false, Ordering::Release);
            work(writer);
        };
        let queued = Queued::Work(Box::new(work), None);
        if self.queue.try_send(queued).is_err() {
            // The agent stops: the next one does it.
            waits.store(false, Ordering::Release);
        }
    }

    /// Lets the writer finish what it has in hand and what waits, then ends it. Later
    /// requests are refused.
    pub async fn stop(&self) {
        let (reply, done) = oneshot::channel();
        if self.queue.send(Queued::Stop(reply)).await.is_ok() {
            // An error means that the thread has ended already.
            let _ = done.await;
        }
    }

    /// How much more can be put into the queue.
    #[cfg(test)]
    pub(super) fn free_places(&self) -> usize {
        self.queue.capacity()
    }
}

/// The thread. What was done without the writer is recorded after each piece of work.
fn serve(mut writer: Writer, mut queue: mpsc::Receiver<Queued>, notes: &Notes) {
    while let Some(queued) = queue.blocking_recv() {
        match queued {
            // The turn ends with the work.
            Queued::Work(work, _turn) => work(&mut writer),
            Queued::Stop(reply) => {
                writer.record(notes, true);
                writer.record_bans();
                drop(writer);
                // The caller may have lost patience.
                let _ = reply.send(());
                return;
            }
        }
        writer.record(notes, false);
    }
}
