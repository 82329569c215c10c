//! Which connections are kept when there are too many.
//!
//! Any process of the host can connect. Connections over which no session was shown make room
//! for new ones, the oldest first, so that idle or slow ones keep no person out.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The connections of one console.
#[derive(Debug)]
pub(crate) struct Connections {
    most: usize,
    open: Mutex<VecDeque<Arc<Connection>>>,
}

/// One connection.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    is_proven: AtomicBool,
    ended: Notify,
}

impl Connection {
    /// A request with a session's secret came over it.
    pub(crate) fn prove(&self) {
        self.is_proven.store(true, Ordering::Relaxed);
    }

    /// Waits until it has to make room.
    pub(crate) async fn displaced(&self) {
        self.ended.notified().await;
    }

    fn is_proven(&self) -> bool {
        self.is_proven.load(Ordering::Relaxed)
    }
}

impl Connections {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            open: Mutex::default(),
        }
    }

    /// A place for a new connection; `None`: all are taken by sessions.
    pub(crate) fn admit(&self) -> Option<Arc<Connection>> {
        let mut open = self.open();
        if open.len() >= self.most {
            let oldest = open.iter().position(|connection| !connection.is_proven())?;
            let displaced = open.remove(oldest)?;
            displaced.ended.notify_one();
        }
        let connection = Arc::new(Connection::default());
        open.push_back(Arc::clone(&connection));
        Some(connection)
    }

    /// A connection ended.
    pub(crate) fn release(&self, ended: &Arc<Connection>) {
        let mut open = self.open();
        open.retain(|connection| !Arc::ptr_eq(connection, ended));
    }

    fn open(&self) -> MutexGuard<'_, VecDeque<Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn oldest_connection_without_a_session_makes_room() {
        let connections = Connections::new(3);
        let [first, second, third] = [(); 3].map(|()| connections.admit().unwrap());
        first.prove();
        let fourth = connections.admit().unwrap();
        second.displaced().await;
        third.prove();
        fourth.prove();
        assert!(connections.admit().is_none());
        connections.release(&first);
        assert!(connections.admit().is_some());
    }
}
