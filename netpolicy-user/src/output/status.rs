//! `netpolicy status`.

use std::io::{self, Write};

use comfy_table::Cell;

use super::{
    Render, RenderOptions, Tone, cell, count, feeds, line, plain, scopes, time, write_fields,
};
use crate::api::{Attachment, EnforcementState, Interface, OtherInterface, Status};
use crate::exposure;

/// Hex digits of a digest that are shown.
const DIGEST_SHOWN: usize = 12;

impl Render for Status {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let e = &self.enforcement;
        let agent = match &self.agent {
            Some(a) => plain(format!(
                "netpolicy {}, pid {}, since {}, {}",
                a.version,
                a.pid,
                time(options, a.started),
                size(a.memory_bytes)
            )),
            None => cell(Tone::Warning, "not reached: see Faults"),
        };
        let (tone, state) = match e.state {
            EnforcementState::Attached => attached(self),
            EnforcementState::Partial => (Tone::Bad, "attached to some interfaces only"),
            EnforcementState::NotAttached => (Tone::Bad, e.not_attached()),
            EnforcementState::Detached => (
                Tone::Bad,
                "detached: nothing is filtered until `netpolicy attach`",
            ),
            EnforcementState::Unknown => (Tone::Bad, "unknown: the kernel cannot be read"),
        };
        let interfaces: Vec<_> = e.interfaces.iter().map(interface).collect();
        let in_force = match e.engine {
            None => "not known".to_owned(),
            Some(_) if e.generation == 0 => "none yet".to_owned(),
            Some(engine) => format!(
                "revision {}, generation {}, {}, engine {engine}, digest {}",
                e.revision,
                e.generation,
                count(e.entries, "entry", "entries"),
                e.digest.get(..DIGEST_SHOWN).unwrap_or(&e.digest)
            ),
        };
        let desired = self.agent.as_ref().map(|a| {
            plain(format!(
                "revision {}{}, {} ({} active), {}, {}, {}",
                a.revision,
                scopes::without_effect(a.without_effect, e.revision),
                count(a.policies as u64, "policy", "policies"),
                a.active_policies,
                count(a.rules, "rule", "rules"),
                count(a.services as u64, "service", "services"),
                count(a.bypasses as u64, "bypass", "bypasses"),
            ))
        });
        let bans = self.agent.as_ref().filter(|a| a.bans.count > 0).map(|a| {
            let next = a
                .bans
                .next_end
                .map(|end| format!(", the next ends {}", time(options, end)));
            plain(count(a.bans.count, "ban", "bans") + &next.unwrap_or_default())
        });
        let pending = self.agent.as_ref().and_then(|a| a.pending.as_ref());
        let not_known = || cell(Tone::Warning, "not known without the agent");
        let pending = match (&self.agent, pending) {
            (None, _) => Some(not_known()),
            (Some(_), pending) => pending.map(|p| {
                let text = format!(
                    "revision {} by {}: rolls back to revision {} at {} unless confirmed (`netpolicy confirm`)",
                    p.revision,
                    line(&p.actor),
                    p.base,
                    time(options, p.deadline)
                );
                cell(Tone::Warning, text)
            }),
        };
        let observing = self.agent.as_ref().filter(|a| !a.observing.is_empty());
        let observing = observing.map(|a| {
            let scopes = line(&a.observing.join(", "));
            let what = "judged, counted and reported, but not dropped";
            cell(Tone::Warning, format!("{scopes}: {what}"))
        });
        let answering = self.agent.as_ref().filter(|a| !a.answering.is_empty());
        let answering = answering.map(|a| self::answering(&a.answering, &e.interfaces));
        let restart = self.agent.as_ref().filter(|a| !a.restart.is_empty());
        let restart = restart.map(|a| {
            let keys = line(&a.restart.join(", "));
            let what = "changed in the configuration; the agent uses them after a restart";
            cell(Tone::Warning, format!("{keys}: {what}"))
        });
        let feeds = self.agent.as_ref();
        let feeds = feeds.and_then(|agent| feeds::of_status(options, &agent.feeds));
        let fleet = self.agent.as_ref().and_then(|a| a.fleet.as_ref());
        let fleet = fleet.map(|fleet| super::fleet::of_status(options, fleet));
        let scopes = self.agent.as_ref().and_then(|a| scopes::cell_of(&a.scopes));
        let open_ports = self
            .agent
            .as_ref()
            .and_then(|a| scopes::open(&a.open_ports));
        let detached = e.detached.as_ref();
        let detached = detached.map(|detached| cell(Tone::Bad, line(&detached.in_words())));
        let faults = if self.faults.is_empty() {
            cell(Tone::Good, "none")
        } else {
            cell(Tone::Bad, self.faults.join("\n"))
        };
        write_fields(
            options,
            [
                // First: it is why the rest does not matter.
                ("DETACHED", detached),
                ("Agent", Some(agent)),
                ("Enforcement", Some(cell(tone, state))),
                (
                    "Interfaces",
                    Some(plain(if interfaces.is_empty() {
                        "none".into()
                    } else {
                        interfaces.join("\n")
                    })),
                ),
                ("Offloads", offloads(&e.interfaces)),
                ("Covered", covered(&e.others)),
                ("Not filtered", not_filtered(&e.others)),
                ("Scopes", scopes),
                ("Open ports", open_ports),
                ("Observing", observing),
                ("Answering", answering),
                ("In force", Some(plain(in_force))),
                ("Desired", Some(desired.unwrap_or_else(not_known))),
                ("Bans", bans),
                ("Feeds", feeds),
                ("Fleet", fleet),
                ("Unconfirmed", pending),
                ("Restart", restart),
                ("Faults", Some(faults)),
            ],
            out,
        )
    }
}

