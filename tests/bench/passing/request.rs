//! Requests and responses of one byte over an open connection, and new connections.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};

use super::{
    cpu::{self, Cpu},
    session,
    site::Site,
};
use crate::report::quantile;

const WARM_UP: Duration = Duration::from_millis(50);

/// Median and 99th percentile of the time from a request to its response, in microseconds;
/// the server runs on the last processor.
pub(super) fn latency(site: &Site, client: Cpu, time: Duration) -> [f64; 2] {
    let sessions = session::open(site, 1);
    let (requesting, responding) = &sessions[0];
    let times = thread::scope(|scope| {
        scope.spawn(|| respond(responding));
        let requests = scope.spawn(|| {
            cpu::pin(client);
            request(requesting, WARM_UP);
            let times = request(requesting, time);
            let _ = requesting.shutdown(Shutdown::Both);
            times
        });
        requests.join().expect("requests are answered")
    });
    [0.5, 0.99].map(|share| quantile(&times, share))
}

fn respond(mut to: &TcpStream) {
    cpu::pin(Cpu::Last);
    let mut byte = [0];
    while to.read(&mut byte).is_ok_and(|read| read == 1) {
        if to.write_all(&byte).is_err() {
            break;
        }
    }
}

/// Microseconds of each request and its response, one after the other.
fn request(mut server: &TcpStream, time: Duration) -> Vec<f64> {
    let mut times = Vec::with_capacity(1 << 16);
    let mut byte = [0];
    let begin = Instant::now();
    loop {
        let sent = Instant::now();
        server.write_all(&[1]).expect("send a request");
        server.read_exact(&mut byte).expect("receive the response");
        times.push(sent.elapsed().as_secs_f64() * 1e6);
        if begin.elapsed() >= time {
            return times;
        }
    }
}

/// Connections a second that are opened one after the other, from these sources in turn,
/// accepted and closed at once. One thread on the last processor does it for clients and
/// server, so neither waits for the other: the rate is that of all the work that a
/// connection is to both of them.
pub(super) fn connections(site: &Site, sources: &[Ipv4Addr], time: Duration) -> f64 {
    let (listener, to) = session::listen(site);
    site.clients().run(|| {
        cpu::pin(Cpu::Last);
        let begin = Instant::now();
        let mut opened = 0u32;
        for source in sources.iter().cycle() {
            let client = open_to_reset(IpAddr::from(*source), to);
            let (server, _) = listener.accept().expect("accept a connection");
            drop((client, server));
            opened += 1;
            if begin.elapsed() >= time {
                break;
            }
        }
        f64::from(opened) / begin.elapsed().as_secs_f64()
    })
}

/// A connection that is closed by a reset, so that no port is kept for a while (TIME_WAIT).
fn open_to_reset(source: IpAddr, to: SocketAddr) -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None);
    let socket = socket.expect("make a socket");
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&socket, sockopt::Linger, &linger).expect("set SO_LINGER");
    // Without it the kernel looks for a port that is free for all destinations.
    setsockopt(&socket, sockopt::IpBindAddressNoPort, &true).expect("set IP_BIND_ADDRESS_NO_PORT");
    let from = SockaddrStorage::from(SocketAddr::new(source, 0));
    bind(socket.as_raw_fd(), &from).expect("bind to a source");
    let to = SockaddrStorage::from(to);
    connect(socket.as_raw_fd(), &to)
        .unwrap_or_else(|error| panic!("connect from {source}: {error}"));
    socket
}
