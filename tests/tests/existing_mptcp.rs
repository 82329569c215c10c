//! MPTCP connections of denied sources, with subflows from several addresses.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use netpolicy_tests::host::NIC;
use netpolicy_tests::packet::HOST_V4;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketType, bind, connect,
    ipproto, listen, sendmsg, socket,
};

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const PORT: u16 = 3306;
const WAIT: Duration = Duration::from_secs(3);

/// A host with an MPTCP echo server, whose clients open a second subflow from an address.
fn host(second: &str) -> DatabaseHost {
    let host = DatabaseHost::start();
    for ns in [host.db(), host.clients()] {
        ns.ip(&[
            "mptcp",
            "limits",
            "set",
            "subflow",
            "4",
            "add_addr_accepted",
            "4",
        ]);
    }
    host.clients()
        .ip(&["mptcp", "endpoint", "add", second, "dev", NIC, "subflow"]);
    host
}

fn mptcp() -> OwnedFd {
    let kind = SocketType::STREAM;
    socket(AddressFamily::INET, kind, Some(ipproto::MPTCP)).expect("an MPTCP socket")
}

fn listener(host: &DatabaseHost) -> OwnedFd {
    host.db().run(|| {
        let socket = mptcp();
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT)).expect("bind");
        listen(&socket, 16).expect("listen");
        socket
    })
}

/// Echoes what one client sends; says how it ended.
fn serve(listener: &OwnedFd) -> thread::JoinHandle<std::io::Result<()>> {
    let listener = listener.try_clone().expect("a second handle");
    thread::spawn(move || {
        let mut stream = TcpStream::from(rustix::net::accept(&listener)?);
        let mut buffer = [0; 64];
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                n => stream.write_all(&buffer[..n])?,
            }
        }
    })
}

fn client(host: &DatabaseHost, source: &str) -> TcpStream {
    let to = SocketAddrV4::new(HOST_V4.parse().unwrap(), PORT);
    let stream = host.clients().run(|| {
        let socket = mptcp();
        bind(&socket, &SocketAddrV4::new(source.parse().unwrap(), 0)).expect("bind");
        connect(&socket, &to).expect("connect");
        TcpStream::from(socket)
    });
    stream.set_read_timeout(Some(WAIT)).unwrap();
    stream
}

fn echo(stream: &mut TcpStream) {
    let mut answer = [0; 4];
    stream.write_all(b"ping").unwrap();
    stream.read_exact(&mut answer).unwrap();
}

/// The server's sockets of this port, subflows ("tcp") or connections ("mptcp").
fn sockets(host: &DatabaseHost, kind: &str) -> usize {
    let flag = if kind == "tcp" { "-Htn" } else { "-HMn" };
    let states = ["state", "all", "exclude", "listening", "exclude", "closed"];
    let mut ss = host.db().command("ss");
    let out = ss.arg(flag).args(states).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let port = format!(":{PORT} ");
    let there = text.lines().filter(|line| line.contains(&port));
    there.filter(|line| !line.contains("TIME-WAIT")).count()
}

fn wait_for_subflows(host: &DatabaseHost, count: usize) {
    let deadline = Instant::now() + WAIT;
    while sockets(host, "tcp") != count {
        assert!(
            Instant::now() < deadline,
            "{} subflows",
            sockets(host, "tcp")
        );
        thread::sleep(Duration::from_millis(20));
    }
}

