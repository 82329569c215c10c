//! Log lines in a real journal, whose process runs in a mount namespace with a `/run` of its own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use netpolicy_tests::binary;
use serde_json::Value;

/// Starts a journal, and the program with its standard error there, as systemd does.
const SCRIPT: &str = r#"
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal
/lib/systemd/systemd-journald &
journal=$!
trap 'kill $journal' EXIT
for _ in $(seq 200); do test -S /run/systemd/journal/stdout && break; sleep 0.05; done
python3 - "$@" <<'END'
import os, socket, subprocess, sys, time
stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
stream.connect("/run/systemd/journal/stdout")
stream.sendall(b"stream\nnetpolicy.service\n6\n1\n0\n0\n0\n")
found = os.fstat(stream.fileno())
environment = dict(os.environ, JOURNAL_STREAM=f"{found.st_dev}:{found.st_ino}")
program = subprocess.Popen(sys.argv[1:], stderr=stream.fileno(), env=environment)
time.sleep(1.5)
program.terminate()
program.wait()
END
for _ in $(seq 100); do
    journalctl --directory /run/log/journal --output json --no-pager SYSLOG_IDENTIFIER=netpolicy-exporter SYSLOG_IDENTIFIER=stream > /run/found
    test -s /run/found && break
    sleep 0.05
done
cat /run/found
"#;

fn entries(arguments: &[&str]) -> Vec<Value> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "bash", "-c", SCRIPT, "bash"]);
    command.args([
        "setpriv",
        "--reuid",
        "nobody",
        "--regid",
        "nogroup",
        "--init-groups",
        "--",
    ]);
    command.arg(binary::netpolicy()).args(arguments);
    command.env("NETPOLICY_LOG", "info");
    let out = command.output().unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    let entries: Vec<Value> = said
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(!entries.is_empty(), "{said}\n{errors}");
    entries
}

#[test]
fn journal_has_each_line_with_its_fields_and_no_line_twice() {
    let found = entries(&[
        "exporter",
        "--listen",
        "127.0.0.1:0",
        "--socket",
        "/none.sock",
    ]);
    assert_eq!(found.len(), 1, "{found:#?}");
    let entry = &found[0];
    let address = entry["NETPOLICY_ADDRESS"].as_str().unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{entry:#}");
    let message = format!("metrics are at http://{address}/metrics address={address}");
    assert_eq!(entry["MESSAGE"], message, "{entry:#}");
    assert_eq!(entry["PRIORITY"], "6");
    assert_eq!(entry["SYSLOG_IDENTIFIER"], "netpolicy-exporter");
    assert_eq!(entry["_TRANSPORT"], "journal");
    assert_eq!(entry["NETPOLICY_TARGET"], "netpolicy_user::cli::exporter");
}
