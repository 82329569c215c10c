//! The snapshot of the last confirmed ruleset: in force at boot before the agent has read its
//! store, taken over untouched, and refused where it is not as it was written.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use netpolicy_tests::command::assert_has;
use netpolicy_tests::host::{NIC, run};
use netpolicy_tests::traffic::SynStream;
use netpolicy_tests::{DatabaseHost, Options, Outcome, pins};
use netpolicy_user::datapath;
use netpolicy_user::netdev::Netdevs;
use nix::sys::signal::Signal;

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const LATER: &str = "10.67.0.1";
const POLICY: &str = "policy create office --allow 10.0.0.0/8 --block 10.66.0.0/16";
const PAUSE: Duration = Duration::from_micros(500);

/// A change is in the snapshot after so long, on a machine that has nothing else to do.
const WITHIN: Duration = Duration::from_secs(1);

/// Where the host's identity, the revision and the ruleset's digest are in the file.
const HOST_AT: usize = 16;
const REVISION_AT: usize = HOST_AT + 32;
const DIGEST_AT: usize = REVISION_AT + 16;

fn host() -> DatabaseHost {
    let host = DatabaseHost::with(&Options {
        config: format!("engine = \"flat\"\ninterfaces = [\"{NIC}\"]\n"),
        agent: true,
    });
    host.ok(POLICY);
    written(&host, 1);
    host
}

fn snapshot(host: &DatabaseHost) -> PathBuf {
    host.state_dir().join("early.snapshot")
}

fn content(host: &DatabaseHost) -> Vec<u8> {
    fs::read(snapshot(host)).unwrap_or_default()
}

