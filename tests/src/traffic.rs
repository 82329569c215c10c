//! Connection attempts and raw frames, and what comes of them.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, connect, recv, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use crate::{NetNs, Packet};

/// How long a denied attempt is waited for. The first SYN is sent again after one
/// second, so this covers exactly one SYN.
pub const DENIED_WAIT: Duration = Duration::from_millis(700);
/// How long an attempt that ought to succeed may take.
pub const ALLOWED_WAIT: Duration = Duration::from_secs(3);

/// What became of a connection attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server took it.
    Connected,
    /// No answer came.
    TimedOut,
    /// It was answered with a reset.
    Refused,
}

/// A TCP connection from a source address of one's own, from within a namespace.
///
/// # Errors
/// `ConnectionRefused`, `TimedOut`, or what else the kernel says.
pub fn open(ns: &NetNs, source: IpAddr, to: SocketAddr, wait: Duration) -> io::Result<TcpStream> {
    ns.run(|| {
        let family = if to.is_ipv4() {
            AddressFamily::Inet
        } else {
            AddressFamily::Inet6
        };
        let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        let wait = i64::try_from(wait.as_micros()).expect("seconds");
        let timeout = TimeVal::new(wait / 1_000_000, wait % 1_000_000);
        setsockopt(&socket, sockopt::SendTimeout, &timeout)?;
        bind(
            socket.as_raw_fd(),
            &SockaddrStorage::from(SocketAddr::new(source, 0)),
        )?;
        match connect(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
            Ok(()) => Ok(TcpStream::from(socket)),
            // That is how a blocking connect() reports its SO_SNDTIMEO, see socket(7).
            Err(Errno::EINPROGRESS | Errno::EAGAIN) => Err(io::ErrorKind::TimedOut.into()),
            Err(e) => Err(e.into()),
        }
    })
}

/// The same, as an outcome.
///
/// # Panics
/// When the attempt could not even be made.
#[must_use]
pub fn attempt(ns: &NetNs, source: IpAddr, to: SocketAddr, wait: Duration) -> Outcome {
    match open(ns, source, to, wait) {
        Ok(_) => Outcome::Connected,
        Err(e) if e.kind() == io::ErrorKind::TimedOut => Outcome::TimedOut,
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => Outcome::Refused,
        Err(e) => panic!("no attempt from {source} to {to}: {e}"),
    }
}

/// An `AF_PACKET` socket on one interface: sends and receives whole frames.
#[derive(Debug)]
pub struct RawSocket {
    socket: OwnedFd,
}

impl RawSocket {
    /// On an interface of a namespace.
    ///
    /// # Panics
    /// When the interface does not exist.
    #[must_use]
    pub fn new(ns: &NetNs, interface: &str) -> Self {
        Self::with_protocol(ns, interface, libc::ETH_P_ALL)
    }

    /// Like [`Self::new`], for one protocol (`ETH_P_*`), as devices without Ethernet header may
    /// require.
    ///
    /// # Panics
    /// When the interface does not exist.
    #[must_use]
    pub fn with_protocol(ns: &NetNs, interface: &str, protocol: libc::c_int) -> Self {
        ns.run(|| {
            let kind = SockType::Raw;
            let socket = socket(AddressFamily::Packet, kind, SockFlag::SOCK_CLOEXEC, None);
            let socket = socket.expect("an AF_PACKET socket");
            let index = nix::net::if_::if_nametoindex(interface).expect("the interface exists");
            bind_packet(&socket, index, protocol).expect("bind to the interface");
            let timeout = TimeVal::new(0, 50_000);
            setsockopt(&socket, sockopt::ReceiveTimeout, &timeout).expect("set a timeout");
            // A reader that does not get its turn for a while is to miss no frame.
            setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20)).expect("set a buffer");
            Self { socket }
        })
    }

    /// Sends a frame.
    ///
    /// # Panics
    /// When the kernel refuses it.
    pub fn send(&self, frame: &[u8]) {
        let taken = self.try_send(frame);
        assert!(taken, "the device takes no frame of {} bytes", frame.len());
    }

    /// The same. `false`: the device does not take such a one: too short, or not IP.
    ///
    /// # Panics
    /// When the kernel refuses it for another reason.
    #[must_use]
    pub fn try_send(&self, frame: &[u8]) -> bool {
        loop {
            match send(self.socket.as_raw_fd(), frame, MsgFlags::empty()) {
                Ok(_) => return true,
                Err(Errno::EINVAL | Errno::EPROTONOSUPPORT) => return false,
                Err(Errno::ENOBUFS) => std::thread::yield_now(),
                Err(e) => panic!("send a frame of {} bytes: {e}", frame.len()),
            }
        }
    }

    /// Receives a frame; `None` when none comes within 50 ms.
    #[must_use]
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let len = recv(self.socket.as_raw_fd(), buffer, MsgFlags::empty()).ok()?;
        Some(&buffer[..len])
    }
}

