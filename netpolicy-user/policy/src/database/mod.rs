//! Policies of database users, as the database enforces them: lines that reject.
//!
//! Pure: a state and what the packet filter makes of it, to lines of `pg_hba.conf`. A line only
//! ever rejects: an error in one can deny and never open, and authentication stays what the
//! administrator wrote. Among lines that all reject, their order means nothing.

mod accounts;
mod addresses;
mod hba;
mod lines;
mod other;
#[cfg(test)]
mod tests;

pub use accounts::{Account, lint_accounts};
pub use addresses::AddressSet;
pub use hba::{HbaLine, HbaUser, RULES_WITHIN, ReadLine, read_lines, text};
pub use lines::{
    DatabasePlan, LINES_OF_ALL, LINES_OF_OTHERS, LINES_OF_USER, PlanProblem, closed_plan, plan,
    plans,
};
pub use other::{OtherKind, OtherPlan, statements};
