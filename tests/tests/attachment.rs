//! Changes to links, pins and interfaces by other processes: no packet gets in, and
//! nothing is called filtered that is not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use netpolicy_tests::host::{NIC, run};
use netpolicy_tests::process::Process;
use netpolicy_tests::traffic::SynStream;
use netpolicy_tests::{DatabaseHost, NetNs, netns, pins, rules};
use netpolicy_user::datapath;
use netpolicy_user::netdev::{Netdevs, Watch};
use nix::sys::signal::Signal;

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const POLICY: &str = "policy create office --block 10.66.0.0/16";
const PAUSE: Duration = Duration::from_micros(500);

fn links(host: &DatabaseHost) -> Vec<PathBuf> {
    let dir = fs::read_dir(host.bpffs_dir().join("links"));
    dir.map(|dir| dir.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default()
}

fn syns(host: &DatabaseHost) -> SynStream {
    let stream = SynStream::start(host.clients(), NIC, &[ALLOWED, BLOCKED], 5432, PAUSE);
    stream.wait_for_answers(ALLOWED, 10);
    stream
}

/// Answers that the blocked source got.
fn let_in(stream: SynStream) -> (u64, u64) {
    let (sent, answers) = stream.stop();
    let blocked = BLOCKED.parse().unwrap();
    (sent, answers.get(&blocked).copied().unwrap_or(0))
}

/// Whether an interface of this thread's namespace runs a program, as it says itself.
fn runs_here(netdevs: &mut Netdevs, name: &str) -> bool {
    let device = netdevs.by_name(name).unwrap();
    device.is_some_and(|device| !datapath::running(&device).is_empty())
}

/// The same of the host's namespace.
fn runs_a_program(host: &DatabaseHost, name: &str) -> bool {
    host.db()
        .run(|| runs_here(&mut Netdevs::open().unwrap(), name))
}

#[track_caller]
fn wait_for(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
    begun.elapsed()
}

#[test]
fn removed_link_pins_let_no_packet_in_and_are_put_back() {
    let host = DatabaseHost::start();
    host.ok(POLICY);
    let stream = syns(&host);
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        let pins = links(&host);
        assert_eq!(pins.len(), 1, "{pins:?}");
        fs::remove_file(&pins[0]).unwrap();
        let took = wait_for("the pin is back", Duration::from_secs(5), || {
            pins[0].exists()
        });
        longest = longest.max(took);
        stream.wait_for_answers(ALLOWED, 20);
    }
    println!("a removed pin is back after at most {longest:?}");
    let (sent, in_) = let_in(stream);
    assert_eq!(in_, 0, "of {sent} attempts");
    let faults = host.status()["faults"].to_string();
    assert!(faults.contains("it stayed filtered"), "{faults}");
    // All of them at once, as with `rm -r`.
    let stream = syns(&host);
    pins::remove(host.bpffs_dir());
    wait_for("all pins are back", Duration::from_secs(10), || {
        host.bpffs_dir().join("live/PROGRAM").exists() && links(&host).len() == 1
    });
    stream.wait_for_answers(ALLOWED, 200);
    let (sent, in_) = let_in(stream);
    assert_eq!(in_, 0, "of {sent} attempts");
    // The pins alone keep it, as ever.
    let mut host = host;
    host.kill_agent();
    host.assert_times_out(&[(BLOCKED, 5432)]);
}

