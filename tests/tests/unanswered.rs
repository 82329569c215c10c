//! Commands where the agent cannot be reached, or few files can be opened.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::{Output, assert_has, run};
use netpolicy_tests::host::NIC;
use netpolicy_tests::netns::NetNs;
use netpolicy_tests::rules;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

const BLOCKED: &str = "10.66.0.1";

fn blocking() -> DatabaseHost {
    let host = DatabaseHost::start();
    host.ok(&format!("policy create office --block {BLOCKED}"));
    host
}

/// A socket that an agent listens on which accepts nothing, with its queue full.
fn full(host: &DatabaseHost) -> (String, UnixListener, UnixStream) {
    let path = host.file("full.sock");
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    // The one connection that such a queue takes.
    let waiting = UnixStream::connect(&path).unwrap();
    (path.display().to_string(), socket.into(), waiting)
}

#[test]
fn readable_pins_do_not_hide_why_the_agent_was_not_asked() {
    let mut host = blocking();
    let pid = host.agent().pid().to_string();
    let missing = host.file("missing.sock").display().to_string();
    let (full, _listener, _waiting) = full(&host);
    let causes = [
        (&missing, 3, "there is no such socket"),
        (&full, 1, "accepts no connections: its queue is full"),
    ];
    for (socket, code, cause) in causes {
        for line in ["status".to_owned(), format!("explain {BLOCKED}")] {
            let out = host.line(&format!("{line} --socket {socket}"));
            let said = out.failed(code);
            assert_has(said, &["hint: "]);
            assert_has(&out.stdout, &["note: read from the kernel: ", cause]);
            let json = host.line(&format!("{line} --socket {socket} --output json"));
            assert_has(json.failed(code), &["note: read from the kernel: ", cause]);
            let view: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
            if line == "status" {
                assert!(
                    view["faults"][0].as_str().unwrap().contains(cause),
                    "{view}"
                );
                assert_eq!(view["enforcement"]["state"], "attached", "{view}");
                assert_has(&out.stdout, &["Unconfirmed   not known without the agent"]);
            } else {
                assert_eq!(view["verdict"], "drop", "{view}");
            }
        }
    }
    let status = host.line(&format!("status --socket {missing}")).stdout;
    assert_has(
        &status,
        &[&format!("an agent runs with these pins (pid {pid})")],
    );
    host.kill_agent();
    let status = host.line("status");
    assert_has(status.failed(3), &["hint: start it as root"]);
    assert_has(
        &status.stdout,
        &["no process listens on it", "no agent runs with these pins"],
    );
}

#[test]
fn status_in_another_network_namespace_says_that_it_is_attached_elsewhere() {
    let mut host = blocking();
    host.kill_agent();
    let elsewhere = NetNs::new();
    let in_namespace = |line: &str| {
        let args: Vec<&str> = line.split_whitespace().collect();
        let mut command = host.command_in(&elsewhere);
        command.args(&args);
        run(command, &args, "")
    };
    let status = in_namespace("status");
    assert_has(
        &status.stdout,
        &[
            "Enforcement   attached only in another network namespace: nothing is filtered in this one",
            &format!("of another network namespace ({})", rules::attachment()),
            "nsenter --net=",
        ],
    );
    for claim in ["not attached", "attached to no interface"] {
        assert!(!status.stdout.contains(claim), "{claim}: {}", status.stdout);
    }
    let explained = in_namespace(&format!("explain {BLOCKED}"));
    assert_has(&explained.stdout, &["Not filtered", "nsenter --net="]);
}

/// A command with so few descriptors.
fn with_files(host: &DatabaseHost, files: u32, args: &[&str]) -> Output {
    let own = host.command();
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={files}")).arg("--");
    command
        .arg(own.get_program())
        .args(own.get_args())
        .args(args);
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    run(command, args, "")
}

#[test]
fn too_few_descriptors_are_an_error_with_a_hint_and_no_panic() {
    let host = blocking();
    for args in [
        &["status"][..],
        &["policy", "list"],
        &["explain", BLOCKED],
        &[
            "sql",
            "--dialect",
            "snowflake",
            "-e",
            "SHOW NETWORK POLICIES",
        ],
    ] {
        let mut worked = 0;
        for files in 4..40 {
            let out = with_files(&host, files, args);
            assert!(!out.stderr.contains("panicked"), "{files}: {}", out.stderr);
            match out.code {
                Some(0) => worked += 1,
                _ => {
                    assert_has(out.failed(1), &["hint: ", "ulimit -n"]);
                }
            }
        }
        assert!(worked > 20, "{args:?}: {worked}");
    }
    let other = host.file("other.sock").display().to_string();
    for files in [4, 5, 8, 12, 24, 40] {
        let args = ["--socket", &other, "agent", "--interface", NIC];
        let out = with_files(&host, files, &args);
        assert_has(
            out.failed(1),
            &["too few files can be opened", "hint: ", "LimitNOFILE"],
        );
    }
}
