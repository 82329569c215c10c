//! An nftables set of intervals, matched at the interface's ingress.

use std::fmt::Write;

use netpolicy_tests::netns::NetNs;

use super::{Content, Filter, Sense, programs};
use crate::{
    lists::Family,
    sources::outermost,
    wire::{TESTED, Wire},
};

/// One chain with one rule.
pub(crate) struct Nftables {
    wire: Wire,
}

impl Nftables {
    pub(crate) fn new(content: Content<'_>) -> Self {
        let wire = Wire::new();
        wire.poll_without_xdp();
        block_at_ingress(wire.receiver(), TESTED, content);
        Self { wire }
    }
}

/// Puts the chain in force at an interface of a namespace.
pub(crate) fn block_at_ingress(ns: &NetNs, interface: &str, content: Content<'_>) {
    programs::feed(ns, "nft", &["-f"], &ruleset(interface, content));
}

/// Entries inside others are left out, for a set of intervals takes no overlaps.
fn ruleset(interface: &str, content: Content<'_>) -> String {
    let (header, kind) = match content.family {
        Family::V4 => ("ip", "ipv4_addr"),
        Family::V6 => ("ip6", "ipv6_addr"),
    };
    let not = match content.sense {
        Sense::Block => "",
        Sense::Allow => "!= ",
    };
    // As iptables' `--syn`. Before the source, so that a packet of an open connection is let
    // go without a look into the set.
    let attempts = if content.asks_for_attempts() {
        "tcp flags & (fin | syn | rst | ack) == syn "
    } else {
        ""
    };
    let mut text = String::with_capacity(content.nets.len() * 24);
    let _ = writeln!(
        text,
        "table netdev filter {{\nset listed {{ type {kind}; flags interval; elements = {{"
    );
    for net in outermost(content.nets) {
        let _ = writeln!(text, "{net},");
    }
    let _ = writeln!(
        text,
        "}} }}\nchain ingress {{ type filter hook ingress device \"{interface}\" priority 0; \
         policy accept; {attempts}{header} saddr {not}@listed drop; }}\n}}"
    );
    text
}

impl Filter for Nftables {
    fn name(&self) -> &'static str {
        "nftables"
    }

    fn wire(&self) -> &Wire {
        &self.wire
    }
}
