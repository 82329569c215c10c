//! `netpolicy diff`.

use std::io::{self, Write};

use serde::Serialize;

use super::{Render, RenderOptions, clean, count, line, write_plan};
use crate::api::Changed;

/// How two states differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiffView {
    /// What the old one is: "revision 4", "now".
    pub from: String,
    /// What the new one is: "revision 5", "now", a file's name.
    pub to: String,
    /// Whether they differ.
    pub differs: bool,
    /// A unified diff of both as policy files; empty: none.
    pub diff: String,
    /// How many more lines differ than are in it.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// What applying the file would do; only when there is a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Changed>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Render for DiffView {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if !self.differs {
            return writeln!(
                out,
                "no difference between {} and {}",
                line(&self.from),
                line(&self.to)
            );
        }
        for text in self.diff.lines() {
            let code = match text.as_bytes() {
                [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => "1",
                [b'+', ..] => "32",
                [b'-', ..] => "31",
                [b'@', ..] => "36",
                _ => "",
            };
            if options.colour && !code.is_empty() {
                writeln!(out, "\x1b[{code}m{}\x1b[0m", clean(text))?;
            } else {
                writeln!(out, "{}", clean(text))?;
            }
        }
        if self.left_out > 0 {
            let lines = count(
                self.left_out,
                "more line that differs",
                "more lines that differ",
            );
            writeln!(out, "... and {lines}")?;
        }
        if let Some(changed) = &self.plan {
            writeln!(
                out,
                "\napplying {} would do this; nothing was changed:",
                line(&self.to)
            )?;
            write_plan(&changed.plan, options, out)?;
        }
        Ok(())
    }
}
