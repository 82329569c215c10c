//! Sessions that are forwarded to containers: DNAT, masquerade, routes without NAT.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::{Duration, Instant};

use netpolicy_tests::command::assert_has;
use netpolicy_tests::forwarding::{CONTAINER, Forwarding, INNER, PUBLISHED, lives};
use netpolicy_tests::host::NIC;
use netpolicy_tests::process::Process;
use netpolicy_tests::server::EchoServer;
use netpolicy_tests::traffic::{self, ALLOWED_WAIT};
use serde_json::json;

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const BLOCKED6: &str = "fd00:bad::1";
const CREATE: &str = "policy create abuse --block 10.66.0.0/16,fd00:bad::/32";

/// The client hears of it without saying anything itself.
#[track_caller]
fn assert_reset_arrives(stream: &mut TcpStream) {
    let error = stream.read(&mut [0; 4]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
}

#[track_caller]
fn assert_cut_ends_both_sides(forwarding: &Forwarding, blocked: &mut TcpStream, source: &str) {
    let host = forwarding.host();
    let mut allowed = host.session(ALLOWED, PUBLISHED);
    assert!(lives(blocked) && lives(&mut allowed));
    assert_eq!(forwarding.inside(), 2);

    let strict = host.line(&format!("{CREATE} --strict"));
    assert_has(strict.failed(1), &["1 of 2 connected clients", source]);
    let preview = host.ok(&format!("{CREATE} --existing cut --dry-run"));
    let row = format!("{source} on host, 1 connection (forwarded)\n");
    assert_has(&preview, &[&row, "would close 1 open connection\n"]);
    let done = host.ok(&format!("{CREATE} --existing cut"));
    assert_has(&done, &["closed 1 open connection\n"]);
    assert_reset_arrives(blocked);
    assert_eq!(forwarding.inside(), 1, "the server's socket is gone");
    assert!(lives(&mut allowed));
    // Nothing is left that would be counted or closed a second time.
    host.write("all.toml", host.ok("export"));
    let again = host.json("apply -f all.toml --existing cut");
    assert_eq!(again["clients"]["closed"], 0, "{again}");
    assert_eq!(again["clients"]["not_closed"], json!([]), "{again}");
}

#[test]
fn dnat_session_is_reset_at_both_ends() {
    let forwarding = Forwarding::dnat("");
    let mut blocked = forwarding.host().session(BLOCKED, PUBLISHED);
    assert_cut_ends_both_sides(&forwarding, &mut blocked, BLOCKED);
}

#[test]
fn ipv6_dnat_session_is_reset_at_both_ends() {
    let forwarding = Forwarding::dnat("");
    let mut blocked = forwarding.host().session(BLOCKED6, PUBLISHED);
    assert_cut_ends_both_sides(&forwarding, &mut blocked, BLOCKED6);
}

#[test]
fn masqueraded_session_is_reset_at_both_ends() {
    let forwarding = Forwarding::dnat("oifname ct0 masquerade");
    let mut blocked = forwarding.host().session(BLOCKED, PUBLISHED);
    assert_cut_ends_both_sides(&forwarding, &mut blocked, BLOCKED);
}

#[test]
fn session_routed_without_nat_is_reset_at_both_ends() {
    let forwarding = Forwarding::dnat("");
    let to = SocketAddr::new(CONTAINER.parse().unwrap(), INNER);
    let source = BLOCKED.parse().unwrap();
    let clients = forwarding.host().clients();
    let mut blocked = traffic::open(clients, source, to, ALLOWED_WAIT).unwrap();
    blocked.set_read_timeout(Some(ALLOWED_WAIT)).unwrap();
    assert_cut_ends_both_sides(&forwarding, &mut blocked, BLOCKED);
}

#[test]
fn container_without_a_name_is_found_by_its_process() {
    let forwarding = Forwarding::dnat("");
    let mut command = forwarding.container().command("sleep");
    command.arg("600");
    let process = Process::start(command, &forwarding.host().file("sleep.log"));
    let deadline = Instant::now() + Duration::from_secs(3);
    let inode = std::fs::metadata(forwarding.container().path()).unwrap();
    let path = format!("/proc/{}/ns/net", process.pid());
    while std::fs::metadata(&path).unwrap().ino() != inode.ino() {
        assert!(Instant::now() < deadline, "the process is in its namespace");
        std::thread::sleep(Duration::from_millis(10));
    }
    let umount = Command::new("umount")
        .arg(forwarding.container().path())
        .status();
    assert!(umount.unwrap().success());
    let mut blocked = forwarding.host().session(BLOCKED, PUBLISHED);
    let done = forwarding.host().ok(&format!("{CREATE} --existing cut"));
    assert_has(&done, &["closed 1 open connection\n"]);
    assert_reset_arrives(&mut blocked);
}

#[test]
fn session_whose_socket_is_nowhere_here_is_not_called_closed() {
    let forwarding = Forwarding::dnat("");
    forwarding.hide_server();
    let mut blocked = forwarding.host().session(BLOCKED, PUBLISHED);
    assert!(lives(&mut blocked));
    let strict = forwarding.host().line(&format!("{CREATE} --strict"));
    assert_has(strict.failed(1), &["1 of 1 connected client", BLOCKED]);
    let done = forwarding.host().line(&format!("{CREATE} --existing cut"));
    assert_has(
        done.left_open(),
        &[
            "closed 0 open connections; 1 could not be closed:\n",
            "10.66.0.1 on port 9000, 1 connection: forwarded",
            "end it at its server",
        ],
    );
    assert!(lives(&mut blocked), "as it says");
}

#[test]
fn connections_of_containers_to_the_outside_are_left_alone() {
    let forwarding = Forwarding::dnat("oifname nic0 masquerade");
    let outside = EchoServer::start(forwarding.host().clients(), &[7000]);
    let to = SocketAddr::new("198.51.100.2".parse().unwrap(), 7000);
    let source = CONTAINER.parse().unwrap();
    let mut stream = traffic::open(forwarding.container(), source, to, ALLOWED_WAIT).unwrap();
    stream.set_read_timeout(Some(ALLOWED_WAIT)).unwrap();
    assert!(lives(&mut stream));
    // A blocklist with private networks is common; this client does not come by the NIC.
    let line = "policy create private --block 172.16.0.0/12 --existing cut";
    let done = forwarding.host().json(line);
    assert_eq!(done["clients"]["closed"], 0, "{done}");
    assert_eq!(done["clients"]["denied"], json!([]), "{done}");
    assert!(lives(&mut stream));
    drop(outside);
}

#[test]
fn redirected_connection_is_judged_by_the_port_that_it_arrives_at() {
    let forwarding = Forwarding::start(&format!(
        "table inet nat {{ chain pre {{ type nat hook prerouting priority dstnat; \
         iifname {NIC} tcp dport {PUBLISHED} redirect to :{INNER}; }}; }}"
    ));
    let host = forwarding.host();
    host.ok(&format!("service add published --port {PUBLISHED}"));
    let mut redirected = host.session(BLOCKED, PUBLISHED);
    let mut direct = host.session(BLOCKED, INNER);
    let create = "policy create abuse --service published --block 10.66.0.0/16";
    let done = host.ok(&format!("{create} --existing cut"));
    assert_has(
        &done,
        &[
            "10.66.0.1 on published, 1 connection\n",
            "closed 1 open connection\n",
        ],
    );
    assert_reset_arrives(&mut redirected);
    assert!(lives(&mut direct), "the policy does not cover its port");
}
