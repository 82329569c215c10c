//! Requests to `sock_diag(7)`: list all sockets, read one, destroy one.
//!
//! Translates requests and refusals; chooses no socket.

use std::collections::HashSet;
use std::path::Path;

use netlink_packet_core::{
    DefaultNla, Emitable, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkPayload, NetlinkSerializable,
};
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6};
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags,
};
use netlink_packet_sock_diag::{SockDiagDestroy, SockDiagMessage};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use nix::errno::Errno;

use super::connection::Connection;
use super::error::SocketsError;
use super::netlink::Netlink;

/// How a dump ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dumped {
    /// It is whole.
    Whole,
    /// What was dumped changed meanwhile: things may be missing.
    Interrupted,
}

/// A conversation about the sockets of one network namespace: that of the thread which
/// opens it.
pub(super) struct Diag(Netlink);

impl Diag {
    pub(super) fn open() -> Result<Self, SocketsError> {
        let netlink = Netlink::open(NETLINK_SOCK_DIAG)?;
        netlink.map(Self).ok_or(SocketsError::NoDiag)
    }

    /// Asks for all sockets that the request describes, and hands them on one by one.
    pub(super) fn dump(
        &mut self,
        request: InetRequest,
        each: impl FnMut(&InetResponse),
    ) -> Result<Dumped, SocketsError> {
        self.dump_by(SockDiagMessage::InetRequest(request), each)
    }

    fn dump_by<Q>(
        &mut self,
        request: Q,
        mut each: impl FnMut(&InetResponse),
    ) -> Result<Dumped, SocketsError>
    where
        Q: NetlinkSerializable + Into<NetlinkPayload<Q>>,
    {
        let answer = self.0.ask(NLM_F_REQUEST | NLM_F_DUMP, request, |message| {
            if let SockDiagMessage::InetResponse(response) = message {
                each(&response);
            }
        })?;
        match answer.errno {
            Some(errno) => Err(SocketsError::of_list(errno)),
            None if answer.interrupted => Ok(Dumped::Interrupted),
            None => Ok(Dumped::Whole),
        }
    }

    /// The tokens of all MPTCP connections that are not over. `Ok(None)`: this kernel has MPTCP and does not
    /// list it (`mptcp_diag`).
    pub(super) fn mptcp_tokens(&mut self) -> Result<Option<HashSet<u32>>, SocketsError> {
        /// Where it does not exist, the kernel has no MPTCP; asking would look for modules.
        const MPTCP: &str = "/proc/sys/net/mptcp/enabled";
        let mut tokens = HashSet::new();
        if !Path::new(MPTCP).exists() {
            return Ok(Some(tokens));
        }
        for family in [AF_INET, AF_INET6] {
            let dumped = self.dump_by(MptcpRequest { family }, |response| {
                tokens.extend(response.nlas.iter().find_map(|nla| match nla {
                    Nla::TcpInfo(info) => mptcp_token(info),
                    _ => None,
                }));
            });
            match dumped {
                Ok(_) => {}
                Err(SocketsError::NoDiag) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(tokens))
    }

    /// The socket with these ends, whatever its cookie: a connection or, if there is
    /// none, a listener that would take one.
    pub(super) fn find(
        &mut self,
        request: InetRequest,
    ) -> Result<Option<Box<InetResponse>>, SocketsError> {
        let mut found = None;
        let request = SockDiagMessage::InetRequest(request);
        let answer = self.0.ask(NLM_F_REQUEST | NLM_F_ACK, request, |message| {
            if let SockDiagMessage::InetResponse(response) = message {
                found = Some(response);
            }
        })?;
        match answer.errno {
            None => Ok(found),
            Some(Errno::ENOENT | Errno::ESTALE) => Ok(None),
            Some(errno) => Err(SocketsError::of_list(errno)),
        }
    }

    /// Whether a connection is still there, in a state in which something may travel.
    pub(super) fn lives(&mut self, connection: &Connection) -> Result<bool, SocketsError> {
        let found = self.find(connection.request())?;
        let found = found.and_then(|it| Connection::read(&it.header, &it.nlas));
        Ok(found.is_some_and(|it| it.cookie() == connection.cookie()))
    }

    /// Asks to end one connection. The inner result is the kernel's answer.
    pub(super) fn destroy(
        &mut self,
        request: InetRequest,
    ) -> Result<Result<(), Errno>, SocketsError> {
        let request = SockDiagDestroy::new(SockDiagMessage::InetRequest(request));
        let answer = self
            .0
            .ask(NLM_F_REQUEST | NLM_F_ACK, request, |_: SockDiagMessage| {})?;
        Ok(answer.errno.map_or(Ok(()), Err))
    }
}

/// A request for all MPTCP connections. The protocol's number does not fit into the
/// header, so it is in an attribute (`INET_DIAG_REQ_PROTOCOL`, Linux 5.9).
struct MptcpRequest {
    family: u8,
}

impl MptcpRequest {
    /// `INET_DIAG_REQ_PROTOCOL` in `linux/inet_diag.h`.
    const PROTOCOL: u16 = 3;
    /// `IPPROTO_MPTCP` in `linux/in.h`.
    const MPTCP: u32 = 262;

    fn header(&self) -> InetRequest {
        InetRequest {
            family: self.family,
            protocol: 0,
            extensions: ExtensionFlags::INFO,
            states: StateFlags::all() - StateFlags::LISTEN - StateFlags::CLOSE,
            socket_id: if self.family == AF_INET {
                SocketId::new_v4()
            } else {
                SocketId::new_v6()
            },
        }
    }

    fn attribute() -> DefaultNla {
        DefaultNla::new(Self::PROTOCOL, Self::MPTCP.to_ne_bytes().to_vec())
    }
}

impl NetlinkSerializable for MptcpRequest {
    fn message_type(&self) -> u16 {
        netlink_packet_sock_diag::SOCK_DIAG_BY_FAMILY
    }

    fn buffer_len(&self) -> usize {
        self.header().buffer_len() + Self::attribute().buffer_len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (header, attribute) = buffer.split_at_mut(self.header().buffer_len());
        self.header().emit(header);
        Self::attribute().emit(attribute);
    }
}

impl From<MptcpRequest> for NetlinkPayload<MptcpRequest> {
    fn from(request: MptcpRequest) -> Self {
        Self::InnerMessage(request)
    }
}

/// `mptcpi_token` of `struct mptcp_info` in `linux/mptcp.h`.
fn mptcp_token(info: &[u8]) -> Option<u32> {
    const AT: usize = 12;
    let token = info.get(AT..AT + 4)?;
    token.try_into().ok().map(u32::from_ne_bytes)
}
