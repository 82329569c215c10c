//! The packages' units: their settings, and processes as the units restrict them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{DatabaseHost, binary};

/// Every unit of the packages.
pub const UNITS: [&str; 10] = [
    "netpolicy.service",
    "netpolicy-early.service",
    "netpolicy@.service",
    "netpolicy-feed.service",
    "netpolicy-fleet.service",
    "netpolicy-crowdsec.service",
    "netpolicy-exporter.service",
    "netpolicy-notify.service",
    "netpolicy-console.service",
    "netpolicy-db@.service",
];

/// A unit in the sources.
#[must_use]
pub fn path_of(name: &str) -> PathBuf {
    binary::workspace().join("packaging/systemd").join(name)
}

/// The values of a setting of a unit, all lines together.
///
/// # Panics
/// It cannot be read.
#[must_use]
pub fn values_in(unit: &Path, key: &str) -> Vec<String> {
    let text = fs::read_to_string(unit).expect("read a unit");
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let values = lines.flat_map(str::split_whitespace).map(str::to_owned);
    values.collect()
}

/// Standard output and error of a command that ends with 0, which says nothing about units.
///
/// # Panics
/// When it ends with another code.
pub fn said(command: &mut Command) -> String {
    let output = command.output().expect("run a command");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

/// `netpolicy` with these arguments in the host's namespace, started by `wrapper`.
#[must_use]
pub fn wrapped(host: &DatabaseHost, wrapper: &[String], args: &[&str]) -> Command {
    let mut command = host.db().command(&wrapper[0]);
    command.args(&wrapper[1..]).arg(binary::netpolicy());
    for (name, value) in host.command().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.args(args);
    command
}

/// A wrapper that takes all capabilities but these away.
#[must_use]
pub fn restricted(capabilities: &[String]) -> Vec<String> {
    let mut set = String::from("-all");
    for name in capabilities {
        set += &format!(",+{}", name.trim_start_matches("CAP_").to_lowercase());
    }
    let wrapper = ["setpriv", "--no-new-privs", "--bounding-set", &set, "--"];
    wrapper.map(str::to_owned).to_vec()
}

/// The system calls that a unit allows.
///
/// # Panics
/// The unit cannot be read.
#[must_use]
pub fn allowed_calls(unit: &Path) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for value in values_in(unit, "SystemCallFilter") {
        match value.starts_with('@') {
            true => calls(&value, &mut allowed),
            false => {
                allowed.insert(value);
            }
        }
    }
    allowed
}

/// The system calls that strace wrote down, and its text.
///
/// # Panics
/// The file cannot be read.
#[must_use]
pub fn made_calls(log: &Path) -> (BTreeSet<String>, String) {
    let text = fs::read_to_string(log).expect("read what strace wrote");
    let made = text
        .lines()
        .filter_map(|line| line.split_once(' ')?.1.trim_start().split_once('('))
        .map(|(name, _)| name.to_owned())
        .filter(|name| {
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        })
        .collect();
    (made, text)
}

/// The system calls of a set of systemd's, sets in it resolved.
fn calls(set: &str, into: &mut BTreeSet<String>) {
    let text = said(Command::new("systemd-analyze").args(["syscall-filter", set, "--no-pager"]));
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') || line == set {
            continue;
        }
        match line.starts_with('@') {
            true => calls(line, into),
            false => {
                into.insert(line.to_owned());
            }
        }
    }
}
