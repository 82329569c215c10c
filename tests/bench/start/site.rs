//! A host with many rules, whose agent is one of two builds.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use netpolicy_tests::host::{DatabaseHost, NIC, Options};

use crate::large_state;

/// The longest start.
const LONGEST: Duration = Duration::from_secs(60);

pub(super) struct Site {
    pub(super) name: &'static str,
    pub(super) host: DatabaseHost,
}

impl Site {
    /// With so many rules in force.
    pub(super) fn new(name: &'static str, entries: usize, binary: Option<&Path>) -> Self {
        let mut host = DatabaseHost::with(&Options {
            // Other builds may name these keys otherwise.
            config: format!("# engine and hook: as by default\ninterfaces = [\"{NIC}\"]\n"),
            agent: false,
        });
        if let Some(binary) = binary {
            host.use_binary(binary);
        }
        let file = large_state::write(&host, &large_state::lists(entries));
        host.start_agent();
        host.ok(&format!("apply -f {file} --yes --force"));
        Self { name, host }
    }

    /// Starts the agent; how long it takes until it answers whatever it is asked, and the longest
    /// that it takes to answer for its status meanwhile.
    pub(super) fn start(&mut self) -> (Duration, Duration) {
        let begun = Instant::now();
        self.host.spawn_agent();
        let socket = self.host.socket();
        std::thread::scope(|scope| {
            let ready = scope.spawn(|| {
                answer(&socket, "/v1/services", begun);
                begun.elapsed()
            });
            let mut longest = Duration::ZERO;
            while !ready.is_finished() {
                let asked = Instant::now();
                answer(&socket, "/v1/status", begun);
                // Before it listens there is nothing to answer.
                longest = longest.max(asked.elapsed().min(begun.elapsed()));
                std::thread::sleep(Duration::from_millis(20));
            }
            (ready.join().expect("an answer"), longest)
        })
    }
}

/// Waits for an answer to this request, as soon as an agent listens.
fn answer(socket: &Path, target: &str, begun: Instant) {
    let mut stream = loop {
        match UnixStream::connect(socket) {
            Ok(stream) => break stream,
            Err(error) => {
                let is_early = [ErrorKind::NotFound, ErrorKind::ConnectionRefused];
                assert!(is_early.contains(&error.kind()), "{error}");
                assert!(begun.elapsed() < LONGEST, "no agent listens");
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    };
    let request = format!("GET {target} HTTP/1.1\r\nhost: netpolicy\r\nconnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .expect("send a request");
    stream
        .set_read_timeout(Some(LONGEST))
        .expect("set a timeout");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("receive an answer");
    assert!(answer.starts_with(b"HTTP/1.1 "), "an answer");
}
