//! Connection tracking: the TCP connections that pass through a network namespace, and
//! those whose addresses or ports it translates.
//!
//! Reads and deletes entries; loads no module where nothing is tracked. Sources:
//! `net/netfilter/nf_conntrack_netlink.c` and `nf_conntrack_proto_tcp.c` of the kernel.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use netlink_packet_netfilter::conntrack::{
    ConntrackAttribute, ConntrackMessage, IPTuple, ProtoInfo, ProtoInfoTCP, ProtoTuple, Protocol,
    Tuple,
};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use netlink_sys::constants::NETLINK_NETFILTER;
use nix::errno::Errno;

use super::error::SocketsError;
use super::netlink::Netlink;

/// How often a dump is tried that is interrupted by changes.
const ATTEMPTS: u32 = 5;

/// The ends of a connection in one direction, as packets carry them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
}

/// How far a tracked connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The server has answered; the client has not.
    Opening,
    /// Something may travel in at least one direction.
    Open,
    /// Not answered yet, reset, or ended by both sides.
    None,
}

/// A tracked TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The client's packets as they arrive, before any translation.
    pub(super) original: Ends,
    /// The server's packets as the server sends them.
    pub(super) reply: Ends,
    pub(super) progress: Progress,
}

/// A conversation with connection tracking in the calling thread's network namespace.
pub(super) struct Conntrack(Netlink);

impl Conntrack {
    /// `Ok(None)`: nothing is tracked. That is found out without a request, which would
    /// load the modules of connection tracking where they are not loaded.
    pub(super) fn open() -> Result<Option<Self>, SocketsError> {
        // Of the reading thread's network namespace.
        const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
        let count = fs::read_to_string(COUNT).ok();
        let count = count.and_then(|count| count.trim().parse::<u64>().ok());
        if count.unwrap_or_default() == 0 {
            return Ok(None);
        }
        let netlink = Netlink::open(NETLINK_NETFILTER)?;
        netlink.map(Self).map(Some).ok_or(SocketsError::NoConntrack)
    }

    /// All TCP connections that are tracked. The kernel hands over every entry, so this takes
    /// time for each, whatever it is.
    pub(super) fn entries(&mut self) -> Result<Vec<Entry>, SocketsError> {
        for _ in 0..ATTEMPTS {
            let mut entries = Vec::new();
            let request = message(NetfilterProtoFamily::Unspec, ConntrackMessage::Get(vec![]));
            let flags = NLM_F_REQUEST | NLM_F_DUMP;
            let answer = self.0.ask(flags, request, |m| entries.extend(read(&m)))?;
            match answer.errno {
                Some(errno) => return Err(SocketsError::of_conntrack(errno)),
                None if answer.interrupted => {}
                None => return Ok(entries),
            }
        }
        Err(SocketsError::Changing { attempts: ATTEMPTS })
    }

    /// What has become of an entry; `Progress::None` where it is gone.
    pub(super) fn progress(&mut self, of: &Entry) -> Result<Progress, SocketsError> {
        let mut found = None;
        let request = message(family(of), ConntrackMessage::Get(vec![named(of)]));
        let flags = NLM_F_REQUEST | NLM_F_ACK;
        let answer = self.0.ask(flags, request, |m| found = read(&m))?;
        match answer.errno {
            Some(Errno::ENOENT) => Ok(Progress::None),
            Some(errno) => Err(SocketsError::of_conntrack(errno)),
            None => Ok(found.map_or(Progress::None, |entry| entry.progress)),
        }
    }

    /// Deletes an entry, unless it is gone. It ends no connection: the next packet of
    /// one makes a new entry (`nf_conntrack_tcp_loose`).
    pub(super) fn delete(&mut self, entry: &Entry) -> Result<(), SocketsError> {
        let request = message(family(entry), ConntrackMessage::Delete(vec![named(entry)]));
        let flags = NLM_F_REQUEST | NLM_F_ACK;
        let answer = self.0.ask(flags, request, |_: NetfilterMessage| {})?;
        match answer.errno {
            None | Some(Errno::ENOENT) => Ok(()),
            Some(errno) => Err(SocketsError::of_conntrack(errno)),
        }
    }
}

