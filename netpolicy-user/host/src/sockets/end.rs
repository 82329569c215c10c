//! Ending sessions, and asking again whether they are over.
//!
//! Ends what it is told to and what belongs to it: the other subflows of an MPTCP
//! connection. What it says was closed is gone. Where ending fails it goes on with the
//! rest, and says of each session that is left why.

use std::collections::{HashMap, HashSet};
use std::thread;
use std::time::Duration;

use super::connection::Connection;
use super::destroy::{Destroyed, destroy, destroy_into};
use super::diag::Diag;
use super::error::SocketsError;
use super::forwarded::end_forwarded;
use super::left::Left;
use super::mptcp::Holders;
use super::session::Session;
use super::survey::all_connections;

/// What became of sessions that were to end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// How many were ended. An MPTCP connection counts once.
    pub closed: usize,
    /// Those that are not over, and why.
    pub left: Vec<(Session, Left)>,
}

/// Ends these sessions: own ones as [`destroy`] does; subflows with all of their MPTCP
/// connection; forwarded ones in the network namespace of their server, where that is
/// on this machine. Then looks whether they are gone.
///
/// Takes some microseconds for each, and some milliseconds more where there are MPTCP
/// connections (all processes are looked at) or forwarded ones (all network namespaces).
/// Up to half a second where forwarded ones stay open.
#[must_use]
pub fn end(sessions: &[Session]) -> Ended {
    let (mut own, mut forwarded) = (Vec::new(), Vec::new());
    for session in sessions {
        match session {
            Session::Own(connection) => own.push(*connection),
            Session::Forwarded(session) => forwarded.push(*session),
        }
    }
    let Here { closed, left } = end_here(&own);
    let left = left.into_iter();
    let mut ended = Ended {
        closed,
        left: left
            .map(|(connection, why)| (Session::Own(connection), why))
            .collect(),
    };
    if !forwarded.is_empty() {
        end_forwarded(&forwarded, &mut ended);
    }
    ended
}

/// What became of connections of one network namespace.
#[derive(Default)]
pub(super) struct Here {
    pub(super) closed: usize,
    pub(super) left: Vec<(Connection, Left)>,
}

/// In the calling thread's network namespace.
pub(super) fn end_here(connections: &[Connection]) -> Here {
    let (mptcp, plain): (Vec<_>, Vec<_>) = connections.iter().partition(|c| c.mptcp().is_some());
    // One subflow of each connection stands for it.
    let mut tokens = HashSet::new();
    let mptcp: Vec<_> = mptcp
        .into_iter()
        .filter(|it: &Connection| tokens.insert(it.mptcp()))
        .collect();
    let mut here = Here::default();
    here.add(plain, end_plain);
    here.add(mptcp, end_mptcp);
    here
}

impl Here {
    fn add(
        &mut self,
        connections: Vec<Connection>,
        end: fn(&[Connection]) -> Result<Self, SocketsError>,
    ) {
        if connections.is_empty() {
            return;
        }
        match end(&connections) {
            Ok(done) => {
                self.closed += done.closed;
                self.left.extend(done.left);
            }
            // Without an answer none is known to be over.
            Err(error) => {
                let why = Left::Refused(error.in_full());
                let left = connections.into_iter();
                self.left.extend(left.map(|it| (it, why.clone())));
            }
        }
    }
}

fn end_plain(connections: &[Connection]) -> Result<Here, SocketsError> {
    let mut done = Destroyed::default();
    let refused = destroy_into(connections, &mut done).err();
    let tried = done.closed + done.gone;
    let mut diag = Diag::open()?;
    let mut here = Here {
        closed: done.closed,
        left: Vec::new(),
    };
    for (position, connection) in connections.iter().enumerate() {
        if !diag.lives(connection)? {
            continue;
        }
        let why = match &refused {
            Some(error) if position >= tried => Left::Refused(error.in_full()),
            _ => {
                here.closed = here.closed.saturating_sub(1);
                Left::Lives
            }
        };
        here.left.push((*connection, why));
    }
    Ok(here)
}

/// Ends whole MPTCP connections, of which at least one subflow each is given.
fn end_mptcp(subflows: &[Connection]) -> Result<Here, SocketsError> {
    let mut here = Here::default();
    let mut wanted: HashMap<u32, Connection> = HashMap::new();
    for subflow in subflows {
        if let Some(token) = subflow.mptcp() {
            wanted.entry(token).or_insert(*subflow);
        }
    }
    let of_wanted = |all: Vec<Connection>| -> Vec<Connection> {
        let is_wanted = |c: &Connection| c.mptcp().is_some_and(|token| wanted.contains_key(&token));
        all.into_iter().filter(is_wanted).collect()
    };
    let all = of_wanted(all_connections()?);
    let sockets: HashMap<u32, u64> = all
        .iter()
        .filter_map(|c| Some((c.mptcp()?, c.inode()?)))
        .collect();
    let holders = Holders::of(&sockets.values().copied().collect());
    let disconnected: HashSet<u32> = sockets
        .iter()
        .filter(|&(_, &inode)| holders.disconnect(inode))
        .map(|(&token, _)| token)
        .collect();
    // Of the connections that could not be disconnected; of the others they are gone.
    let refused = destroy(&all).err();
    let there = remaining(&wanted.keys().copied().collect())?;
    let rest: HashSet<u32> = of_wanted(all_connections()?)
        .iter()
        .filter_map(Connection::mptcp)
        .collect();
    for (token, subflow) in wanted {
        let is_there = match &there {
            Some(there) => there.contains(&token),
            None => !disconnected.contains(&token),
        };
        if rest.contains(&token) {
            let why = match &refused {
                Some(error) => Left::Refused(error.in_full()),
                None => Left::Lives,
            };
            here.left.push((subflow, why));
        } else if is_there {
            here.left.push((subflow, Left::Mptcp));
        } else {
            here.closed += 1;
        }
    }
    Ok(here)
}

/// Which of the MPTCP connections are still there; `None`: this kernel does not say. Some
/// end a little later than their last subflow, by a worker of the kernel (`mptcp_worker`).
fn remaining(tokens: &HashSet<u32>) -> Result<Option<HashSet<u32>>, SocketsError> {
    const PATIENCE: u32 = 20;
    const PAUSE: Duration = Duration::from_millis(5);
    let mut diag = Diag::open()?;
    for _ in 0..PATIENCE {
        match diag.mptcp_tokens()? {
            Some(there) if !there.is_disjoint(tokens) => thread::sleep(PAUSE),
            there => return Ok(there),
        }
    }
    diag.mptcp_tokens()
}
