//! Ending sessions, and asking again whether they are over.
//!
//! Ends what it is told to and what belongs to it: the other subflows of an MPTCP
//! connection. What it says was closed is gone.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::thread;
use std::time::Duration;

use super::connection::{self, Connection};
use super::conntrack::{Conntrack, Progress};
use super::destroy::destroy;
use super::diag::Diag;
use super::error::SocketsError;
use super::mptcp::Holders;
use super::namespaces::Namespaces;
use super::session::{Forwarded, Session};
use super::survey::all_connections;

/// What became of sessions that were to end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// How many were ended. An MPTCP connection counts once.
    pub closed: usize,
    /// Those that are not over, and why.
    pub left: Vec<(Session, Left)>,
}

/// Why a session is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Left {
    /// The kernel said that it ended it, and it is there.
    Lives,
    /// An MPTCP connection without subflows, which can be joined again for a while.
    Mptcp,
    /// Forwarded, and no network namespace of this machine has its socket.
    NoSocket,
    /// As before, and there are processes whose namespaces may not be looked at.
    Hidden,
    /// Forwarded, and more than one network namespace has a socket with its ends.
    Ambiguous,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lives => "the kernel did not end it; restart the server to end it",
            Self::Mptcp => {
                "MPTCP connection whose subflows are closed, but which Linux keeps for \
                 net.mptcp.close_timeout seconds (60 by default) in which an allowed address of \
                 the client can join it; restart the server to end it at once"
            }
            Self::NoSocket => {
                "forwarded, and its socket is in no network namespace of this host; end it at \
                 its server"
            }
            Self::Hidden => {
                "forwarded, and its socket is in no network namespace that the agent can enter \
                 (CAP_SYS_ADMIN, CAP_SYS_PTRACE); end it at its server"
            }
            Self::Ambiguous => {
                "forwarded, and several network namespaces have a socket with its addresses and \
                 ports; restart the server to end it"
            }
        })
    }
}

/// Ends these sessions: own ones as [`destroy`] does; subflows with all of their MPTCP
/// connection; forwarded ones in the network namespace of their server, where that is
/// on this machine. Then looks whether they are gone.
///
/// Takes some microseconds for each, and some milliseconds more where there are MPTCP
/// connections (all processes are looked at) or forwarded ones (all network namespaces).
///
/// # Errors
/// As for [`destroy`].
pub fn end(sessions: &[Session]) -> Result<Ended, SocketsError> {
    let (mut own, mut forwarded) = (Vec::new(), Vec::new());
    for session in sessions {
        match session {
            Session::Own(connection) => own.push(*connection),
            Session::Forwarded(session) => forwarded.push(*session),
        }
    }
    let Here { closed, left } = end_here(&own)?;
    let mut ended = Ended {
        closed,
        left: left
            .into_iter()
            .map(|(connection, why)| (Session::Own(connection), why))
            .collect(),
    };
    if !forwarded.is_empty() {
        end_forwarded(&forwarded, &mut ended)?;
    }
    Ok(ended)
}

/// What became of connections of one network namespace.
#[derive(Default)]
struct Here {
    closed: usize,
    left: Vec<(Connection, Left)>,
}

/// In the calling thread's network namespace.
fn end_here(connections: &[Connection]) -> Result<Here, SocketsError> {
    let (mptcp, plain): (Vec<_>, Vec<_>) = connections.iter().partition(|c| c.mptcp().is_some());
    let mut here = Here {
        closed: destroy(&plain)?.closed,
        left: Vec::new(),
    };
    if !plain.is_empty() {
        let mut diag = Diag::open()?;
        for connection in plain {
            if diag.lives(&connection)? {
                here.left.push((connection, Left::Lives));
                here.closed = here.closed.saturating_sub(1);
            }
        }
    }
    if !mptcp.is_empty() {
        end_mptcp(&mptcp, &mut here)?;
    }
    Ok(here)
}

