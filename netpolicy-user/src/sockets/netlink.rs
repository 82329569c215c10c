//! The netlink socket for `sock_diag(7)`: requests, and answers in several parts.
//!
//! Knows messages and errors; what they say is for others.

use std::io;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_packet_sock_diag::inet::{InetRequest, InetResponse};
use netlink_packet_sock_diag::{SockDiagDestroy, SockDiagMessage};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use super::error::SocketsError;

/// Bytes for one datagram. The kernel fills what it is offered, up to 32 KiB
/// (`netlink_recvmsg` and `netlink_dump` in `net/netlink/af_netlink.c`): some 250
/// sockets at a time.
const BUFFER: usize = 64 * 1024;

/// Messages are padded to this (`NLMSG_ALIGNTO`).
const ALIGN: usize = 4;

/// The kernel answers within the call; this only keeps a fault from hanging the caller.
const PATIENCE: Duration = Duration::from_secs(10);

/// A conversation with the kernel about the sockets of one network namespace: that of
/// the thread which opens it. After an error it may hold half an answer and is to be
/// dropped.
pub(super) struct Diag {
    socket: Socket,
    buffer: Vec<u8>,
    sequence: u32,
}

/// How a dump ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dumped {
    /// It is whole.
    Whole,
    /// What was dumped changed meanwhile (`NLM_F_DUMP_INTR`): things may be missing.
    Interrupted,
}

impl Diag {
    pub(super) fn open() -> Result<Self, SocketsError> {
        let socket = Socket::new(NETLINK_SOCK_DIAG).map_err(|source| {
            match source.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EPROTONOSUPPORT) => SocketsError::NoDiag,
                _ => SocketsError::System {
                    what: "open a netlink socket for sock_diag",
                    source,
                },
            }
        })?;
        // To the kernel: a connected socket takes messages of nobody else.
        socket
            .connect(&SocketAddr::new(0, 0))
            .map_err(|source| SocketsError::System {
                what: "connect a netlink socket for sock_diag",
                source,
            })?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE)).map_err(|source| {
            SocketsError::System {
                what: "set a netlink socket's time limit",
                source: source.into(),
            }
        })?;
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(BUFFER),
            sequence: 0,
        })
    }

    /// Asks for all sockets that the request describes, and hands them on one by one.
    pub(super) fn dump(
        &mut self,
        request: InetRequest,
        mut each: impl FnMut(&InetResponse),
    ) -> Result<Dumped, SocketsError> {
        self.send(
            NLM_F_REQUEST | NLM_F_DUMP,
            SockDiagMessage::InetRequest(request),
        )?;
        let mut dumped = Dumped::Whole;
        loop {
            let mut end = None;
            self.receive(|message: NetlinkMessage<SockDiagMessage>| {
                if message.header.flags & NLM_F_DUMP_INTR != 0 {
                    dumped = Dumped::Interrupted;
                }
                match message.payload {
                    NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                        each(&response);
                    }
                    // A dump that fails in the middle says so at its end.
                    NetlinkPayload::Done(done) => end = Some(errno(done.code)),
                    NetlinkPayload::Error(error) => end = Some(errno(error.raw_code())),
                    _ => {}
                }
            })?;
            match end {
                None => {}
                Some(None) => return Ok(dumped),
                Some(Some(errno)) => return Err(SocketsError::of_list(errno)),
            }
        }
    }

    /// Asks to end one connection. The inner result is the kernel's answer.
    pub(super) fn destroy(
        &mut self,
        request: InetRequest,
    ) -> Result<Result<(), Errno>, SocketsError> {
        self.send(
            NLM_F_REQUEST | NLM_F_ACK,
            SockDiagDestroy::new(SockDiagMessage::InetRequest(request)),
        )?;
        loop {
            let mut answer = None;
            self.receive(|message: NetlinkMessage<SockDiagDestroy>| {
                if let NetlinkPayload::Error(error) = message.payload {
                    answer = Some(errno(error.raw_code()).map_or(Ok(()), Err));
                }
            })?;
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
    }

    fn send<T>(&mut self, flags: u16, payload: T) -> Result<(), SocketsError>
    where
        T: NetlinkSerializable + Into<NetlinkPayload<T>>,
    {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message = NetlinkMessage::from(payload);
        message.header.flags = flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        retry(|| self.socket.send(&bytes, 0)).map_err(|source| SocketsError::System {
            what: "ask the kernel for TCP sockets",
            source,
        })?;
        Ok(())
    }

    /// Waits for one datagram, and hands on those of its messages that answer the last
    /// request.
    fn receive<T: NetlinkDeserializable>(
        &mut self,
        mut each: impl FnMut(NetlinkMessage<T>),
    ) -> Result<(), SocketsError> {
        self.buffer.clear();
        let length =
            retry(|| self.socket.recv(&mut self.buffer, libc::MSG_TRUNC)).map_err(|source| {
                SocketsError::System {
                    what: "receive the kernel's answer on TCP sockets",
                    source,
                }
            })?;
        if length > self.buffer.len() {
            return Err(SocketsError::Malformed(format!(
                "{length} bytes at once, at most {} were expected",
                self.buffer.len()
            )));
        }
        let mut rest = self.buffer.as_slice();
        while !rest.is_empty() {
            let message = NetlinkMessage::<T>::deserialize(rest)
                .map_err(|error| SocketsError::Malformed(error.to_string()))?;
            let length = usize::try_from(message.header.length)
                .unwrap_or(usize::MAX)
                .checked_next_multiple_of(ALIGN)
                .unwrap_or(usize::MAX);
            rest = rest.get(length..).unwrap_or_default();
            if matches!(message.payload, NetlinkPayload::Overrun(_)) {
                return Err(SocketsError::Malformed("a part was lost".to_owned()));
            }
            if message.header.sequence_number == self.sequence {
                each(message);
            }
        }
        Ok(())
    }
}

/// The kernel's negative error numbers; `None` is success.
fn errno(code: i32) -> Option<Errno> {
    (code != 0).then(|| Errno::from_raw(code.saturating_neg()))
}

fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