#[test]
fn link_detached_by_force_is_attached_again_within_a_second() {
    let host = DatabaseHost::start();
    host.ok(POLICY);
    let mut longest = Duration::ZERO;
    for _ in 0..3 {
        let link = links(&host).remove(0).display().to_string();
        let out = Command::new("bpftool")
            .args(["link", "detach", "pinned", &link])
            .output();
        assert!(out.unwrap().status.success());
        let took = wait_for("attached again", Duration::from_secs(5), || {
            runs_a_program(&host, NIC)
        });
        longest = longest.max(took);
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("a forced detach is found after at most {longest:?}");
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    host.assert_times_out(&[(BLOCKED, 5432)]);
    let faults = host.status()["faults"].to_string();
    assert!(faults.contains("had lost its program"), "{faults}");
}

/// Makes `name` in the host's namespace and tells how long it took from netlink's first
/// notification until it ran a program.
fn open_time(host: &DatabaseHost, name: &str) -> Duration {
    host.db().run(|| {
        let (watch, mut netdevs) = (Watch::open().unwrap(), Netdevs::open().unwrap());
        let ns = host.db().name().to_owned();
        let (interface, peer) = (name.to_owned(), format!("{name}p"));
        let maker = std::thread::spawn(move || {
            netns::run(
                "ip",
                &[
                    "-n", &ns, "link", "add", &interface, "up", "type", "veth", "peer", &peer,
                ],
            )
        });
        let deadline = Instant::now() + Duration::from_secs(10);
        while !(watch.drain().unwrap() && netdevs.by_name(name).unwrap().is_some()) {
            assert!(Instant::now() < deadline, "{name} does not appear");
            std::thread::sleep(Duration::from_micros(200));
        }
        let appeared = Instant::now();
        while !runs_here(&mut netdevs, name) {
            assert!(
                appeared.elapsed() < Duration::from_secs(10),
                "{}",
                host.status()
            );
            std::thread::sleep(Duration::from_micros(200));
        }
        let took = appeared.elapsed();
        maker.join().unwrap();
        took
    })
}

fn host_with_nic1() -> DatabaseHost {
    let mut host = DatabaseHost::without_agent();
    let mut command = host.command();
    command.args(["agent", "--interface", "nic0,nic1"]);
    host.spawn(command);
    let _ = host.wait_for_state("partial");
    host.ok(POLICY);
    host
}

#[test]
fn appearing_interface_is_filtered_within_milliseconds() {
    let host = host_with_nic1();
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let took = open_time(&host, "nic1");
            host.db().ip(&["link", "del", "nic1"]);
            took
        })
        .collect();
    times.sort();
    let (median, most) = (times[25], times[49]);
    println!("notification to attached: median {median:?}, most of 50 {most:?}");
    // On a busy machine; the settling time alone was 50 ms.
    assert!(median < Duration::from_millis(40), "{times:?}");
}

#[test]
fn appearing_interface_does_not_wait_for_a_large_change() {
    let host = host_with_nic1();
    let many =
        (0..100_000u32).map(|i| format!("172.{}.{}.{}", 16 + (i >> 16), i >> 8 & 255, i & 255));
    host.write("many.txt", many.collect::<Vec<_>>().join("\n"));
    let mut command = host.command();
    command.args(["policy", "create", "bulk", "--block-file", "many.txt"]);
    let mut change = Process::start(command, &host.file("change.log"));
    wait_for("the writer is at work", Duration::from_secs(30), || {
        assert_eq!(change.ended(), None, "over before it was seen");
        busy(&host)
    });
    let took = open_time(&host, "nic1");
    assert_eq!(change.ended(), None, "the change was over already");
    println!("attached {took:?} after it appeared, while a change was being made");
    assert!(took < Duration::from_millis(500), "{took:?}");
    change.wait(Duration::from_secs(60));
}

/// Whether the writer makes a change.
fn busy(host: &DatabaseHost) -> bool {
    let mut socket = UnixStream::connect(host.socket()).unwrap();
    let request = "GET /v1/progress HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    !answer.contains("\"idle\"")
}

#[test]
fn starting_agent_attaches_what_is_pinned_before_it_reads_the_state() {
    let mut host = DatabaseHost::start();
    host.ok(POLICY);
    host.kill_agent();
    for pin in links(&host) {
        fs::remove_file(pin).unwrap();
    }
    host.assert_connects(&[(BLOCKED, 5432)]);
    fs::remove_file(host.file("agent.log")).unwrap();
    host.start_agent();
    host.assert_times_out(&[(BLOCKED, 5432)]);
    let log = host.agent().log();
    let at = |text: &str| {
        log.find(text)
            .unwrap_or_else(|| panic!("no {text:?} in {log}"))
    };
    assert!(
        at("filtered by what was pinned") < at("state loaded"),
        "{log}"
    );
    // Not against the operator.
    host.ok("detach --yes");
    host.kill_agent();
    host.spawn_agent();
    let _ = host.wait_for_state("detached");
    host.assert_connects(&[(BLOCKED, 5432)]);
}