/// Ends whole MPTCP connections, of which at least one subflow each is given.
fn end_mptcp(subflows: &[Connection], here: &mut Here) -> Result<(), SocketsError> {
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
    destroy(&all)?;
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
            here.left.push((subflow, Left::Lives));
        } else if is_there {
            here.left.push((subflow, Left::Mptcp));
        } else {
            here.closed += 1;
        }
    }
    Ok(())
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

fn end_forwarded(sessions: &[Forwarded], ended: &mut Ended) -> Result<(), SocketsError> {
    let mut namespaces = Namespaces::find()?;
    // Of each session: the namespaces that have its socket.
    let mut places: Vec<Vec<(usize, Connection)>> = vec![Vec::new(); sessions.len()];
    for namespace in 0..namespaces.len() {
        let found = namespaces
            .run(namespace, || find_here(sessions))
            .transpose()?;
        for (place, connection) in places.iter_mut().zip(found.into_iter().flatten()) {
            place.extend(connection.map(|connection| (namespace, connection)));
        }
    }
    let mut by_namespace: HashMap<usize, Vec<Connection>> = HashMap::new();
    for place in &places {
        if let [(namespace, connection)] = place.as_slice() {
            by_namespace
                .entry(*namespace)
                .or_default()
                .push(*connection);
        }
    }
    let mut left: HashMap<(usize, [u8; 8]), Left> = HashMap::new();
    for (namespace, connections) in by_namespace {
        let here = namespaces
            .run(namespace, || end_here(&connections))
            .transpose()?;
        let here = here.map(|here| here.left);
        let named = |why: Left| connections.iter().map(move |c| (c.cookie(), why)).collect();
        let remaining: Vec<_> = match here {
            // It cannot be entered a second time.
            None => named(Left::Hidden),
            Some(all) => all.iter().map(|(c, why)| (c.cookie(), *why)).collect(),
        };
        left.extend(
            remaining
                .into_iter()
                .map(|(cookie, why)| ((namespace, cookie), why)),
        );
    }
    let mut over = Vec::new();
    for (session, place) in sessions.iter().zip(&places) {
        let why = match place.as_slice() {
            [(namespace, connection)] => left.get(&(*namespace, connection.cookie())).copied(),
            [] if namespaces.some_hidden => Some(Left::Hidden),
            [] => Some(Left::NoSocket),
            _ => Some(Left::Ambiguous),
        };
        match why {
            Some(why) => ended.left.push((Session::Forwarded(*session), why)),
            None => over.push(session),
        }
    }
    ended.closed += over.len();
    forget(&over)
}

/// The sockets of forwarded sessions in the calling thread's network namespace, as far as
/// it has them.
fn find_here(sessions: &[Forwarded]) -> Result<Vec<Option<Connection>>, SocketsError> {
    let mut diag = Diag::open()?;
    let one = |session: &Forwarded| {
        let (local, remote) = session.socket();
        let response = diag.find(connection::between(local, remote))?;
        let found = response.and_then(|it| Connection::read(&it.header, &it.nlas));
        // A listener that would take it is another socket.
        Ok(found.filter(|it| {
            let ends = (
                it.local.ip(),
                it.local.port(),
                it.remote.ip(),
                it.remote.port(),
            );
            ends == (local.ip(), local.port(), remote.ip(), remote.port())
        }))
    };
    sessions.iter().map(one).collect()
}

/// Deletes the entries of sessions that are over, once the server's resets have passed: an
/// entry that went first would leave the client's address unknown to them.
fn forget(sessions: &[&Forwarded]) -> Result<(), SocketsError> {
    const PATIENCE: u32 = 20;
    const PAUSE: Duration = Duration::from_millis(5);
    let Some(mut conntrack) = Conntrack::open()? else {
        return Ok(());
    };
    let mut patience = PATIENCE;
    for Forwarded(entry) in sessions {
        while conntrack.progress(entry)? != Progress::None && patience > 0 {
            patience -= 1;
            thread::sleep(PAUSE);
        }
        conntrack.delete(entry)?;
    }
    Ok(())
}
