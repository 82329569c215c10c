//! The way to the single writer: a queue of requests to its thread.
//!
//! Whoever changes anything waits here for his turn; whoever only reads takes the
//! published [`Snapshot`] and waits for nobody.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot, watch};

use super::change::Proposal;
use super::consent::Consent;
use super::enforcer::Enforcer;
use super::error::AgentError;
use super::notes::Notes;
use super::request::{Asker, Options};
use super::snapshot::Snapshot;
use super::storekeeping::Order;
use super::turns::{Turn, Turns};
use super::writer::Writer;
use crate::api::{
    BypassRequest, BypassView, Changed, GrantRequest, GrantView, PendingView, ProgressView,
    SqlRequest, SqlResponse, VerifyView,
};
use crate::store::Past;

/// Requests that may wait: all that have their turn, and as many again for what the agent
/// itself asks for, of which at most one of each kind waits.
const QUEUE: usize = 2 * Turns::PLACES;

pub(super) type Reply<T> = oneshot::Sender<Result<T, AgentError>>;

pub(super) enum Command {
    Change {
        proposal: Box<Proposal>,
        asker: Asker,
        options: Options,
        reply: Reply<Changed>,
    },
    Sql {
        request: Box<SqlRequest>,
        asker: Asker,
        options: Options,
        reply: Reply<SqlResponse>,
    },
    Confirm {
        asker: Asker,
        reply: Reply<PendingView>,
    },
    Grant {
        request: GrantRequest,
        asker: Asker,
        reply: Reply<GrantView>,
    },
    Revoke {
        request: GrantRequest,
        asker: Asker,
        reply: Reply<GrantView>,
    },
    GrantBypass {
        request: BypassRequest,
        asker: Asker,
        consent: Consent,
        reply: Reply<BypassView>,
    },
    RevokeBypass {
        source: String,
        service: Option<String>,
        asker: Asker,
        force: bool,
        reply: Reply<BypassView>,
    },
    Attach {
        asker: Asker,
        reply: Reply<Vec<String>>,
    },
    Past {
        uid: u32,
        reply: Reply<Box<dyn Past>>,
    },
    Verify {
        reply: Reply<VerifyView>,
    },
    Store(Order),
    Reconcile,
    Expire,
    Record,
    Stop {
        reply: oneshot::Sender<()>,
    },
}

/// What waits in the queue, and its place there; what the agent itself asks for needs none.
struct Queued(Command, Option<Turn>);

/// A handle on the writer's thread.
#[derive(Clone)]
pub struct Supervisor {
    commands: mpsc::Sender<Queued>,
    turns: Arc<Turns>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    progress: watch::Receiver<ProgressView>,
    reconcile_waits: Arc<AtomicBool>,
    pub(super) record_waits: Arc<AtomicBool>,
    pub(super) notes: Arc<Notes>,
}

