//! Another version takes over under traffic, two versions at a time, and the way back.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aya::maps::{Array, Map, MapData};
use netpolicy_common::Build;
use netpolicy_tests::command::{assert_has, run};
use netpolicy_tests::flood::{Flood, Port, Sender};
use netpolicy_tests::host::NIC;
use netpolicy_tests::process::Process;
use netpolicy_tests::shifting::{Always, Probe};
use netpolicy_tests::traffic::SynStream;
use netpolicy_tests::{DatabaseHost, Options, binary, pins};
use nix::sys::signal::Signal;

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
/// Allowed by the policy, and banned.
const BANNED: &str = "10.0.7.7";
const POLICY: &str = "policy create office --allow 10.0.0.0/8 --block 10.66.0.0/16";
const PAUSE: Duration = Duration::from_micros(500);

/// Where the revision is in a snapshot (`datapath/image.rs`).
const REVISION_AT: usize = 48;

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Upgrades in a row; with `NETPOLICY_TEST_LONG` as many as the goal says.
fn rounds() -> usize {
    match std::env::var_os("NETPOLICY_TEST_LONG").is_none_or(|value| value == "0") {
        true => 6,
        false => 20,
    }
}

/// The program that the binary holds.
const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/netpolicy-xdp"));

/// Another build, as agents see it: the same binary with another digest of its program, by which
/// they tell builds from each other.
fn other_build(host: &DatabaseHost) -> PathBuf {
    let mut bytes = fs::read(binary::netpolicy()).unwrap();
    let digest = blake3::hash(PROGRAM);
    let digest = digest.as_bytes();
    let is_digest = |at: &usize| bytes[*at..].starts_with(digest);
    let at: Vec<_> = (0..bytes.len()).filter(is_digest).collect();
    assert!(!at.is_empty(), "no digest of the program is in the binary");
    for at in at {
        bytes[at] ^= 1;
    }
    let path = host.file("other-netpolicy");
    fs::write(&path, bytes).unwrap();
    let mode = fs::metadata(binary::netpolicy()).unwrap().permissions();
    fs::set_permissions(&path, mode).unwrap();
    path
}

/// The same command of another binary.
fn with_binary(host: &DatabaseHost, path: &Path, args: &[&str]) -> Command {
    let own = host.command();
    let mut command = host.db().command(path.to_str().unwrap());
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.args(args).current_dir(host.file(""));
    command
}

/// Makes the pins those of another map layout, as far as a version can tell.
fn pretend_other_abi(host: &DatabaseHost) {
    let path = host.bpffs_dir().join("live/BUILD");
    let map = Map::Array(MapData::from_pin(path).unwrap());
    let mut map: Array<MapData, Build> = map.try_into().unwrap();
    let build = map.get(&0, 0).unwrap();
    map.set(0, Build { abi: 999, ..build }, 0).unwrap();
}

#[test]
fn upgrades_under_traffic_misjudge_no_attempt() {
    let mut host = DatabaseHost::start();
    host.ok(POLICY);
    host.ok(&format!("ban {BANNED} --for 1h --by fail2ban"));
    host.ok("ban 10.0.8.0/24");
    let other = other_build(&host);
    let sources = [ALLOWED, BLOCKED, BANNED, "10.0.8.1"];
    let stream = SynStream::start(host.clients(), NIC, &sources, 5432, PAUSE);
    stream.wait_for_answers(ALLOWED, 50);
    for round in 0..rounds() {
        // By the package's restart, and by a crash.
        match round % 2 {
            0 => assert!(host.stop_agent().success()),
            _ => host.kill_agent(),
        }
        let expected = match round % 3 {
            2 => {
                pretend_other_abi(&host);
                "the pins were of ABI 999"
            }
            _ => "the program was replaced by this version's",
        };
        let next = match round % 2 {
            0 => other.as_path(),
            _ => binary::netpolicy(),
        };
        let command = with_binary(&host, next, &["agent", "--interface", NIC]);
        host.spawn(command);
        host.wait_for_agent();
        assert_has(&host.agent().log(), &[expected]);
        // It makes changes as well.
        host.ok(&format!(
            "policy alter office --add-block 10.67.{round}.0/24"
        ));
        host.ok(&format!("ban 10.68.0.{round} --for 1h"));
        stream.wait_for_answers(ALLOWED, 50);
    }
    let status = host.status();
    assert_eq!(status["faults"], serde_json::json!([]), "{status}");
    let (sent, answers) = stream.stop();
    let of = |source: &str| answers.get(&source.parse().unwrap()).copied().unwrap_or(0);
    println!("{sent} attempts of each source in {} upgrades", rounds());
    for denied in &sources[1..] {
        assert_eq!(of(denied), 0, "{denied}: of {sent} attempts");
    }
    let bans = host.json("bans --count");
    assert_eq!(bans["count"], 2 + rounds(), "{bans}");
    let verified = host.line("verify");
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert!(
        of(ALLOWED) >= sent,
        "{} answers to {sent} attempts",
        of(ALLOWED)
    );
}

