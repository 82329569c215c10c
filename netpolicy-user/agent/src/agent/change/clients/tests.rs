//! The impact on connected clients, with fake sessions.

use crate::agent::error::AgentError;
use crate::agent::testing::{Bench, DRY, PLAIN, ROOT, add_service, apply, create};
use crate::api::Existing;
use crate::sockets::{Connection, Forwarded, Left, Session, TcpState};

use super::{add_left, not_closed};
use crate::agent::change::ChangeOptions;

const CUT: ChangeOptions = ChangeOptions {
    existing: Some(Existing::Cut),
    ..PLAIN
};

const STRICT: ChangeOptions = ChangeOptions {
    strict: true,
    ..PLAIN
};

#[test]
fn clients_are_counted_by_source_and_scope() {
    let mut bench = Bench::new();
    let sockets = bench.sockets();
    for (source, port) in [
        ("10.0.0.1", 5432),
        ("10.66.0.1", 5432),
        ("10.66.0.1", 5432),
        ("10.66.0.1", 8080),
        ("fd00::66", 8080),
        ("10.66.0.9", 22),
    ] {
        sockets.open(source, port);
    }
    let service = add_service("postgres", "5432");
    let added = bench.writer.change(service, ROOT, PLAIN).unwrap();
    assert!(added.clients.is_none() && added.operator.is_none());
    let allowed = bench.writer.change(create("none", &[], &[]), ROOT, PLAIN);
    assert!(allowed.unwrap().clients.is_none());
    let change = || create("abuse", &[], &["10.66.0.0/16", "fd00::66"]);
    let tried = bench.writer.change(change(), ROOT, DRY).unwrap();
    let clients = tried.clients.unwrap();
    let denied = clients.denied.iter();
    let denied: Vec<_> = denied
        .map(|d| format!("{} {} {}", d.source, d.scope, d.connections))
        .collect();
    assert_eq!(clients.connected, 3);
    assert_eq!(
        denied,
        [
            "10.66.0.1 host 1",
            "10.66.0.1 postgres 2",
            "fd00::66 host 1"
        ]
    );
    assert_eq!(clients.closed, 0);

    let error = bench.writer.change(change(), ROOT, STRICT).unwrap_err();
    assert!(matches!(error, AgentError::DeniesClients(_)), "{error}");
    assert_eq!(bench.snapshot().revision, 2);
    let all = sockets.left();
    bench.writer.change(change(), ROOT, PLAIN).unwrap();
    assert_eq!(sockets.left(), all, "they are kept unless told otherwise");
}

#[test]
fn only_who_is_newly_denied_is_cut() {
    let mut bench = Bench::new();
    let sockets = bench.sockets();
    bench
        .writer
        .change(create("old", &[], &["10.1.0.0/16"]), ROOT, PLAIN)
        .unwrap();
    for source in ["10.0.0.1", "10.1.0.1", "10.2.0.1"] {
        sockets.open(source, 5432);
    }
    sockets.open("10.2.0.1", 22);
    let new = || create("new", &[], &["10.1.0.1", "10.2.0.0/16"]);
    let dry = ChangeOptions {
        dry_run: true,
        ..CUT
    };
    let tried = bench.writer.change(new(), ROOT, dry).unwrap();
    assert_eq!(tried.clients.unwrap().closed, 1);
    assert_eq!(sockets.left().len(), 4);
    let done = bench.writer.change(new(), ROOT, CUT).unwrap();
    assert_eq!(done.clients.unwrap().closed, 1);
    assert_eq!(
        sockets.left(),
        ["10.0.0.1 5432", "10.1.0.1 5432", "10.2.0.1 22"]
    );

    // Without a change, all who are denied by what is in force.
    let same = crate::model::file::export(&bench.snapshot().state);
    let again = bench.writer.change(apply(&same), ROOT, CUT).unwrap();
    assert!(again.plan.is_empty());
    assert_eq!(again.clients.unwrap().closed, 1);
    assert_eq!(sockets.left(), ["10.0.0.1 5432", "10.2.0.1 22"]);
}

#[test]
fn a_kernel_that_does_not_tell_refuses_only_who_depends_on_it() {
    let mut bench = Bench::new();
    bench.sockets().fail();
    let change = || create("abuse", &[], &["10.66.0.0/16"]);
    for options in [STRICT, CUT] {
        let error = bench.writer.change(change(), ROOT, options).unwrap_err();
        assert!(matches!(error, AgentError::Sockets { .. }), "{error}");
        assert_eq!(bench.snapshot().revision, 0);
    }
    let made = bench.writer.change(change(), ROOT, PLAIN).unwrap();
    assert!(made.clients.is_none());
    assert!(made.warnings[0].contains("is not known"), "{made:?}");
}

#[test]
fn forwarded_session_counts_by_the_port_that_it_arrives_at() {
    let mut bench = Bench::new();
    let sockets = bench.sockets();
    sockets.open_forwarded("10.66.0.1", 8080);
    sockets.open("10.66.0.1", 8080);
    sockets.open_forwarded("10.0.0.1", 8080);
    sockets.open_forwarded("10.66.0.1", 22);
    let change = || create("abuse", &[], &["10.66.0.0/16"]);
    let error = bench.writer.change(change(), ROOT, STRICT).unwrap_err();
    assert!(matches!(error, AgentError::DeniesClients(_)), "{error}");
    let clients = bench.writer.change(change(), ROOT, CUT).unwrap().clients;
    let clients = clients.unwrap();
    assert_eq!(clients.connected, 2);
    assert_eq!(clients.denied[0].connections, 2);
    assert_eq!(clients.denied[0].forwarded, 1);
    assert_eq!(clients.closed, 2);
    assert_eq!(sockets.left(), ["10.0.0.1 8080", "10.66.0.1 22"]);
}