fn message(family: NetfilterProtoFamily, inner: ConntrackMessage) -> NetfilterMessage {
    NetfilterMessage::new(NetfilterHeader::new(family, 0, 0), inner)
}

fn family(entry: &Entry) -> NetfilterProtoFamily {
    match entry.original.source {
        SocketAddr::V4(_) => NetfilterProtoFamily::IPv4,
        SocketAddr::V6(_) => NetfilterProtoFamily::IPv6,
    }
}

/// What names an entry in a request.
fn named(entry: &Entry) -> ConntrackAttribute {
    let Ends {
        source,
        destination,
    } = entry.original;
    ConntrackAttribute::CtaTupleOrig(vec![
        Tuple::Ip(vec![
            IPTuple::SourceAddress(source.ip()),
            IPTuple::DestinationAddress(destination.ip()),
        ]),
        Tuple::Proto(vec![
            ProtoTuple::Protocol(Protocol::Tcp),
            ProtoTuple::SourcePort(source.port()),
            ProtoTuple::DestinationPort(destination.port()),
        ]),
    ])
}

/// `None`: not TCP, or no entry.
fn read(message: &NetfilterMessage) -> Option<Entry> {
    let NetfilterMessageInner::Conntrack(ConntrackMessage::New(attributes)) = &message.inner else {
        return None;
    };
    let (mut original, mut reply) = (None, None);
    // Without a state the connection is in a flow table, past the handshake.
    let mut progress = Progress::Open;
    for attribute in attributes {
        match attribute {
            ConntrackAttribute::CtaTupleOrig(tuple) => original = ends(tuple),
            ConntrackAttribute::CtaTupleReply(tuple) => reply = ends(tuple),
            ConntrackAttribute::CtaProtoInfo(info) => {
                progress = info.iter().find_map(state).map_or(progress, progress_of);
            }
            _ => {}
        }
    }
    Some(Entry {
        original: original?,
        reply: reply?,
        progress,
    })
}

fn state(info: &ProtoInfo) -> Option<u8> {
    let ProtoInfo::TCP(info) = info else {
        return None;
    };
    info.iter().find_map(|info| match info {
        ProtoInfoTCP::State(state) => Some(*state),
        _ => None,
    })
}

/// `enum tcp_conntrack` in `linux/netfilter/nf_conntrack_tcp.h`.
fn progress_of(state: u8) -> Progress {
    match state {
        2 => Progress::Opening,
        // ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK.
        3..=6 => Progress::Open,
        // NONE, SYN_SENT, TIME_WAIT, CLOSE, SYN_SENT2 and what is no state.
        _ => Progress::None,
    }
}

fn ends(tuple: &[Tuple]) -> Option<Ends> {
    let (mut from, mut to, mut from_port, mut to_port): (Option<IpAddr>, Option<IpAddr>, _, _) =
        (None, None, None, None);
    let mut is_tcp = false;
    for part in tuple {
        match part {
            Tuple::Ip(parts) => {
                for part in parts {
                    match part {
                        IPTuple::SourceAddress(address) => from = Some(*address),
                        IPTuple::DestinationAddress(address) => to = Some(*address),
                        _ => {}
                    }
                }
            }
            Tuple::Proto(parts) => {
                for part in parts {
                    match part {
                        ProtoTuple::Protocol(protocol) => is_tcp = *protocol == Protocol::Tcp,
                        ProtoTuple::SourcePort(port) => from_port = Some(*port),
                        ProtoTuple::DestinationPort(port) => to_port = Some(*port),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    is_tcp.then_some(Ends {
        source: SocketAddr::new(from?, from_port?),
        destination: SocketAddr::new(to?, to_port?),
    })
}