#[test]
fn detach_without_an_answering_agent_ends_links_that_the_agent_holds() {
    let mut host = DatabaseHost::start();
    host.ok(POLICY);
    host.agent().signal(Signal::SIGSTOP);
    let mut command = host.command();
    command.env("NETPOLICY_SOCKET", host.file("none.sock"));
    command.args(["detach", "--yes"]);
    assert!(run(command, &["detach"], "").ok().contains(NIC));
    host.assert_connects(&[(BLOCKED, 5432)]);
    host.agent().signal(Signal::SIGCONT);
    // Several looks of the agent.
    std::thread::sleep(Duration::from_secs(2));
    host.assert_connects(&[(BLOCKED, 5432)]);
    assert_eq!(host.status()["enforcement"]["state"], "detached");
    host.ok("attach");
    host.assert_times_out(&[(BLOCKED, 5432)]);
}

/// Moves the filtered interface to a namespace of its own and puts another of its name and
/// index in its place, with the same addresses.
fn swap(host: &DatabaseHost) -> NetNs {
    let shown = host.db().ip(&["-oneline", "link", "show", "dev", NIC]);
    let index = shown.split(':').next().unwrap().to_owned();
    let elsewhere = NetNs::new();
    host.db()
        .ip(&["link", "set", NIC, "netns", elsewhere.name()]);
    host.db().ip(&[
        "link",
        "add",
        NIC,
        "index",
        &index,
        "address",
        "02:00:00:00:00:77",
        "up",
        "type",
        "veth",
        "peer",
        "name",
        "peer0",
        "netns",
        elsewhere.name(),
    ]);
    elsewhere.ip(&["link", "set", "peer0", "up"]);
    elsewhere
}

#[test]
fn interface_in_the_place_of_a_moved_one_is_not_called_attached() {
    let mut host = DatabaseHost::start();
    host.ok(POLICY);
    host.kill_agent();
    let _elsewhere = swap(&host);
    // By the pins and the interface, without an agent.
    let status = host.status();
    assert_eq!(status["enforcement"]["state"], "not-attached", "{status}");
    assert!(!runs_a_program(&host, NIC));
    // The name of its pin is taken; that is no reason to leave it open.
    host.start_agent();
    assert!(runs_a_program(&host, NIC));
    assert_eq!(links(&host).len(), 2, "{:?}", links(&host));
    let status = host.status();
    let interfaces = status["enforcement"]["interfaces"].as_array().unwrap();
    assert_eq!(interfaces[0]["attachment"], rules::attachment(), "{status}");
    assert_eq!(interfaces[1]["elsewhere"], true, "{status}");
    // Also the other way about: the agent is there while it happens.
    host.kill_agent();
    host.start_agent();
    let _another = swap(&host);
    wait_for("filtered again", Duration::from_secs(5), || {
        runs_a_program(&host, NIC)
    });
}

#[test]
fn interface_that_comes_back_under_another_index_stays_filtered() {
    let mut host = DatabaseHost::start();
    host.ok(POLICY);
    let elsewhere = swap(&host);
    host.wait_for_agent();
    elsewhere.ip(&["link", "set", NIC, "name", "nic9"]);
    elsewhere.ip(&["link", "set", "nic9", "netns", host.db().name()]);
    assert!(runs_a_program(&host, "nic9"));
    assert!(host.stop_agent().success());
    host.start_agent();
    assert!(runs_a_program(&host, NIC));
    let log = host.agent().log();
    let is_told = log.contains("moved to another network namespace");
    assert!(is_told, "{log}");
    // It is not configured: what is said of it is what is done to it.
    let says_detached = log.contains("detached: it is configured no more");
    assert_eq!(says_detached, !runs_a_program(&host, "nic9"), "{log}");
}
