//! Bulk transfers over TCP.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    cpu::{self, Cpu},
    session,
    site::Site,
};

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the filtered host.
    In,
    /// From it.
    Out,
}

/// Bytes of one system call, as iperf3 has it.
const CHUNK: usize = 128 << 10;

/// What passes before anything is counted: congestion windows and buffers grow meanwhile.
const WARM_UP: Duration = Duration::from_millis(150);

/// Gigabits a second that so many streams carry together. All senders run on the first
/// processor and all receivers on the last.
pub(super) fn gigabits(site: &Site, direction: Direction, streams: usize, time: Duration) -> f64 {
    let sessions = session::open(site, streams);
    let received = AtomicU64::new(0);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for (client, server) in &sessions {
            let (from, to) = match direction {
                Direction::In => (client, server),
                Direction::Out => (server, client),
            };
            scope.spawn(|| send(from, &is_over));
            scope.spawn(|| receive(to, &received));
        }
        thread::sleep(WARM_UP);
        let (begin, before) = (Instant::now(), received.load(Ordering::Relaxed));
        thread::sleep(time);
        let bytes = received.load(Ordering::Relaxed) - before;
        let seconds = begin.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
        for socket in sessions
            .iter()
            .flat_map(|(client, server)| [client, server])
        {
            let _ = socket.shutdown(Shutdown::Both);
        }
        bytes as f64 * 8.0 / seconds / 1e9
    })
}

fn send(mut to: &TcpStream, is_over: &AtomicBool) {
    cpu::pin(Cpu::First);
    let chunk = vec![0; CHUNK];
    while !is_over.load(Ordering::Relaxed) {
        if to.write_all(&chunk).is_err() {
            break;
        }
    }
}

fn receive(mut from: &TcpStream, received: &AtomicU64) {
    cpu::pin(Cpu::Last);
    let mut chunk = vec![0; CHUNK];
    while let Ok(bytes) = from.read(&mut chunk) {
        if bytes == 0 {
            break;
        }
        received.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
