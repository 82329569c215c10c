//! The board between the writer, which puts orders up, and the helpers, which wait for them and
//! report.

mod post;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

use self::post::{Post, view, words};
use super::order::LinesOrder;
use crate::api::{DatabaseCondition, DatabaseOrder, DatabaseReport, DatabaseView};
use crate::model::{Name, State};

/// How long a change waits for a helper that has it in hand.
const PATIENCE: Duration = Duration::from_secs(15);

/// Characters of a message that are kept.
const MAX_MESSAGE: usize = 500;

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
    #[error("the helper of database '{database}' did not report within {} s; nothing changed", PATIENCE.as_secs())]
    Late {
        /// The database.
        database: String,
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

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct OrderBoard(Arc<BoardShared>);

struct BoardShared {
    inner: Mutex<BoardPosts>,
    reported: Condvar,
    ordered: watch::Sender<u64>,
}

struct BoardPosts {
    /// The last sequence that was given: none is given twice, by later agents either.
    sequence: u64,
    posts: BTreeMap<Name, Post>,
}

impl Default for OrderBoard {
    fn default() -> Self {
        let now = Timestamp::now().as_millisecond();
        Self(Arc::new(BoardShared {
            inner: Mutex::new(BoardPosts {
                sequence: u64::try_from(now).unwrap_or_default(),
                posts: BTreeMap::new(),
            }),
            reported: Condvar::new(),
            ordered: watch::Sender::new(0),
        }))
    }
}

impl OrderBoard {
    fn lock(&self) -> MutexGuard<'_, BoardPosts> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts orders up, for all databases that there are. One that was removed is to have no lines
    /// of netpolicy's; where another took its port, the same as that one, since both write one
    /// file.
    pub fn order(&self, mut orders: Vec<LinesOrder>) {
        let mut inner = self.lock();
        let gone = |name: &Name| orders.iter().all(|order| order.database.name != *name);
        let is_followed = |post: &Post| orders.iter().any(|order| order.port == post.order.port);
        inner.posts.retain(|name, post| {
            !gone(name) || post.may_leave_lines() && (post.is_attended() || !is_followed(post))
        });
        let gone = inner.posts.iter_mut().filter(|(name, _)| gone(name));
        let mut left = Vec::new();
        for (name, post) in gone {
            post.is_gone = true;
            let successor = orders.iter().find(|order| order.port == post.order.port);
            let mut order = successor.map_or_else(|| post.order.without_lines(), Clone::clone);
            order.database.name = name.clone();
            left.push(order);
        }
        for order in &orders {
            if let Some(post) = inner.posts.get_mut(&order.database.name) {
                post.is_gone = false;
            }
        }
        orders.extend(left);
        let mut sequence = inner.sequence;
        for order in orders {
            let name = order.database.name.clone();
            let post = inner
                .posts
                .entry(name)
                .or_insert_with(|| Post::new(order.clone()));
            if post.sequence == 0 || !order.asks_no_more_than(&post.order) {
                sequence += 1;
                post.sequence = sequence;
            }
            post.replace(order);
        }
        inner.sequence = sequence;
        drop(inner);
        self.0.ordered.send_replace(sequence);
    }

    /// Waits until every line is in force that the orders of `needed` have, which were put up.
    /// With `defer` the change may go on where a database cannot be asked.
    ///
    /// # Errors
    /// They are not.
    pub fn wait(&self, needed: &[LinesOrder], defer: bool) -> Result<Carried, NotCarried> {
        let mut deferred = Vec::new();
        for order in needed {
            match self.wait_for(order) {
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

    fn wait_for(&self, order: &LinesOrder) -> Result<(), NotCarried> {
        let deadline = Instant::now() + PATIENCE;
        let name = order.database.name.to_string();
        let mut inner = self.lock();
        loop {
            let Some(post) = inner.posts.get(&order.database.name) else {
                return Ok(());
            };
            if post.has(&order.lines) {
                return Ok(());
            }
            if let Some((_, report)) = &post.report
                && report.sequence == post.sequence
            {
                let (database, message) = (name.clone(), words(report));
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
                return Err(NotCarried::NoHelper {
                    database: name,
                    lines,
                });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NotCarried::Late { database: name });
            }
            let step = left.min(Duration::from_secs(1));
            let waited = self.0.reported.wait_timeout(inner, step);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Changes of the orders.
    #[must_use]
    pub fn ordered(&self) -> watch::Receiver<u64> {
        self.0.ordered.subscribe()
    }

    /// A helper waits for an order until what is returned is dropped.
    #[must_use]
    pub fn attend(&self, name: &str) -> Option<Attendance> {
        let mut inner = self.lock();
        let (name, post) = inner.posts.iter_mut().find(|(one, _)| one.matches(name))?;
        post.waiting += 1;
        post.heard = Some(Instant::now());
        Some(Attendance {
            board: self.clone(),
            name: name.clone(),
        })
    }

    /// The order for a database, unless it is the one that was seen.
    #[must_use]
    pub fn order_for(&self, name: &Name, seen: Option<u64>) -> Option<DatabaseOrder> {
        let inner = self.lock();
        let post = inner.posts.get(name)?;
        let LinesOrder {
            database,
            port,
            lines,
            users,
            roles,
            must_exist,
            problem: _,
            widened_by,
            until: _,
            cut,
        } = &post.order;
        (seen != Some(post.sequence)).then(|| DatabaseOrder {
            name: database.name.to_string(),
            sequence: post.sequence,
            port: *port,
            socket: database.socket.clone(),
            hba_dir: database.hba_dir.clone(),
            hba_conf: database.hba_conf.clone(),
            lines: lines.iter().cloned().collect(),
            users: users.clone(),
            roles: roles.clone(),
            must_exist: must_exist.clone(),
            widened_by: widened_by.clone(),
            cut: *cut,
        })
    }

    /// A helper reports. Whether there is such a database.
    #[must_use]
    pub fn report(&self, name: &str, mut report: DatabaseReport, now: Timestamp) -> bool {
        if let Some(message) = &mut report.message {
            let kept = message.chars().filter(|c| !c.is_control());
            *message = kept.take(MAX_MESSAGE).collect();
        }
        let mut inner = self.lock();
        let mut posts = inner.posts.iter_mut();
        let Some((found, post)) = posts.find(|(one, _)| one.matches(name)) else {
            return false;
        };
        post.heard = Some(Instant::now());
        if report.sequence == post.sequence {
            if report.condition == DatabaseCondition::InForce {
                post.confirmed = Some(post.order.lines.clone());
            }
            // Whatever the server has then: another process may have undone it.
            if report.condition == DatabaseCondition::Refused {
                post.confirmed = None;
            }
            if report.repaired {
                let message = report.message.clone().unwrap_or_default();
                post.repaired = Some((Instant::now(), message));
            }
            post.report = Some((now, report));
            let is_done = post.condition() == DatabaseCondition::InForce;
            if is_done && post.is_gone && post.order.lines.is_empty() {
                let found = found.clone();
                inner.posts.remove(&found);
            }
        }
        drop(inner);
        self.0.reported.notify_all();
        true
    }

    /// When a bypass of any user ends next.
    #[must_use]
    pub fn next_end(&self) -> Option<Timestamp> {
        let inner = self.lock();
        inner
            .posts
            .values()
            .filter_map(|post| post.order.until)
            .min()
    }

    /// Whether a database is known to have a line.
    #[must_use]
    pub fn has(&self, name: &Name, line: &str) -> bool {
        let inner = self.lock();
        let confirmed = inner
            .posts
            .get(name)
            .and_then(|post| post.confirmed.as_ref());
        confirmed.is_some_and(|lines| lines.contains(line))
    }

    /// All databases of a state.
    #[must_use]
    pub fn views(&self, state: &State) -> Vec<DatabaseView> {
        let inner = self.lock();
        let databases = state.databases.iter();
        databases
            .map(|database| view(state, database, inner.posts.get(&database.name)))
            .collect()
    }

    /// What is wrong, a sentence each: with databases whose users have policies.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let inner = self.lock();
        let faults = inner
            .posts
            .iter()
            .flat_map(|(name, post)| post.faults(name));
        faults.collect()
    }
}

/// A helper that waits for an order.
pub struct Attendance {
    board: OrderBoard,
    /// The database.
    pub name: Name,
}

impl Drop for Attendance {
    fn drop(&mut self) {
        if let Some(post) = self.board.lock().posts.get_mut(&self.name) {
            post.waiting = post.waiting.saturating_sub(1);
            post.heard = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
