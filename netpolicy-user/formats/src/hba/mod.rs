//! `pg_hba.conf` of PostgreSQL, to a policy: what no line admits need not reach the server.
//!
//! The server goes on judging by the file; netpolicy denies, before the handshake, sources that
//! the file admits for no database and no user. What a filter by source address cannot carry
//! is said line by line. Where that leaves out sources that the file admits, the policy is
//! incomplete and must not be in force as it is.

mod carry;
mod line;
mod policy;

pub use carry::{Carried, Hba};
pub use line::{Address, Admission, HbaLine};

use netpolicy_policy::model::error::Excerpt;

use crate::Place;
use crate::error::{Error, Problem};
use crate::text::decode;

/// Reads a file.
///
/// # Errors
/// Every line that PostgreSQL would not read, or read as something else than it looks like.
pub fn read(bytes: &[u8]) -> Result<Hba, Vec<Error>> {
    let text = decode(bytes).map_err(|why| vec![why.into()])?;
    let (mut lines, mut errors) = (Vec::new(), Vec::new());
    for (number, text) in logical_lines(text) {
        match line::read(number, &text) {
            Ok(Some(line)) => lines.push(line),
            Ok(None) => {}
            Err(problem) => errors.push(Error {
                place: Some(Place::line(number)),
                problem,
            }),
        }
        if errors.len() >= 100 {
            break;
        }
    }
    if errors.is_empty() {
        Ok(Hba::of(lines))
    } else {
        Err(errors)
    }
}

/// Whether a line is of such a file.
pub(crate) fn is_line(line: &str) -> bool {
    let mut words = line.split_whitespace();
    match words.next() {
        Some("local") => words.count() >= 3,
        Some("host" | "hostssl" | "hostnossl" | "hostgssenc" | "hostnogssenc") => {
            words.count() >= 4
        }
        Some("include" | "include_if_exists" | "include_dir") => words.count() == 1,
        _ => false,
    }
}

/// Lines without comments, those that end in a backslash joined with the next, as
/// PostgreSQL 14 and later read them.
fn logical_lines(text: &str) -> Vec<(u32, String)> {
    let mut lines: Vec<(u32, String)> = Vec::new();
    let mut goes_on = false;
    for (line, number) in text.lines().zip(1_u32..) {
        let (content, continued) = match line.strip_suffix('\\') {
            Some(content) => (content, true),
            None => (line, false),
        };
        match lines.last_mut() {
            Some((_, last)) if goes_on => last.push_str(content),
            _ => lines.push((number, content.to_owned())),
        }
        goes_on = continued;
    }
    lines
}

/// A line that is none of such a file.
fn not_a_line(found: &str, expected: &'static str) -> Problem {
    Problem::Line {
        format: crate::Format::PgHba,
        found: Excerpt::new(found),
        expected,
    }
}
