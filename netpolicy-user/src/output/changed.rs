//! The result of a change, or of its dry run.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::databases::write_changes;
use super::evaluate::write_seen;
use super::{Render, RenderOptions, count, line, time};
use crate::api::{
    Becomes, Changed, ClientsView, Effect, EnforcementState, Existing, PlanAction, PlanItem, Status,
};
use crate::exposure;

/// Connected clients that are named one by one.
const CLIENTS_SHOWN: usize = 10;

/// An answer to a change, and where it is in force.
#[derive(Clone, Debug)]
pub struct ChangeReport<'a> {
    /// The agent's answer.
    pub changed: &'a Changed,
    /// The status after it, if it could be had.
    pub status: Option<&'a Status>,
}

/// Programs get the agent's answer as it is.
impl Serialize for ChangeReport<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.changed.serialize(serializer)
    }
}

impl Render for ChangeReport<'_> {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let c = self.changed;
        write_plan(&c.plan, options, out)?;
        write_effects(c, out)?;
        write_changes(&c.databases, c.dry_run, out)?;
        if let Some(seen) = &c.seen {
            write_seen(seen, options, out)?;
        }
        write_in_force(c, self.status, spent_ms(c), options, out)
    }
}

/// What a change took, in milliseconds.
pub(super) fn spent_ms(c: &Changed) -> u64 {
    let t = c.timing;
    t.check_ms + t.compile_ms + t.fill_ms + t.store_ms
}

/// What is in force where after a change, which took so many milliseconds.
pub(super) fn write_in_force(
    c: &Changed,
    status: Option<&Status>,
    spent_ms: u64,
    options: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    if c.plan.is_empty() {
        write!(out, "nothing to change: ")?;
    } else if c.dry_run {
        write!(out, "dry run, nothing was changed: ")?;
    }
    write!(out, "revision {}, generation {}", c.revision, c.generation)?;
    match status {
        None => write!(out, " in force")?,
        Some(status) => write!(out, " {}", place(status))?,
    }
    if c.dry_run || c.plan.is_empty() {
        writeln!(out)?;
    } else {
        writeln!(out, " ({spent_ms} ms)")?;
    }
    if let Some(pending) = &c.pending {
        let at = time(options, pending.deadline);
        writeln!(
            out,
            "rolls back to revision {} at {at} unless confirmed (`netpolicy confirm`)",
            pending.base
        )?;
    }
    Ok(())
}

/// Which sources get another verdict, and how many connected clients are newly denied.
pub(super) fn write_effects(c: &Changed, out: &mut dyn Write) -> io::Result<()> {
    let denied = c.clients.iter().flat_map(|clients| &clients.denied);
    for effect in &c.effects {
        write!(out, "{}", line(&effect.sentence()))?;
        let here = denied
            .clone()
            .filter(|client| client.scope == effect.scope_name);
        match here.count() {
            n if n > 0 && effect.becomes == Becomes::Denied => {
                writeln!(
                    out,
                    "; {}",
                    count(n, "connected client", "connected clients")
                )?;
            }
            _ => writeln!(out)?,
        }
    }
    let denies = |effect: &Effect| effect.becomes == Becomes::Denied;
    if let Some(operator) = &c.operator
        && operator.address.is_none()
        && c.effects.iter().any(denies)
    {
        match operator.known_by.as_str() {
            "--from none" => writeln!(out, "not checked against your own address: --from none")?,
            known_by => writeln!(
                out,
                "not checked against your own address: {} has none; --from names one",
                line(known_by)
            )?,
        }
    }
    let Some(clients) = &c.clients else {
        return Ok(());
    };
    // No client is connected: there is nothing to report.
    if clients.connected == 0 && clients.denied.is_empty() && clients.existing == Existing::Keep {
        return Ok(());
    }
    let verb = if c.dry_run { "would deny" } else { "denies" };
    let sources: BTreeSet<_> = clients.denied.iter().map(|client| client.source).collect();
    writeln!(
        out,
        "{verb} {} of {}",
        sources.len(),
        count(clients.connected, "connected client", "connected clients")
    )?;
    for client in clients.denied.iter().take(CLIENTS_SHOWN) {
        let connections = count(client.connections, "connection", "connections");
        let forwarded = match client.forwarded {
            0 => String::new(),
            n if n == client.connections => " (forwarded)".to_owned(),
            n => format!(" ({n} of them forwarded)"),
        };
        writeln!(
            out,
            "    {} on {}, {connections}{forwarded}",
            client.source,
            line(&client.scope)
        )?;
    }
    if clients.denied.len() > CLIENTS_SHOWN {
        writeln!(out, "    and {} more", clients.denied.len() - CLIENTS_SHOWN)?;
    }
    write_existing(clients, c.dry_run, out)
}

