//! The fleet that a host is in.

use std::io::{self, Write};

use comfy_table::Cell;

use super::{Render, RenderOptions, Tone, cell, line, plain, time, write_fields};
use crate::api::FleetView;

impl Render for FleetView {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let none = || cell(Tone::Warning, "none: this host is in no fleet");
        let named = |name: &Option<String>| name.as_deref().map(|name| plain(line(name)));
        let fleet = named(&self.fleet).unwrap_or_else(none);
        let faults = match self.faults.is_empty() {
            true => cell(Tone::Good, "none"),
            false => cell(Tone::Bad, line_each(&self.faults)),
        };
        write_fields(
            options,
            [
                ("Fleet", Some(fleet)),
                ("Host", named(&self.host)),
                ("Group", named(&self.group)),
                ("In force", in_force(options, self).map(plain)),
                ("Overridden", overridden(options, self)),
                ("Faults", Some(faults)),
            ],
            out,
        )
    }
}

/// The revision in force.
fn in_force(options: &RenderOptions, fleet: &FleetView) -> Option<String> {
    let at = fleet.at.as_ref()?;
    let since = fleet
        .since
        .map(|since| format!(" since {}", time(options, since)));
    let waits = match (fleet.confirmed, fleet.confirm_before) {
        (true, _) => String::new(),
        (false, None) => ", unconfirmed".to_owned(),
        (false, Some(end)) => format!(", rolled back at {} unless confirmed", time(options, end)),
    };
    Some(format!(
        "revision {}{}{waits}",
        at.revision,
        since.unwrap_or_default()
    ))
}

fn overridden(options: &RenderOptions, fleet: &FleetView) -> Option<Cell> {
    let since = fleet.local_override?;
    let text = format!("by a local change since {}", time(options, since));
    Some(cell(Tone::Warning, text))
}

/// What the status says of it, in a cell.
pub(super) fn of_status(options: &RenderOptions, fleet: &FleetView) -> Cell {
    let name = line(fleet.fleet.as_deref().unwrap_or_default());
    let host = fleet
        .host
        .as_deref()
        .map(|host| format!(", host {}", line(host)));
    let group = fleet
        .group
        .as_deref()
        .map(|group| format!(", group {}", line(group)));
    let in_force = in_force(options, fleet);
    let in_force = in_force.unwrap_or_else(|| "nothing of it is in force yet".to_owned());
    let mut lines = vec![format!(
        "{name}{}{}: {in_force}",
        host.unwrap_or_default(),
        group.unwrap_or_default()
    )];
    lines.extend(fleet.faults.iter().map(|fault| line(fault)));
    let is_well = fleet.faults.is_empty() && fleet.at.is_some() && fleet.confirmed;
    let tone = if is_well { Tone::Plain } else { Tone::Warning };
    cell(tone, lines.join("\n"))
}

fn line_each(lines: &[String]) -> String {
    let lines: Vec<_> = lines.iter().map(|text| line(text)).collect();
    lines.join("\n")
}
