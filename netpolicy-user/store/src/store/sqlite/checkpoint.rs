//! Checkpoints of the write-ahead log, outside of the path of a change.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use super::witness::Witness;

/// Pages in the log from which on they are put in place: SQLite's own number
/// (`SQLITE_DEFAULT_WAL_AUTOCHECKPOINT`).
const FROM: i32 = 1000;

/// A thread that puts in place what another connection has committed, when that is much.
///
/// SQLite would do it within the commit, once in some fifty changes, which then take as long
/// as two. A passive checkpoint neither waits nor makes others wait (SQLite's manual,
/// "Write-Ahead Logging", section 2.1). What it leaves, the next one takes.
pub(super) struct Checkpointer {
    requests: SyncSender<Request>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is to do.
enum Request {
    Checkpoint,
    Stop,
}

impl Checkpointer {
    /// Starts it for what `conn` commits; `own` is another connection to the same database.
    /// Without a thread, or if SQLite refuses, `conn` goes on to do it itself.
    pub(super) fn start(conn: &mut Connection, own: Connection, witness: Arc<Witness>) -> Self {
        // One request waits while another is served: it is for all that came since.
        let (requests, requested) = sync_channel(1);
        let thread = thread::Builder::new().name("checkpoint".to_owned());
        let thread = thread.spawn(move || serve(&own, &witness, &requested)).ok();
        if thread.is_some() {
            let theirs = requests.clone();
            // Refused: the thread is never asked.
            let _ = conn.wal_hook(Some(move |_: &mut _, pages| {
                if pages >= FROM {
                    // One waits already; or the thread is gone, and the log grows until the
                    // store is settled or closed.
                    let _ = theirs.try_send(Request::Checkpoint);
                }
                Ok(())
            }));
        }
        Self { requests, thread }
    }
}

/// Closes the thread's connection, so that the other is the last: of two that are closed
/// at once neither takes the log away, since each finds the other there.
impl Drop for Checkpointer {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // The thread is gone, or panicked: of no consequence here.
            let _ = self.requests.send(Request::Stop);
            let _ = thread.join();
        }
    }
}

fn serve(conn: &Connection, witness: &Witness, requested: &Receiver<Request>) {
    while let Ok(Request::Checkpoint) = requested.recv() {
        // At best: the log holds what does not succeed now.
        let _ = witness.writing(|| {
            let _ = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        });
    }
}
