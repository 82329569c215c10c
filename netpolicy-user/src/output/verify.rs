//! Whether the kernel holds what the policies say.

use std::io::{self, Write};

use super::{Render, RenderOptions, count, line};
use crate::api::VerifyView;

impl Render for VerifyView {
    fn table(&self, _: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let Self {
            revision,
            generation,
            entries,
            took_ms,
            ..
        } = self;
        for line in &self.overtaken {
            writeln!(out, "FAULT: {}", super::line(line))?;
        }
        if self.differences.is_empty() {
            return writeln!(
                out,
                "generation {generation} holds what revision {revision} says: {}, all read \
                 back ({took_ms} ms)",
                count(*entries, "entry", "entries")
            );
        }
        writeln!(
            out,
            "FAULT: what was in force is not what revision {revision} says ({took_ms} ms)"
        )?;
        for difference in &self.differences {
            writeln!(out, "    {}", line(difference))?;
        }
        if self.repaired {
            writeln!(
                out,
                "repaired as generation {generation}; `netpolicy status` remembers it for an hour"
            )
        } else {
            writeln!(out, "not repaired yet; `netpolicy status` says why")
        }
    }
}