/// Writes what became of the open connections of denied clients.
fn write_existing(clients: &ClientsView, dry_run: bool, out: &mut dyn Write) -> io::Result<()> {
    let closed = count(clients.closed, "open connection", "open connections");
    match clients.existing {
        Existing::Cut if dry_run => writeln!(out, "would close {closed}")?,
        Existing::Cut if clients.not_closed.is_empty() => writeln!(out, "closed {closed}")?,
        Existing::Cut => {
            let left: usize = clients.not_closed.iter().map(|left| left.connections).sum();
            writeln!(out, "closed {closed}; {left} could not be closed:")?;
            for left in clients.not_closed.iter().take(CLIENTS_SHOWN) {
                let connections = count(left.connections, "connection", "connections");
                let (source, port) = (left.source, left.port);
                let reason = line(&left.reason);
                writeln!(out, "    {source} on port {port}, {connections}: {reason}")?;
            }
            if clients.not_closed.len() > CLIENTS_SHOWN {
                let more = clients.not_closed.len() - CLIENTS_SHOWN;
                writeln!(out, "    and {more} more")?;
            }
        }
        Existing::Keep if clients.denied.is_empty() => {}
        Existing::Keep => writeln!(
            out,
            "their open connections are kept; --existing cut closes them"
        )?,
    }
    if clients.existing == Existing::Cut && clients.syn_cookies_sent.is_some_and(|n| n > 0) {
        writeln!(
            out,
            "this host has sent SYN cookies: a denied source that holds one from before the \
             change can still connect, for up to 120 s; repeat --existing cut after that"
        )?;
    }
    Ok(())
}

/// Writes what differs: `+` what is new, `~` what changes, `-` what goes.
///
/// # Errors
/// Those of the writer.
pub fn write_plan(
    plan: &[PlanItem],
    options: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    for item in plan {
        let (sign, code) = match item.action {
            PlanAction::Add => ('+', "32"),
            PlanAction::Change => ('~', "33"),
            PlanAction::Remove => ('-', "31"),
        };
        if options.colour {
            writeln!(out, "\x1b[{code}m{sign} {}\x1b[0m", line(&item.subject))?;
        } else {
            writeln!(out, "{sign} {}", line(&item.subject))?;
        }
        for detail in &item.details {
            writeln!(out, "    {}", line(detail))?;
        }
    }
    Ok(())
}

fn place(status: &Status) -> String {
    let interfaces: Vec<_> = status
        .enforcement
        .interfaces
        .iter()
        .filter(|i| exposure::is_filtered(i))
        .map(|i| i.name.as_str())
        .collect();
    match status.enforcement.state {
        EnforcementState::Detached => "loaded, but detached: nothing is filtered".into(),
        EnforcementState::Unknown => "loaded; where it is in force cannot be read".into(),
        EnforcementState::NotAttached
            if status.enforcement.interfaces.iter().any(|i| i.elsewhere) =>
        {
            format!("loaded, but {}", status.enforcement.not_attached())
        }
        _ if interfaces.is_empty() => "loaded, but on no interface: nothing is filtered".into(),
        EnforcementState::Partial => format!(
            "in force on {}; {}",
            interfaces.join(", "),
            status.enforcement.gap().unwrap_or_default()
        ),
        _ => format!("in force on {}", interfaces.join(", ")),
    }
}