/// What being attached to every interface amounts to.
fn attached(status: &Status) -> (Tone, &'static str) {
    let host = |scope: &String| scope == "host";
    match &status.agent {
        Some(agent) if agent.active_policies == 0 => (
            Tone::Warning,
            match agent.bans.count {
                0 => "attached; no policy is active: every source may connect",
                _ => "attached; no policy is active: every source that is not banned may connect",
            },
        ),
        Some(agent) if agent.observing.iter().any(host) => (
            Tone::Warning,
            "attached; the host is only observed: its policies drop nothing",
        ),
        _ => (Tone::Good, "attached"),
    }
}

fn interface(i: &Interface) -> String {
    let how = match i.attachment {
        Attachment::Native => "native XDP",
        Attachment::Generic => "generic XDP",
        Attachment::Tcx => "tcx",
        Attachment::Clsact => "clsact",
        Attachment::Unknown => "not known",
        Attachment::None if i.index == 0 => "does not exist",
        Attachment::None => "not attached",
    };
    match &i.reason {
        Some(reason) => line(&format!("{} ({how}: {reason})", i.name)),
        None => format!("{} ({how})", line(&i.name)),
    }
}

/// Offloads that attaching changed.
fn offloads(interfaces: &[Interface]) -> Option<Cell> {
    let changed = interfaces.iter().flat_map(|i| &i.offloads);
    let lines: Vec<_> = changed.map(|changed| line(changed)).collect();
    (!lines.is_empty()).then(|| cell(Tone::Warning, lines.join("\n")))
}

/// Scopes whose denied attempts get a reset, and where they get none.
fn answering(scopes: &[String], interfaces: &[Interface]) -> Cell {
    let scopes = line(&scopes.join(", "));
    let mut lines = vec![format!("{scopes}: denied attempts get a TCP reset")];
    lines.extend(interfaces.iter().filter_map(|i| {
        let why = i.unanswered.as_ref()?;
        Some(line(&format!(
            "not on {}, where they are dropped: {why}",
            i.name
        )))
    }));
    let tone = match lines.len() {
        1 => Tone::Plain,
        _ => Tone::Warning,
    };
    cell(tone, lines.join("\n"))
}

/// Interfaces whose packets pass a filtered one first.
fn covered(others: &[OtherInterface]) -> Option<Cell> {
    let covered = others.iter().filter(|o| !o.covered_by.is_empty());
    let lines: Vec<_> = covered
        .map(|o| line(&format!("{} by {}", o.name, o.covered_by.join(", "))))
        .collect();
    (!lines.is_empty()).then(|| plain(lines.join("\n")))
}

/// Interfaces that are up or carry an address, and by which every source may connect.
fn not_filtered(others: &[OtherInterface]) -> Option<Cell> {
    let open: Vec<_> = others.iter().filter(|o| o.covered_by.is_empty()).collect();
    let text = |other: &&OtherInterface| {
        let configured = if other.accepted {
            ", as configured"
        } else {
            ""
        };
        line(&format!("{}{configured}", exposure::described(other)))
    };
    let lines: Vec<_> = open.iter().map(text).collect();
    let is_intended = open.iter().all(|o| o.accepted);
    let tone = if is_intended {
        Tone::Plain
    } else {
        Tone::Warning
    };
    (!lines.is_empty()).then(|| cell(tone, lines.join("\n")))
}

fn size(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    format!("{} MiB", bytes.div_ceil(MIB))
}
