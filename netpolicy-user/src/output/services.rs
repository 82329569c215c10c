//! `netpolicy service list`, `netpolicy service known` and `netpolicy host show`.

use std::io::{self, Write};

use comfy_table::Cell;

use super::{Render, RenderOptions, Tone, cell, line, list, plain, write_fields, write_table};
use crate::api::{HostView, ServiceView};
use crate::model::{Combine, KnownService, Mode};

impl Render for [ServiceView] {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if self.is_empty() {
            return writeln!(
                out,
                "no services: every port is governed by the host's policies"
            );
        }
        let rows = self
            .iter()
            .map(|s| {
                vec![
                    plain(line(&s.name)),
                    plain(line(&s.ports)),
                    plain(match s.combine {
                        Combine::Override => "override",
                        Combine::And => "and",
                    }),
                    mode(s.mode),
                    plain(s.on_deny.to_string()),
                    plain(list(&s.policies)),
                    plain(line(s.comment.as_deref().unwrap_or(""))),
                ]
            })
            .collect();
        write_table(
            options,
            &[
                "NAME", "PORTS", "COMBINE", "MODE", "ON DENY", "POLICIES", "COMMENT",
            ],
            rows,
            out,
        )
    }
}

impl Render for [KnownService] {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let rows = self.iter().map(|service| {
            vec![
                plain(service.name),
                plain(service.aliases.join(", ")),
                plain(service.description),
                plain(service.ports.join(",")),
            ]
        });
        let header = ["NAME", "ALIASES", "DESCRIPTION", "PORTS"];
        write_table(options, &header, rows.collect(), out)
    }
}

impl Render for HostView {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let ports = if self.failsafe_ports.is_empty() {
            "none"
        } else {
            &self.failsafe_ports
        };
        write_fields(
            options,
            [
                ("Mode", Some(mode(self.mode))),
                ("On deny", Some(plain(self.on_deny.to_string()))),
                ("Failsafe ports", Some(plain(ports))),
                ("Policies", Some(plain(list(&self.policies)))),
            ],
            out,
        )
    }
}

fn mode(mode: Mode) -> Cell {
    match mode {
        Mode::Enforce => cell(Tone::Good, "enforce"),
        Mode::Observe => cell(Tone::Warning, "observe"),
    }
}
