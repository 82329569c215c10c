//! Where something was written.

use std::fmt;

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// A file's name, or the option that it was given with, as in "--allow".
    pub source: Box<str>,
    /// From 1; 0: the source has no lines.
    pub line: u32,
    /// In characters, from 1; 0: not known.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        match (self.line, self.column) {
            (0, _) => Ok(()),
            (line, 0) => write!(f, ":{line}"),
            (line, column) => write!(f, ":{line}:{column}"),
        }
    }
}
