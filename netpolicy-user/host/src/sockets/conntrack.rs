//! Connection tracking: the TCP connections that pass through a network namespace, and
//! those whose addresses or ports it translates.
//!
//! Reads and deletes entries; loads no module where nothing is tracked. Sources:
//! `net/netfilter/nf_conntrack_netlink.c` and `nf_conntrack_proto_tcp.c` of the kernel.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};

use netlink_packet_core::{DefaultNla, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, Nla};
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

/// `CTA_ID` and `CTA_ZONE` in `linux/netfilter/nfnetlink_conntrack.h`.
const ID: u16 = 12;
const ZONE: u16 = 18;

/// The ends of a connection in one direction, as packets carry them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
}

/// How far a tracked connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrackedState {
    /// The server has answered; the client has not.
    Opening,
    /// Something may travel in at least one direction.
    Open,
    /// Both sides have ended; the server's last packets may be under way.
    Ending,
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
    pub(super) progress: TrackedState,
    /// The zone of the client's packets: entries of other zones may have the same ends.
    pub(super) zone: u16,
    /// The kernel's number for the entry: a later one with the same ends has another.
    pub(super) id: Option<u32>,
}

/// A conversation with connection tracking in the calling thread's network namespace.
pub(super) struct Conntrack(Netlink);

impl Conntrack {
    /// `Ok(None)`: nothing is tracked. That is found out without a request, which would
    /// load the modules of connection tracking where they are not loaded.
    pub(super) fn open() -> Result<Option<Self>, SocketsError> {
        // Of the reading thread's network namespace.
        const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
        match fs::read_to_string(COUNT) {
            Ok(count) if count.trim() == "0" => return Ok(None),
            Ok(_) => {}
            // The module is not loaded.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(SocketsError::System {
                    what: "read the number of tracked connections",
                    source,
                });
            }
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

    /// What has become of an entry; `TrackedState::None` where it is gone.
    pub(super) fn progress(&mut self, of: &Entry) -> Result<TrackedState, SocketsError> {
        let mut found = None;
        let request = message(family(of), ConntrackMessage::Get(named(of)));
        let flags = NLM_F_REQUEST | NLM_F_ACK;
        let answer = self.0.ask(flags, request, |m| found = read(&m))?;
        match answer.errno {
            Some(Errno::ENOENT) => Ok(TrackedState::None),
            Some(errno) => Err(SocketsError::of_conntrack(errno)),
            None => Ok(found
                .filter(|entry| entry.id == of.id)
                .map_or(TrackedState::None, |entry| entry.progress)),
        }
    }

    /// Deletes exactly this entry, unless it is gone. It ends no connection: the next packet of
    /// one makes a new entry (`nf_conntrack_tcp_loose`).
    pub(super) fn delete(&mut self, entry: &Entry) -> Result<(), SocketsError> {
        let mut named = named(entry);
        if let Some(id) = entry.id {
            let id = DefaultNla::new(ID, id.to_be_bytes().to_vec());
            named.push(ConntrackAttribute::Other(id));
        }
        let request = message(family(entry), ConntrackMessage::Delete(named));
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

/// What names an entry in a request: its ends and its zone.
fn named(entry: &Entry) -> Vec<ConntrackAttribute> {
    let Ends {
        source,
        destination,
    } = entry.original;
    let ends = ConntrackAttribute::CtaTupleOrig(vec![
        Tuple::Ip(vec![
            IPTuple::SourceAddress(source.ip()),
            IPTuple::DestinationAddress(destination.ip()),
        ]),
        Tuple::Proto(vec![
            ProtoTuple::Protocol(Protocol::Tcp),
            ProtoTuple::SourcePort(source.port()),
            ProtoTuple::DestinationPort(destination.port()),
        ]),
    ]);
    let mut named = vec![ends];
    // A kernel without zones refuses the attribute.
    if entry.zone != 0 {
        let zone = DefaultNla::new(ZONE, entry.zone.to_be_bytes().to_vec());
        named.push(ConntrackAttribute::Other(zone));
    }
    named
}

/// `None`: not TCP, or no entry.
fn read(message: &NetfilterMessage) -> Option<Entry> {
    let NetfilterMessageInner::Conntrack(ConntrackMessage::New(attributes)) = &message.inner else {
        return None;
    };
    let (mut original, mut reply, mut zone, mut id) = (None, None, 0, None);
    // Without a state the connection is in a flow table, past the handshake.
    let mut progress = TrackedState::Open;
    for attribute in attributes {
        match attribute {
            ConntrackAttribute::CtaTupleOrig(tuple) => {
                original = ends(tuple);
                // Here where the zone is of this direction alone.
                zone = tuple.iter().find_map(tuple_zone).unwrap_or(zone);
            }
            ConntrackAttribute::CtaTupleReply(tuple) => reply = ends(tuple),
            ConntrackAttribute::CtaProtoInfo(info) => {
                progress = info.iter().find_map(state).map_or(progress, progress_of);
            }
            ConntrackAttribute::Other(other) => match (other.kind(), value(other).as_slice()) {
                (ZONE, &[high, low]) => zone = u16::from_be_bytes([high, low]),
                (ID, value) => id = value.try_into().ok().map(u32::from_be_bytes),
                _ => {}
            },
            _ => {}
        }
    }
    Some(Entry {
        original: original?,
        reply: reply?,
        progress,
        zone,
        id,
    })
}

fn tuple_zone(part: &Tuple) -> Option<u16> {
    /// `CTA_TUPLE_ZONE` in `linux/netfilter/nfnetlink_conntrack.h`.
    const TUPLE_ZONE: u16 = 3;
    match part {
        Tuple::Other(other) if other.kind() == TUPLE_ZONE => {
            value(other).try_into().ok().map(u16::from_be_bytes)
        }
        _ => None,
    }
}

fn value(attribute: &DefaultNla) -> Vec<u8> {
    let mut bytes = vec![0; attribute.value_len()];
    attribute.emit_value(&mut bytes);
    bytes
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
fn progress_of(state: u8) -> TrackedState {
    match state {
        2 => TrackedState::Opening,
        // ESTABLISHED, FIN_WAIT, CLOSE_WAIT.
        3..=5 => TrackedState::Open,
        // LAST_ACK.
        6 => TrackedState::Ending,
        // NONE, SYN_SENT, TIME_WAIT, CLOSE, SYN_SENT2 and what is no state.
        _ => TrackedState::None,
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
