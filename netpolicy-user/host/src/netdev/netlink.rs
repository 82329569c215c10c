//! Questions to `rtnetlink(7)` and its answers.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NlasIterator};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use super::device::{Device, u16_at, u32_at};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// Bytes of an interface's name, with the zero byte behind it (`linux/if.h`).
const IFNAMSIZ: usize = 16;

const IFLA_IFNAME: u16 = 3;
const IFLA_EXT_MASK: u16 = 29;
/// `RTEXT_FILTER_SKIP_STATS`: statistics are most of a message.
const SKIP_STATS: u32 = 1 << 3;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;

/// Bytes for one datagram; the kernel fills what it is offered, up to 32 KiB.
const BUFFER: usize = 64 * 1024;

/// The kernel answers within the call, once it has its lock; this keeps a fault from
/// hanging the caller.
const PATIENCE: Duration = Duration::from_secs(10);

/// Dumps that something changed under are repeated so many times.
const TRIES: usize = 5;

/// A socket to ask about the interfaces of the network namespace that it was opened in.
pub struct Netdevs {
    socket: Socket,
    buffer: Vec<u8>,
    sequence: u32,
}

impl std::fmt::Debug for Netdevs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Netdevs").finish_non_exhaustive()
    }
}

impl Netdevs {
    /// Opens the socket.
    ///
    /// # Errors
    /// The system calls', such as too many open files.
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(NETLINK_ROUTE)?;
        // To the kernel: a connected socket accepts messages of no other sender.
        socket.connect(&SocketAddr::new(0, 0))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(BUFFER),
            sequence: 0,
        })
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The interface of this name; `None`: there is none. Its addresses are not requested.
    ///
    /// # Errors
    /// The kernel's.
    pub fn by_name(&mut self, name: &str) -> io::Result<Option<Device>> {
        // The kernel refuses the one, and reads the other up to the zero byte.
        if name.len() >= IFNAMSIZ || name.contains('\0') {
            return Ok(None);
        }
        let mut name = name.as_bytes().to_vec();
        name.push(0);
        self.one(0, &[(IFLA_IFNAME, &name)])
    }

    /// The interface with this index; `None`: there is none. Its addresses are not requested
    /// for.
    ///
    /// # Errors
    /// The kernel's.
    pub fn by_index(&mut self, index: u32) -> io::Result<Option<Device>> {
        self.one(index, &[])
    }

    /// All interfaces with their addresses and drivers, by index.
    ///
    /// # Errors
    /// The kernel's.
    pub fn all(&mut self) -> io::Result<Vec<Device>> {
        let mut devices = self.links()?;
        let mut addresses = Vec::new();
        // `struct ifaddrmsg`: of all families and interfaces.
        self.dump(RTM_GETADDR, &[0; 8], RTM_NEWADDR, |payload| {
            addresses.extend(address(payload));
        })?;
        for (index, address, network) in addresses {
            let Ok(at) = devices.binary_search_by_key(&index, |device| device.index) else {
                continue;
            };
            let device = &mut devices[at];
            if !device.addresses.contains(&address) {
                device.addresses.push(address);
            }
            if let Some(network) = network
                && !device.networks.contains(&network)
            {
                device.networks.push(network);
            }
        }
        for device in &mut devices {
            let driver = self.driver(device);
            device.driver = Some(driver).filter(|driver| !driver.is_empty());
        }
        Ok(devices)
    }

    /// All interfaces, by index. Their addresses and drivers are not requested.
    ///
    /// # Errors
    /// The kernel's.
    pub fn links(&mut self) -> io::Result<Vec<Device>> {
        let mut devices: Vec<Device> = Vec::new();
        self.dump(RTM_GETLINK, &link_request(0, &[]), RTM_NEWLINK, |payload| {
            devices.extend(Device::parse(payload));
        })?;
        devices.sort_by_key(|device| device.index);
        devices.dedup_by_key(|device| device.index);
        Ok(devices)
    }

    fn one(&mut self, index: u32, attributes: &[(u16, &[u8])]) -> io::Result<Option<Device>> {
        let body = link_request(index, attributes);
        self.send(RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK, &body)?;
        let mut device = None;
        match self.answer(RTM_NEWLINK, |payload| device = Device::parse(payload)) {
            Ok(_) => Ok(device),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn dump(
        &mut self,
        kind: u16,
        body: &[u8],
        answer: u16,
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        for _ in 0..TRIES {
            self.send(kind, NLM_F_REQUEST | NLM_F_DUMP, body)?;
            if self.answer(answer, &mut each)? {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn send(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend([0; 4]);
        message.extend(body);
        retry(|| self.socket.send(&message, 0)).map(drop)
    }

    /// Hands the payloads of these messages on until the answer ends. Whether it is whole:
    /// what was dumped did not change meanwhile.
    pub(super) fn answer(&mut self, kind: u16, mut each: impl FnMut(&[u8])) -> io::Result<bool> {
        let mut is_whole = true;
        loop {
            self.buffer.clear();
            retry(|| self.socket.recv(&mut self.buffer, 0))?;
            let mut rest = self.buffer.as_slice();
            while let Some((header, message)) = Header::split(rest) {
                rest = rest.get(header.padded()..).unwrap_or_default();
                if header.sequence != self.sequence {
                    continue;
                }
                is_whole &= header.flags & NLM_F_DUMP_INTR == 0;
                match header.kind {
                    NLMSG_ERROR | NLMSG_DONE => {
                        let code = u32_at(message, 0).unwrap_or_default().cast_signed();
                        return match code {
                            0 => Ok(is_whole),
                            code => Err(io::Error::from_raw_os_error(code.saturating_neg())),
                        };
                    }
                    other if other == kind => each(message),
                    _ => {}
                }
            }
        }
    }
}

/// A message's header.
struct Header {
    length: usize,
    kind: u16,
    flags: u16,
    sequence: u32,
}

impl Header {
    /// The first message's header and payload.
    fn split(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let header = Self {
            length: usize::try_from(u32_at(bytes, 0)?).ok()?,
            kind: u16_at(bytes, 4)?,
            flags: u16_at(bytes, 6)?,
            sequence: u32_at(bytes, 8)?,
        };
        let payload = bytes.get(HEADER..header.length)?;
        Some((header, payload))
    }

    /// Messages are padded to 4 bytes (`NLMSG_ALIGNTO`).
    fn padded(&self) -> usize {
        self.length.next_multiple_of(4)
    }
}

/// `struct ifinfomsg` and attributes.
fn link_request(index: u32, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = vec![0; 4];
    body.extend(index.to_ne_bytes());
    body.extend([0; 8]);
    let mask = SKIP_STATS.to_ne_bytes();
    for (kind, value) in attributes.iter().chain(&[(IFLA_EXT_MASK, &mask[..])]) {
        push_attribute(&mut body, *kind, value);
    }
    body
}

/// Appends an attribute, padded.
pub(super) fn push_attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// An `RTM_NEWADDR` message's interface and address.
/// The interface's index, its address, and the network on the link.
fn address(payload: &[u8]) -> Option<(u32, IpAddr, Option<IpNet>)> {
    let index = u32_at(payload, 4)?;
    let (mut local, mut peer) = (None, None);
    for nla in NlasIterator::new(payload.get(8..)?).flatten() {
        match nla.kind() {
            IFA_LOCAL => local = ip(nla.value()),
            // On a point-to-point interface, the other end's.
            IFA_ADDRESS => peer = ip(nla.value()),
            _ => {}
        }
    }
    let length = *payload.get(1)?;
    let network = peer.or(local).map(|address| IpNet::new(address, length));
    let network = network.and_then(Result::ok).map(|network| network.trunc());
    Some((index, local.or(peer)?, network))
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return Some(octets.into());
    }
    <[u8; 16]>::try_from(value).ok().map(IpAddr::from)
}

fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_interface_is_reported_as_missing() {
        let mut netdevs = Netdevs::open().unwrap();
        for name in ["npt-none", "a-name-that-is-too-long-for-linux", "lo\0"] {
            assert_eq!(netdevs.by_name(name).unwrap(), None, "{name}");
        }
        assert!(netdevs.by_name("lo").unwrap().unwrap().is_loopback);
    }
}