/// What became of a flood's frames.
#[derive(Debug, Default)]
struct Judged {
    sent: u64,
    /// Lost around the program: what it would have made of them is not known.
    lost: u64,
    /// Of denied sources, let through.
    let_in: u64,
    /// Of the allowed source, in bursts without loss, dropped.
    kept_out: u64,
    /// Time in bursts.
    sending: Duration,
}

/// The flood's probes: the first is allowed, the others are not.
fn probes() -> Vec<Probe> {
    let probe = |(source, always): (&str, _)| Probe {
        source: source.parse().unwrap(),
        port: 5432,
        always,
    };
    let denied = [BLOCKED, BANNED, "10.0.8.1", "10.66.99.99"].map(|s| (s, Always::Denied));
    let all = std::iter::once((ALLOWED, Always::Passed)).chain(denied);
    all.map(probe).collect()
}

/// Sends until it is over.
fn judge_until(over: &AtomicBool, sender: &mut Sender) -> Judged {
    let mut judged = Judged::default();
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let burst = sender.burst();
        judged.sending += begun.elapsed();
        judged.sent += burst.sent;
        judged.lost += burst.lost;
        for (probe, is_through) in burst.blocks.iter().flat_map(|block| &block.frames) {
            match (probe, is_through) {
                (0, false) if burst.is_whole() => judged.kept_out += 1,
                (1.., true) => judged.let_in += 1,
                _ => {}
            }
        }
    }
    judged
}

/// Starts an agent and waits until it has taken over.
fn started(host: &DatabaseHost, binary: &Path) -> Process {
    let command = with_binary(host, binary, &["agent", "--interface", NIC]);
    let mut agent = Process::start(command, &host.file("agent.log"));
    wait_until("the agent has taken over", || {
        assert!(agent.ended().is_none(), "{}", agent.log());
        let status = host.status();
        status["agent"]["pid"] == agent.pid() && status["enforcement"]["state"] == "attached"
    });
    agent
}

/// With `NETPOLICY_TEST_LONG` 20 upgrades and 20 kills; the rate is told.
#[test]
fn flood_is_judged_alike_during_upgrades_and_kills() {
    let host = DatabaseHost::with(&Options {
        config: "hook = \"native\"\n".to_owned(),
        agent: false,
    });
    let first = started(&host, binary::netpolicy());
    host.ok(POLICY);
    host.ok(&format!("ban {BANNED} --for 1h"));
    host.ok("ban 10.0.8.0/24");
    let other = other_build(&host);
    let times = if rounds() > 6 { 20 } else { 1 };
    let [from, to] = [host.clients(), host.db()].map(|ns| Port { ns, interface: NIC });
    let mut flood = Flood::new(from, to, &probes());
    let over = AtomicBool::new(false);
    let judged = std::thread::scope(|scope| {
        let judging = scope.spawn(|| flood.run(|sender| judge_until(&over, sender)));
        let mut agent = first;
        for round in 0..2 * times {
            if round % 4 == 0 {
                agent.signal(Signal::SIGTERM);
                assert!(agent.wait(Duration::from_secs(20)).success());
            }
            // The end of a process that is dropped is SIGKILL.
            drop(agent);
            // An upgrade, then the same build after a kill.
            let next = [other.as_path(), binary::netpolicy()][round / 2 % 2];
            if round % 6 == 4 {
                pretend_other_abi(&host);
            }
            agent = started(&host, next);
        }
        over.store(true, Ordering::Relaxed);
        judging.join().unwrap()
    });
    let rate = judged.sent as f64 / judged.sending.as_secs_f64() / 1e6;
    println!("{times} upgrades, {times} kills: {rate:.2} million attempts a second; {judged:?}");
    assert!(judged.sent > 100_000, "{judged:?}");
    assert!(judged.lost < judged.sent / 10, "{judged:?}");
    assert_eq!((judged.let_in, judged.kept_out), (0, 0), "{judged:?}");
}

