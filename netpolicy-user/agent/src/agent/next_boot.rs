//! Keeps the snapshot for the next boot behind what is in force: a confirmed ruleset is written
//! within a second of the change, by a thread of its own, and no change waits for it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use netpolicy_common::HOST_SCOPE;
use rustix::process::setpriority_process;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use super::banned::{self, BanCursor, BanPart};
use super::memory;
use super::snapshot::Snapshot;
use crate::compiler::Ruleset;
use crate::config::{Config, EngineChoice};
use crate::datapath::ImageHead;
use crate::early;
use crate::early::bans::KeptBan;

/// Changes that follow each other so soon are written once.
const SETTLE: Duration = Duration::from_millis(100);

/// Time to the next try where it cannot be written.
const AGAIN: Duration = Duration::from_secs(10);

/// Time between two looks at whether bans changed.
const LOOK: Duration = Duration::from_secs(1);

/// Writing bans takes at most one part in this many of the time.
const SHARE: u32 = 100;

/// The longest time between two writes of bans, however long one takes.
const LONGEST: Duration = Duration::from_secs(60);

/// Held while bans are written: their draft has one name.
static WRITING: Mutex<()> = Mutex::new(());

/// The thread's nice value: behind everything else.
const NICE: i32 = 10;

/// What is to be in force at the next boot.
#[derive(Clone)]
struct ConfirmedRuleset {
    ruleset: Arc<Ruleset>,
    revision: u64,
}

/// What the file holds.
#[derive(Clone, Copy)]
struct WrittenSnapshot {
    digest: [u8; 32],
    revision: u64,
}

impl WrittenSnapshot {
    /// Whether it serves for a ruleset at a revision. A later revision does not: a restored store
    /// would be taken for one that lost revisions.
    fn is_of(self, digest: &[u8; 32], revision: u64) -> bool {
        self.digest == *digest && self.revision <= revision
    }
}

