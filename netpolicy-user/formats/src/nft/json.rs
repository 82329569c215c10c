//! What `nft --json list` prints: libnftables-json(5).

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{is_address_type, is_input, skip_set};
use crate::Place;
use crate::collect::Collector;
use crate::error::Problem;
use crate::json::{RawValue, Text, each, parse};
use crate::source_rule::SourceRule;
use crate::text::Places;

#[derive(Deserialize)]
struct Document<'t> {
    #[serde(borrow)]
    nftables: &'t RawValue,
}

#[derive(Deserialize)]
struct Object<'t> {
    #[serde(borrow, default)]
    set: Option<Set<'t>>,
    #[serde(default)]
    chain: Option<Chain>,
    #[serde(borrow, default)]
    rule: Option<Rule<'t>>,
}

#[derive(Deserialize)]
struct Set<'t> {
    family: String,
    table: String,
    #[serde(borrow)]
    name: Text<'t>,
    #[serde(rename = "type")]
    kind: Value,
    #[serde(borrow, default)]
    elem: Option<&'t RawValue>,
}

#[derive(Deserialize)]
struct Chain {
    family: String,
    table: String,
    name: String,
    #[serde(default)]
    hook: Option<String>,
}

#[derive(Deserialize)]
struct Rule<'t> {
    family: String,
    table: String,
    #[serde(borrow)]
    chain: Text<'t>,
    #[serde(default)]
    comment: Option<String>,
    expr: Vec<Value>,
}

/// Reads sets and rules.
pub(crate) fn read(text: &str, into: &mut Collector<'_>) {
    let mut places = Places::new(text);
    let Some(document) = parse::<Document<'_>>(text, &mut places, into) else {
        return;
    };
    let mut inputs: Vec<String> = Vec::new();
    each(
        document.nftables.get(),
        &mut places,
        into,
        |object: Object<'_>, places, into| {
            if let Some(set) = object.set {
                read_set(&set, places, into);
            } else if let Some(chain) = object.chain {
                let full = format!("{} {} {}", chain.family, chain.table, chain.name);
                let chosen = into
                    .filter
                    .set
                    .iter()
                    .any(|set| *set == chain.name || *set == full);
                if chosen || chain.hook.as_deref().is_some_and(is_input) {
                    inputs.push(full);
                }
            } else if let Some(rule) = object.rule {
                let chain = format!("{} {} {}", rule.family, rule.table, rule.chain.as_ref());
                if inputs.contains(&chain) {
                    let at = places.of_part(rule.chain.as_ref());
                    read_rule(chain, rule, at, into);
                }
            }
        },
    );
}

fn read_set(set: &Set<'_>, places: &mut Places<'_>, into: &mut Collector<'_>) {
    let name = format!("{} {} {}", set.family, set.table, set.name.as_ref());
    if !into.part(&name) {
        return;
    }
    let kind = match &set.kind {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let kinds = kinds.iter().filter_map(Value::as_str);
            kinds.collect::<Vec<_>>().join(" . ")
        }
        // A type by "typeof".
        other => typeof_name(other),
    };
    if !is_address_type(&kind) {
        skip_set(&name, &kind, places.of_part(set.name.as_ref()), into);
        return;
    }
    let Some(elements) = set.elem else {
        return;
    };
    each(
        elements.get(),
        places,
        into,
        |element: &RawValue, places, into| {
            let at = places.of_part(element.get());
            let Some(element) = parse::<Value>(element.get(), places, into) else {
                return;
            };
            let (value, options) = match element.get("elem") {
                Some(inner) => (inner.get("val").unwrap_or(inner), Some(inner)),
                None => (&element, None),
            };
            let text = |key: &str| options?.get(key)?.as_str();
            let seconds = |key: &str| options?.get(key)?.as_u64().filter(|seconds| *seconds > 0);
            let expires = seconds("expires").or_else(|| seconds("timeout"));
            match address(value) {
                Some(address) => {
                    into.add(
                        &address,
                        at,
                        text("comment"),
                        expires.map(Duration::from_secs),
                    );
                }
                None => into.refuse(at, not_an_address(value)),
            }
        },
    );
}

/// `{"payload": {"protocol": "ip", "field": "saddr"}}` as nft writes it.
fn typeof_name(kind: &Value) -> String {
    let of = kind.get("typeof").unwrap_or(kind);
    let part = |key: &str| of.get("payload")?.get(key)?.as_str();
    match (part("protocol"), part("field")) {
        (Some(protocol), Some(field)) => format!("{protocol} {field}"),
        _ => kind.to_string(),
    }
}

fn not_an_address(value: &Value) -> Problem {
    let shown: String = value.to_string().chars().take(60).collect();
    Problem::Entry(format!("{shown} is not an address, a prefix or a range"))
}

/// An address, prefix or range as netpolicy writes it.
fn address(value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    if let Some(prefix) = value.get("prefix") {
        let (net, length) = (prefix.get("addr")?.as_str()?, prefix.get("len")?.as_u64()?);
        return Some(format!("{net}/{length}"));
    }
    match value.get("range")?.as_array()?.as_slice() {
        [first, last] => Some(format!("{}-{}", first.as_str()?, last.as_str()?)),
        _ => None,
    }
}

fn read_rule(chain: String, rule: Rule<'_>, at: Place, into: &mut Collector<'_>) {
    let mut read = SourceRule {
        chain,
        comment: rule.comment,
        place: at,
        ..SourceRule::default()
    };
    for statement in &rule.expr {
        let Some((name, value)) = statement
            .as_object()
            .and_then(|object| object.iter().next())
        else {
            continue;
        };
        match name.as_str() {
            "accept" => read.accepts = Some(true),
            "drop" | "reject" => read.accepts = Some(false),
            "return" => read.divert("the chain before"),
            "jump" | "goto" => {
                let target = value.get("target").and_then(Value::as_str);
                read.divert(&format!("chain {}", target.unwrap_or_default()));
            }
            "queue" => read.divert("a queue"),
            "counter" | "log" => {}
            "xt" => {
                // Its matches are not printed: without them it would be another rule.
                let chain = read.chain;
                into.error(Some(at), Problem::Xtables { chain });
                return;
            }
            "match" => read_match(&mut read, value, at),
            other => {
                let other = other.to_owned();
                read.not_carried(|| format!("has a statement that no list has: {other}"));
            }
        }
    }
    if read.sources.is_empty() {
        read.accepts = None;
    }
    read.carry(into);
}

fn read_match(rule: &mut SourceRule, value: &Value, at: Place) {
    let left = value.get("left").map(typeof_name).unwrap_or_default();
    let (op, right) = (value.get("op").and_then(Value::as_str), value.get("right"));
    let right = right.unwrap_or(&Value::Null);
    match left.as_str() {
        "ip saddr" | "ip6 saddr" => {
            rule.begin_sources();
            if op == Some("!=") {
                rule.not_carried(|| "holds for every source but some".to_owned());
            }
            let set = right.get("set").and_then(Value::as_array);
            let values = set.map_or(std::slice::from_ref(right), Vec::as_slice);
            for value in values {
                match address(value) {
                    // The set is a part of its own.
                    Some(name) if name.starts_with('@') => {}
                    Some(address) => rule.sources.push((address, at)),
                    None => rule.not_carried(|| not_an_address(value).to_string()),
                }
            }
        }
        "ip protocol" if right.as_str() == Some("tcp") => {}
        _ if right.as_str() == Some("tcp") && left.contains("l4proto") => {}
        _ => {
            let shown: String = left.chars().take(60).collect();
            rule.not_carried(|| format!("has a condition that no list has: {shown}"));
        }
    }
}