/// As where the system's image was replaced while the host was down.
#[test]
fn snapshot_of_another_version_filters_from_boot_and_is_replaced() {
    let mut host = DatabaseHost::with(&Options {
        config: format!("engine = \"flat\"\ninterfaces = [\"{NIC}\"]\n"),
        agent: false,
    });
    let other = other_build(&host);
    let command = with_binary(&host, &other, &["agent"]);
    host.spawn(command);
    host.wait_for_agent();
    host.ok(POLICY);
    host.ok(&format!("ban {BANNED}"));
    let snapshot = host.state_dir().join("early.snapshot");
    let bans = host.state_dir().join("early.bans");
    let content = || fs::read(&snapshot).unwrap_or_default();
    // Another one is written first, of no policy.
    let is_of_the_policy = || content().get(REVISION_AT) == Some(&1);
    wait_until("a snapshot of the policy", is_of_the_policy);
    wait_until("a file of bans", || bans.exists());
    host.kill_agent();
    pins::remove(host.bpffs_dir());
    let written = content();
    assert_has(&host.ok("early"), &["from the snapshot, 2 entries"]);
    host.assert_times_out(&[(BLOCKED, 5432), (BANNED, 5432)]);
    let args = ["agent"];
    let command = with_binary(&host, binary::netpolicy(), &args);
    host.spawn(command);
    host.wait_for_agent();
    assert_has(
        &host.agent().log(),
        &["the program was replaced by this version's"],
    );
    host.assert_times_out(&[(BLOCKED, 5432), (BANNED, 5432)]);
    assert_eq!(host.json("status")["faults"], serde_json::json!([]));
    // The next boot finds this version's.
    wait_until("a snapshot of this version", || content() != written);
}

#[test]
fn two_versions_at_a_time_are_told_and_the_second_changes_nothing() {
    let mut host = DatabaseHost::start();
    host.ok(POLICY);
    let other = other_build(&host);
    let before = host.json("status")["enforcement"].clone();
    let args = ["agent", "--interface", NIC];
    let said = run(with_binary(&host, &other, &args), &args, "");
    assert_has(
        said.failed(1),
        &["another netpolicy agent", "runs with the state directory"],
    );
    // With a state directory of its own it finds the pins in use.
    let mut command = with_binary(&host, &other, &args);
    command.env("NETPOLICY_STATE_DIR", host.file("other-state"));
    command.env("NETPOLICY_SOCKET", host.file("other.sock"));
    let said = run(command, &args, "");
    assert_has(
        said.failed(1),
        &["another netpolicy agent", "enforces with the pins in"],
    );
    assert_eq!(host.json("status")["enforcement"], before);
    let args = ["doctor"];
    let said = run(with_binary(&host, &other, &args), &args, "");
    assert_has(
        &said.stdout,
        &["WARN", "program", "another version's program", "-> restart"],
    );
    host.assert_times_out(&[(BLOCKED, 5432)]);
    let _ = host.stop_agent();
}

#[test]
fn store_of_a_newer_version_is_refused_filtering_goes_on_and_the_backup_leads_back() {
    let mut host = DatabaseHost::start();
    host.ok(POLICY);
    host.ok("backup before-upgrade.backup");
    assert!(host.stop_agent().success());
    let database = host.state_dir().join("state.db");
    let newer = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); \
                 c.execute('PRAGMA user_version = 99'); c.commit(); c.close()";
    let mut python = Command::new("python3");
    python.args(["-c", newer]).arg(&database);
    assert!(python.status().unwrap().success());
    let args = ["agent", "--interface", NIC];
    let mut command = host.command();
    command.args(args);
    let said = run(command, &args, "").failed(1).to_owned();
    assert_has(
        &said,
        &[
            "has format version 99, written by a newer netpolicy",
            "hint: ",
            "backup",
        ],
    );
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host.ok("restore before-upgrade.backup --yes");
    host.start_agent();
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host.assert_connects(&[(ALLOWED, 5432)]);
    assert_eq!(host.json("status")["faults"], serde_json::json!([]));
}
