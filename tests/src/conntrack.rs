//! Entries of connection tracking, made and listed by netlink.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

// `linux/netfilter/nfnetlink_conntrack.h`.
const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const STATUS: u16 = 3;
const PROTOINFO: u16 = 4;
const TIMEOUT: u16 = 7;
const ZONE: u16 = 18;
const NESTED: u16 = 0x8000;

/// An IPv4 TCP connection: the client and where it connects to; the server that answers
/// and to which address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The client's packets: from, to.
    pub original: (SocketAddrV4, SocketAddrV4),
    /// The server's packets: from, to.
    pub reply: (SocketAddrV4, SocketAddrV4),
    /// The zone.
    pub zone: u16,
}

/// Connection tracking of the thread's network namespace.
#[derive(Debug)]
pub struct Conntrack(OwnedFd);

impl Conntrack {
    /// In the namespace that the calling thread is in.
    ///
    /// # Panics
    /// When the kernel has none.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it opens a socket")]
    pub fn new() -> Self {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkNetFilter,
        );
        Self(socket.expect("a netlink socket"))
    }

    /// Adds an established connection, as if its packets had passed.
    ///
    /// # Panics
    /// When the kernel refuses it.
    pub fn add(&self, entry: &Entry) {
        // IPS_SEEN_REPLY, IPS_ASSURED and IPS_CONFIRMED; TCP_CONNTRACK_ESTABLISHED.
        let body = [
            tuple(TUPLE_ORIG, entry.original),
            tuple(TUPLE_REPLY, entry.reply),
            attribute(STATUS, &14u32.to_be_bytes()),
            nested(PROTOINFO, &nested(1, &attribute(1, &[3]))),
            attribute(TIMEOUT, &600u32.to_be_bytes()),
            attribute(ZONE, &entry.zone.to_be_bytes()),
        ];
        // NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL.
        self.send(0, 0x1 | 0x4 | 0x400 | 0x200, &body.concat());
        let mut answer = [0; 4096];
        let length = self.receive(&mut answer);
        let error = answer
            .get(16..20)
            .filter(|_| length >= 20)
            .expect("an answer");
        let error = i32::from_ne_bytes(error.try_into().expect("4 bytes"));
        assert_eq!(error, 0, "{entry:?}");
    }

    /// The clients' ends and zones of all IPv4 TCP connections that are tracked.
    ///
    /// # Panics
    /// When the kernel's answer is none.
    #[must_use]
    pub fn clients(&self) -> Vec<(SocketAddrV4, u16)> {
        // NLM_F_REQUEST, NLM_F_DUMP.
        self.send(1, 0x1 | 0x300, &[]);
        let mut found = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let length = self.receive(&mut buffer);
            let mut rest = &buffer[..length];
            while let Some(header) = rest.get(..16) {
                let length = u32::from_ne_bytes(header[..4].try_into().expect("4 bytes"));
                let length = usize::try_from(length).expect("a size");
                // NLMSG_DONE.
                if header[4..6] == 3u16.to_ne_bytes() {
                    return found;
                }
                found.extend(client(&rest[20..length]));
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }

    fn send(&self, kind: u8, flags: u16, body: &[u8]) {
        let length = u32::try_from(20 + body.len()).expect("a short message");
        let mut message = length.to_ne_bytes().to_vec();
        // NFNL_SUBSYS_CTNETLINK.
        message.extend(u16::from_ne_bytes([kind, 1]).to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend([0; 8]);
        // struct nfgenmsg: AF_INET.
        message.extend([2, 0, 0, 0]);
        message.extend(body);
        send(self.0.as_raw_fd(), &message, MsgFlags::empty()).expect("send a request");
    }

    fn receive(&self, buffer: &mut [u8]) -> usize {
        recv(self.0.as_raw_fd(), buffer, MsgFlags::empty()).expect("receive an answer")
    }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).expect("a short attribute");
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn nested(kind: u16, value: &[u8]) -> Vec<u8> {
    attribute(kind | NESTED, value)
}

fn tuple(kind: u16, (from, to): (SocketAddrV4, SocketAddrV4)) -> Vec<u8> {
    let ip = [
        attribute(1, &from.ip().octets()),
        attribute(2, &to.ip().octets()),
    ];
    let protocol = [
        attribute(1, &[6]),
        attribute(2, &from.port().to_be_bytes()),
        attribute(3, &to.port().to_be_bytes()),
    ];
    nested(
        kind,
        &[nested(1, &ip.concat()), nested(2, &protocol.concat())].concat(),
    )
}

fn client(attributes: &[u8]) -> Option<(SocketAddrV4, u16)> {
    let at = |path| value(attributes, path);
    let protocol = at(&[TUPLE_ORIG, 2, 1])?;
    let address: [u8; 4] = at(&[TUPLE_ORIG, 1, 1])?.try_into().ok()?;
    let port = at(&[TUPLE_ORIG, 2, 2])?.try_into().ok()?;
    let zone = at(&[ZONE]).and_then(|it| it.try_into().ok());
    let end = SocketAddrV4::new(Ipv4Addr::from(address), u16::from_be_bytes(port));
    (protocol == [6]).then_some((end, zone.map_or(0, u16::from_be_bytes)))
}

/// What is in an attribute in an attribute.
fn value<'a>(mut attributes: &'a [u8], path: &[u16]) -> Option<&'a [u8]> {
    let (&first, path) = path.split_first()?;
    loop {
        let length = u16::from_ne_bytes(attributes.get(..2)?.try_into().ok()?);
        let kind = u16::from_ne_bytes(attributes.get(2..4)?.try_into().ok()?);
        let found = attributes.get(4..length.into())?;
        if kind & !NESTED == first {
            return if path.is_empty() {
                Some(found)
            } else {
                value(found, path)
            };
        }
        attributes = attributes.get(usize::from(length).next_multiple_of(4)..)?;
    }
}