/// Waits until the snapshot is of this revision; how long that took.
#[track_caller]
fn written(host: &DatabaseHost, revision: u64) -> Duration {
    let begun = Instant::now();
    let found = |content: Vec<u8>| {
        content
            .get(REVISION_AT..REVISION_AT + 8)
            .map(<[u8]>::to_vec)
    };
    while found(content(host)) != Some(revision.to_le_bytes().to_vec()) {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "no snapshot of {revision}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    begun.elapsed()
}

/// What a reboot leaves: the files.
fn reboot(host: &mut DatabaseHost) {
    host.kill_agent();
    pins::remove(host.bpffs_dir());
    assert_eq!(
        host.connect(BLOCKED, 5432),
        Outcome::Connected,
        "nothing filters"
    );
}

fn syns(host: &DatabaseHost) -> SynStream {
    let stream = SynStream::start(host.clients(), NIC, &[ALLOWED, BLOCKED], 5432, PAUSE);
    stream.wait_for_answers(ALLOWED, 50);
    stream
}

#[track_caller]
fn assert_no_gap(stream: SynStream) {
    stream.wait_for_answers(ALLOWED, 50);
    let (sent, answers) = stream.stop();
    let let_in = answers.get(&BLOCKED.parse().unwrap()).copied().unwrap_or(0);
    assert_eq!(let_in, 0, "of {sent} attempts");
}

#[test]
fn snapshot_filters_from_boot_and_the_agent_takes_it_over_untouched() {
    let mut host = host();
    let digest = host.json("status")["enforcement"]["digest"].clone();
    reboot(&mut host);
    let said = host.ok("early");
    assert_has(
        &said,
        &[
            "revision 1 is in force from the snapshot, 2 entries",
            NIC,
            "is filtered",
        ],
    );
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host.assert_connects(&[(ALLOWED, 5432), (BLOCKED, 22)]);
    let status = host.status();
    assert_eq!(status["enforcement"]["digest"], digest, "{status}");
    assert!(status["agent"].is_null(), "{status}");
    // Once more, as when the unit is started by hand.
    assert_has(&host.ok("early"), &["something is in force already"]);
    assert_eq!(host.json("early")["outcome"], "pinned-already");
    let stream = syns(&host);
    host.start_agent();
    let log = host.agent().log();
    assert_has(&log, &["took over what was in force, untouched"]);
    assert!(!log.contains("ruleset was in force, replaced"), "{log}");
    assert_eq!(host.json("verify")["differences"], serde_json::json!([]));
    host.ok("policy alter office --add-block 10.67.0.0/16");
    host.assert_times_out(&[(LATER, 5432)]);
    assert_no_gap(stream);
    assert_has(
        &host.ok("early"),
        &["another netpolicy agent", "nothing is done"],
    );
}

#[test]
fn older_snapshot_filters_until_the_agent_replaces_it_and_says_so() {
    let mut host = host();
    let older = content(&host);
    host.ok("policy alter office --add-block 10.67.0.0/16");
    let took = written(&host, 2);
    println!("in the snapshot {took:?} after the command");
    assert!(took < 2 * WITHIN, "{took:?}");
    // As if the machine had lost power before it was written.
    reboot(&mut host);
    fs::write(snapshot(&host), &older).unwrap();
    host.ok("early");
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host.assert_connects(&[(LATER, 5432)]);
    let stream = syns(&host);
    host.start_agent();
    host.assert_times_out(&[(LATER, 5432)]);
    let log = host.agent().log();
    assert_has(
        &log,
        &[
            "the ruleset of the snapshot was in force, replaced",
            "snapshot=1",
        ],
    );
    assert_no_gap(stream);
    written(&host, 2);
}

#[test]
fn snapshot_holds_no_bypass_and_no_unconfirmed_change() {
    let mut host = host();
    let confirmed = content(&host);
    host.ok(&format!("bypass grant {BLOCKED}"));
    host.ok("policy alter office --add-block 10.67.0.0/16 --confirm-within 60s");
    host.assert_times_out(&[(LATER, 5432)]);
    std::thread::sleep(2 * WITHIN);
    assert_eq!(content(&host), confirmed);
    reboot(&mut host);
    host.ok("early");
    // The bypass is the store's to restore, if it has not expired.
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host.assert_connects(&[(LATER, 5432)]);
    host.start_agent();
    host.assert_connects(&[(BLOCKED, 5432)]);
    host.ok("confirm");
    written(&host, 2);
}

#[test]
fn configuration_with_an_error_does_not_keep_the_snapshot_from_being_in_force() {
    let mut host = host();
    reboot(&mut host);
    let config =
        format!("engine = \"flat\"\ninterfaces = [\"{NIC}\"]\nverify_intervall = \"9s\"\n");
    host.write("config.toml", config);
    let out = host.line("early");
    assert_has(out.ok(), &["revision 1 is in force", NIC, "is filtered"]);
    assert_has(
        &out.stderr,
        &[
            "warning: ",
            "config.toml:3:1: unknown key 'verify_intervall'",
        ],
    );
    host.assert_times_out(&[(BLOCKED, 5432)]);
    // The agent does not start with it, and what is in force stays so.
    let mut command = host.command();
    command.arg("agent");
    let said = run(command, &["agent"], "");
    assert_has(said.failed(1), &["unknown key 'verify_intervall'"]);
    host.assert_times_out(&[(BLOCKED, 5432)]);
}

#[test]
fn detach_marker_is_honoured_at_boot() {
    let mut host = host();
    host.ok("detach --yes");
    reboot(&mut host);
    assert_has(
        &host.ok("early"),
        &["detached by root", "until `netpolicy attach`"],
    );
    assert!(!host.bpffs_dir().join("live").exists());
    host.assert_connects(&[(BLOCKED, 5432)]);
}

#[test]
fn unusable_snapshot_puts_nothing_in_force_and_the_agent_reads_its_store() {
    let mut host = host();
    reboot(&mut host);
    let good = content(&host);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    let (middle, end) = (good.len() / 2, good.len() - 1);
    for (bytes, why) in [
        (
            with(&|b| b[middle] ^= 1),
            "it is damaged: its digest does not match",
        ),
        (
            with(&|b| b[end] ^= 0x80),
            "it is damaged: its digest does not match",
        ),
        (with(&|b| b.push(0)), "it is damaged"),
        (with(&|b| b.truncate(middle)), "it is cut short"),
        (with(&|b| b.truncate(end)), "it is cut short"),
        (with(&|b| b.truncate(100)), "it is cut short"),
        (with(&|b| b.clear()), "it is not a snapshot"),
        (with(&|b| b[HOST_AT] ^= 1), "it was written on another host"),
        (with(&|b| b[8] = 99), "it has format 99"),
        (with(&|b| b[12] = 99), "it is of ABI 99"),
    ] {
        fs::write(snapshot(&host), bytes).unwrap();
        let said = host.line("early").failed(1).to_owned();
        assert_has(
            &said,
            &[
                "the snapshot ",
                "is not used: ",
                why,
                "hint: ",
                "reads its store",
            ],
        );
        for dir in ["live", "next"] {
            assert!(!host.bpffs_dir().join(dir).exists(), "{why}: {dir} is left");
        }
        assert_eq!(host.connect(BLOCKED, 5432), Outcome::Connected, "{why}");
    }
    let doctor = host.line("doctor").stdout;
    assert_has(
        &doctor,
        &["WARN", "snapshot", "not used at boot: it is of ABI 99"],
    );
    // A directory in its place, as no agent makes it.
    fs::remove_file(snapshot(&host)).unwrap();
    assert_has(&host.ok("early"), &["there is no snapshot yet"]);
    fs::create_dir(snapshot(&host)).unwrap();
    assert_has(host.line("early").failed(1), &["it cannot be read"]);
    fs::remove_dir(snapshot(&host)).unwrap();
    // The store has everything, and the next snapshot is written at once.
    host.start_agent();
    host.assert_times_out(&[(BLOCKED, 5432)]);
    written(&host, 1);
    let digest = |bytes: &[u8]| bytes[DIGEST_AT..DIGEST_AT + 32].to_vec();
    assert_eq!(digest(&content(&host)), digest(&good));
    // One that was damaged on the disk is written again, though nothing changed.
    host.kill_agent();
    let mut damaged = content(&host);
    damaged[middle] ^= 1;
    fs::write(snapshot(&host), &damaged).unwrap();
    host.start_agent();
    let begun = Instant::now();
    while content(&host) == damaged {
        assert!(begun.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn kill_9_in_the_middle_of_writing_leaves_the_old_or_the_new_snapshot() {
    let mut host = host();
    // 60,000 hosts: some hundred milliseconds from change to snapshot.
    let many: Vec<_> = (0..60_000u32)
        .map(|i| format!("172.{}.{}.{}", 16 + (i >> 15), i >> 7 & 255, (i << 1) & 255))
        .collect();
    host.write("many.txt", many.join("\n"));
    host.ok("policy create bulk --block-file many.txt");
    let mut seen = [0, 0];
    for wait in [0, 110, 140, 180, 300] {
        let before = host.json("status")["agent"]["revision"].as_u64().unwrap();
        let block = format!("10.70.{wait}.0/24");
        let block = block.replace("300", "250");
        host.ok(&format!("policy alter office --add-block {block}"));
        std::thread::sleep(Duration::from_millis(wait));
        reboot(&mut host);
        let said = host.ok("early");
        let revision: u64 = said.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(revision <= before + 1 && revision > 0, "{said}");
        seen[usize::from(revision == before + 1)] += 1;
        host.assert_times_out(&[(BLOCKED, 5432)]);
        host.start_agent();
        let status = host.status();
        assert_eq!(status["enforcement"]["revision"], before + 1, "{status}");
        assert_eq!(status["faults"], serde_json::json!([]), "{status}");
    }
    println!("{} old, {} new snapshots", seen[0], seen[1]);
    assert!(seen[0] > 0, "none was killed before its end");
}

#[test]
fn full_disk_keeps_the_former_snapshot_and_delays_no_change() {
    let host = host();
    let before = content(&host);
    // A directory where the draft is to be is as good as a full disk, for root writes anyway.
    fs::create_dir(host.state_dir().join("early.snapshot.new")).unwrap();
    host.ok("policy alter office --add-block 10.67.0.0/16");
    host.assert_times_out(&[(LATER, 5432)]);
    let mut host = host;
    let begun = Instant::now();
    let refused = "the snapshot for the next boot cannot be written; trying again";
    while !host.agent().log().contains(refused) {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(WITHIN / 10);
    }
    assert_eq!(content(&host), before);
    let doctor = host.line("doctor").stdout;
    assert_has(&doctor, &["of revision 1, which is not what is in force"]);
    host.agent().signal(Signal::SIGTERM);
    let _ = host.agent().wait(Duration::from_secs(10));
}

#[test]
fn other_engine_has_no_snapshot_and_leaves_none_that_is_out_of_date() {
    let mut host = host();
    let _ = host.stop_agent();
    let config = format!("engine = \"lpm\"\ninterfaces = [\"{NIC}\"]\n");
    host.write("config.toml", config);
    host.start_agent();
    let begun = Instant::now();
    while snapshot(&host).exists() {
        assert!(begun.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(10));
    }
    host.kill_agent();
    pins::remove(host.bpffs_dir());
    assert_has(&host.ok("early"), &["the engine lpm has no snapshot"]);
}

/// `NETPOLICY_TEST_ENTRIES`: so many entries; with a release build named by `NETPOLICY_BIN` this
/// is how the figures of docs/design/decisions/0050-snapshot-of-pages.md were measured.
#[test]
fn time_until_a_snapshot_is_in_force_is_told() {
    let entries = std::env::var("NETPOLICY_TEST_ENTRIES").ok();
    let rounds = if entries.is_some() { 5 } else { 1 };
    let entries: u32 = entries.map_or(10_000, |text| text.parse().unwrap());
    let mut host = DatabaseHost::with(&Options {
        config: format!("engine = \"flat\"\ninterfaces = [\"{NIC}\"]\n"),
        agent: true,
    });
    // An odd factor: no address comes twice.
    let address = |i: u32| std::net::Ipv4Addr::from(i.wrapping_mul(2_654_435_761));
    let is_usable =
        |a: &std::net::Ipv4Addr| ![0, 10, 127].contains(&a.octets()[0]) && a.octets()[0] < 224;
    let mut addresses = (1..).map(address).filter(is_usable);
    let mut file = String::new();
    for list in 0..entries.div_ceil(100_000) {
        let count = (entries - list * 100_000).min(100_000) as usize;
        let lines: Vec<_> = addresses
            .by_ref()
            .take(count)
            .map(|a| a.to_string())
            .collect();
        host.write(&format!("list{list}"), lines.join("\n"));
        let kind = ["block", "allow"][list as usize % 2];
        if list % 2 == 0 {
            file += &format!("[[policy]]\nname = \"p{:02}\"\n", list / 2);
        }
        file += &format!("{kind}_file = \"list{list}\"\n");
    }
    host.write("policy.toml", file);
    host.ok("apply -f policy.toml --yes --force");
    let took = written(&host, 1);
    let size = content(&host).len() >> 20;
    println!("{entries} entries: snapshot of {size} MiB {took:?} after the change");
    let (mut times, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        host.kill_agent();
        pins::remove(host.bpffs_dir());
        let begun = Instant::now();
        let filters = host.db().run(|| Netdevs::open().unwrap());
        let (said, took) = std::thread::scope(|scope| {
            let filtered = scope.spawn(|| host.db().run(|| until_filtered(filters, begun)));
            (host.ok("early"), filtered.join().unwrap())
        });
        times.push(took);
        ends.push(begun.elapsed());
        assert_has(&said, &["revision 1 is in force from the snapshot"]);
        host.start_agent();
        assert_has(
            &host.agent().log(),
            &["took over what was in force, untouched"],
        );
    }
    println!("{entries} entries: in force after {times:?}, the command ended after {ends:?}");
}

/// The time until the interface runs a program.
fn until_filtered(mut netdevs: Netdevs, begun: Instant) -> Duration {
    loop {
        let device = netdevs.by_name(NIC).unwrap();
        if device.is_some_and(|device| !datapath::running(&device).is_empty()) {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "not filtered");
        std::thread::sleep(Duration::from_micros(500));
    }
}