fn assert_ended(stream: &mut TcpStream) {
    match stream.read(&mut [0; 4]) {
        Ok(n) => assert_eq!(n, 0, "the client read something"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
}

/// Whichever of the subflows is denied, the connection ends at both sides.
#[track_caller]
fn assert_cut_ends_connection(first: &str, second: &str) {
    let host = host(second);
    let listener = listener(&host);
    let server = serve(&listener);
    let mut stream = client(&host, first);
    echo(&mut stream);
    wait_for_subflows(&host, 2);
    let create = "policy create abuse --block 10.66.0.0/16";

    let strict = host.line(&format!("{create} --strict"));
    assert_has(strict.failed(1), &[BLOCKED, "on host", "--strict"]);
    let preview = host.ok(&format!("{create} --existing cut --dry-run"));
    assert_has(
        &preview,
        &[
            "10.66.0.1 on host, 1 connection\n",
            "would close 1 open connection\n",
        ],
    );
    echo(&mut stream);
    let done = host.ok(&format!("{create} --existing cut"));
    assert_has(&done, &["closed 1 open connection\n"]);
    assert_ended(&mut stream);
    assert!(server.join().unwrap().is_ok(), "the server reads the end");
    assert_eq!((sockets(&host, "tcp"), sockets(&host, "mptcp")), (0, 0));
}

#[test]
fn connection_ends_with_all_subflows_when_its_first_source_is_denied() {
    assert_cut_ends_connection(BLOCKED, ALLOWED);
}

#[test]
fn connection_ends_with_all_subflows_when_a_later_source_is_denied() {
    assert_cut_ends_connection(ALLOWED, BLOCKED);
}

#[test]
fn mptcp_connections_of_other_sources_stay_open() {
    let host = host("10.0.0.2");
    let listener = listener(&host);
    let servers = [serve(&listener), serve(&listener)];
    let mut allowed = client(&host, ALLOWED);
    echo(&mut allowed);
    wait_for_subflows(&host, 2);
    // Plain TCP at an MPTCP listener, from a denied source.
    let mut plain = host.session(BLOCKED, PORT);
    echo(&mut plain);
    let done = host.json("policy create abuse --block 10.66.0.0/16 --existing cut");
    assert_eq!(done["clients"]["closed"], 1, "{done}");
    assert_eq!(
        done["clients"]["not_closed"],
        serde_json::json!([]),
        "{done}"
    );
    assert_ended(&mut plain);
    echo(&mut allowed);
    drop(allowed);
    for server in servers {
        let _ = server.join();
    }
}

/// A server that hands its connections on to another process may have closed its own
/// descriptor before the other has one.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the server's own descriptor is closed here"
)]
fn hand_on(connection: OwnedFd) -> [UnixStream; 2] {
    let (sender, receiver) = UnixStream::pair().unwrap();
    let descriptors = [connection.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let data = [IoSlice::new(b"x")];
    sendmsg(&sender, &data, &mut ancillary, SendFlags::empty()).unwrap();
    [sender, receiver]
}

#[test]
fn connection_that_no_process_holds_is_reported_as_not_closed() {
    let host = host("10.0.0.2");
    let listener = listener(&host);
    let mut stream = client(&host, BLOCKED);
    stream.write_all(b"ping").unwrap();
    wait_for_subflows(&host, 2);
    let _on_its_way = hand_on(rustix::net::accept(&listener).unwrap());
    let done = host.line("policy create abuse --block 10.66.0.0/16 --existing cut");
    assert_has(
        done.left_open(),
        &[
            "closed 0 open connections; 1 could not be closed:\n",
            "10.66.0.1 on port 3306, 1 connection: MPTCP connection",
            "net.mptcp.close_timeout",
        ],
    );
    assert_eq!(sockets(&host, "tcp"), 0, "all subflows are closed");
    assert_eq!(sockets(&host, "mptcp"), 1, "as it says");
    host.assert_times_out(&[(BLOCKED, PORT)]);
}

/// Nothing is called closed that is there, and nothing left that is not.
#[test]
fn connection_that_is_not_accepted_yet_ends_or_is_reported() {
    let host = host("10.0.0.2");
    let _listener = listener(&host);
    let mut stream = client(&host, BLOCKED);
    stream.write_all(b"ping").unwrap();
    wait_for_subflows(&host, 2);
    let line = "policy create abuse --block 10.66.0.0/16 --existing cut --output json";
    let output = host.line(line);
    let done: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let there = sockets(&host, "mptcp");
    assert_eq!(output.code, Some(i32::from(there > 0)), "{done}");
    assert_eq!(done["clients"]["closed"], 1 - there, "{done}");
    let left = done["clients"]["not_closed"].as_array().unwrap();
    assert_eq!(left.len(), there, "{done}");
    assert_eq!(sockets(&host, "tcp"), 0);
}
