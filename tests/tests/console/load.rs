//! Load: what any process of the host can put on the console without a session.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use netpolicy_tests::debian::is_long;
use netpolicy_tests::{DatabaseHost, http};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::console;

#[test]
fn slow_connections_keep_no_person_out() {
    let host = DatabaseHost::start();
    let console = console(&host, &[]);
    let secret = console.begin();
    // Each holds a connection open, and sends its head byte by byte or not at all.
    let slow: Vec<_> = (0..500)
        .map(|n| {
            let mut stream = TcpStream::connect(("127.0.0.1", console.port)).unwrap();
            if n % 2 == 0 {
                // It may have been closed to make room.
                let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: local");
            }
            stream
        })
        .collect();
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(console.ask(&secret, "GET", "/v1/status", "").status, 200);
    }
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    drop(slow);
}

/// Lets this process have so many descriptors.
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
fn raise_descriptors(wanted: u64) {
    let limit = getrlimit(Resource::Nofile);
    let maximum = limit.maximum.map(|maximum| maximum.max(wanted));
    let raised = Rlimit {
        current: Some(limit.current.map_or(wanted, |current| current.max(wanted))),
        maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

#[test]
fn ten_thousand_parallel_connections_keep_no_person_out() {
    // A tenth of them by default.
    let (threads, each) = (20, if is_long() { 500 } else { 50 });
    raise_descriptors(12_000);
    let host = DatabaseHost::start();
    let console = console(&host, &[]);
    let secret = console.begin();
    let port = console.port;
    let all_open = Barrier::new(threads + 1);
    let asked = Barrier::new(threads + 1);
    let (opened, answered) = thread::scope(|scope| {
        let crowd = || {
            let open = (0..each).filter_map(|_| TcpStream::connect(("127.0.0.1", port)).ok());
            let open: Vec<_> = open.collect();
            all_open.wait();
            asked.wait();
            let opened = open.len();
            let answered = open.into_iter().filter(|mut stream| {
                let time = Some(Duration::from_secs(5));
                stream.set_read_timeout(time).unwrap();
                let head = format!(
                    "GET /v1/status HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\n\r\n"
                );
                let mut answer = String::new();
                stream.write_all(head.as_bytes()).is_ok()
                    && stream.read_to_string(&mut answer).is_ok()
                    && answer.starts_with("HTTP/1.1 401")
            });
            (opened, answered.count())
        };
        let crowds: Vec<_> = (0..threads).map(|_| scope.spawn(crowd)).collect();
        all_open.wait();
        // All are open: the person is answered nevertheless.
        let start = Instant::now();
        let status = console.ask(&secret, "GET", "/v1/status", "");
        assert_eq!(status.status, 200, "{}", status.text());
        let took = start.elapsed();
        asked.wait();
        let ended = crowds.into_iter().map(|crowd| crowd.join().unwrap());
        let sums = ended.fold((0, 0), |(a, b), (x, y)| (a + x, b + y));
        assert!(took < Duration::from_secs(5), "{took:?}");
        sums
    });
    assert_eq!(opened, threads * each, "all of them were open");
    assert!(answered > 0, "some are answered: that they have no session");
    assert_eq!(console.ask(&secret, "GET", "/v1/status", "").status, 200);
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", console.pid())).unwrap();
    let descriptors = descriptors.count();
    assert!(descriptors < 300, "{descriptors} descriptors");
}

#[test]
fn slow_and_large_bodies_are_refused() {
    let host = DatabaseHost::start();
    let console = console(&host, &[]);
    let name = console.host();
    let head = format!(
        "POST /session HTTP/1.1\r\nhost: {name}\r\norigin: http://{name}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: "
    );
    let mut slow = TcpStream::connect(("127.0.0.1", console.port)).unwrap();
    slow.write_all(format!("{head}100\r\n\r\n{{").as_bytes())
        .unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let answer = http::read(slow).unwrap();
    assert_eq!(answer.status, 408, "{}", answer.text());
    let mut large = TcpStream::connect(("127.0.0.1", console.port)).unwrap();
    large
        .write_all(format!("{head}1000000\r\n\r\n").as_bytes())
        .unwrap();
    let _ = large.write_all(&[b' '; 4096]);
    large
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    assert_eq!(http::read(large).unwrap().status, 413);
}
