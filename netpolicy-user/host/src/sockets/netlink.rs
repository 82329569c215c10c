//! A netlink socket: requests, and answers in several parts.
//!
//! Knows messages and errors; what they say is for others.

use std::io;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
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

/// How many requests travel in one datagram. All their answers, some 5 KiB each as the
/// kernel counts them, have to fit into the default receive buffer of 208 KiB.
const AT_ONCE: usize = 24;

/// The kernel answers within the call; this only keeps a fault from hanging the caller.
const PATIENCE: Duration = Duration::from_secs(10);

/// A conversation with the kernel about one network namespace: that of the thread which
/// opens it. After an error it may hold half an answer and is to be dropped.
pub(super) struct Netlink {
    socket: Socket,
    buffer: Vec<u8>,
    sequence: u32,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The kernel's refusal; `None`: it did what it was asked.
    pub(super) errno: Option<Errno>,
    /// What was dumped changed meanwhile (`NLM_F_DUMP_INTR`): things may be missing.
    pub(super) interrupted: bool,
}

impl Netlink {
    /// Speaks one of netlink's protocols: `NETLINK_SOCK_DIAG`. `Ok(None)`: this kernel
    /// does not have it.
    pub(super) fn open(protocol: isize) -> Result<Option<Self>, SocketsError> {
        let socket = match Socket::new(protocol) {
            Ok(socket) => socket,
            Err(error) if error.raw_os_error() == Some(libc::EPROTONOSUPPORT) => return Ok(None),
            Err(source) => {
                return Err(SocketsError::System {
                    what: "open a netlink socket",
                    source,
                });
            }
        };
        // To the kernel: a connected socket takes messages from no other sender.
        socket
            .connect(&SocketAddr::new(0, 0))
            .map_err(|source| SocketsError::System {
                what: "connect a netlink socket",
                source,
            })?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE)).map_err(|source| {
            SocketsError::System {
                what: "set a netlink socket's time limit",
                source: source.into(),
            }
        })?;
        Ok(Some(Self {
            socket,
            buffer: Vec::with_capacity(BUFFER),
            sequence: 0,
        }))
    }

    /// Sends a request and hands on every message of the answer. `flags` contain
    /// `NLM_F_DUMP` or `NLM_F_ACK`: without either the answer has no end.
    pub(super) fn ask<Q, A>(
        &mut self,
        flags: u16,
        request: Q,
        mut each: impl FnMut(A),
    ) -> Result<Answer, SocketsError>
    where
        Q: NetlinkSerializable + Into<NetlinkPayload<Q>>,
        A: NetlinkDeserializable,
    {
        self.send(flags, [request])?;
        let sequence = self.sequence;
        let mut interrupted = false;
        loop {
            let mut end = None;
            self.receive(|message: NetlinkMessage<A>| {
                if message.header.sequence_number != sequence {
                    return;
                }
                interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
                match message.payload {
                    NetlinkPayload::InnerMessage(inner) => each(inner),
                    // A dump that fails in the middle says so at its end.
                    NetlinkPayload::Done(done) => end = Some(errno(done.code)),
                    NetlinkPayload::Error(error) => end = Some(errno(error.raw_code())),
                    _ => {}
                }
            })?;
            if let Some(errno) = end {
                return Ok(Answer { errno, interrupted });
            }
        }
    }

    /// Sends requests of which the kernel answers each with one message, and hands on the
    /// answers by the requests' positions; `None`: a refusal. Some requests travel in one
    /// datagram, which takes a third of the time of [`Self::ask`] for each.
    pub(super) fn ask_each<Q, A>(
        &mut self,
        requests: impl IntoIterator<Item = Q>,
        mut each: impl FnMut(usize, Option<A>),
    ) -> Result<(), SocketsError>
    where
        Q: NetlinkSerializable + Into<NetlinkPayload<Q>>,
        A: NetlinkDeserializable,
    {
        let mut requests = requests.into_iter();
        let mut done = 0;
        loop {
            let first = self.sequence.wrapping_add(1);
            let sent = self.send(NLM_F_REQUEST, requests.by_ref().take(AT_ONCE))?;
            if sent == 0 {
                return Ok(());
            }
            let mut answered = 0;
            while answered < sent {
                self.receive(|message: NetlinkMessage<A>| {
                    let position = message.header.sequence_number.wrapping_sub(first);
                    let position = usize::try_from(position).unwrap_or(usize::MAX);
                    if position >= sent {
                        return;
                    }
                    answered += 1;
                    match message.payload {
                        NetlinkPayload::InnerMessage(inner) => each(done + position, Some(inner)),
                        _ => each(done + position, None),
                    }
                })?;
            }
            done += sent;
        }
    }

    /// Sends requests in one datagram; returns how many.
    fn send<Q>(
        &mut self,
        flags: u16,
        requests: impl IntoIterator<Item = Q>,
    ) -> Result<usize, SocketsError>
    where
        Q: NetlinkSerializable + Into<NetlinkPayload<Q>>,
    {
        let mut bytes = Vec::new();
        let mut count = 0;
        for request in requests {
            self.sequence = self.sequence.wrapping_add(1);
            let mut message = NetlinkMessage::from(request);
            message.header.flags = flags;
            message.header.sequence_number = self.sequence;
            message.finalize();
            let start = bytes.len();
            let end = start + message.buffer_len();
            bytes.resize(end.next_multiple_of(ALIGN), 0);
            message.serialize(bytes.get_mut(start..end).unwrap_or_default());
            count += 1;
        }
        if count == 0 {
            return Ok(0);
        }
        retry(|| self.socket.send(&bytes, 0)).map_err(|source| SocketsError::System {
            what: "send a netlink request",
            source,
        })?;
        Ok(count)
    }

    /// Waits for one datagram, and hands on its messages.
    fn receive<A: NetlinkDeserializable>(
        &mut self,
        mut each: impl FnMut(NetlinkMessage<A>),
    ) -> Result<(), SocketsError> {
        self.buffer.clear();
        let length =
            retry(|| self.socket.recv(&mut self.buffer, libc::MSG_TRUNC)).map_err(|source| {
                SocketsError::System {
                    what: "receive a netlink answer",
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
            let message = NetlinkMessage::<A>::deserialize(rest)
                .map_err(|error| SocketsError::Malformed(error.to_string()))?;
            let length = usize::try_from(message.header.length)
                .unwrap_or(usize::MAX)
                .checked_next_multiple_of(ALIGN)
                .unwrap_or(usize::MAX);
            rest = rest.get(length..).unwrap_or_default();
            if matches!(message.payload, NetlinkPayload::Overrun(_)) {
                return Err(SocketsError::Malformed("a part was lost".to_owned()));
            }
            each(message);
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
