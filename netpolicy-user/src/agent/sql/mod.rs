//! Scripts of SQL, statement by statement.

mod failure;
mod rehearsal;
pub mod script;

pub use script::run;
