//! [`State`] to a policy file.

use std::fmt::Write;

use crate::model::{Binding, Rule, RuleList, State};

/// Rules up to this many stand on one line.
const SHORT: usize = 3;

/// The policy file that says what the state is: read again, it gives the same state,
/// but for where rules were written. Rules stand as they were written.
#[must_use]
pub fn export(state: &State) -> String {
    let mut out = Out(String::new());
    out.line(format_args!("[host]"));
    out.line(format_args!("mode = \"{}\"", state.host.mode));
    let failsafe = state.host.failsafe_ports.to_string();
    out.strings(
        "failsafe_ports",
        failsafe.split(',').filter(|range| !range.is_empty()),
    );
    for service in &state.services {
        out.line(format_args!("\n[[service]]"));
        out.line(format_args!(
            "name = {}",
            quoted(&service.name.to_written_service())
        ));
        out.strings("ports", service.ports.to_string().split(','));
        out.line(format_args!("combine = \"{}\"", service.combine));
        out.line(format_args!("mode = \"{}\"", service.mode));
        out.comment(service.comment.as_deref());
    }
    for policy in &state.policies {
        out.line(format_args!("\n[[policy]]"));
        out.line(format_args!("name = {}", quoted(&policy.name.to_written())));
        out.comment(policy.comment.as_deref());
        let bindings = policy.bindings.iter().map(|binding| match binding {
            Binding::Host => "host".into(),
            Binding::Service(name) => name.to_written_service(),
        });
        let bindings: Vec<_> = bindings.collect();
        out.strings("bind", bindings.iter().map(AsRef::as_ref));
        if !policy.active {
            out.line(format_args!("active = false"));
        }
        if let Some(list) = policy.allow_list() {
            out.rules("allow", list);
        }
        if !policy.block.is_empty() {
            out.rules("block", &policy.block);
        }
        if let Some(text) = &policy.blocked_rest {
            out.line(format_args!("blocked_rest = {}", quoted(text)));
        }
    }
    out.0
}

struct Out(String);

impl Out {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a `String` cannot fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn comment(&mut self, comment: Option<&str>) {
        if let Some(comment) = comment {
            self.line(format_args!("comment = {}", quoted(comment)));
        }
    }

    fn strings<'a>(&mut self, key: &str, items: impl Iterator<Item = &'a str>) {
        let items: Vec<_> = items.map(quoted).collect();
        self.line(format_args!("{key} = [{}]", items.join(", ")));
    }

    fn rules(&mut self, key: &str, list: &RuleList) {
        if list.len() <= SHORT && list.iter().all(is_plain) {
            let items: Vec<_> = list.iter().map(rule).collect();
            self.line(format_args!("{key} = [{}]", items.join(", ")));
            return;
        }
        self.line(format_args!("{key} = ["));
        for item in list.iter() {
            self.line(format_args!("  {},", rule(item)));
        }
        self.line(format_args!("]"));
    }
}

fn is_plain(rule: &Rule) -> bool {
    rule.name().is_none() && rule.comment().is_none()
}

fn rule(rule: &Rule) -> String {
    let address = quoted(&rule.text());
    if is_plain(rule) {
        return address;
    }
    let mut table = format!("{{ address = {address}");
    for (key, value) in [("name", rule.name()), ("comment", rule.comment())] {
        if let Some(value) = value {
            let _ = write!(table, ", {key} = {}", quoted(value));
        }
    }
    table + " }"
}

/// A TOML basic string (<https://toml.io/en/v1.0.0#string>).
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
