//! SYN cookies outlive a cut: a client that holds one can still connect for a while.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use netpolicy_tests::host::NIC;
use netpolicy_tests::packet::{CLIENT_MAC, HOST_MAC, HOST_V4};
use netpolicy_tests::traffic::RawSocket;

/// On the wire, and of no host: the clients' kernel does not reset what it did not open.
const SOURCE: [u8; 4] = [198, 51, 100, 77];
const SOURCE_PORT: u16 = 40_000;
const PORT: u16 = 5432;
const SEQUENCE: u32 = 1000;

fn segment(sequence: u32, acknowledged: Option<u32>) -> Vec<u8> {
    let host: std::net::Ipv4Addr = HOST_V4.parse().unwrap();
    let tcp = PacketBuilder::ethernet2(CLIENT_MAC, HOST_MAC)
        .ipv4(SOURCE, host.octets(), 64)
        .tcp(SOURCE_PORT, PORT, sequence, 64_240);
    let tcp = match acknowledged {
        None => tcp.syn(),
        Some(number) => tcp.ack(number),
    };
    let mut frame = Vec::new();
    tcp.write(&mut frame, &[]).unwrap();
    frame
}

/// The server's sequence number, from its SYN-ACK.
fn answer(raw: &RawSocket) -> u32 {
    let deadline = Instant::now() + Duration::from_secs(3);
    let mut buffer = [0; 2048];
    while Instant::now() < deadline {
        let Some(frame) = raw.receive(&mut buffer) else {
            continue;
        };
        let Ok(packet) = SlicedPacket::from_ethernet(frame) else {
            continue;
        };
        if let (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Tcp(tcp))) =
            (&packet.net, &packet.transport)
            && ip.header().destination() == SOURCE
            && tcp.syn()
            && tcp.ack()
        {
            return tcp.sequence_number();
        }
    }
    panic!("no SYN-ACK");
}

fn connections(host: &DatabaseHost) -> usize {
    let mut ss = host.db().command("ss");
    let out = ss.args(["-Htn", "dst", "198.51.100.77"]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().lines().count()
}

fn wait_for_connections(host: &DatabaseHost, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(3);
    while connections(host) != count {
        assert!(
            Instant::now() < deadline,
            "{} connections",
            connections(host)
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn cookie_from_before_a_cut_admits_and_cut_says_so() {
    let host = DatabaseHost::start();
    let mac = CLIENT_MAC.map(|b| format!("{b:02x}")).join(":");
    let source = std::net::IpAddr::from(SOURCE);
    host.db().add_neighbour(NIC, source, &mac);
    let set = |value| {
        let file = "/proc/sys/net/ipv4/tcp_syncookies";
        host.db().run(|| std::fs::write(file, value).unwrap());
    };
    let create = "policy create abuse --block 198.51.100.77 --existing cut";
    let without = host.ok(&format!("{create} --dry-run"));
    assert!(!without.contains("SYN cookie"), "{without}");

    // Cookies in any case, not only when the queue is full.
    set("2");
    let raw = host.raw();
    raw.send(&segment(SEQUENCE, None));
    let sequence = answer(&raw);
    assert_eq!(connections(&host), 0, "a cookie has no socket");
    let done = host.ok(create);
    let note = "this host has sent SYN cookies: ";
    assert_has(&done, &["closed 0 open connections\n", note, "120 s"]);

    raw.send(&segment(SEQUENCE + 1, Some(sequence + 1)));
    wait_for_connections(&host, 1);
    // What it says to do: the source is out then, since no new cookie is issued to it.
    host.write("all.toml", host.ok("export"));
    let again = host.ok("apply -f all.toml --existing cut");
    assert_has(&again, &["closed 1 open connection\n"]);
    wait_for_connections(&host, 0);
}
