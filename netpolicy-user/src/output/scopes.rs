//! What holds in each scope, and which ports are open, in `netpolicy status`.

use comfy_table::Cell;

use super::{Tone, cell, count, line};
use crate::api::{OpenPort, ScopeRule, ScopeStatus};
use crate::model::Mode;

/// A line for each scope; `None`: nothing is known of scopes.
pub(super) fn cell_of(scopes: &[ScopeStatus]) -> Option<Cell> {
    let lines: Vec<_> = scopes.iter().map(of).collect();
    let is_open = |s: &ScopeStatus| s.rule == ScopeRule::Open || s.mode == Mode::Observe;
    let tone = match scopes.iter().any(is_open) {
        true => Tone::Warning,
        false => Tone::Plain,
    };
    (!lines.is_empty()).then(|| cell(tone, lines.join("\n")))
}

/// "postgres (5432): only sources that office allows; 4 entries; 12 packets dropped in the last
/// minute"
fn of(scope: &ScopeStatus) -> String {
    let ports = scope.ports.as_ref().map(|ports| format!(" ({ports})"));
    let entries = match scope.rule {
        ScopeRule::Open => String::new(),
        _ => format!("; {}", count(scope.entries, "entry", "entries")),
    };
    let dropped = scope.dropped_last_minute.filter(|dropped| *dropped > 0);
    let dropped = dropped.map(|dropped| {
        let packets = count(dropped, "packet", "packets");
        format!("; {packets} dropped in the last minute")
    });
    line(&format!(
        "{}{}: {}{entries}{}",
        scope.scope,
        ports.unwrap_or_default(),
        scope.sentence,
        dropped.unwrap_or_default()
    ))
}

/// The ports that processes listen on and that no policy governs, those of failsafe last.
pub(super) fn open(ports: &Option<Vec<OpenPort>>) -> Option<Cell> {
    let Some(ports) = ports else {
        return Some(cell(
            Tone::Warning,
            "not known: the kernel does not list listening sockets (sock_diag)",
        ));
    };
    let (failsafe, others): (Vec<_>, Vec<_>) = ports.iter().partition(|port| port.failsafe);
    let name = |port: &&OpenPort| match &port.service {
        Some(service) => format!("{} ({service})", port.port),
        None => port.port.to_string(),
    };
    let mut lines = Vec::new();
    for (ports, why) in [
        (&others, "no policy governs"),
        (&failsafe, "failsafe: nothing is judged on"),
    ] {
        let names: Vec<_> = ports.iter().map(name).collect();
        let them = if names.len() == 1 { "it" } else { "them" };
        if !names.is_empty() {
            lines.push(line(&format!("{}: {why} {them}", names.join(", "))));
        }
    }
    let tone = match others.is_empty() {
        true => Tone::Plain,
        false => Tone::Warning,
    };
    (!lines.is_empty()).then(|| cell(tone, lines.join("\n")))
}

/// " (three revisions since 64 without effect on packets)"
pub(super) fn without_effect(revisions: u64, in_force: u64) -> String {
    match revisions {
        0 => String::new(),
        n => format!(
            " ({} since {in_force} without effect on packets)",
            count(n, "revision", "revisions")
        ),
    }
}
