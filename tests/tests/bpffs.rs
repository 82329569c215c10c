//! Where the pins are: a file system that ends with a mount namespace, one that is gone,
//! and an agent that can open no file.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use netpolicy_tests::host::{NIC, run};
use netpolicy_tests::traffic::SynStream;
use netpolicy_tests::{DatabaseHost, binary, netns};
use nix::sys::signal::Signal;
use serde_json::Value;

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const POLICY: &str = "policy create office --block 10.66.0.0/16";

/// A directory with a bpffs of its own, unmounted when dropped.
struct Bpffs(PathBuf);

impl Bpffs {
    fn mount(host: &DatabaseHost) -> Self {
        let dir = host.file("bpf");
        fs::create_dir(&dir).unwrap();
        netns::run("mount", &["-t", "bpf", "bpf", dir.to_str().unwrap()]);
        Self(dir)
    }

    fn pins(&self) -> PathBuf {
        self.0.join("pins")
    }

    fn unmount(&self) -> bool {
        let done = Command::new("umount").arg("-l").arg(&self.0).output();
        done.is_ok_and(|out| out.status.success())
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        // The agent may have mounted another below or in its place.
        let mounted = self.pins();
        let _ = Command::new("umount").arg("-l").arg(mounted).output();
        while self.unmount() {}
    }
}

fn agent(host: &DatabaseHost, pins: &Path) -> Command {
    let mut command = host.command();
    command.env("NETPOLICY_BPFFS_DIR", pins);
    command.args(["agent", "--interface", NIC]);
    command
}

fn status(host: &DatabaseHost, pins: &Path, socket: &Path) -> Value {
    let mut command = host.command();
    command.env("NETPOLICY_BPFFS_DIR", pins);
    command.env("NETPOLICY_SOCKET", socket);
    command.args(["status", "--output", "json"]);
    let out = run(command, &["status"], "");
    serde_json::from_str(&out.stdout).unwrap_or_else(|_| panic!("{} {}", out.stdout, out.stderr))
}

/// The agent in a mount namespace with a bpffs that is its own.
fn agent_in_private_mounts(host: &DatabaseHost, pins: &Path, flags: &str) -> Command {
    let mut command = host.db().command("unshare");
    command.args(["--mount", "--", "sh", "-c"]);
    command.arg(format!(
        "mount -t bpf bpf {} && exec {} agent --interface {NIC} {flags}",
        pins.display(),
        binary::netpolicy().display()
    ));
    for (name, value) in host.command().get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.env("NETPOLICY_BPFFS_DIR", pins);
    command
}

#[test]
fn agent_refuses_pins_that_end_with_its_mount_namespace_unless_ephemeral() {
    let mut host = DatabaseHost::without_agent();
    let pins = host.file("private");
    fs::create_dir(&pins).unwrap();
    let refused = run(agent_in_private_mounts(&host, &pins, ""), &["agent"], "");
    let said = refused.failed(1);
    assert!(
        said.contains("filtering would end with this mount namespace") && said.contains("hint:"),
        "{said}"
    );
    // As `ip netns exec` does it: no bpffs at all, and none is mounted to see.
    let mut none = host.db().command("unshare");
    none.args(["--mount", "--"]).arg(binary::netpolicy());
    for (name, value) in host.command().get_envs() {
        if let Some(value) = value {
            none.env(name, value);
        }
    }
    none.env("NETPOLICY_BPFFS_DIR", &pins);
    none.args(["agent", "--interface", NIC]);
    let said = run(none, &["agent"], "");
    assert!(
        said.failed(1)
            .contains("this mount namespace is not PID 1's"),
        "{}",
        said.stderr
    );

    let command = agent_in_private_mounts(&host, &pins, "--ephemeral");
    host.spawn(command);
    let deadline = Instant::now() + Duration::from_secs(20);
    let status = loop {
        let status = host.status();
        if status["enforcement"]["state"] == "attached" {
            break status;
        }
        assert!(Instant::now() < deadline, "{status} {}", host.agent().log());
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(
        status["faults"]
            .to_string()
            .contains("filtering ends with the agent's mount namespace"),
        "{status}"
    );
    host.ok(POLICY);
    host.assert_times_out(&[(BLOCKED, 5432)]);
    // What it says is so.
    host.kill_agent();
    host.assert_connects(&[(BLOCKED, 5432)]);
}

#[test]
fn agent_in_a_mount_namespace_that_shares_the_hosts_bpffs_is_not_ephemeral() {
    let mut host = DatabaseHost::without_agent();
    let mut command = host.db().command("unshare");
    command.args(["--mount", "--"]).arg(binary::netpolicy());
    for (name, value) in host.command().get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.args(["agent", "--interface", NIC]);
    host.spawn(command);
    host.wait_for_agent();
    assert_eq!(host.status()["faults"], serde_json::json!([]));
    host.ok(POLICY);
    host.kill_agent();
    host.assert_times_out(&[(BLOCKED, 5432)]);
}

#[test]
fn unmounted_pins_let_no_packet_in_and_are_reported() {
    let mut host = DatabaseHost::without_agent();
    let bpffs = Bpffs::mount(&host);
    let command = agent(&host, &bpffs.pins());
    host.spawn(command);
    host.wait_for_agent();
    host.ok(POLICY);
    let pause = Duration::from_micros(500);
    let stream = SynStream::start(host.clients(), NIC, &[ALLOWED, BLOCKED], 5432, pause);
    stream.wait_for_answers(ALLOWED, 10);

    // Nothing repairs it while the agent stands still.
    host.agent().signal(Signal::SIGSTOP);
    assert!(bpffs.unmount());
    let seen = status(&host, &bpffs.pins(), &host.file("none.sock"));
    assert_eq!(seen["enforcement"]["state"], "unknown", "{seen}");
    let faults = seen["faults"].to_string();
    assert!(faults.contains("nothing is pinned under"), "{faults}");
    assert!(faults.contains("interface nic0 runs program"), "{faults}");

    host.agent().signal(Signal::SIGCONT);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let seen = status(&host, &bpffs.pins(), &host.socket());
        let state = &seen["enforcement"]["state"];
        assert_eq!(state, "attached", "never called unfiltered: {seen}");
        if bpffs.pins().join("live/PROGRAM").exists() {
            break;
        }
        assert!(Instant::now() < deadline, "not installed again: {seen}");
        std::thread::sleep(Duration::from_millis(20));
    }
    stream.wait_for_answers(ALLOWED, 200);
    let (sent, answers) = stream.stop();
    let let_in = answers.get(&BLOCKED.parse().unwrap());
    assert_eq!(let_in, None, "of {sent} attempts");
    host.kill_agent();
    host.assert_times_out(&[(BLOCKED, 5432)]);
    drop(bpffs);
}

#[test]
fn agent_that_can_open_no_file_still_says_what_is_filtered() {
    let mut host = DatabaseHost::start();
    host.ok(POLICY);
    let pid = host.agent().pid().to_string();
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    // Ever fewer, until what is in force cannot be read.
    let lacks = (0..=4).rev().any(|more| {
        let limit = format!("--nofile={}", open + more);
        netns::run("prlimit", &["--pid", &pid, &limit]);
        let status = host.status();
        assert_eq!(status["enforcement"]["state"], "attached", "{status}");
        status["faults"].to_string().contains("Too many open files")
    });
    assert!(lacks);
    host.assert_times_out(&[(BLOCKED, 5432)]);
}
