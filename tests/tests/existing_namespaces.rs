//! In which network namespace the server's socket of a forwarded session is looked for, and
//! what is believed of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};

use netpolicy_tests::command::assert_has;
use netpolicy_tests::conntrack::{Conntrack, Entry};
use netpolicy_tests::forwarding::{CONTAINER, Forwarding, INNER, PUBLISHED, lives};
use netpolicy_tests::host::NIC;
use netpolicy_tests::packet::HOST_V4;
use netpolicy_tests::traffic::ALLOWED_WAIT;
use netpolicy_tests::{DatabaseHost, NetNs, Options};

const BLOCKED: &str = "10.66.0.1";
const CREATE: &str = "policy create abuse --block 10.66.0.0/16 --existing cut";

/// A socket with the ends of a session's server, which is another's.
struct Decoy {
    server: TcpStream,
    client: TcpStream,
    _ns: NetNs,
}

impl Decoy {
    /// In a namespace that has both addresses.
    fn of(session: &TcpStream, ns: NetNs) -> Self {
        let client = session.local_addr().unwrap();
        for address in [CONTAINER.to_owned(), client.ip().to_string()] {
            ns.add_address("lo", &format!("{address}/32"));
        }
        let server = SocketAddr::new(CONTAINER.parse().unwrap(), INNER);
        let (server, client) = ns.run(|| {
            let listener = TcpListener::bind(server).unwrap();
            let client = connect_from(client, server);
            (listener.accept().unwrap().0, client)
        });
        client.set_read_timeout(Some(ALLOWED_WAIT)).unwrap();
        Self {
            server,
            client,
            _ns: ns,
        }
    }

    fn lives(&mut self) -> bool {
        use std::io::{Read, Write};
        let mut answer = [0; 4];
        self.server.write_all(b"ping").is_ok() && self.client.read_exact(&mut answer).is_ok()
    }
}

fn connect_from(from: SocketAddr, to: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &from).unwrap();
    connect(&socket, &to).unwrap();
    socket.into()
}

#[test]
fn socket_of_a_local_user_does_not_keep_a_session_open_and_is_left_alone() {
    let forwarding = Forwarding::dnat("");
    let mut blocked = forwarding.host().session(BLOCKED, PUBLISHED);
    let mut decoy = Decoy::of(&blocked, NetNs::of_another_user());
    let done = forwarding.host().ok(CREATE);
    assert_has(&done, &["closed 1 open connection\n"]);
    assert!(!lives(&mut blocked));
    assert!(decoy.lives());
}

#[test]
fn socket_in_a_named_namespace_that_the_route_does_not_lead_to_is_left_alone() {
    let forwarding = Forwarding::dnat("");
    let mut blocked = forwarding.host().session(BLOCKED, PUBLISHED);
    let mut decoy = Decoy::of(&blocked, NetNs::new());
    let done = forwarding.host().ok(CREATE);
    assert_has(&done, &["closed 1 open connection\n"]);
    assert!(!lives(&mut blocked));
    assert!(decoy.lives());
}

#[test]
fn socket_of_a_local_user_is_not_ended_for_a_server_on_another_host() {
    let forwarding = Forwarding::dnat("");
    forwarding.hide_server();
    let mut blocked = forwarding.host().session(BLOCKED, PUBLISHED);
    let mut decoy = Decoy::of(&blocked, NetNs::of_another_user());
    let done = forwarding.host().line(CREATE);
    assert_has(
        done.left_open(),
        &[
            "closed 0 open connections; 1 could not be closed:\n",
            // There may be processes here that not even root may look at.
            "10.66.0.1 on port 9000, 1 connection: forwarded, and its socket",
            "end it at its server",
        ],
    );
    assert!(lives(&mut blocked), "as it says");
    assert!(decoy.lives());
}

#[test]
fn session_that_connection_tracking_has_open_is_not_called_closed() {
    let forwarding = Forwarding::dnat("");
    forwarding.hide_server();
    let mut blocked = forwarding.host().session(BLOCKED, PUBLISHED);
    let decoy = Decoy::of(&blocked, NetNs::new());
    let done = forwarding.host().line(&format!("{CREATE} --output json"));
    let done: serde_json::Value = serde_json::from_str(done.left_open()).unwrap();
    let clients = &done["clients"];
    assert_eq!(clients["closed"], 0, "{done}");
    assert_eq!(clients["not_closed"][0]["connections"], 1, "{done}");
    let reason = clients["not_closed"][0]["reason"].as_str().unwrap();
    let expected = "connection tracking still has the connection open";
    assert!(reason.contains(expected), "{reason}");
    assert!(lives(&mut blocked), "as it says");
    drop(decoy);
}

