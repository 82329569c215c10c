//! The board between the writer, which puts orders up, and the helpers, which wait for them and
//! report.

mod asked;
mod post;
mod shared;
mod trial;
mod waiting;

use std::collections::BTreeSet;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::watch;

use self::post::{Post, view};
pub use self::shared::OrderBoard;
use self::shared::plain;
pub use self::waiting::{Carried, NotCarried, PATIENCE};
use super::order::LinesOrder;
use crate::api::{DatabaseCondition, DatabaseOrder, DatabaseReport, DatabaseView, LaterLines};
use crate::model::{Name, State};

impl OrderBoard {
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
            let order = post.with_what_is_to_be_cut(order);
            if post.sequence == 0 || !order.asks_no_more_than(&post.order) {
                sequence += 1;
                post.sequence = sequence;
            }
            post.replace(order);
        }
        let is_any = inner.sequence != sequence;
        inner.sequence = sequence;
        drop(inner);
        if is_any {
            self.0.ordered.send_modify(|count| *count += 1);
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

    /// The order for a database, unless it is the one that was seen and nothing else is asked than
    /// what was tried.
    #[must_use]
    pub fn order_for(
        &self,
        name: &Name,
        seen: Option<u64>,
        tried: Option<u64>,
    ) -> Option<DatabaseOrder> {
        let inner = self.lock();
        let post = inner.posts.get(name)?;
        let trial = post.question(tried);
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
            later,
            cut,
        } = &post.order;
        (seen != Some(post.sequence) || trial.is_some()).then(|| DatabaseOrder {
            name: database.name.to_string(),
            sequence: post.sequence,
            kind: database.kind,
            port: *port,
            socket: database.socket.clone(),
            hba_dir: database.hba_dir.clone(),
            hba_conf: database.hba_conf.clone(),
            lines: lines.iter().cloned().collect(),
            users: users.clone(),
            roles: roles.clone(),
            must_exist: must_exist.clone(),
            widened_by: widened_by.clone(),
            cut: cut.iter().cloned().collect(),
            later: later.iter().map(later_lines).collect(),
            trial,
        })
    }

    /// A helper reports. Whether there is such a database.
    #[must_use]
    pub fn report(&self, name: &str, mut report: DatabaseReport, now: Timestamp) -> bool {
        report.message = report.message.as_deref().map(plain);
        let mut inner = self.lock();
        let mut posts = inner.posts.iter_mut();
        let Some((found, post)) = posts.find(|(one, _)| one.matches(name)) else {
            return false;
        };
        post.heard = Some(Instant::now());
        if report.sequence == post.sequence {
            if report.condition == DatabaseCondition::InForce {
                post.confirmed = Some(post.order.lines.clone());
                let required = post.order.must_exist.iter().cloned();
                post.checked.extend(required);
                post.order.cut.clear();
                post.note_ended(&report);
            }
            // Whatever the server has then: another process may have undone it.
            if report.condition == DatabaseCondition::Refused {
                post.confirmed = None;
                post.checked.clear();
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
        self.heard();
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

fn later_lines((at, lines): &(Timestamp, BTreeSet<String>)) -> LaterLines {
    LaterLines {
        at: *at,
        lines: lines.iter().cloned().collect(),
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