fn bind_packet(socket: &OwnedFd, index: u32, protocol: libc::c_int) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).expect("a small number"),
        sll_protocol: u16::try_from(protocol).expect("a small number").to_be(),
        sll_ifindex: i32::try_from(index).expect("a small number"),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let len = libc::socklen_t::try_from(size_of_val(&address)).expect("a small number");
    // SAFETY: the pointer is to a live, initialised sockaddr_ll, and `len` is its size.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sends SYNs from several sources all the time, and counts the answers to each.
#[derive(Debug)]
pub struct SynStream {
    stop: Arc<AtomicBool>,
    sent: JoinHandle<u64>,
    answers: JoinHandle<()>,
    answered: Arc<Mutex<BTreeMap<IpAddr, u64>>>,
}

impl SynStream {
    /// Starts: each round one SYN from each source to the port, then a pause.
    #[must_use]
    pub fn start(
        ns: &NetNs,
        interface: &str,
        sources: &[&str],
        port: u16,
        pause: Duration,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(Mutex::new(BTreeMap::new()));
        let socket = RawSocket::new(ns, interface);
        let answers = std::thread::spawn({
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let socket = RawSocket::new(ns, interface);
            move || count_answers(&socket, &stop, &answered)
        });
        let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
        let sent = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut rounds = 0;
                // A new source port each round: each SYN is an attempt of its own.
                for source_port in (10_000..60_000u16).cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    for source in &sources {
                        socket.send(&Packet::tcp_from(source, source_port, port, "S").build());
                    }
                    rounds += 1;
                    std::thread::sleep(pause);
                }
                rounds
            }
        });
        Self {
            stop,
            sent,
            answers,
            answered,
        }
    }

    /// How many SYN-ACKs a source has had so far.
    #[must_use]
    pub fn answered(&self, source: &str) -> u64 {
        let source: IpAddr = source.parse().expect("an address");
        self.answered
            .lock()
            .expect("not poisoned")
            .get(&source)
            .copied()
            .unwrap_or(0)
    }

    /// Waits until a source has had so many SYN-ACKs more.
    ///
    /// # Panics
    /// When they do not come within five seconds.
    pub fn wait_for_answers(&self, source: &str, more: u64) {
        let goal = self.answered(source) + more;
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.answered(source) < goal {
            assert!(Instant::now() < deadline, "{source} no longer gets answers");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops, and returns how many SYNs each source sent and how many SYN-ACKs came
    /// back to each address.
    ///
    /// # Panics
    /// When one of its threads did.
    #[must_use]
    pub fn stop(self) -> (u64, BTreeMap<IpAddr, u64>) {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sent.join().expect("the sender");
        self.answers.join().expect("the counter");
        let answered = self.answered.lock().expect("not poisoned").clone();
        (sent, answered)
    }
}

/// Counts until told to stop and then until nothing has come for 50 ms.
fn count_answers(socket: &RawSocket, stop: &AtomicBool, answered: &Mutex<BTreeMap<IpAddr, u64>>) {
    let mut buffer = vec![0; 2048];
    loop {
        match socket.receive(&mut buffer) {
            Some(frame) => {
                if let Some(to) = syn_ack_destination(frame) {
                    *answered
                        .lock()
                        .expect("not poisoned")
                        .entry(to)
                        .or_default() += 1;
                }
            }
            None if stop.load(Ordering::Relaxed) => return,
            None => {}
        }
    }
}

fn syn_ack_destination(frame: &[u8]) -> Option<IpAddr> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else {
        return None;
    };
    if !(tcp.syn() && tcp.ack()) {
        return None;
    }
    match packet.net? {
        NetSlice::Ipv4(ip) => Some(ip.header().destination_addr().into()),
        NetSlice::Ipv6(ip) => Some(ip.header().destination_addr().into()),
        NetSlice::Arp(_) => None,
    }
}
