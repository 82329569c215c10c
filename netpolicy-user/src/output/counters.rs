//! `netpolicy counters`.

use std::io::{self, Write};

use super::{
    Render, RenderOptions, cell, count, line, number, plain, time, verdict_tone, write_table,
};
use crate::api::Counters;

impl Render for Counters {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if self.rows.is_empty() {
            writeln!(out, "no packets seen yet")?;
        } else {
            let rows = self
                .rows
                .iter()
                .map(|r| {
                    vec![
                        plain(line(&r.scope)),
                        plain(r.reason.as_str()),
                        cell(verdict_tone(r.action.into()), r.action.as_str()),
                        number(&r.packets),
                        plain(
                            r.since
                                .map_or_else(String::new, |since| time(options, since)),
                        ),
                    ]
                })
                .collect();
            write_table(
                options,
                &["SCOPE", "REASON", "ACTION", "PACKETS", "SINCE"],
                rows,
                out,
            )?;
        }
        writeln!(
            out,
            "\n{} reported, {} rate-limited, {} lost to a full buffer",
            count(self.events_sent, "event", "events"),
            self.events_limited,
            self.events_overflowed
        )?;
        if self.resets_sent + self.resets_limited + self.resets_withheld > 0 {
            writeln!(
                out,
                "{} sent, {} rate-limited, {} withheld",
                count(self.resets_sent, "reset", "resets"),
                self.resets_limited,
                self.resets_withheld
            )?;
        }
        Ok(())
    }
}
