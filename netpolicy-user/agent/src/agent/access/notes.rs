//! What was done or refused without the writer, on its way to the audit log.
//!
//! Notes do not stand in the queue of requests, which may be full: they are kept here until
//! the writer records them, at the latest when the agent stops. Anyone can have requests
//! refused without limit, and the audit log keeps everything: of refusals beyond some a minute it
//! has the number alone.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

use super::requester::Requester;

/// Refusals of a minute that are recorded one by one.
const EACH_MINUTE: u64 = 60;

/// Notes that wait to be recorded.
const MOST: usize = 1_024;

/// One entry to be made.
#[derive(Debug)]
pub(in crate::agent) struct AuditNote {
    pub(in crate::agent) time: Timestamp,
    pub(in crate::agent) requester: Requester,
    pub(in crate::agent) action: String,
    pub(in crate::agent) what: Noted,
}

/// What is noted.
#[derive(Debug)]
pub(in crate::agent) enum Noted {
    /// It was done, and as often again while the notes were full.
    Done { again: u64 },
    /// It was refused, for these reasons.
    Refused { errors: Vec<String> },
}

/// See the module.
#[derive(Debug)]
pub(in crate::agent) struct Notes {
    started: Instant,
    kept: Mutex<UnrecordedNotes>,
}

#[derive(Debug, Default)]
struct UnrecordedNotes {
    waiting: VecDeque<AuditNote>,
    /// The minute since the start that `refused` counts in.
    minute: u64,
    refused: u64,
    /// Refusals that are only counted, and since when.
    left_out: u64,
    since: Option<Timestamp>,
}

impl Default for Notes {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            kept: Mutex::default(),
        }
    }
}

impl Notes {
    /// Notes what was done.
    pub(in crate::agent) fn done(&self, requester: Requester, action: &'static str) {
        self.with(|kept| kept.done(requester, action));
    }

    /// Notes what was refused. Whether it is kept, and not only counted.
    pub(in crate::agent) fn refused(
        &self,
        requester: Requester,
        action: &str,
        errors: impl FnOnce() -> Vec<String>,
    ) -> bool {
        let minute = self.minute();
        self.with(|kept| kept.refused(minute, requester, action, errors))
    }

    /// The oldest note. Of refusals that were only counted it tells once their minute is
    /// over; with `all` at once.
    pub(in crate::agent) fn take(&self, all: bool) -> Option<AuditNote> {
        let minute = self.minute();
        self.with(|kept| {
            let next = kept.waiting.pop_front();
            next.or_else(|| kept.counted(all || kept.minute != minute))
        })
    }

    /// Keeps a note that could not be recorded.
    pub(in crate::agent) fn put_back(&self, note: AuditNote) {
        self.with(|kept| kept.waiting.push_front(note));
    }

    fn minute(&self) -> u64 {
        self.started.elapsed().as_secs() / 60
    }

