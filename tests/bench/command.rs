//! `netpolicy` as it is typed: time from its start to its end, when the policy is in
//! force.

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use netpolicy_tests::{binary, host::DatabaseHost};

/// Runs a line of words, which must succeed; returns milliseconds.
pub(crate) fn milliseconds(host: &DatabaseHost, line: &str) -> f64 {
    let mut command = Command::new(binary::netpolicy());
    command
        .args(line.split_whitespace())
        .current_dir(host.file(""))
        .env("NETPOLICY_SOCKET", host.socket())
        .env("NETPOLICY_STATE_DIR", host.state_dir())
        .env("NETPOLICY_BPFFS_DIR", host.bpffs_dir())
        .env("NETPOLICY_CONFIG", host.file("config.toml"))
        .stdin(Stdio::null());
    let start = Instant::now();
    let out = command.output().expect("run netpolicy");
    let elapsed = start.elapsed();
    assert!(
        out.status.success(),
        "netpolicy {line}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    elapsed.as_secs_f64() * 1e3
}
