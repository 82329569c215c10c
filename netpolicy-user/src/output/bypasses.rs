//! `netpolicy bypass list` and `netpolicy bypass grant`.

use std::io::{self, Write};

use jiff::Timestamp;

use super::{Render, RenderOptions, line, plain, time, write_table};
use crate::api::BypassView;

impl Render for [BypassView] {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if self.is_empty() {
            return writeln!(out, "no bypasses");
        }
        let rows = self
            .iter()
            .map(|b| {
                vec![
                    plain(line(&b.source)),
                    plain(line(&b.scope)),
                    plain(left(options.now, b.expires)),
                    plain(time(options, b.expires)),
                    plain(line(&b.granted_by)),
                ]
            })
            .collect();
        write_table(
            options,
            &["SOURCE", "SCOPE", "LEFT", "EXPIRES", "GRANTED BY"],
            rows,
            out,
        )
    }
}

impl Render for BypassView {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "{} bypasses {} until {}, for {}",
            line(&self.source),
            line(&self.scope),
            time(options, self.expires),
            left(options.now, self.expires)
        )
    }
}

/// "2h 5m", "29m 30s", "12s", "expired".
pub(super) fn left(now: Timestamp, expires: Timestamp) -> String {
    let seconds = expires.duration_since(now).as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
    match (hours, minutes, rest) {
        _ if seconds <= 0 => "expired".into(),
        (0, 0, s) => format!("{s}s"),
        (0, m, 0) => format!("{m}m"),
        (0, m, s) => format!("{m}m {s}s"),
        (h, 0, _) => format!("{h}h"),
        (h, m, _) => format!("{h}h {m}m"),
    }
}
