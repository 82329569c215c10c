//! Results of SQL statements.

use std::io::{self, Write};

use comfy_table::Cell;
use serde::{Serialize, Serializer};

use super::changed::{spent_ms, write_effects, write_in_force};
use super::{Render, RenderOptions, count, line, plain, write_plan, write_table};
use crate::api::{SqlResponse, SqlResult, Status};

/// The answer to a script, and where it is in force.
#[derive(Clone, Debug)]
pub struct SqlOutcome<'a> {
    /// The agent's answer. Why a statement failed is not printed here.
    pub response: &'a SqlResponse,
    /// The status after it, if it could be had.
    pub status: Option<&'a Status>,
}

/// Programs get the agent's answer as it is.
impl Serialize for SqlOutcome<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.response.serialize(serializer)
    }
}

impl Render for SqlOutcome<'_> {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        for result in &self.response.results {
            write_result(result, options, out)?;
        }
        let changes = || {
            self.response
                .results
                .iter()
                .filter_map(|r| r.changed.as_ref())
        };
        // What is in force after all of them is said once.
        let Some(last) = changes()
            .rfind(|c| !c.plan.is_empty())
            .or(changes().next_back())
        else {
            return Ok(());
        };
        let spent = changes().map(spent_ms).sum();
        write_in_force(last, self.status, spent, options, out)
    }
}

fn write_result(
    result: &SqlResult,
    options: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    if !result.columns.is_empty() {
        let header: Vec<&str> = result.columns.iter().map(String::as_str).collect();
        let rows: Vec<Vec<Cell>> = result
            .rows
            .iter()
            .map(|row| {
                row.iter()
                    .map(|v| plain(v.as_deref().unwrap_or("")))
                    .collect()
            })
            .collect();
        write_table(options, &header, rows, out)?;
        writeln!(out, "({})", count(result.rows.len(), "row", "rows"))?;
    }
    if let Some(status) = &result.status {
        writeln!(out, "{}", line(status))?;
    }
    if let Some(changed) = &result.changed {
        // The statement has said itself what is to become different.
        if changed.dry_run {
            write_plan(&changed.plan, options, out)?;
        }
        write_effects(changed, out)?;
    }
    Ok(())
}
