//! Clients that are made up.

use std::sync::{Arc, Mutex};

use super::super::clients::Sockets;
use crate::sockets::{Connection, SocketsError, State as Open};

/// Connections that are made up, and what was asked to be closed.
#[derive(Clone, Default)]
pub(in crate::agent) struct FakeSockets(Arc<Mutex<MadeUp>>);

#[derive(Default)]
struct MadeUp {
    open: Vec<Connection>,
    fail: bool,
}

impl FakeSockets {
    /// An open connection from a source to a port.
    pub(in crate::agent) fn open(&self, source: &str, port: u16) {
        let remote = std::net::SocketAddr::new(source.parse().unwrap(), 40_000);
        let local: std::net::IpAddr = match remote.is_ipv4() {
            true => "198.51.100.1".parse().unwrap(),
            false => "2001:db8:ff::1".parse().unwrap(),
        };
        let made = Connection::made_up((local, port).into(), remote, Open::Established);
        self.0.lock().unwrap().open.push(made);
    }

    /// What is open, as "10.0.0.1 5432".
    pub(in crate::agent) fn left(&self) -> Vec<String> {
        let made_up = self.0.lock().unwrap();
        let open = made_up.open.iter();
        open.map(|c| format!("{} {}", c.remote.ip(), c.local.port()))
            .collect()
    }

    /// The kernel says nothing any more.
    pub(in crate::agent) fn fail(&self) {
        self.0.lock().unwrap().fail = true;
    }
}

impl Sockets for FakeSockets {
    fn inbound(&self, _: &dyn Fn(u16) -> bool) -> Result<Vec<Connection>, SocketsError> {
        let made_up = self.0.lock().unwrap();
        if made_up.fail {
            return Err(SocketsError::NoDiag);
        }
        Ok(made_up.open.clone())
    }

    fn cut(&self, connections: &[Connection]) -> Result<usize, SocketsError> {
        let mut made_up = self.0.lock().unwrap();
        let before = made_up.open.len();
        let is_cut = |open: &Connection| {
            let same = |cut: &Connection| (cut.local, cut.remote) == (open.local, open.remote);
            connections.iter().any(same)
        };
        made_up.open.retain(|open| !is_cut(open));
        Ok(before - made_up.open.len())
    }
}
