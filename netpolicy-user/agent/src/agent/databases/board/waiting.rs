//! Whether lines that a change needs are in force: looked at once, or waited for.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::post::words;
use super::shared::{BoardPosts, OrderBoard};
use crate::agent::databases::order::LinesOrder;
use crate::api::DatabaseCondition;

/// How long a change waits for a helper that has it in hand.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Between two looks at whether a helper is still there, which says nothing when it goes.
const LOOK: Duration = Duration::from_secs(1);

/// What became of lines that a change needs first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// They are in force.
    InForce,
    /// They are not, and the change goes on without them: in words.
    Deferred(String),
}

/// Why lines that a change needs are not in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCarried {
    /// No helper carries them in.
    #[error(
        "no helper runs for database '{database}', so {lines} cannot be carried in; nothing changed"
    )]
    NoHelper {
        /// The database.
        database: String,
        /// "3 lines".
        lines: String,
    },
    /// The database does not take them.
    #[error("database '{database}' refused: {message}; nothing changed")]
    Refused {
        /// The database.
        database: String,
        /// What it said.
        message: String,
    },
    /// The database does not answer.
    #[error("database '{database}' does not answer: {message}; nothing changed")]
    Unreachable {
        /// The database.
        database: String,
        /// What was tried.
        message: String,
    },
    /// It takes too long.
    #[error(
        "the helper of database '{database}' did not report within {seconds} s; nothing changed"
    )]
    Late {
        /// The database.
        database: String,
        /// How long was waited.
        seconds: u64,
    },
}

impl NotCarried {
    /// What to do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoHelper { .. } => {
                "start netpolicy-db@DATABASE.service, or `netpolicy db run DATABASE` as the \
                 database's own user; --defer applies what denies more without it"
            }
            Self::Refused { .. } => "`netpolicy db list` shows what each database has",
            Self::Unreachable { .. } | Self::Late { .. } => {
                "start the database; --defer applies what denies more without it"
            }
        }
    }

    /// Whether it may be carried in later: the database was not asked.
    fn may_be_deferred(&self) -> bool {
        !matches!(self, Self::Refused { .. })
    }
}

impl BoardPosts {
    /// Whether the lines of an order, which was put up, are in force; `false`: a helper has them in
    /// hand.
    fn has_carried(&self, order: &LinesOrder) -> Result<bool, NotCarried> {
        let Some(post) = self.posts.get(&order.database.name) else {
            return Ok(true);
        };
        if post.has(order) {
            return Ok(true);
        }
        let database = order.database.name.to_string();
        if let Some((_, report)) = &post.report
            && report.sequence == post.sequence
        {
            let message = words(report);
            match report.condition {
                DatabaseCondition::Refused => {
                    return Err(NotCarried::Refused { database, message });
                }
                DatabaseCondition::Unreachable => {
                    return Err(NotCarried::Unreachable { database, message });
                }
                _ => {}
            }
        }
        if !post.is_attended() {
            let lines = crate::model::counted(order.lines.len(), "line", "lines");
            return Err(NotCarried::NoHelper { database, lines });
        }
        Ok(false)
    }
}

impl BoardPosts {
    /// Whether a helper has carried in what was put up last for this order's database.
    fn has_reported(&self, order: &LinesOrder) -> bool {
        let post = self.posts.get(&order.database.name);
        post.is_some_and(|post| post.condition() == DatabaseCondition::InForce)
    }
}

impl OrderBoard {
    /// Whether helpers have any of these orders, which were put up, in hand, and none was refused.
    #[must_use]
    pub fn is_under_way(&self, needed: &[LinesOrder]) -> bool {
        let inner = self.lock();
        let mut found = needed.iter().map(|order| (order, inner.has_carried(order)));
        let mut is_any = false;
        let is_refused = found.any(|(order, found)| {
            // What was reported is of another order: this one has to be put up again.
            is_any |= found == Ok(false) && !inner.has_reported(order);
            found.is_err()
        });
        is_any && !is_refused
    }

    /// Waits until every line is in force that the orders of `needed` have, which were put up;
    /// at most so long for each. With `defer` the change may go on where a database cannot be
    /// asked.
    ///
    /// # Errors
    /// They are not.
    pub fn wait(
        &self,
        needed: &[LinesOrder],
        defer: bool,
        patience: Duration,
    ) -> Result<Carried, NotCarried> {
        let mut deferred = Vec::new();
        for order in needed {
            match self.wait_for(order, patience) {
                Ok(()) => {}
                Err(error) if defer && error.may_be_deferred() => deferred.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(match deferred.is_empty() {
            true => Carried::InForce,
            false => Carried::Deferred(deferred.join("; ").replace("; nothing changed", "")),
        })
    }

    fn wait_for(&self, order: &LinesOrder, patience: Duration) -> Result<(), NotCarried> {
        let deadline = Instant::now() + patience;
        let mut inner = self.lock();
        while !inner.has_carried(order)? {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // Nothing more is waited for where a wait has ended already.
                let waited = if patience.is_zero() {
                    PATIENCE
                } else {
                    patience
                };
                return Err(NotCarried::Late {
                    database: order.database.name.to_string(),
                    seconds: waited.as_secs(),
                });
            }
            let waited = self.0.reported.wait_timeout(inner, left.min(LOOK));
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Waits until no helper has any of these orders in hand any more, at most until an instant,
    /// and keeps no other request from anything meanwhile.
    pub async fn settle(&self, needed: &[LinesOrder], deadline: Instant) {
        self.look_until(deadline, || (!self.is_under_way(needed)).then_some(()))
            .await;
    }

    /// How many sessions were ended by the order of this sequence and those that replaced it, once
    /// one of them is reported.
    pub async fn ended(&self, database: &str, sequence: u64, deadline: Instant) -> Option<u64> {
        self.look_until(deadline, || {
            let inner = self.lock();
            let mut posts = inner.posts.iter();
            let Some((_, post)) = posts.find(|(name, _)| name.matches(database)) else {
                return Some(None);
            };
            // A later order takes over what this one was to end.
            let later = post.ended.iter().filter(|(of, _)| *of >= sequence);
            let counts: Vec<u64> = later.map(|(_, count)| *count).collect();
            match counts.is_empty() {
                false => Some(Some(counts.iter().sum())),
                true => (!post.is_attended()).then_some(None),
            }
        })
        .await
        .flatten()
    }

    /// The sequence of a database's order.
    #[must_use]
    pub fn sequence(&self, database: &str) -> Option<u64> {
        let inner = self.lock();
        let mut posts = inner.posts.iter();
        let found = posts.find(|(name, _)| name.matches(database));
        found.map(|(_, post)| post.sequence)
    }

    /// Looks whenever a helper says something, until there is an answer.
    pub(super) async fn look_until<T>(
        &self,
        deadline: Instant,
        look: impl Fn() -> Option<T>,
    ) -> Option<T> {
        let mut heard = self.0.heard.subscribe();
        loop {
            heard.borrow_and_update();
            if let Some(found) = look() {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            // An error: there is no board any more.
            if let Ok(Err(_)) = timeout(left.min(LOOK), heard.changed()).await {
                return None;
            }
        }
    }
}