impl Supervisor {
    /// Starts the writer's thread. The second part resolves when the thread has
    /// ended, also by a panic.
    ///
    /// # Errors
    /// The system makes no thread.
    pub fn start<E: Enforcer>(writer: Writer<E>) -> io::Result<(Self, oneshot::Receiver<()>)> {
        let (commands, queue) = mpsc::channel(QUEUE);
        let (ended, end) = oneshot::channel();
        let supervisor = Self {
            commands,
            turns: Arc::default(),
            snapshot: writer.published(),
            progress: writer.progress(),
            reconcile_waits: Arc::default(),
            record_waits: Arc::default(),
            notes: Arc::default(),
        };
        let inside = Inside {
            reconcile_waits: supervisor.reconcile_waits.clone(),
            record_waits: supervisor.record_waits.clone(),
            notes: supervisor.notes.clone(),
        };
        std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                let _ended = ended;
                work(writer, queue, &inside);
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

    /// What the writer is doing.
    #[must_use]
    pub fn progress(&self) -> ProgressView {
        self.progress.borrow().clone()
    }

    /// See [`Writer::change`].
    ///
    /// # Errors
    /// Refused or failed; or the agent is stopping.
    pub async fn change(
        &self,
        proposal: impl Into<Proposal>,
        asker: Asker,
        options: Options,
    ) -> Result<Changed, AgentError> {
        let proposal = Box::new(proposal.into());
        self.ask(|reply| Command::Change {
            proposal,
            asker,
            options,
            reply,
        })
        .await
    }

    /// See [`Writer::sql`].
    ///
    /// # Errors
    /// The agent is stopping. What is wrong with the script is in the answer.
    pub async fn sql(
        &self,
        request: SqlRequest,
        asker: Asker,
        options: Options,
    ) -> Result<SqlResponse, AgentError> {
        let request = Box::new(request);
        self.ask(|reply| Command::Sql {
            request,
            asker,
            options,
            reply,
        })
        .await
    }

    /// See [`Writer::confirm`].
    ///
    /// # Errors
    /// Refused or failed; or the agent is stopping.
    pub async fn confirm(&self, asker: Asker) -> Result<PendingView, AgentError> {
        self.ask(|reply| Command::Confirm { asker, reply }).await
    }

    /// See [`Writer::grant`].
    ///
    /// # Errors
    /// Refused or failed; or the agent is stopping.
    pub async fn grant(
        &self,
        request: GrantRequest,
        asker: Asker,
    ) -> Result<GrantView, AgentError> {
        self.ask(|reply| Command::Grant {
            request,
            asker,
            reply,
        })
        .await
    }

    /// See [`Writer::revoke`].
    ///
    /// # Errors
    /// Refused or failed; or the agent is stopping.
    pub async fn revoke(
        &self,
        request: GrantRequest,
        asker: Asker,
    ) -> Result<GrantView, AgentError> {
        self.ask(|reply| Command::Revoke {
            request,
            asker,
            reply,
        })
        .await
    }

    /// See [`Writer::take_back_unconfirmed`].
    pub async fn expire(&self) {
        // An error means that the agent stops; the next one takes it back.
        let _ = self.commands.send(Queued(Command::Expire, None)).await;
    }

    /// See [`Writer::attach`].
    ///
    /// # Errors
    /// Failed; or the agent is stopping.
    pub async fn attach(&self, asker: Asker) -> Result<Vec<String>, AgentError> {
        self.ask(|reply| Command::Attach { asker, reply }).await
    }

    /// Asks for a round of [`Writer::reconcile`], unless one waits already.
    pub fn reconcile(&self) {
        self.send_once(&self.reconcile_waits, Command::Reconcile);
    }

    /// Sends what the agent itself asks for, unless it `waits` already.
    pub(super) fn send_once(&self, waits: &AtomicBool, command: Command) {
        if waits.swap(true, Ordering::AcqRel) {
            return;
        }
        if self.commands.try_send(Queued(command, None)).is_err() {
            // The agent stops: the next one does it.
            waits.store(false, Ordering::Release);
        }
    }

    /// Lets the writer finish what it has in hand and what waits, then ends it. Later
    /// requests are refused.
    pub async fn stop(&self) {
        let (reply, done) = oneshot::channel();
        let stop = Queued(Command::Stop { reply }, None);
        if self.commands.send(stop).await.is_ok() {
            // An error means that the thread has ended already.
            let _ = done.await;
        }
    }

    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, AgentError> {
        let (reply, answer) = oneshot::channel();
        let command = command(reply);
        let turn = self.turns.take(command.uid()).await;
        self.commands
            .send(Queued(command, Some(turn)))
            .await
            .map_err(|_| AgentError::Stopping)?;
        answer.await.map_err(|_| AgentError::Stopping)?
    }

    /// How many more can be put into the queue.
    #[cfg(test)]
    pub(super) fn free_places(&self) -> usize {
        self.commands.capacity()
    }
}

/// What the thread shares with those who send.
struct Inside {
    reconcile_waits: Arc<AtomicBool>,
    record_waits: Arc<AtomicBool>,
    notes: Arc<Notes>,
}

/// The thread.
fn work<E: Enforcer>(mut writer: Writer<E>, mut queue: mpsc::Receiver<Queued>, inside: &Inside) {
    while let Some(Queued(command, _turn)) = queue.blocking_recv() {
        match command {
            Command::Change {
                proposal,
                asker,
                options,
                reply,
            } => {
                // A caller who has gone away does not stop what he asked for.
                drop(reply.send(writer.change(*proposal, asker, options)));
                writer.tidy();
            }
            Command::Sql {
                request,
                asker,
                options,
                reply,
            } => {
                let response = writer.sql(&request, asker, options);
                drop(request);
                drop(reply.send(Ok(response)));
                writer.tidy();
            }
            Command::Confirm { asker, reply } => drop(reply.send(writer.confirm(asker))),
            Command::Grant {
                request,
                asker,
                reply,
            } => drop(reply.send(writer.grant(&request, asker))),
            Command::Revoke {
                request,
                asker,
                reply,
            } => drop(reply.send(writer.revoke(&request, asker))),
            // Done after every command.
            Command::Record => inside.record_waits.store(false, Ordering::Release),
            Command::Expire => {
                writer.take_back_unconfirmed();
                writer.tidy();
            }
            Command::GrantBypass {
                request,
                asker,
                consent,
                reply,
            } => drop(reply.send(writer.grant_bypass(&request, asker, consent))),
            Command::RevokeBypass {
                source,
                service,
                asker,
                force,
                reply,
            } => {
                let service = service.as_deref();
                drop(reply.send(writer.revoke_bypass(&source, service, asker, force)));
            }
            Command::Attach { asker, reply } => drop(reply.send(writer.attach(asker))),
            Command::Store(order) => writer.keep_store(order),
            Command::Past { reply, .. } => drop(reply.send(writer.past())),
            Command::Verify { reply } => {
                drop(reply.send(writer.verify_all()));
                writer.tidy();
            }
            Command::Reconcile => {
                inside.reconcile_waits.store(false, Ordering::Release);
                writer.reconcile();
            }
            Command::Stop { reply } => {
                writer.record(&inside.notes, true);
                drop(writer);
                // Whoever asked may have lost patience.
                let _ = reply.send(());
                return;
            }
        }
        writer.record(&inside.notes, false);
    }
}