/// Keeps the snapshot until there are no more changes.
pub(super) async fn keep(config: Config, mut snapshots: watch::Receiver<Arc<Snapshot>>) {
    if config.engine != EngineChoice::Flat {
        // Only the flat engine has one; another engine's would be out of date soon.
        if let Err(error) = early::remove(&config.state_dir) {
            tracing::warn!(%error, "the snapshot for the next boot cannot be removed");
        }
        return;
    }
    // One that cannot be used is written again.
    let state_dir = config.state_dir.clone();
    let checked = in_background(move || early::checked_head(&state_dir)).await;
    let usable = checked
        .unwrap_or_default()
        .filter(ImageHead::is_of_this_program);
    let mut written = usable.map(|head| WrittenSnapshot {
        digest: head.digest,
        revision: head.origin.revision,
    });
    let mut told = String::new();
    loop {
        let wanted = wanted(&snapshots.borrow_and_update());
        if let Some(wanted) = wanted {
            sleep(SETTLE).await;
            let latest = self::wanted(&snapshots.borrow()).unwrap_or(wanted);
            let begun = Instant::now();
            match write(&config.state_dir, latest, written).await {
                Ok(Some(now)) => {
                    told.clear();
                    written = Some(now);
                    // Lists of millions that change all the time are not written all the time.
                    sleep(begun.elapsed()).await;
                }
                Ok(None) => {}
                Err(error) => {
                    let error = error.to_string();
                    if error != told {
                        tracing::warn!(
                            error,
                            "the snapshot for the next boot cannot be written; trying again"
                        );
                        told = error;
                    }
                    sleep(AGAIN).await;
                    continue;
                }
            }
        }
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

/// Keeps the bans for the next boot behind those in force, until the agent ends.
pub(super) async fn keep_bans(state_dir: PathBuf, snapshots: watch::Receiver<Arc<Snapshot>>) {
    let mut written = None;
    loop {
        sleep(LOOK).await;
        let snapshot = snapshots.borrow().clone();
        // Scopes' numbers are the revision's; an unconfirmed one is not of the next boot.
        let now = (banned::read(&snapshot.bans).version(), snapshot.revision);
        if !is_of_next_boot(&snapshot) || written == Some(now) {
            continue;
        }
        let begun = Instant::now();
        match write_bans(state_dir.clone(), snapshot).await {
            Ok(()) => written = Some(now),
            Err(error) => {
                tracing::warn!(%error, "the bans for the next boot cannot be written; trying again");
                sleep(AGAIN).await;
            }
        }
        // Bans that come all the time are not written all the time.
        sleep((begun.elapsed() * SHARE).min(LONGEST)).await;
    }
}

/// Writes the bans once more while the agent ends.
pub(super) async fn write_last_bans(state_dir: PathBuf, snapshot: Arc<Snapshot>) {
    if is_of_next_boot(&snapshot)
        && let Err(error) = write_bans(state_dir, snapshot).await
    {
        tracing::warn!(%error, "the bans for the next boot cannot be written");
    }
}

async fn write_bans(state_dir: PathBuf, snapshot: Arc<Snapshot>) -> io::Result<()> {
    let work = move || {
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        early::bans::write(&state_dir, kept(&snapshot))
    };
    in_background(work).await?
}

/// Whether what is in force is confirmed, and the store's.
fn is_of_next_boot(snapshot: &Snapshot) -> bool {
    snapshot.pending.is_none() && snapshot.held.is_none()
}

/// All bans, read part by part.
fn kept(snapshot: &Snapshot) -> impl Iterator<Item = KeptBan> {
    const PART: usize = 4096;
    let mut cursor = BanCursor::default();
    let parts = std::iter::from_fn(move || {
        banned::part(&snapshot.bans, &mut cursor, PART, &snapshot.clock)
    });
    parts.flat_map(|BanPart { service, bans }| {
        let scope = match service {
            None => Some(HOST_SCOPE),
            Some(name) => snapshot.state.service(name.as_str()).map(|s| s.id),
        };
        bans.into_iter().filter_map(move |(source, until)| {
            Some(KeptBan {
                scope: scope?,
                source,
                until,
            })
        })
    })
}

/// What is confirmed and in force; `None`: what was written last stays what counts.
fn wanted(snapshot: &Snapshot) -> Option<ConfirmedRuleset> {
    let ruleset = snapshot.ruleset.as_ref();
    let ruleset = ruleset.filter(|_| is_of_next_boot(snapshot) && snapshot.generation > 0)?;
    Some(ConfirmedRuleset {
        ruleset: ruleset.clone(),
        revision: snapshot.revision,
    })
}

/// Writes what is wanted, and returns what it is; `None`: what was written last serves.
async fn write(
    state_dir: &Path,
    wanted: ConfirmedRuleset,
    written: Option<WrittenSnapshot>,
) -> io::Result<Option<WrittenSnapshot>> {
    let state_dir = PathBuf::from(state_dir);
    let work = move || {
        let ConfirmedRuleset { ruleset, revision } = wanted;
        let digest = ruleset.digest();
        if written.is_some_and(|written| written.is_of(&digest, revision)) {
            return Ok(None);
        }
        let now = Timestamp::now().as_second();
        early::write(&state_dir, &ruleset, revision, now)?;
        // The pages of all lists, once more.
        memory::give_back();
        Ok(Some(WrittenSnapshot { digest, revision }))
    };
    in_background(work).await?
}

/// Does work on a thread that stands behind all others.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (done, result) = oneshot::channel();
    std::thread::Builder::new()
        .name("snapshot".to_owned())
        .spawn(move || {
            let _ = setpriority_process(None, NICE);
            // There is no receiver while the agent ends.
            drop(done.send(work()));
        })?;
    let ended = |_| io::Error::other("its thread ended, which is a fault in netpolicy");
    result.await.map_err(ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::empty_snapshot;
    use crate::compiler::compile;
    use crate::model::State;
    use crate::store::Pending;

    fn snapshot(revision: u64) -> Snapshot {
        Snapshot {
            revision,
            generation: revision,
            ruleset: Some(Arc::new(compile(&State::empty()))),
            ..empty_snapshot()
        }
    }

    #[test]
    fn unconfirmed_change_and_held_store_are_not_written() {
        assert_eq!(wanted(&snapshot(3)).map(|w| w.revision), Some(3));
        assert!(wanted(&empty_snapshot()).is_none(), "nothing is in force");
        let unconfirmed = Snapshot {
            pending: Some(Pending {
                revision: 3,
                base: 2,
                made: Timestamp::UNIX_EPOCH,
                within: Duration::from_secs(60),
                actor: "alice".into(),
            }),
            ..snapshot(3)
        };
        assert!(wanted(&unconfirmed).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn snapshot_follows_confirmed_changes_and_is_not_written_twice() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            state_dir: dir.path().to_owned(),
            ..Config::default()
        };
        let (sender, receiver) = watch::channel(Arc::new(snapshot(1)));
        let task = tokio::spawn(keep(config, receiver));
        let revision = || {
            early::head(dir.path())
                .map(|head| head.origin.revision)
                .ok()
        };
        let until = async |wanted: u64| {
            while revision() != Some(wanted) {
                sleep(Duration::from_millis(10)).await;
                std::thread::sleep(Duration::from_millis(2));
            }
        };
        until(1).await;
        // Only a comment changed.
        sender.send_replace(Arc::new(snapshot(2)));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(revision(), Some(1));
        let closed = |revision| Snapshot {
            ruleset: Some(Arc::new(Ruleset::closed())),
            ..snapshot(revision)
        };
        sender.send_replace(Arc::new(closed(3)));
        until(3).await;
        // A backup was restored that has the same rules.
        sender.send_replace(Arc::new(closed(2)));
        until(2).await;
        drop(sender);
        task.await.unwrap();
    }
}
