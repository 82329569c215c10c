//! What was asked of a database last.

use crate::api::{DatabaseTrial, DatabaseTrialReport};

/// A question, and its answer once there is one.
pub(super) struct AskedTrial {
    pub(super) question: DatabaseTrial,
    pub(super) answer: Option<DatabaseTrialReport>,
}

impl AskedTrial {
    /// What is to be answered, unless it was tried.
    pub(super) fn open(&self, tried: Option<u64>) -> Option<DatabaseTrial> {
        let is_open = self.answer.is_none() && tried != Some(self.question.number);
        is_open.then(|| self.question.clone())
    }
}
