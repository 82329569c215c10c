//! Deadlines by the kernel's boot clock: wall clocks that are set, reboots, time namespaces.
//!
//! The machine's clock is not set: a wall clock that was set since is the same, for the next
//! agent, as a stored wall time that lies elsewhere.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;
use std::time::{Duration, Instant};

use aya::maps::{LpmTrie, Map, MapData};
use netpolicy_tests::command::assert_has;
use netpolicy_tests::host::NIC;
use netpolicy_tests::{DatabaseHost, Outcome, binary};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

const SOURCE: &str = "10.66.0.1";

/// Changes the stored times, while no agent runs.
fn sql(host: &DatabaseHost, statement: &str) {
    let python = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nc.executescript(sys.argv[2])\nc.commit()";
    let out = Command::new("python3")
        .args(["-c", python])
        .arg(host.state_dir().join("state.db"))
        .arg(statement)
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
}

/// As if the wall clock had been set by `days` since the times were stored.
fn set_wall_clock(host: &DatabaseHost, days: i32) {
    let moved = |column: &str| {
        format!(
            "{column} = strftime('%Y-%m-%dT%H:%M:%fZ', {column}, '{} days')",
            -days
        )
    };
    sql(
        host,
        &format!(
            "UPDATE bypasses SET {}, {}; UPDATE pending SET {};",
            moved("granted"),
            moved("expires"),
            moved("made")
        ),
    );
}

/// As if the times had been stored before a reboot.
fn forget_boot(host: &DatabaseHost) {
    sql(
        host,
        "UPDATE bypasses SET boot = 'another'; UPDATE pending SET boot = 'another';",
    );
}

/// Seconds until the only bypass expires, as `bypass list` says.
fn left(host: &DatabaseHost) -> i64 {
    let list = host.json("bypass list");
    let expires = list[0]["expires"]
        .as_str()
        .unwrap_or_else(|| panic!("{list}"));
    let expires: jiff::Timestamp = expires.parse().unwrap();
    expires.duration_since(jiff::Timestamp::now()).as_secs()
}

/// Seconds until the kernel's only bypass expires, by the kernel's clock.
fn left_in_kernel(host: &DatabaseHost) -> u64 {
    let pin = host.bpffs_dir().join("live/BYPASS_V4");
    let map = Map::LpmTrie(MapData::from_pin(pin).unwrap());
    let map: LpmTrie<_, [u8; 8], [u8; 8]> = map.try_into().unwrap();
    let (_, expiry) = map.iter().next().unwrap().unwrap();
    let now = clock_gettime(ClockId::Boottime);
    (u64::from_ne_bytes(expiry) / 1_000_000_000).saturating_sub(now.tv_sec.cast_unsigned())
}

fn wait_until(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within {within:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn revision(host: &DatabaseHost) -> Value {
    host.json("status")["agent"]["revision"].clone()
}

#[test]
fn bypass_lasts_as_long_as_the_kernel_says_whatever_the_wall_clock_was_set_to() {
    let mut host = DatabaseHost::start();
    host.ok("policy create abuse --block 10.66.0.0/16");
    host.ok(&format!("bypass grant {SOURCE} --minutes 10"));
    for days in [1, -2, 1] {
        host.stop_agent();
        set_wall_clock(&host, days);
        host.start_agent();
        let (said, enforced) = (left(&host), left_in_kernel(&host));
        assert!((500..=600).contains(&said), "{days}: {said}");
        assert!(
            said.abs_diff(enforced.cast_signed()) <= 2,
            "{said} {enforced}"
        );
        host.assert_connects(&[(SOURCE, 5432)]);
        assert_has(&host.ok(&format!("explain {SOURCE}")), &["bypass"]);
        assert_eq!(host.json("status")["agent"]["bypasses"], 1, "{days}");
    }
}

#[test]
fn bypass_of_another_boot_gets_the_smaller_of_wall_clock_and_whole_time() {
    for (days, is_left) in [(1, false), (0, true), (-1, true)] {
        let mut host = DatabaseHost::start();
        host.ok("policy create abuse --block 10.66.0.0/16");
        host.ok(&format!("bypass grant {SOURCE} --minutes 10"));
        host.stop_agent();
        set_wall_clock(&host, days);
        forget_boot(&host);
        host.start_agent();
        if is_left {
            let (said, enforced) = (left(&host), left_in_kernel(&host));
            assert!((500..=600).contains(&said), "{days}: {said}");
            assert!(
                said.abs_diff(enforced.cast_signed()) <= 2,
                "{said} {enforced}"
            );
            host.assert_connects(&[(SOURCE, 5432)]);
        } else {
            assert_eq!(host.json("bypass list"), serde_json::json!([]));
            host.assert_times_out(&[(SOURCE, 5432)]);
        }
    }
}

#[test]
fn unconfirmed_change_rolls_back_in_time_whatever_the_wall_clock_was_set_to() {
    for days in [1, -1] {
        let mut host = DatabaseHost::start();
        let begun = Instant::now();
        host.ok("policy create abuse --block 10.66.0.0/16 --confirm-within 8s");
        host.stop_agent();
        set_wall_clock(&host, days);
        host.start_agent();
        if begun.elapsed() < Duration::from_secs(7) {
            assert_eq!(revision(&host), 1, "{days}: rolled back before its time");
        }
        wait_until("it rolls back", Duration::from_secs(15), || {
            revision(&host) == 2
        });
        assert!(begun.elapsed() >= Duration::from_secs(8), "{days}");
        host.assert_connects(&[(SOURCE, 5432)]);
    }
}

#[test]
fn guard_rolls_back_in_time_though_the_wall_clock_was_set_back() {
    let mut host = DatabaseHost::start();
    host.ok("policy create abuse --block 10.66.0.0/16 --confirm-within 3s");
    host.kill_agent();
    set_wall_clock(&host, -1);
    host.assert_times_out(&[(SOURCE, 5432)]);
    wait_until("the guard rolls it back", Duration::from_secs(15), || {
        host.connect_briefly(SOURCE, 5432) == Outcome::Connected
    });
}

/// `bpf_ktime_get_boot_ns` knows no time namespaces.
#[test]
fn agent_in_a_time_namespace_grants_by_the_kernels_clock() {
    let mut host = DatabaseHost::without_agent();
    let agent = host.command();
    let mut command = host.db().command("unshare");
    command.args(["--time", "--boottime", "86400", "--fork", "--kill-child"]);
    command.arg(binary::netpolicy());
    command.args(["agent", "--interface", NIC]);
    for (name, value) in agent.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    host.spawn(command);
    wait_until("the agent filters", Duration::from_secs(20), || {
        let status = host.status();
        status["enforcement"]["state"] == "attached" && !status["agent"].is_null()
    });
    host.ok("policy create abuse --block 10.66.0.0/16");
    host.ok(&format!("bypass grant {SOURCE} --minutes 10"));
    let (said, enforced) = (left(&host), left_in_kernel(&host));
    assert!((500..=600).contains(&enforced), "{enforced}");
    assert!((500..=600).contains(&said), "{said}");
    host.assert_connects(&[(SOURCE, 5432)]);
    assert_has(&host.ok(&format!("explain {SOURCE}")), &["bypass"]);
}
