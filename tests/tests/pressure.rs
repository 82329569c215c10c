//! One OS user's requests against the agent: half sent, huge, too many. Root and the
//! agent's own work must not notice.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use netpolicy_tests::command::assert_has;
use netpolicy_tests::host::{DatabaseHost, NIC};

/// A user that every Debian has (base-passwd), in a group of the same name.
const USER: &str = "games";

/// Connects so often, sends the same bytes on each connection and keeps it; says how many
/// connections stand, then waits for its standard input to end.
const HOLD: &str = r"
import socket, sys
path, count, text = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode().decode('unicode_escape')
held = []
for _ in range(count):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(path)
    try:
        s.sendall(text.encode())
    except OSError:
        pass
    held.append(s)
print(len(held), flush=True)
sys.stdin.read()
";

/// Announces 512 MiB on each of four connections, sends what is taken, for some seconds;
/// prints the answers' first lines.
const FLOOD: &str = r"
import socket, sys, threading, time
path, query = sys.argv[1:3]
def flood(answers, i):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(5)
    s.connect(path)
    size = 512 << 20
    s.sendall(f'POST /v1/changes{query} HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n'.encode())
    piece = b' ' * (1 << 20)
    end = time.monotonic() + 8
    try:
        while time.monotonic() < end:
            s.sendall(piece)
    except OSError:
        pass
    try:
        answers[i] = s.recv(4096).decode().split('\r\n')[0]
    except OSError as error:
        answers[i] = repr(error)
answers = [None] * 4
threads = [threading.Thread(target=flood, args=(answers, i)) for i in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print('\n'.join(map(str, answers)))
";

/// A Python script as the user, in the host's namespace.
fn script(host: &DatabaseHost, text: &str, arguments: &[&str]) -> Command {
    // Opens the host's directory for the user.
    let _ = host.command_as(USER, USER);
    let mut command = host.db().command("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--init-groups", "--"]);
    command.args(["/usr/bin/env", "python3", "-c", text]);
    command.arg(host.socket()).args(arguments);
    command
}

/// Connections that a user holds; they end with it.
struct Held {
    child: Child,
    _stdin: ChildStdin,
}

impl Held {
    fn start(host: &DatabaseHost, count: usize, text: &str) -> Self {
        let mut command = script(host, HOLD, &[&count.to_string(), text]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), count.to_string());
        Self {
            child,
            _stdin: stdin,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn host_with_reader() -> DatabaseHost {
    let host = DatabaseHost::start();
    host.ok("grant read --to user:games");
    let deadline = Instant::now() + Duration::from_secs(5);
    while host.line_as(USER, USER, "status").code != Some(0) {
        assert!(Instant::now() < deadline, "the socket stays closed");
        std::thread::sleep(Duration::from_millis(20));
    }
    host
}

/// A number of the agent's /proc/PID/status, in KiB or as it is.
fn of_agent(host: &mut DatabaseHost, name: &str) -> u64 {
    let path = format!("/proc/{}/status", host.agent().pid());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn thousand_half_requests_of_a_user_keep_neither_root_nor_repair_from_working() {
    let host = host_with_reader();
    for half in [
        r"GET /v1/status HTTP/1.1\r\nhost: x",
        r"POST /v1/changes?dry_run=true HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{",
        "",
    ] {
        let held = Held::start(&host, 1_000, half);
        // The user is told; root's reserve is untouched, and the kernel is repaired.
        let told = host.line_as(USER, USER, "status");
        assert_has(told.failed(1), &["connections to the agent", "hint: "]);
        host.ok("status");
        host.ok("policy create office --block 10.0.0.1");
        host.assert_times_out(&[("10.0.0.1", 8080)]);
        host.remove_nic();
        let _ = host.wait_for_state("not-attached");
        host.restore_nic();
        let _ = host.wait_for_state("attached");
        host.assert_times_out(&[("10.0.0.1", 8080)]);
        host.ok("policy drop office --yes");
        drop(held);
    }
    // No process holds it any more, and it is still known.
    let deadline = Instant::now() + Duration::from_secs(15);
    while host.line_as(USER, USER, "status").code != Some(0) {
        assert!(Instant::now() < deadline, "the user stays locked out");
        std::thread::sleep(Duration::from_millis(100));
    }
    let log = std::fs::read_to_string(host.file("agent.log")).unwrap();
    let lines = log.matches("too many connections").count();
    assert!((1..=30).contains(&lines), "{lines} lines: {log}");
}

#[test]
fn half_requests_are_cut_off_with_the_reason() {
    let host = host_with_reader();
    let mut stream = std::os::unix::net::UnixStream::connect(host.socket()).unwrap();
    let begun = Instant::now();
    stream.write_all(b"GET /v1/status HTTP/1.1\r\nho").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{answer}");
}

#[test]
fn huge_bodies_of_a_reader_do_not_grow_the_agent() {
    let mut host = host_with_reader();
    for (query, status) in [("", "403"), ("?dry_run=true", "413")] {
        let before = of_agent(&mut host, "VmRSS:");
        let flood = script(&host, FLOOD, &[query])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Root's requests go on meanwhile.
        host.ok("status");
        let out = flood.wait_with_output().unwrap();
        let answers = String::from_utf8(out.stdout).unwrap();
        assert_eq!(answers.lines().count(), 4, "{answers}");
        for answer in answers.lines() {
            assert!(answer.contains(status), "{answers}");
        }
        let peak = of_agent(&mut host, "VmHWM:");
        assert!(
            peak < before + 100 * 1024,
            "{query}: {before} KiB, then {peak} KiB"
        );
    }
}

#[test]
fn descriptors_are_as_many_as_the_system_allows() {
    let mut host = DatabaseHost::without_agent();
    let mut command = Command::new("prlimit");
    command.args(["--nofile=256:4096", "--"]);
    let agent = host.command();
    command.arg(agent.get_program()).args(agent.get_args());
    for (name, value) in agent.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.args(["agent", "--interface", NIC]);
    host.spawn(command);
    host.wait_for_agent();
    let limits = format!("/proc/{}/limits", host.agent().pid());
    let limits = std::fs::read_to_string(limits).unwrap();
    let line = limits.lines().find(|line| line.contains("open files"));
    let line = line.unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(&line[3..5], ["4096", "4096"], "{limits}");
}
