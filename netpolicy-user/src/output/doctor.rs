//! `netpolicy doctor`.

use std::io::{self, Write};

use super::{Render, RenderOptions, Tone, cell, count, line, plain, write_table};
use crate::api::{DoctorReport, Health};

impl Render for DoctorReport {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let mut rows = Vec::new();
        for checked in &self.lines {
            let health = match checked.health {
                Health::Ok => cell(Tone::Good, "OK"),
                Health::Warn => cell(Tone::Warning, "WARN"),
                Health::Fail => cell(Tone::Bad, "FAIL"),
            };
            let found = line(&checked.found);
            let text = match &checked.advice {
                Some(advice) => format!("{found}\n-> {}", line(advice)),
                None => found,
            };
            rows.push(vec![health, plain(line(&checked.check)), plain(text)]);
        }
        write_table(options, &[], rows, out)?;
        let failures = count(self.failures as u64, "failure", "failures");
        let warnings = count(self.warnings as u64, "warning", "warnings");
        writeln!(out, "{failures}, {warnings}")
    }
}
