//! Scripts of SQL, statement by statement.

mod failure;
mod rehearsal;
mod roles;
pub mod script;

pub use failure::Failure;
pub use script::{Outcome, run};
