//! netpolicy's log lines: to standard error without what steers a terminal, or as fields to the
//! journal.
//!
//! For `netpolicy` and `netpolicy-net`. Knows neither of them.

mod escape;
mod journal;
mod line;

pub use escape::{escape, one_line, steers};
pub use journal::Journal;
pub use line::PlainLines;
