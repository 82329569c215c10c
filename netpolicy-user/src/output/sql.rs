//! Results of SQL statements.

use std::io::{self, Write};

use comfy_table::Cell;
use serde::{Serialize, Serializer};

use super::changed::{spent_ms, write_effects, write_in_force};
use super::databases::write_changes;
use super::{GAP, Render, RenderOptions, Tone, cell, count, line, plain, write_plan, write_table};
use crate::api::{SqlResponse, SqlResult, Status};

/// The answer to a script, and where it is in force.
#[derive(Clone, Debug)]
pub struct SqlOutcome<'a> {
    /// The agent's answer. Why a statement failed is not printed here.
    pub response: &'a SqlResponse,
    /// The status after it, if it could be had.
    pub status: Option<&'a Status>,
    /// How rows are laid out.
    pub layout: Layout,
}

/// How rows are laid out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    /// A line for each column, whatever the width.
    pub expanded: bool,
    /// Columns of the terminal: what is wider gets a line for each column.
    pub width: Option<u16>,
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
            write_result(result, self.layout, options, out)?;
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
    layout: Layout,
    options: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    if is_statement(result) {
        // To be copied: as it is, and nothing around it.
        let texts = result.rows.iter().filter_map(|row| row.last()?.as_deref());
        for text in texts {
            writeln!(out, "{text}")?;
        }
    } else if !result.columns.is_empty() {
        write_rows(result, layout, options, out)?;
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
        write_changes(&changed.databases, changed.dry_run, out)?;
    }
    Ok(())
}

/// Whether the rows are SHOW CREATE's.
fn is_statement(result: &SqlResult) -> bool {
    result.columns == ["name", "create_sql"]
}

fn write_rows(
    result: &SqlResult,
    layout: Layout,
    options: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let header: Vec<&str> = result.columns.iter().map(String::as_str).collect();
    if layout.expanded || layout.width.is_some_and(|width| !fits(result, width)) {
        for (number, row) in (1..).zip(&result.rows) {
            writeln!(out, "-[ row {number} ]-")?;
            let cells = header.iter().zip(row).map(|(name, value)| {
                let value = plain(value.as_deref().unwrap_or(""));
                vec![cell(Tone::Label, name), value]
            });
            write_table(options, &[], cells.collect(), out)?;
        }
        return Ok(());
    }
    let rows: Vec<Vec<Cell>> = result
        .rows
        .iter()
        .map(|row| {
            row.iter()
                .map(|v| plain(v.as_deref().unwrap_or("")))
                .collect()
        })
        .collect();
    write_table(options, &header, rows, out)
}

/// Whether the rows with their header are no wider than a terminal.
fn fits(result: &SqlResult, width: u16) -> bool {
    let mut widths: Vec<usize> = result.columns.iter().map(|name| line_width(name)).collect();
    for row in &result.rows {
        for (widest, value) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(line_width(value.as_deref().unwrap_or("")));
        }
    }
    let gaps = usize::from(GAP).saturating_mul(widths.len().saturating_sub(1));
    widths.iter().sum::<usize>().saturating_add(gaps) <= usize::from(width)
}

/// Of the longest line.
fn line_width(text: &str) -> usize {
    let widths = text.lines().map(|line| line.chars().count());
    widths.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::{Format, render};
    use super::*;

    fn shown(columns: &[&str], rows: &[&[&str]], layout: Layout) -> String {
        let result = SqlResult {
            columns: columns.iter().map(|&name| name.to_owned()).collect(),
            rows: rows
                .iter()
                .map(|row| row.iter().map(|&cell| Some(cell.to_owned())).collect())
                .collect(),
            ..SqlResult::default()
        };
        let response = SqlResponse {
            results: vec![result],
            ..SqlResponse::default()
        };
        let options = RenderOptions {
            format: Format::Table,
            colour: false,
            zone: None,
            now: Timestamp::UNIX_EPOCH,
        };
        let outcome = SqlOutcome {
            response: &response,
            status: None,
            layout,
        };
        let mut out = Vec::new();
        render(&outcome, &options, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn width(width: u16) -> Layout {
        Layout {
            width: Some(width),
            ..Layout::default()
        }
    }

    #[test]
    fn table_wider_than_the_terminal_gets_a_line_for_each_column() {
        let columns = ["name", "rules"];
        let rows: &[&[&str]] = &[&["office", "hq,vpn"]];
        let table = "name     rules\noffice   hq,vpn\n(1 row)\n";
        assert_eq!(shown(&columns, rows, width(15)), table);
        assert_eq!(shown(&columns, rows, Layout::default()), table);
        let expanded = "-[ row 1 ]-\nname    office\nrules   hq,vpn\n(1 row)\n";
        assert_eq!(shown(&columns, rows, width(14)), expanded);
        let asked = Layout {
            expanded: true,
            width: None,
        };
        assert_eq!(shown(&columns, rows, asked), expanded);
    }

    #[test]
    fn statement_of_show_create_is_printed_as_it_is() {
        let text = "CREATE NETWORK POLICY office\n  ALLOWED_IP_LIST = ('10.0.0.1');";
        let shown = shown(&["name", "create_sql"], &[&["office", text]], width(10));
        assert_eq!(shown, format!("{text}\n"));
    }
}