    fn with<T>(&self, work: impl FnOnce(&mut UnrecordedNotes) -> T) -> T {
        // Nothing in here panics halfway.
        work(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl UnrecordedNotes {
    fn done(&mut self, requester: Requester, action: &str) {
        if self.waiting.len() >= MOST {
            let is_same = |note: &&mut AuditNote| {
                note.requester.caller.uid == requester.caller.uid && note.action == action
            };
            let mut notes = self.waiting.iter_mut().rev();
            if let Some(AuditNote {
                what: Noted::Done { again },
                ..
            }) = notes.find(is_same)
            {
                *again += 1;
                return;
            }
        }
        self.push(requester, action, Noted::Done { again: 0 });
    }

    fn refused(
        &mut self,
        minute: u64,
        requester: Requester,
        action: &str,
        errors: impl FnOnce() -> Vec<String>,
    ) -> bool {
        if self.minute != minute {
            self.minute = minute;
            self.refused = 0;
        }
        // A quarter is left to what was done.
        if self.refused >= EACH_MINUTE || self.waiting.len() >= MOST / 4 * 3 {
            self.left_out += 1;
            self.since.get_or_insert_with(Timestamp::now);
            return false;
        }
        self.refused += 1;
        let errors = errors();
        self.push(requester, action, Noted::Refused { errors });
        true
    }

    fn push(&mut self, requester: Requester, action: &str, what: Noted) {
        self.waiting.push_back(AuditNote {
            time: Timestamp::now(),
            requester,
            action: action.to_owned(),
            what,
        });
    }

    /// How many refusals were only counted, if that is to be told.
    fn counted(&mut self, is_over: bool) -> Option<AuditNote> {
        if !is_over || self.left_out == 0 {
            return None;
        }
        let number = std::mem::take(&mut self.left_out);
        let since = self.since.take().unwrap_or_default();
        Some(AuditNote {
            time: Timestamp::now(),
            requester: Requester::agent(),
            action: "refuse requests".to_owned(),
            what: Noted::Refused {
                errors: vec![format!(
                    "{number} more refused since {since:.0}: over {EACH_MINUTE} a minute, so not \
                     recorded one by one"
                )],
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::error::AgentError;
    use crate::agent::testing::{Bench, ROOT};
    use crate::agent::writer::Supervisor;
    use crate::store::Outcome;
    use crate::store::{SqliteStore, Store as _, Window};

    fn refuse(kept: &mut UnrecordedNotes, minute: u64, times: usize) -> usize {
        (0..times)
            .filter(|_| kept.refused(minute, ROOT, "POST /v1/detach", Vec::new))
            .count()
    }

    #[test]
    fn refusals_beyond_sixty_a_minute_are_counted_and_reported_once() {
        let mut kept = UnrecordedNotes::default();
        assert_eq!(refuse(&mut kept, 0, 1_000), 60);
        assert_eq!(refuse(&mut kept, 1, 10), 10);
        assert_eq!(kept.waiting.len(), 70);
        assert!(kept.counted(false).is_none());
        let Some(AuditNote {
            what: Noted::Refused { errors },
            ..
        }) = kept.counted(true)
        else {
            panic!("nothing is told");
        };
        assert!(
            errors[0].starts_with("940 more refused since "),
            "{errors:?}"
        );
        assert!(kept.counted(true).is_none());
    }

    #[test]
    fn full_notes_keep_room_for_what_was_done_and_lose_none_of_it() {
        let mut kept = UnrecordedNotes::default();
        for minute in 0..100 {
            refuse(&mut kept, minute, 60);
        }
        assert_eq!(kept.waiting.len(), 768);
        for _ in 0..2 * MOST {
            kept.done(ROOT, "detach");
        }
        assert_eq!(kept.waiting.len(), MOST);
        let of = |note: &AuditNote| match note.what {
            Noted::Done { again } => 1 + again,
            Noted::Refused { .. } => 0,
        };
        let done: u64 = kept.waiting.iter().map(of).sum();
        assert_eq!(done, 2 * MOST as u64);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn notes_of_a_busy_writer_are_in_the_audit_log_when_it_has_stopped() {
        let bench = Bench::new();
        let kernel = bench.kernel.clone();
        let (supervisor, _) = Supervisor::start(bench.writer).unwrap();
        let held = tokio::task::spawn_blocking({
            let supervisor = supervisor.clone();
            move || {
                // The writer stands still at the kernel.
                let held = kernel.lock();
                supervisor.reconcile();
                for _ in 0..100 {
                    supervisor.note(ROOT, "detach");
                }
                let error = AgentError::NoRights {
                    who: "mallory".to_owned(),
                };
                for _ in 0..100 {
                    supervisor.refused(ROOT, "POST /v1/changes", &error);
                }
                drop(held);
            }
        });
        held.await.unwrap();
        supervisor.stop().await;
        let store = SqliteStore::open(bench.dir.path()).unwrap();
        let log = store.past().unwrap().audit_log(&Window::newest(1_000));
        let log = log.unwrap().items;
        let count = |outcome, action: &str| {
            let of = log.iter().filter(|(_, entry)| entry.outcome == outcome);
            of.filter(|(_, entry)| entry.action == action).count()
        };
        assert_eq!(count(Outcome::Done, "detach"), 100);
        assert_eq!(count(Outcome::Refused, "POST /v1/changes"), 60);
        let (_, counted) = log
            .iter()
            .find(|(_, entry)| entry.action == "refuse requests")
            .unwrap();
        assert!(counted.detail.errors[0].starts_with("40 more refused"));
    }
}
