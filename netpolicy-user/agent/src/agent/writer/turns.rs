//! Which callers' requests may be in the writer's queue.
//!
//! The writer does one thing at a time, so more than the next few in its queue make nothing
//! faster. Others than root have few places there and wait in front of it, each user in
//! a line of their own: root's requests, repair and what expires are never behind many.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests of root in the queue.
const ROOT: usize = 32;
/// Requests of all other users in the queue.
const OTHERS: usize = 2;
/// Requests of one such user in the queue.
const EACH: usize = 1;

/// Users with a known line before those without a request are removed.
const KNOWN: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Turns {
    root: Arc<Semaphore>,
    others: Arc<Semaphore>,
    by_user: Mutex<HashMap<u32, Weak<Semaphore>>>,
}

/// A place in the queue, until the request is done. Not until its caller is told: one who
/// goes away leaves the request in the queue.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "held")] [Option<OwnedSemaphorePermit>; 2]);

impl Default for Turns {
    fn default() -> Self {
        let places = |number| Arc::new(Semaphore::new(number));
        Self {
            root: places(ROOT),
            others: places(OTHERS),
            by_user: Mutex::default(),
        }
    }
}

impl Turns {
    /// Places that they all have together.
    pub(super) const PLACES: usize = ROOT + OTHERS;

    /// Waits for a place of this user.
    pub(super) async fn take(&self, uid: u32) -> Turn {
        // These semaphores are never closed.
        if uid == 0 {
            return Turn([self.root.clone().acquire_owned().await.ok(), None]);
        }
        let own = self.line(uid).acquire_owned().await.ok();
        Turn([self.others.clone().acquire_owned().await.ok(), own])
    }

    fn line(&self, uid: u32) -> Arc<Semaphore> {
        let mut by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = by_user.get(&uid).and_then(Weak::upgrade) {
            return line;
        }
        if by_user.len() >= KNOWN {
            by_user.retain(|_, line| line.strong_count() > 0);
        }
        let line = Arc::new(Semaphore::new(EACH));
        by_user.insert(uid, Arc::downgrade(&line));
        line
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::core::Writer;
    use super::super::supervisor::Supervisor;
    use super::*;
    use crate::agent::access::{Caller, Requester};
    use crate::agent::testing::{Bench, DRY, PLAIN, ROOT as AS_ROOT, create};
    use tokio::task::JoinSet;
    use tokio::time::timeout;

    fn user(uid: u32) -> Requester {
        let caller = Caller {
            uid,
            gid: uid,
            pid: None,
            person: None,
        };
        Requester { caller, ..AS_ROOT }
    }

    #[tokio::test]
    async fn users_have_a_place_each_and_two_together() {
        let turns = Turns::default();
        let waits = async |uid| {
            timeout(Duration::from_millis(20), turns.take(uid))
                .await
                .is_err()
        };
        let first = turns.take(1).await;
        assert!(waits(1).await, "one user, one place");
        let _second = turns.take(2).await;
        assert!(waits(3).await, "all places of users are taken");
        drop(first);
        let _third = turns.take(1).await;
        let _root = turns.take(0).await;
        assert!(!waits(0).await);
    }

    #[tokio::test]
    async fn users_without_requests_are_removed() {
        let turns = Turns::default();
        for uid in 1..1_000 {
            drop(turns.take(uid).await);
        }
        assert!(turns.by_user.lock().unwrap().len() <= KNOWN);
    }

    /// Also of callers who go away and come back, which leaves their requests behind.
    #[tokio::test(flavor = "multi_thread")]
    async fn dry_runs_of_users_do_not_keep_root_or_repair_out_of_the_queue() {
        let bench = Bench::new();
        let kernel = bench.kernel.clone();
        let (supervisor, _) = Supervisor::start(bench.writer).unwrap();
        let (stands, stood) = std::sync::mpsc::channel();
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let holder = std::thread::spawn(move || {
            let held = kernel.lock();
            stands.send(()).unwrap();
            gone.recv().unwrap();
            drop(held);
        });
        stood.recv().unwrap();
        supervisor.reconcile();
        let mut asked = JoinSet::new();
        for at in 0..400_u32 {
            let supervisor = supervisor.clone();
            asked.spawn(async move {
                let change = create("office", &[], &["10.0.0.1"]);
                let requester = user(1_000 + at % 40);
                let wanted = supervisor.run(requester.caller, move |writer| {
                    writer.change(change, requester, DRY)
                });
                // Every second caller has no patience.
                match at % 2 {
                    0 => drop(timeout(Duration::from_millis(50), wanted).await),
                    _ => drop(wanted.await),
                }
            });
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(
            supervisor.free_places() >= ROOT,
            "{}",
            supervisor.free_places()
        );
        let root = tokio::spawn({
            let supervisor = supervisor.clone();
            async move {
                let change = create("head_office", &[], &["10.0.0.2"]);
                let change = move |writer: &mut Writer| writer.change(change, AS_ROOT, PLAIN);
                supervisor.run(AS_ROOT.caller, change).await
            }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        let started = Instant::now();
        go.send(()).unwrap();
        let changed = root.await.unwrap().unwrap();
        assert_eq!(changed.revision, 1);
        let took = started.elapsed();
        // Most of the users' requests are not even in the queue yet.
        let done = (0..)
            .take_while(|_| asked.try_join_next().is_some())
            .count();
        assert!(done < 300, "{done} were done first, in {took:?}");
        while asked.join_next().await.is_some() {}
        holder.join().unwrap();
        supervisor.stop().await;
    }
}
