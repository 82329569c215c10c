//! What a change did, or would do.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::{Page, Render, count, line, time};
use crate::api::{
    Becomes, Changed, Effect, EnforcementState, Existing, PlanAction, PlanItem, Status,
};
use crate::exposure;

/// Connected clients that are named one by one.
const CLIENTS_SHOWN: usize = 10;

/// An answer to a change, and where it is in force.
#[derive(Clone, Debug)]
pub struct InForce<'a> {
    /// The agent's answer.
    pub changed: &'a Changed,
    /// The status after it, if it could be had.
    pub status: Option<&'a Status>,
}

/// Programs get the agent's answer as it is.
impl Serialize for InForce<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.changed.serialize(serializer)
    }
}

impl Render for InForce<'_> {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let c = self.changed;
        write_plan(&c.plan, page, out)?;
        write_effects(c, out)?;
        write_in_force(c, self.status, spent_ms(c), page, out)
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
    page: &Page,
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
        let at = time(page, pending.deadline);
        writeln!(
            out,
            "revision {} comes back at {at} unless you run `netpolicy confirm`",
            pending.base
        )?;
    }
    Ok(())
}

/// Whose attempts get another verdict, and whom of the connected clients that costs.
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
        writeln!(
            out,
            "whether it denies you yourself was not looked at: {} has no address; --from names one",
            operator.known_by
        )?;
    }
    let Some(clients) = &c.clients else {
        return Ok(());
    };
    // Nobody is connected: that tells nothing.
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
        writeln!(
            out,
            "    {} on {}, {connections}",
            client.source,
            line(&client.scope)
        )?;
    }
    if clients.denied.len() > CLIENTS_SHOWN {
        writeln!(out, "    and {} more", clients.denied.len() - CLIENTS_SHOWN)?;
    }
    let closed = count(clients.closed, "open connection", "open connections");
    match clients.existing {
        Existing::Cut if c.dry_run => writeln!(out, "would close {closed}"),
        Existing::Cut => writeln!(out, "closed {closed}"),
        Existing::Keep if clients.denied.is_empty() => Ok(()),
        Existing::Keep => writeln!(
            out,
            "their open connections are kept; --existing cut closes them"
        ),
    }
}

/// Writes what differs: `+` what is new, `~` what changes, `-` what goes.
///
/// # Errors
/// Those of the writer.
pub fn write_plan(plan: &[PlanItem], page: &Page, out: &mut dyn Write) -> io::Result<()> {
    for item in plan {
        let (sign, code) = match item.action {
            PlanAction::Add => ('+', "32"),
            PlanAction::Change => ('~', "33"),
            PlanAction::Remove => ('-', "31"),
        };
        if page.colour {
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
        EnforcementState::Unknown => "loaded; where it is in force cannot be told".into(),
        _ if interfaces.is_empty() => "loaded, but on no interface: nothing is filtered".into(),
        _ => format!("in force on {}", interfaces.join(", ")),
    }
}
