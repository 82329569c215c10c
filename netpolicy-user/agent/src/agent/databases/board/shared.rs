//! What writer and helpers share: the orders of all databases, and what wakes those who wait.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use super::post::Post;
use crate::model::Name;

/// Characters of a message that are kept.
const MAX_MESSAGE: usize = 500;

/// The board. Cheap to clone.
#[derive(Clone)]
pub struct OrderBoard(pub(super) Arc<BoardShared>);

/// What its copies share.
pub(super) struct BoardShared {
    inner: Mutex<BoardPosts>,
    pub(super) reported: Condvar,
    /// Counts what helpers say.
    pub(super) heard: watch::Sender<u64>,
    /// Counts what is put up.
    pub(super) ordered: watch::Sender<u64>,
}

/// What is up.
pub(super) struct BoardPosts {
    /// The last sequence that was given: none is given twice, by later agents either.
    pub(super) sequence: u64,
    /// The last number of a question.
    pub(super) asked: u64,
    pub(super) posts: BTreeMap<Name, Post>,
}

impl Default for OrderBoard {
    fn default() -> Self {
        // Beyond what an agent before has numbered: helpers outlive it.
        let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
        Self(Arc::new(BoardShared {
            inner: Mutex::new(BoardPosts {
                sequence: now,
                asked: now,
                posts: BTreeMap::new(),
            }),
            reported: Condvar::new(),
            heard: watch::Sender::new(0),
            ordered: watch::Sender::new(0),
        }))
    }
}

impl OrderBoard {
    pub(super) fn lock(&self) -> MutexGuard<'_, BoardPosts> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets those look who wait for a helper.
    pub(super) fn heard(&self) {
        self.0.reported.notify_all();
        self.0.heard.send_modify(|count| *count += 1);
    }
}

/// A message of a helper, on one line.
pub(super) fn plain(message: &str) -> String {
    let kept = message.chars().filter(|c| !c.is_control());
    kept.take(MAX_MESSAGE).collect()
}
