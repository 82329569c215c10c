//! An ipset of type `hash:net`, matched in iptables' raw table.

use std::fmt::Write;

use netpolicy_tests::netns::NetNs;

use super::{Content, Filter, Sense, programs};
use crate::{
    lists::Family,
    wire::{TESTED, Wire},
};

/// What iptables' rule matches. A second rule drops, and so counts, what the first one does
/// not: iptables counts what meets each rule by itself.
pub(crate) struct Ipset {
    wire: Wire,
    save: &'static str,
}

impl Ipset {
    pub(crate) fn new(content: Content<'_>) -> Self {
        let wire = Wire::new();
        wire.poll_without_xdp();
        let count = format!("-A PREROUTING -i {TESTED} -j DROP\n");
        drop_in_raw_table(wire.receiver(), TESTED, content, &count);
        let (_, save) = tools(content.family);
        Self { wire, save }
    }
}

/// Puts the set and its rule in force for packets that come in by an interface of a namespace,
/// and more rules behind it.
pub(crate) fn drop_in_raw_table(ns: &NetNs, interface: &str, content: Content<'_>, more: &str) {
    programs::feed(ns, "ipset", &["restore", "-file"], &set(content));
    let (restore, _) = tools(content.family);
    programs::feed(ns, restore, &[], &rules(interface, content, more));
}

/// iptables itself where it is there: the other one, on top of nftables, is slower.
fn tools(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::V4 if programs::is_there("iptables-legacy-restore") => {
            ("iptables-legacy-restore", "iptables-legacy-save")
        }
        Family::V4 => ("iptables-restore", "iptables-save"),
        Family::V6 if programs::is_there("ip6tables-legacy-restore") => {
            ("ip6tables-legacy-restore", "ip6tables-legacy-save")
        }
        Family::V6 => ("ip6tables-restore", "ip6tables-save"),
    }
}

/// The set as `ipset restore` reads it: with as many buckets from the start as it
/// would grow to.
fn set(content: Content<'_>) -> String {
    let entries = content.nets.len();
    let family = match content.family {
        Family::V4 => "inet",
        Family::V6 => "inet6",
    };
    let buckets = (entries / 4).next_power_of_two().max(1024);
    let mut text = String::with_capacity(entries * 32);
    let _ = writeln!(
        text,
        "create listed hash:net family {family} hashsize {buckets} maxelem {}",
        entries.max(65_536)
    );
    for net in content.nets {
        let _ = writeln!(text, "add listed {net}");
    }
    text
}

/// The version of the iptables that is used for IPv4, where it is there.
pub(crate) fn iptables_version() -> Option<String> {
    let (restore, _) = tools(Family::V4);
    programs::version(restore, &["--version"])
}

/// The rule that drops, and more rules behind it.
fn rules(interface: &str, content: Content<'_>, more: &str) -> String {
    let not = match content.sense {
        Sense::Block => "",
        Sense::Allow => "! ",
    };
    // Matches are tried in the order in which they are told, so the cheap one comes first.
    let attempts = if content.asks_for_attempts() {
        "-p tcp --syn "
    } else {
        ""
    };
    format!(
        "*raw\n\
         -A PREROUTING -i {interface} {attempts}-m set {not}--match-set listed src -j DROP\n\
         {more}\
         COMMIT\n"
    )
}

impl Filter for Ipset {
    fn name(&self) -> &'static str {
        "ipset"
    }

    fn wire(&self) -> &Wire {
        &self.wire
    }

    fn wants_own_packets(&self) -> bool {
        true
    }

    fn passed(&self) -> u64 {
        let text = programs::run(self.wire.receiver(), self.save, &["-c", "-t", "raw"]);
        let last = text.lines().rfind(|line| line.contains("-j DROP"));
        packets(last.expect("a rule that drops")).expect("a rule's count")
    }
}

/// The packets in `[packets:bytes] -A …`.
fn packets(rule: &str) -> Option<u64> {
    rule.strip_prefix('[')?.split_once(':')?.0.parse().ok()
}
