//! `nft list set` and `nft list ruleset`, as text and as JSON: elements of sets of addresses,
//! and rules of input chains that judge by the source.

mod json;
mod text;

pub(crate) use json::read as read_json;
pub(crate) use text::read as read_text;

use crate::Place;
use crate::collect::Collector;
use crate::error::Problem;

/// Whether chains at a hook filter what comes in.
fn is_input(hook: &str) -> bool {
    matches!(hook, "input" | "prerouting" | "ingress")
}

/// Whether the elements of a set are addresses alone.
fn is_address_type(kind: &str) -> bool {
    matches!(
        kind,
        "ipv4_addr" | "ipv6_addr" | "ip saddr" | "ip daddr" | "ip6 saddr" | "ip6 daddr"
    )
}

/// Notes a set whose elements are something else.
fn skip_set(name: &str, kind: &str, at: Place, into: &mut Collector<'_>) {
    let why = format!("set {name} is of type {kind}, whose elements are no addresses alone");
    into.skip(at, Problem::Entry(why));
}
