//! Questions about lines that are not in force: whether they could be, and which open sessions they
//! would reject. Only the database knows.

use std::time::Instant;

use super::asked::AskedTrial;
use super::shared::{OrderBoard, plain};
use crate::agent::databases::order::LinesOrder;
use crate::api::{DatabaseTrial, DatabaseTrialReport};

/// Sessions that an answer has at most, by user and address.
const MOST: usize = 1_000;

impl OrderBoard {
    /// Asks about an order; the question's number. `None`: no helper runs that could answer.
    #[must_use]
    pub fn ask(&self, order: &LinesOrder) -> Option<u64> {
        let mut inner = self.lock();
        let number = inner.asked + 1;
        let post = inner.posts.get_mut(&order.database.name)?;
        if !post.is_attended() {
            return None;
        }
        post.trial = Some(AskedTrial {
            question: DatabaseTrial {
                number,
                lines: order.lines.iter().cloned().collect(),
                must_exist: order.must_exist.clone(),
                widened_by: order.widened_by.clone(),
            },
            answer: None,
        });
        inner.asked = number;
        drop(inner);
        self.0.ordered.send_modify(|count| *count += 1);
        Some(number)
    }

    /// A helper answers. Whether there is such a database.
    #[must_use]
    pub fn answer(&self, name: &str, mut report: DatabaseTrialReport) -> bool {
        report.sessions.truncate(MOST);
        report.problem = report.problem.as_deref().map(plain);
        let mut inner = self.lock();
        let mut posts = inner.posts.iter_mut();
        let Some((_, post)) = posts.find(|(one, _)| one.matches(name)) else {
            return false;
        };
        post.heard = Some(Instant::now());
        let trial = post.trial.as_mut();
        if let Some(trial) = trial.filter(|trial| trial.question.number == report.number) {
            trial.answer = Some(report);
        }
        drop(inner);
        self.heard();
        true
    }

    /// Waits for the answer to a question, which a later one may replace.
    pub async fn answered(
        &self,
        database: &str,
        number: u64,
        deadline: Instant,
    ) -> Option<DatabaseTrialReport> {
        self.look_until(deadline, || {
            let inner = self.lock();
            let mut posts = inner.posts.iter();
            let found = posts.find(|(name, _)| name.matches(database));
            let trial = found.and_then(|(_, post)| post.trial.as_ref());
            match trial.filter(|trial| trial.question.number == number) {
                None => Some(None),
                Some(trial) => trial.answer.clone().map(Some),
            }
        })
        .await
        .flatten()
    }
}