#[test]
fn subflows_of_one_mptcp_connection_count_once() {
    let mut bench = Bench::new();
    let sockets = bench.sockets();
    sockets.open_subflow("10.66.0.1", 5432, 7);
    sockets.open_subflow("10.66.0.1", 5432, 7);
    sockets.open_subflow("10.66.0.1", 5432, 8);
    let dry = ChangeOptions {
        dry_run: true,
        ..CUT
    };
    let change = create("abuse", &[], &["10.66.0.0/16"]);
    let tried = bench.writer.change(change, ROOT, dry).unwrap();
    let clients = tried.clients.unwrap();
    assert_eq!(clients.denied[0].connections, 2);
    assert_eq!(clients.closed, 2);
}

#[test]
fn connections_that_cannot_be_closed_are_not_reported_as_closed() {
    let mut bench = Bench::new();
    let sockets = bench.sockets();
    sockets.open("10.66.0.1", 5432);
    sockets.open_forwarded("10.66.0.2", 5432);
    sockets.open_forwarded("10.66.0.2", 5432);
    sockets.stick("10.66.0.2", Left::NoSocket);
    let change = create("abuse", &[], &["10.66.0.0/16"]);
    let clients = bench.writer.change(change, ROOT, CUT).unwrap().clients;
    let clients = clients.unwrap();
    assert_eq!(clients.closed, 1);
    assert_eq!(clients.not_closed.len(), 1, "{clients:?}");
    let left = &clients.not_closed[0];
    assert_eq!((left.port, left.connections), (5432, 2));
    assert!(left.reason.contains("no network namespace"), "{left:?}");
}

#[test]
fn syn_cookies_are_reported_with_a_cut() {
    let mut bench = Bench::new();
    let sockets = bench.sockets();
    sockets.open("10.66.0.1", 5432);
    sockets.send_syn_cookies(3);
    let change = || create("abuse", &[], &["10.66.0.0/16"]);
    let kept = bench.writer.change(change(), ROOT, DRY).unwrap();
    assert_eq!(kept.clients.unwrap().syn_cookies_sent, None);
    let cut = bench.writer.change(change(), ROOT, CUT).unwrap();
    assert_eq!(cut.clients.unwrap().syn_cookies_sent, Some(3));
}

#[test]
fn mptcp_connection_left_without_subflows_stays_reported() {
    let session = |token| {
        let local = "198.51.100.1:5432".parse().unwrap();
        let remote = "10.66.0.1:40000".parse().unwrap();
        let made = Connection::made_up(local, remote, TcpState::Established);
        Session::Own(made.of_mptcp(token))
    };
    let mut left = vec![(session(1), Left::Mptcp), (session(2), Left::Lives)];
    // The second round does not see the first one, and ends the second.
    assert_eq!(add_left(&mut left, vec![]), 0);
    assert_eq!(left, [(session(1), Left::Mptcp)]);
    add_left(&mut left, vec![(session(1), Left::Lives)]);
    assert_eq!(left, [(session(1), Left::Lives)]);
    assert_eq!(not_closed(&left)[0].connections, 1);
}

#[test]
fn forwarded_mptcp_connection_left_without_subflows_stays_reported() {
    let mut left = vec![(forwarded(40_000), Left::Mptcp)];
    assert_eq!(add_left(&mut left, vec![]), 0);
    assert_eq!(left, [(forwarded(40_000), Left::Mptcp)]);
}

#[test]
fn forwarded_session_that_ends_between_the_rounds_counts_as_closed() {
    let unverified = || Left::Unverified("tracked as open".to_owned());
    let sessions = [forwarded(40_000), forwarded(40_001), forwarded(40_002)];
    let mut left = vec![
        (sessions[0], unverified()),
        (sessions[1], unverified()),
        (sessions[2], Left::NoSocket),
    ];
    // The first is over; of the second the socket is gone, and the entry still open; the
    // third ended by itself.
    let over = add_left(&mut left, vec![(sessions[1], Left::NoSocket)]);
    assert_eq!(over, 1);
    assert_eq!(left, [(sessions[1], unverified())]);
}

#[test]
fn cut_asks_where_denied_sources_come_in_and_no_others() {
    let mut bench = Bench::new();
    let sockets = bench.sockets();
    for last in 0..100 {
        sockets.open_forwarded(&format!("10.0.0.{last}"), 8080);
    }
    sockets.open_forwarded("10.66.0.1", 8080);
    let change = create("abuse", &[], &["10.66.0.0/16"]);
    bench.writer.change(change, ROOT, CUT).unwrap();
    // All once, to count the clients, and the denied one once more; then it is gone.
    assert_eq!(sockets.routed(), 101 + 1);
}

fn forwarded(port: u16) -> Session {
    let client = std::net::SocketAddr::from(([10, 66, 0, 1], port));
    let host = "198.51.100.1:8080".parse().unwrap();
    let server = "172.17.0.2:9000".parse().unwrap();
    Session::Forwarded(Forwarded::made_up(client, host, server))
}