#[test]
fn sockets_in_several_namespaces_are_left_alone_and_reported() {
    let forwarding = Forwarding::dnat("");
    forwarding.hide_server();
    let mut blocked = forwarding.host().session(BLOCKED, PUBLISHED);
    let mut decoys = [NetNs::new(), NetNs::new()].map(|ns| Decoy::of(&blocked, ns));
    let done = forwarding.host().line(CREATE);
    assert_has(
        done.left_open(),
        &[
            "closed 0 open connections; 1 could not be closed:\n",
            "several network namespaces have a socket with its addresses and ports",
        ],
    );
    assert!(lives(&mut blocked), "as it says");
    assert!(decoys.iter_mut().all(Decoy::lives));
}

#[test]
fn entry_of_another_zone_with_the_same_ends_stays() {
    const ZONED: u16 = 7;
    let forwarding = Forwarding::start(&format!(
        "table inet zones {{ chain pre {{
            type filter hook prerouting priority raw;
            iifname {{ {NIC}, ct0 }} ct zone set {ZONED}
        }}; }}
        {}",
        Forwarding::rules("")
    ));
    let mut blocked = forwarding.host().session(BLOCKED, PUBLISHED);
    let SocketAddr::V4(client) = blocked.local_addr().unwrap() else {
        panic!("IPv4");
    };
    let v4 = |address: &str, port| SocketAddrV4::new(address.parse().unwrap(), port);
    let tracked = || {
        let all = forwarding.host().db().run(|| Conntrack::new().clients());
        let mut zones: Vec<_> = all.iter().filter(|it| it.0 == client).collect();
        zones.sort_unstable();
        zones.iter().map(|it| it.1).collect::<Vec<_>>()
    };
    let other = Entry {
        original: (client, v4(HOST_V4, PUBLISHED)),
        reply: (v4("172.17.0.9", INNER), client),
        zone: 0,
    };
    forwarding.host().db().run(|| Conntrack::new().add(&other));
    assert_eq!(tracked(), [0, ZONED]);
    let done = forwarding.host().line(CREATE);
    assert_has(
        done.left_open(),
        &["closed 1 open connection; 1 could not be closed:\n"],
    );
    assert!(!lives(&mut blocked));
    assert_eq!(tracked(), [0], "the other connection is not over");
}

#[test]
fn namespace_that_may_not_be_looked_at_is_reported_and_the_rest_is_cut() {
    let mut host = DatabaseHost::with(&Options {
        agent: false,
        ..Options::default()
    });
    let plain = host.command();
    let mut command = std::process::Command::new("setpriv");
    command
        .args(["--bounding-set", "-sys_ptrace", "--"])
        .arg(plain.get_program())
        .args(plain.get_args())
        .args(["agent", "--interface", NIC])
        .current_dir(plain.get_current_dir().unwrap());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    host.spawn(command);
    host.wait_for_agent();
    let forwarding = Forwarding::behind(host, &Forwarding::rules(""));
    let host = forwarding.host();
    let mut reachable = host.session(BLOCKED, PUBLISHED);
    // And one whose server is on another host.
    let client = SocketAddrV4::new("10.66.0.2".parse().unwrap(), 40_000);
    let elsewhere = Entry {
        original: (client, SocketAddrV4::new(HOST_V4.parse().unwrap(), 9001)),
        reply: (
            SocketAddrV4::new("203.0.113.9".parse().unwrap(), 5432),
            client,
        ),
        zone: 0,
    };
    host.db().run(|| Conntrack::new().add(&elsewhere));
    let done = host.line(CREATE);
    assert_has(
        done.left_open(),
        &[
            "closed 1 open connection; 1 could not be closed:\n",
            "10.66.0.2 on port 9001, 1 connection: forwarded",
            "could not search (cannot look at a network namespace: Permission denied",
        ],
    );
    assert!(!lives(&mut reachable));
}

#[test]
fn number_of_namespaces_does_not_exhaust_the_descriptors() {
    let mut forwarding = Forwarding::dnat("");
    let _others: Vec<_> = (0..40).map(|_| NetNs::new()).collect();
    forwarding
        .host()
        .ok("policy create abuse --block 10.67.0.0/16");
    let pid = forwarding.host_mut().agent().pid();
    let descriptors = || {
        std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .count()
    };
    // For the request, the store, and the kernel.
    limit_descriptors(pid, descriptors() as u64 + 16);
    let mut blocked = forwarding.host().session(BLOCKED, PUBLISHED);
    let done = forwarding
        .host()
        .ok("policy alter abuse --add-block 10.66.0.0/16 --existing cut");
    assert_has(&done, &["closed 1 open connection\n"]);
    assert!(!lives(&mut blocked));
}

fn limit_descriptors(pid: u32, limit: u64) {
    let limit = limit.to_string();
    let status = std::process::Command::new("prlimit")
        .args([
            "--pid",
            &pid.to_string(),
            &format!("--nofile={limit}:{limit}"),
        ])
        .status();
    assert!(status.unwrap().success());
}
