//! Other filters of the host, and what they and netpolicy mean together.

use std::fs;
use std::io;
use std::process::{Command, Stdio};

use super::{ExaminedHost, Lines};
use crate::model::counted;
use crate::netdev::Device;

/// What holds for every filter behind the network stack's entrance.
const BOTH: &str = "netpolicy judges first, at the NIC: a client needs both to let it in";

pub(super) fn check(host: &ExaminedHost<'_>, devices: &[Device], lines: &mut Lines) {
    nftables(lines);
    iptables(lines);
    ufw(host, lines);
    firewalld(host, lines);
    docker(host, devices, lines);
}

/// The ruleset without elements of sets; `None`: nft is not installed.
pub(super) fn ruleset() -> Option<io::Result<String>> {
    let mut command = Command::new("nft");
    command.args(["--terse", "list", "ruleset"]);
    match command.stdin(Stdio::null()).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(error)),
        Ok(output) if output.status.success() => {
            Some(Ok(String::from_utf8_lossy(&output.stdout).into_owned()))
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let first = said.lines().next().unwrap_or("it failed without a word");
            Some(Err(io::Error::other(first.to_owned())))
        }
    }
}

fn nftables(lines: &mut Lines) {
    let text = match ruleset() {
        None => return lines.ok("nftables", "nft is not installed"),
        Some(Err(error)) => {
            let found = format!("the ruleset cannot be listed: {error}");
            return lines.warn("nftables", found, "repeat it as root");
        }
        Some(Ok(text)) => text,
    };
    let tables: Vec<_> = tables(&text).collect();
    if tables.is_empty() {
        return lines.ok("nftables", "no tables");
    }
    let drops = count(&text, |line| {
        line.contains("hook input") && line.contains("policy drop")
    });
    let policy = match drops {
        0 => String::new(),
        drops => format!(", of whose input chains {drops} drop by default"),
    };
    let number = counted(tables.len() as u64, "table", "tables");
    let found = format!("{number} ({}){policy}; {BOTH}", tables.join(", "));
    lines.ok("nftables", found);
    let translated = count(&text, |line| {
        [
            "dnat to",
            "redirect to",
            "xt target \"DNAT\"",
            "xt target \"REDIRECT\"",
        ]
        .iter()
        .any(|word| line.contains(word))
    });
    if translated > 0 {
        lines.warn(
            "port translation",
            format!(
                "{} translate destinations; netpolicy judges before them, by the port that the \
                 client named",
                counted(translated as u64, "nftables rule", "nftables rules")
            ),
            "give services the port that clients use, not the one behind the translation",
        );
    }
}

/// The names of tables, as in "inet filter".
fn tables(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines();
    lines.filter_map(|line| line.strip_prefix("table ")?.strip_suffix(" {"))
}

fn count(text: &str, is_it: impl Fn(&str) -> bool) -> usize {
    text.lines().filter(|line| is_it(line)).count()
}

/// Tables of the older kernel interface, which nft does not list.
fn iptables(lines: &mut Lines) {
    let mut names = Vec::new();
    for family in ["ip", "ip6"] {
        let file = format!("/proc/net/{family}_tables_names");
        let text = fs::read_to_string(file).unwrap_or_default();
        names.extend(text.lines().map(|name| format!("{family} {name}")));
    }
    if !names.is_empty() {
        let found = format!("legacy tables {}; {BOTH}", names.join(", "));
        lines.ok("iptables", found);
    }
}

fn ufw(host: &ExaminedHost<'_>, lines: &mut Lines) {
    let Some(text) = host.text("etc/ufw/ufw.conf") else {
        return;
    };
    let is_on = text
        .lines()
        .any(|line| line.trim().eq_ignore_ascii_case("ENABLED=yes"));
    match is_on {
        true => lines.ok("ufw", format!("enabled; {BOTH}")),
        false => lines.ok("ufw", "installed, not enabled"),
    }
}

fn firewalld(host: &ExaminedHost<'_>, lines: &mut Lines) {
    if host.file("run/firewalld.pid").exists() {
        let found = format!("runs; its zones count after netpolicy; {BOTH}");
        lines.ok("firewalld", found);
    }
}

fn docker(host: &ExaminedHost<'_>, devices: &[Device], lines: &mut Lines) {
    let bridges: Vec<_> = devices.iter().filter(|device| is_dockers(device)).collect();
    if bridges.is_empty() && !host.file("run/docker.sock").exists() {
        return;
    }
    let names: Vec<_> = bridges.iter().map(|device| device.name.as_str()).collect();
    let names = match names.is_empty() {
        true => String::new(),
        false => format!(" ({})", names.join(", ")),
    };
    let filtered = host
        .status
        .ok()
        .map(|status| &status.enforcement.interfaces);
    let filtered = filtered.into_iter().flatten();
    let mut filtered = filtered.filter(|i| bridges.iter().any(|b| b.index == i.index));
    match filtered.next() {
        Some(interface) => lines.warn(
            "Docker",
            format!(
                "{} is filtered: containers are sources there, and what they open to the host is \
                 judged by their own addresses",
                interface.name
            ),
            "leave it out with \"!docker*\" and \"!br-*\" in `interfaces`, unless that is intended",
        ),
        None => lines.ok(
            "Docker",
            format!(
                "its bridges{names} are not filtered; published ports are judged at the NIC, \
                 before Docker translates them: services name the published port"
            ),
        ),
    }
}

/// A bridge that Docker made: `docker0`, or `br-` and twelve hex digits.
fn is_dockers(device: &Device) -> bool {
    let is_network = device
        .name
        .strip_prefix("br-")
        .is_some_and(|id| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    device.kind.as_deref() == Some("bridge") && (is_network || device.name == "docker0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_found_in_a_ruleset() {
        let text = "table ip nat {\n\tchain x {\n\t}\n}\ntable inet filter {\n}\n";
        assert_eq!(tables(text).collect::<Vec<_>>(), ["ip nat", "inet filter"]);
    }

    #[test]
    fn dockers_bridges_are_told_by_their_names() {
        let named = |name: &str, kind: &str| {
            is_dockers(&Device {
                name: name.to_owned(),
                kind: Some(kind.to_owned()),
                ..Device::default()
            })
        };
        assert!(named("docker0", "bridge") && named("br-0123456789ab", "bridge"));
        assert!(!named("br-lan", "bridge") && !named("docker0", "dummy"));
    }
}
